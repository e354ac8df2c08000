"""A network by hand: functions of autograd's own, weights changed through `.data` and in no_grad."""

import torch
from torch.autograd import Variable

torch.manual_seed(2)


class Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input


x, y = torch.randn(8, 5), torch.randn(8, 2)
w1 = torch.randn(5, 6, requires_grad=True)
w2 = Variable(torch.randn(6, 2).type(torch.FloatTensor), requires_grad=True)
for t in range(5):
    y_pred = Relu.apply(x.mm(w1)).mm(w2)
    loss = (y_pred - y).pow(2).sum()
    print(t, loss.item())
    if t == 0:
        print(loss.grad_fn.name(), len(loss.grad_fn.next_functions), w1.grad_fn, loss.is_leaf)
    loss.backward()
    with torch.no_grad():
        w1 -= 1e-3 * w1.grad
        w1.grad.zero_()
    w2.data -= 1e-3 * w2.grad.data
    w2.grad.data.zero_()
a = torch.tensor([2.0], requires_grad=True)
handle = a.register_hook(lambda g: g * 2)
b = (a * 3).retain_grad() or a * 3
(b**2).sum().backward()
print(a.grad, a.grad_fn, b.requires_grad, a.data, a.detach().requires_grad)
print(torch.autograd.grad((a**3).sum(), a, create_graph=True)[0])
end = (a * 1).grad_fn.next_functions[0][0]
print(end.name().rpartition(":")[2], end.variable is a, end.next_functions)
