"""What DataParallel and a Trainer do where things are not as usual."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg
from minigrad import distributed as d
from minigrad.distributed.collectives import objects
from minigrad.nn import functional as F

group = d.init(timeout=120)
rank, size = d.rank(), d.world_size()


def same(values: Any) -> bool:
    """Return whether all ranks have the same bits."""
    return len({np.asarray(part).tobytes() for part in objects(np.asarray(values))}) == 1


def mean_of(values: Any) -> Any:
    """Return the mean over the ranks."""
    return sum(objects(np.asarray(values, np.float64))) / size


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# all dtypes, no elements, no dimension
for dtype in (mg.float32, mg.float64, mg.int32, mg.int64, mg.uint8):
    x = mg.full((3,), rank + 1, dtype=dtype)
    d.all_reduce(x, "max")
    assert x.tolist() == [size] * 3 and x.dtype == dtype
flags = mg.tensor([rank == 0, False])
d.all_reduce(flags, "max")
assert flags.tolist() == [True, False]
for shape in ((0,), (2, 0), ()):
    x = mg.ones(shape)
    d.all_reduce(x)
    d.broadcast(x)
    assert x.shape == shape and x.sum().item() == (0 if 0 in shape else size)

# models without parameters, with one of no elements, nested, by their names
silent = d.DataParallel(mg.nn.ReLU())
assert silent(mg.ones(2)).tolist() == [1.0, 1.0]
mg.manual_seed(7)
inner = mg.nn.Linear(3, 2)
inner.none = mg.nn.Parameter(mg.zeros(0, 4))
model = d.DataParallel(d.DataParallel(inner))
assert list(model.state_dict()) == ["module.module." + n for n in ("weight", "bias", "none")]
x = mg.full((2, 3), float(rank + 1))
(model(x).sum() + inner.none.sum()).backward()
close(inner.weight.grad.numpy(), mean_of(np.full((2, 3), 2.0 * (rank + 1))))
assert inner.none.grad.shape == (0, 4)

# a gradient that is no row of its memory, exchanged by itself
wide = mg.nn.Parameter(mg.zeros(300, 400))
turned = d.DataParallel(mg.nn.ParameterList([wide]))
turned.module.forward = lambda x: (wide.t() * x).sum()  # type: ignore[method-assign]
factor = mg.from_numpy(np.arange(120_000, dtype=np.float32).reshape(400, 300) * (rank + 1))
turned(factor).backward()
close(wide.grad.numpy(), mean_of(factor.numpy().T))

# two forward passes, then both sweeps; a sweep that does not come to the model at all
model = d.DataParallel(mg.nn.Linear(3, 1))
other = mg.nn.Linear(3, 1)
first, second = model(x).sum(), model(2 * x).sum()
other(x).sum().backward()
assert model.module.weight.grad is None
first.backward()
second.backward()
close(model.module.weight.grad.numpy(), mean_of(np.full((1, 3), 6.0 * (rank + 1))))
model(x)  # whose gradient nobody asks for, before an accumulation without exchange
model.zero_grad()
with model.no_sync():
    model(x).sum().backward()
close(model.module.weight.grad.numpy(), np.full((1, 3), 2.0 * (rank + 1)))


# one rank takes another way between synchronised norms, so that its gradients come at other times
class Two(mg.nn.Module):
    """Two norms, and layers behind each that only some ranks use."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = mg.nn.ModuleList([mg.nn.BatchNorm1d(300), mg.nn.BatchNorm1d(300)])
        self.ways = mg.nn.ModuleList([mg.nn.Linear(300, 300) for _ in range(3)])

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        x = self.norms[0](self.ways[0](x))
        if rank != 0:
            x = x + self.ways[1](x)
        x = self.norms[1](x)
        return x + self.ways[2](x) if rank == 0 else x


mg.manual_seed(1)
two = d.DataParallel(Two())
for _ in range(3):
    two(mg.randn(4, 300)).square().mean().backward()
assert all(same(p.grad.numpy()) for p in two.parameters())

# no rows for one rank: an error there that says what to do; the others go on by themselves
if rank == 0:
    try:
        model(mg.zeros(0, 3))
    except ValueError as error:
        assert "drop_last=True" in str(error), error
    else:
        raise AssertionError("no error")


# a Trainer of a model that is wrapped already has the steps of the bare one
def fitted(wrap: bool) -> np.ndarray:
    mg.manual_seed(2)
    net: Any = mg.nn.Sequential(mg.nn.Linear(4, 8), mg.nn.BatchNorm1d(8), mg.nn.Linear(8, 3))
    net = d.DataParallel(net) if wrap else net
    optimizer = mg.optim.SGD(net.parameters(), lr=0.1)
    data = mg.data.load_iris()
    batches = [(data[i : i + 7][0], data[i : i + 7][1]) for i in range(0, 140, 7)]
    mg.train.Trainer(net, optimizer, F.cross_entropy).fit(batches, epochs=1)
    return np.concatenate([p.detach().numpy().ravel() for p in net.parameters()])


bare = fitted(False)
assert (bare == fitted(True)).all() and same(bare)

if d.is_first():
    print("all well")
