"""A resumed fit ends in the same bytes with samplers, datasets, models and losses of one's own,
which count, shuffle in place and draw from generators wherever these lie.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.data import DataLoader, Dataset, IterableDataset, Sampler, TensorDataset
from minigrad.train import Callback, ModelCheckpoint, Trainer
from minigrad.train.attributes import Attributes
from tests.train.resume_toys import KillAt, Killed, bits
from tests.train.toys import rows

ROWS = 45  # six steps an epoch
OF_MODULE = np.random.default_rng(3)


def noise() -> np.float32:
    return np.float32(OF_MODULE.normal())


class Counted(Sampler):
    """An order by a count of passes, which it keeps itself or is told."""

    def __init__(self, told: bool) -> None:
        self.told = told
        self.epoch = 0

    def __len__(self) -> int:
        return ROWS

    def __iter__(self) -> Iterator[int]:
        self.epoch += not self.told
        return iter(np.random.default_rng(self.epoch).permutation(ROWS).tolist())


class Shuffled(Sampler):
    """An order that is shuffled in place, so that each follows from the one before."""

    def __init__(self, order: Any) -> None:
        self.order = order

    def __len__(self) -> int:
        return ROWS

    def __iter__(self) -> Iterator[int]:
        (random if isinstance(self.order, list) else np.random).shuffle(self.order)
        return iter(list(self.order))


class Rows(Dataset):
    """Rows with noise of somewhere else's."""

    of_class = np.random.default_rng(4)

    def __init__(self, source: str = "") -> None:
        self.x, self.y = rows(ROWS)
        self.source = source
        self.limit = ROWS
        self.own = np.random.default_rng(5)

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        draw = {
            "class": lambda: np.float32(self.of_class.normal()),
            "own": lambda: np.float32(self.own.normal()),
            "module": noise,
        }
        i %= self.limit
        return self.x[i] + draw.get(self.source, lambda: np.float32(0))(), self.y[i]


class Slots:
    """Rows with a generator that no `__dict__` holds."""

    __slots__ = ("rng", "x", "y")

    def __init__(self) -> None:
        self.x, self.y = rows(ROWS)
        self.rng = random.Random(6)

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        return self.x[i] + np.float32(self.rng.gauss(0, 1)), self.y[i]


class Stream(IterableDataset):
    """Rows in a random order with noise; each pass begins where the one before has ended."""

    def __init__(self) -> None:
        self.x, self.y = rows(ROWS)
        self.rng = np.random.default_rng(7)
        self.at = 0

    def __iter__(self) -> Iterator[Any]:
        for _ in range(41):
            self.at = (self.at + 1) % ROWS
            yield self.x[self.at] + np.float32(self.rng.normal()), self.y[self.at]


class Annealed(nn.Module):
    """A network whose temperature follows from a count of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.seen = {"calls": 0}

    def forward(self, x: Any) -> Any:
        self.seen["calls"] += self.training
        return self.layer(x) * (1 + 1 / (1 + self.seen["calls"]))


class Weighted:
    """A loss with a weight that falls."""

    weight = 1.0

    def __call__(self, output: Any, target: Any) -> Any:
        self.weight *= 0.9
        return nn.functional.cross_entropy(output, target) * (1 + self.weight)


class Does(Callback):
    """Do something at an epoch's beginning or end."""

    def __init__(self, begin: Any = None, end: Any = None) -> None:
        self.begin, self.end = begin, end

    def on_epoch_begin(self, trainer: Any) -> None:
        if self.begin is not None:
            self.begin(trainer)

    def on_epoch_end(self, trainer: Any) -> None:
        if self.end is not None:
            self.end(trainer)


def made(
    loader: Any, *callbacks: Callback, model: Any = None, loss: Any = None
) -> tuple[Trainer, Any]:
    if model is None:
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    optimizer = mg.optim.AdamW(model.named_parameters(), lr=0.02)
    loss = nn.functional.cross_entropy if loss is None else loss
    return Trainer(model, optimizer, loss, callbacks=callbacks, doctor=False), loader


def plain(**options: Any) -> DataLoader:
    return DataLoader(TensorDataset(*rows(ROWS)), 8, **options)


def told() -> Any:
    sampler = Counted(True)
    does = Does(begin=lambda trainer: setattr(sampler, "epoch", trainer.epoch))
    return made(plain(sampler=sampler), does)


