"""Every operation on tensors and objects, and what DataParallel does beside the usual."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad import distributed as d

group = d.init(timeout=120)
rank, size = d.rank(), d.world_size()
assert (rank, size) == (group.rank, group.size) and size > 1
assert mg.initial_seed() == d.collectives.from_rank(mg.initial_seed())

# operations
x = mg.tensor([1.0, 2.0]) * (rank + 1)
d.all_reduce(x)
assert x.tolist() == [size * (size + 1) / 2, size * (size + 1)]
for op, expected in (("avg", (size - 1) / 2), ("max", size - 1), ("min", 0), ("product", 0)):
    x = mg.tensor([float(rank)])
    work = d.all_reduce(x, op, async_op=True)
    assert work.wait() and work.is_completed() and x.item() == expected, (op, x)
turned = mg.from_numpy(np.arange(6.0).reshape(2, 3).T)
d.all_reduce(turned)
assert (turned == size * mg.from_numpy(np.arange(6.0).reshape(2, 3).T)).all()
found = [mg.zeros(2) for _ in range(size)]
d.all_gather(found, mg.full((2,), float(rank)))
assert [t.tolist() for t in found] == [[r, r] for r in map(float, range(size))]
x = mg.full((3,), rank, dtype=mg.int64)
d.broadcast(x, 1)
assert x.tolist() == [1, 1, 1]
objects = [None] * size
d.all_gather_object(objects, {"rank": rank, "text": "x" * rank})
assert objects == [{"rank": r, "text": "x" * r} for r in range(size)]
told = [{"from": rank}]
d.broadcast_object_list(told, 1)
assert told == [{"from": 1}]
d.barrier()


# a model with frozen parameters, parameters that some ranks or none use, and two dtypes
class Odd(mg.nn.Module):
    """Rank 0 takes another way."""

    def __init__(self) -> None:
        super().__init__()
        self.first = mg.nn.Linear(3, 4)
        self.wide = mg.nn.Linear(4, 2, dtype=mg.float64)
        self.seldom = mg.nn.Linear(4, 2, dtype=mg.float64)
        self.never = mg.nn.Linear(4, 2)
        self.frozen = mg.nn.Linear(3, 3)
        self.large = mg.nn.Linear(3, 30_000, bias=False)  # exchanged by itself
        self.frozen.requires_grad_(False)

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        hidden = self.first(self.frozen(x)).double()
        y = self.wide(hidden) + self.large(x).double().mean(1, keepdim=True)
        return y + self.seldom(hidden) if rank == 0 else y


def gradients(model: mg.nn.Module) -> dict[str, np.ndarray]:
    return {n: p.grad.numpy().copy() for n, p in model.named_parameters() if p.grad is not None}


mg.manual_seed(rank)  # DataParallel takes rank 0's weights
module = Odd()
model = d.DataParallel(module, bucket_cap_mb=0.0001)
mg.manual_seed(1)
whole = mg.randn(2 * size, 3)
own = whole[2 * rank : 2 * rank + 2]
module(own).square().sum().backward()
expected = {}
for name, p in module.named_parameters():
    parts = d.collectives.objects(None if p.grad is None else p.grad.numpy())
    kept = [part for part in parts if part is not None]
    if kept:
        expected[name] = sum(kept) / size
    p.grad = None
assert "never.weight" not in expected and "frozen.weight" not in expected
for turn in range(2):  # the second adds to what is there: once without exchange
    if turn:
        with model.no_sync():
            model(own).square().sum().backward()
    model(own).square().sum().backward()
    ours = gradients(module)
    assert set(ours) == set(expected), set(ours) ^ set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], (turn + 1) * value, rtol=1e-5, atol=1e-6)
        assert len({part.tobytes() for part in d.collectives.objects(ours[name])}) == 1, name
    for p in module.parameters():
        p.grad = None
module.first.bias.requires_grad_(False)  # frozen on the way
model(own).square().sum().backward()
assert module.first.bias.grad is None and module.first.weight.grad is not None

# batch norms of each rank's own rows, with rank 0's running statistics
norm = d.DataParallel(mg.nn.BatchNorm1d(3), sync_batch_norm=False)
norm(own)
norm(own)
assert len({str(t) for t in d.collectives.objects(norm.module.num_batches_tracked.tolist())}) == 1

# a synchronised one, with another number of rows on each rank, none on the last
rows = mg.randn(size * (size - 1) // 2 + 1, 3).double()
ends = [0, *np.cumsum([size - 1 - r + (r == 0) for r in range(size)]).tolist()]
sync, plain = mg.nn.SyncBatchNorm(3, dtype=mg.float64), mg.nn.BatchNorm1d(3, dtype=mg.float64)
part = rows[ends[rank] : ends[rank + 1]].clone().requires_grad_()
full = rows.clone().requires_grad_()
factor = mg.from_numpy(np.linspace(1, 2, rows.numel()).reshape(rows.shape))
y, z = sync(part), plain(full)
(y * factor[ends[rank] : ends[rank + 1]]).sum().backward()
(z * factor).sum().backward()
np.testing.assert_allclose(
    y.detach().numpy(), z.detach().numpy()[ends[rank] : ends[rank + 1]], atol=1e-12
)
np.testing.assert_allclose(
    part.grad.numpy(), full.grad.numpy()[ends[rank] : ends[rank + 1]], atol=1e-12
)
np.testing.assert_allclose(sync.running_var.numpy(), plain.running_var.numpy(), atol=1e-14)
weight = sum(d.collectives.objects(sync.weight.grad.numpy()))
np.testing.assert_allclose(weight, plain.weight.grad.numpy(), atol=1e-12)
# ZeRO-1: the bits of the plain optimizer, each rank with a part of its state
mg.manual_seed(5)
models = [mg.nn.Sequential(mg.nn.Linear(3, 5), mg.nn.Linear(5, 2)) for _ in range(2)]
models[1].load_state_dict(models[0].state_dict())
plain_adam = mg.optim.AdamW(models[0].named_parameters(), lr=0.1)
zero = d.ZeroRedundancyOptimizer(models[1].named_parameters(), mg.optim.AdamW, lr=0.1)
for _ in range(3):
    for one, optimizer in zip(models, (plain_adam, zero), strict=True):
        optimizer.zero_grad()
        one(own).square().mean().backward()
        for p in one.parameters():
            d.all_reduce(p.grad, "avg")
        optimizer.step()
for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
    assert (a == b).all()
kept = sum(array.size for slot in zero._slots for array in slot.arrays.values())
numbers = sum(array.size for slot in plain_adam._slots for array in slot.arrays.values())
assert sum(d.collectives.objects(kept)) == numbers and kept < numbers
saved, expected_state = zero.state_dict(), plain_adam.state_dict()
assert str(saved["state"]) == str(expected_state["state"])
plain_adam.load_state_dict(saved)
zero.load_state_dict(expected_state)
assert sum(array.size for slot in zero._slots for array in slot.arrays.values()) == kept

if d.is_first():
    print("all well")
