"""Names of PyTorch's other modules: parallel, attention, profiler, older and private spellings."""

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right, causal_upper_left
from torch.nn.init import _calculate_fan_in_and_fan_out
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.utils import _pair, _triple
from torch.optim.lr_scheduler import _LRScheduler
from torch.utils.benchmark import Timer
from torch.utils.data.distributed import DistributedSampler

torch.manual_seed(0)
logits = torch.randn(2, 3)
print(nn.Softmax()(logits), torch.nn.functional.log_softmax(logits), nn.Softmin()(logits))
print(torch.nn.functional.softmax(torch.ones(3)), nn.LogSoftmax()(torch.ones(2, 2, 2)))

model = nn.DataParallel(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
print(list(model.state_dict()), model(logits).shape, type(model.module).__name__)
print([isinstance(m, _BatchNorm) for m in model.modules()])
print(_pair(2), _triple((1, 2, 3)), _calculate_fan_in_and_fan_out(torch.ones(4, 3, 2)))


class Halving(_LRScheduler):
    def get_lr(self):
        return [base * 0.5**self.last_epoch for base in self.base_lrs]


optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
scheduler = Halving(optimizer)
for _ in range(3):
    optimizer.step()
    scheduler.step()
print(scheduler.get_last_lr())


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return 2 * g


x = torch.ones(2, requires_grad=True)
Double.apply(x).sum().backward()
print(x.grad, torch.spmm(torch.eye(2), torch.ones(2, 2)), torch.functional.einsum("i->", x).item())

for rank in range(2):
    sampler = DistributedSampler(range(7), num_replicas=2, rank=rank, seed=3)
    sampler.set_epoch(1)
    print(list(sampler), len(sampler))
print(list(DistributedSampler(range(7), num_replicas=2, rank=1, shuffle=False, drop_last=True)))

q = torch.randn(1, 1, 3, 4)
with sdpa_kernel(SDPBackend.MATH):
    print(nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True).sum().item())
for mask in (causal_upper_left(2, 3), causal_lower_right(2, 3)):
    keys = torch.randn(1, 1, 3, 4)
    print(nn.functional.scaled_dot_product_attention(q[:, :, :2], keys, keys, mask).sum().item())

with torch.autograd.profiler.profile() as found, torch.profiler.record_function("named part"):
    torch.ones(3) + 1
print("named part" in found.key_averages().table(sort_by="cpu_time_total", row_limit=10))
timed = Timer("x + 1", globals={"x": x.detach()}).timeit(3)
print(timed.mean > 0, timed.number_per_run, isinstance(x, torch.cuda.FloatTensor))

a, out = torch.arange(6.0).reshape(2, 3), torch.empty(2, 3)
print(torch.add(a, a, out=out) is out, out, torch.matmul(a, a.T, out=torch.empty(0)))
values, at = torch.empty(0), torch.empty(0, dtype=torch.long)
torch.max(a, 1, out=(values, at))
print(values, at, torch.arange(0, 3, out=torch.empty(0)))
print(torch.sum(input=a, dim=1), torch.exp(input=a[0]), torch.mm(input=a, mat2=a.T))
print(torch.max(input=a, other=1 - a), torch.pow(input=a, exponent=2), torch.eq(input=a, other=out))
try:
    torch.mul(x, x, out=torch.empty(2))
except RuntimeError as error:
    print(error)