def from_module() -> Any:
    OF_MODULE.bit_generator.state = np.random.default_rng(3).bit_generator.state
    return made(DataLoader(Rows("module"), 8))


def from_class() -> Any:
    Rows.of_class.bit_generator.state = np.random.default_rng(4).bit_generator.state
    return made(DataLoader(Rows("class"), 8, shuffle=True))


def growing() -> Any:
    data = Rows()
    data.limit = 20
    grow = Does(end=lambda trainer: setattr(data, "limit", data.limit + 5))
    return made(DataLoader(data, 8, shuffle=True), grow)


def less_dropout(trainer: Any) -> None:
    trainer.model[2].p /= 2


def thaw(trainer: Any) -> None:
    trainer.model[0].requires_grad_(trainer.epoch > 1)


def drawing_collate() -> Any:
    rng = np.random.default_rng(8)

    def collated(samples: Any) -> Any:
        x, y = mg.data.collate(samples)
        return x + mg.Tensor(rng.normal(size=x.shape).astype(np.float32)), y

    return made(plain(collate_fn=collated, prefetch=2))


def lazy() -> Any:
    model = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))
    return made(plain(shuffle=True), model=model)


PARTS: dict[str, Callable[[], Any]] = {
    "a sampler that counts": lambda: made(plain(sampler=Counted(False))),
    "a sampler that is told the epoch": told,
    "a list shuffled in place": lambda: made(plain(sampler=Shuffled(list(range(ROWS))))),
    "an array shuffled in place": lambda: made(plain(sampler=Shuffled(np.arange(ROWS)))),
    "a generator of a module": from_module,
    "a generator of a class": from_class,
    "a generator in slots": lambda: made(DataLoader(Slots(), 8, shuffle=True)),
    "rows made ahead": lambda: made(DataLoader(Rows("own"), 8, shuffle=True, prefetch=2)),
    "rows of a sampler made ahead": lambda: made(
        DataLoader(Rows("own"), 8, sampler=mg.data.RandomSampler(range(ROWS)), prefetch=2)
    ),
    "a stream": lambda: made(DataLoader(Stream(), 8)),
    "a stream made ahead": lambda: made(DataLoader(Stream(), 8, prefetch=2)),
    "a collate function": drawing_collate,
    "a growing share of the rows": growing,
    "a model that counts": lambda: made(plain(shuffle=True), model=Annealed()),
    "a loss that changes": lambda: made(plain(shuffle=True), loss=Weighted()),
    "a rate of dropout that falls": lambda: made(plain(), Does(end=less_dropout)),
    "layers that are thawed": lambda: made(plain(), Does(begin=thaw)),
    "lazy layers": lazy,
}


def left(trainer: Trainer) -> Any:
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in trainer.history]
    model = {name: t.numpy().tobytes() for name, t in trainer.model.state_dict().items()}
    return model, bits(trainer.optimizer.state_dict()), repr(history), mg.rand(2).tolist()


def seeded(seed: int) -> None:
    mg.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global generator is what programs shuffle with


