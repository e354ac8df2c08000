"""Gradients as functions: per sample, of higher order, of a module's parameters."""

import torch
import torch.nn as nn
from torch.func import functional_call, grad, vmap

torch.manual_seed(7)
model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
data, targets = torch.randn(5, 3), torch.randint(0, 2, (5,))
params = {k: v.detach() for k, v in model.named_parameters()}


def compute_loss(params, sample, target):
    predictions = functional_call(model, params, (sample.unsqueeze(0),))
    return nn.functional.cross_entropy(predictions, target.unsqueeze(0))


found = vmap(grad(compute_loss), in_dims=(None, 0, 0))(params, data, targets)
print({k: tuple(v.shape) for k, v in found.items()}, found["2.bias"])
one_by_one = [
    torch.autograd.grad(
        compute_loss(dict(model.named_parameters()), x, t), list(model.parameters())
    )[3]
    for x, t in zip(data, targets)
]
print(torch.allclose(torch.stack(one_by_one), found["2.bias"], atol=1e-6))
x = torch.tensor(2.0)
print(grad(lambda t: t**3)(x), grad(grad(lambda t: t**3))(x), torch.func.jacrev(torch.sin)(x))
print(torch.autograd.functional.jacobian(lambda t: t**2, torch.arange(3.0)))
print(torch.autograd.functional.vjp(lambda t: t * 2, torch.ones(2), torch.ones(2))[1])
