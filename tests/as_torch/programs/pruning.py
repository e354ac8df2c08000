"""Pruning: masks by size, by norm, at random, over several layers; training what is left."""

import torch
from torch import nn
from torch.nn.utils import prune

torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(64, 3))
conv, linear = model[0], model[2]
prune.random_unstructured(conv, name="weight", amount=0.3)
print(list(conv.named_parameters())[0][0], [name for name, _ in conv.named_buffers()])
print(conv.weight_mask.sum(), [type(h).__name__ for h in conv._forward_pre_hooks.values()])
prune.l1_unstructured(conv, name="bias", amount=2)
print(conv.bias_mask, len(conv._forward_pre_hooks))
prune.ln_structured(conv, name="weight", amount=0.5, n=2, dim=0)
print(conv.weight_mask.sum((1, 2, 3)))
for hook in conv._forward_pre_hooks.values():
    if hook._tensor_name == "weight":
        print([type(method).__name__ for method in hook])
prune.random_structured(linear, "weight", amount=0.25, dim=1)
print(linear.weight_mask.sum(0))
print(sorted(model.state_dict()), prune.is_pruned(model))

x, y = torch.randn(8, 1, 6, 6), torch.randint(0, 3, (8,))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(5):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    print(loss.item())
print((linear.weight_orig.grad == 0).sum().item(), (linear.weight == 0).sum().item())

prune.remove(conv, "weight")
print(sorted(conv.state_dict()), (conv.weight == 0).sum().item())
prune.global_unstructured(
    [(conv, "weight"), (linear, "weight")], pruning_method=prune.L1Unstructured, amount=0.6
)
print((conv.weight == 0).sum().item(), (linear.weight == 0).sum().item())


class Every(prune.BasePruningMethod):
    PRUNING_TYPE = "unstructured"

    def __init__(self, n):
        self.n = n

    def compute_mask(self, t, default_mask):
        mask = default_mask.clone()
        mask.view(-1)[:: self.n] = 0
        return mask


Every.apply(linear, "bias", 2)
print(linear.bias_mask)
for wrong in (1.5, -1, 100):
    try:
        prune.l1_unstructured(nn.Linear(2, 2), "weight", amount=wrong)
    except ValueError:
        print("refused", wrong)