@pytest.mark.parametrize("name", PARTS)
def test_it_ends_in_the_same_bytes(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Killed after a step; with all trials after each, and the resumed run once more."""
    make = PARTS[name]
    seeded(0)
    trainer, loader = make()
    trainer.fit(loader, epochs=3)
    wanted, steps = left(trainer), trainer.step
    all_trials = request.config.getoption("--all-trials")
    for at in range(1, steps) if all_trials else (2, steps // 2 + 1):
        folder = tmp_path / str(at)
        for seed, kill in ((0, at), (1, at + 2), (2, 0)):  # killed, resumed and killed, resumed
            seeded(seed)
            trainer, loader = make()
            keeper = ModelCheckpoint(folder, every_steps=1)
            trainer.callbacks += [keeper, KillAt(kill)] if kill < steps else [keeper]
            if kill and kill < steps:
                with pytest.raises(Killed):
                    trainer.fit(loader, epochs=3, resume="auto")
            else:
                trainer.fit(loader, epochs=3, resume="auto")
        assert left(trainer) == wanted, f"killed after step {at}"


def test_the_same_objects_go_on_after_ctrl_c(tmp_path: Path) -> None:
    """What has changed since the checkpoint is set back too."""

    class Once(Callback):
        done = False

        def on_step_end(self, trainer: Any) -> None:
            if trainer.step == 9 and not self.done:
                self.done = True
                raise KeyboardInterrupt

    for name in ("a sampler that counts", "an array shuffled in place", "a model that counts"):
        seeded(0)
        trainer, loader = PARTS[name]()
        trainer.fit(loader, epochs=3)
        wanted = left(trainer)
        seeded(0)
        trainer, loader = PARTS[name]()
        trainer.callbacks += [ModelCheckpoint(tmp_path / name, every_steps=4), Once()]
        assert trainer.fit(loader, epochs=3).interrupted
        trainer.fit(loader, epochs=3, resume="auto")
        assert left(trainer) == wanted, name


def test_rows_that_draw_are_the_same_made_ahead_and_after_a_pass_that_was_left() -> None:
    def batches(prefetch: int) -> list[Any]:
        loader = DataLoader(Rows("own"), 8, prefetch=prefetch)
        taken = [x.numpy().tobytes() for (x, _), _ in zip(loader, range(2), strict=False)]
        return taken + [x.numpy().tobytes() for x, _ in loader]

    assert batches(0) == batches(3)


def test_only_what_has_changed_is_set(tmp_path: Path) -> None:
    """A path or a rank is that of the process that goes on."""

    class Placed(Sampler):
        def __init__(self, root: str, rank: int) -> None:
            self.root, self.rank, self.passes = root, rank, 0

        def __len__(self) -> int:
            return ROWS

        def __iter__(self) -> Iterator[int]:
            self.passes += 1
            return iter(range(ROWS))

    first, second = Placed("/there", 0), Placed("/here", 1)
    for sampler, epochs in ((first, 2), (second, 3)):
        trainer, loader = made(plain(sampler=sampler), ModelCheckpoint(tmp_path))
        trainer.fit(loader, epochs=epochs, resume="auto")
    assert (second.root, second.rank, second.passes) == ("/here", 1, 3)


def test_another_layer_or_option_is_another_run(tmp_path: Path) -> None:
    def fit(activation: nn.Module, p: float) -> None:
        model = nn.Sequential(nn.Linear(4, 3), activation, nn.Dropout(p))
        trainer, loader = made(plain(), ModelCheckpoint(tmp_path), model=model)
        trainer.fit(loader, epochs=1, resume="auto")

    fit(nn.ReLU(), 0.1)
    fit(nn.ReLU(), 0.1)
    with pytest.raises(ValueError, match=r"modules, 1: 'ReLU\(\)' in the checkpoint, 'Tanh\(\)'"):
        fit(nn.Tanh(), 0.1)
    with pytest.raises(ValueError, match=r"modules, 2: 'Dropout\(p=0.1, .*' in the checkpoint"):
        fit(nn.ReLU(), 0.2)


def test_what_is_looked_at() -> None:
    @dataclasses.dataclass
    class Holder:
        count: int = 0
        order: Any = None
        names: Any = ("a",)
        nested: Any = dataclasses.field(default_factory=lambda: [[1]])
        weights: Any = dataclasses.field(default_factory=lambda: np.zeros(3))

    holder = Holder(order=np.arange(3))
    kept = Attributes({"loss": holder, "model": nn.BatchNorm1d(2)})
    assert set(kept.values()["loss"]) == {"count", "order", "names"}
    holder.order[0] = 7
    kept.holders["model"].momentum = None
    kept.holders["model"].eval()  # modes are kept by themselves
    changed = kept.changed()
    assert {n: list(v) for n, v in changed.items()} == {"loss": ["order"], "model": ["momentum"]}
    order = holder.order
    kept.set(kept.first)
    assert holder.order is order and order.tolist() == [0, 1, 2] and not kept.changed()


def test_where_a_part_is_missing_the_resume_is_refused(tmp_path: Path) -> None:
    trainer, loader = made(plain(sampler=Counted(False)), ModelCheckpoint(tmp_path))
    trainer.fit(loader, epochs=1)
    trainer, loader = made(plain(sampler=[*range(ROWS)]), ModelCheckpoint(tmp_path))
    with pytest.raises(ValueError, match="sampler: 'Counted' in the checkpoint, 'list' here"):
        trainer.fit(loader, epochs=2, resume="auto")
