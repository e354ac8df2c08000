"""verify_resume: a set-up that resumes to the bit passes, and of one that does not it names why."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.train import Callback
from tests.train.resume_toys import Average, run
from tests.train.toys import rows


class Forgetful(Average):
    """The mean of the weights, which no checkpoint holds."""

    def state_dict(self) -> dict[str, Any]:
        return {}


class Decays(Callback):
    """Halves the rate by a count that it keeps to itself: what follows is another fit."""

    def __init__(self) -> None:
        self.count = 0

    def on_step_end(self, trainer: Any) -> None:
        self.count += 1
        if self.count % 3 == 0:
            trainer.optimizer.param_groups[0]["lr"] *= 0.5


PASSES = itertools.count(1)


class Counting:
    """A loader whose order comes from a count of its passes; or, where that is not known, of all
    passes in the process.
    """

    def __init__(self, known: bool) -> None:
        global PASSES
        PASSES = itertools.count(1)
        self.known = known
        self.count = 0
        x, y = rows(40)
        self.batches = [(mg.Tensor(x[i : i + 8]), mg.Tensor(y[i : i + 8])) for i in range(0, 40, 8)]
        if known:
            self.state_dict = lambda: {"count": self.count, "at": self.at}
            self.load_state_dict = self.take

    at = 0

    def take(self, state: Any) -> None:
        self.count, self.at = state["count"], state["at"]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        if not self.at:
            self.count += 1
        count = self.count if self.known else next(PASSES)
        order = np.random.default_rng(count).permutation(len(self.batches))
        for i in range(self.at, len(order)):
            self.at = (i + 1) % len(order)
            yield self.batches[order[i]]


class Noisy(mg.data.Dataset):
    """Rows with noise, from a generator of its own or from NumPy's or Python's global one."""

    def __init__(self, source: str) -> None:
        self.x, self.y = rows(40)
        self.source = source
        self.own = np.random.default_rng(3)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        if self.source == "own":
            noise = self.own.normal()
        elif self.source == "python":
            noise = random.gauss(0, 1)
        else:
            noise = np.random.mtrand._rand.normal()  # type: ignore[attr-defined]
        return self.x[i] + np.float32(noise), self.y[i]


def with_loader(make: Callable[[], Any], *callbacks: Callback) -> Callable[[], Any]:
    def made() -> Any:
        trainer, _, validation = run("momentum", "none", "none", *callbacks)
        return trainer, make(), validation

    return made


@pytest.mark.parametrize("parts", [("adamw", "plateau", "recipe"), ("adam", "one cycle", "own")])
def test_what_resumes_passes(parts: Any) -> None:
    before = mg.rand(1).item()
    mg.manual_seed(0)
    proof = mg.verify_resume(lambda: run(*parts), epochs=2)
    assert proof.resumed_after == (6, 9) and proof.steps == 12 and proof.compared > 100
    assert mg.rand(1).item() == before  # the random numbers are where they were


def test_a_callback_whose_state_no_checkpoint_holds_is_named() -> None:
    with pytest.raises(mg.ResumeError, match="right after the resume.*attribute 'count' of callba"):
        mg.verify_resume(lambda: run("sgd", "none", "none", Forgetful()))
    with pytest.raises(mg.ResumeError, match="callback Decays.*give it state_dict"):
        mg.verify_resume(lambda: run("sgd", "none", "none", Decays()))


SAMPLERS: dict[str, Callable[[Any], Any]] = {
    "weighted": lambda d: mg.data.WeightedRandomSampler(np.arange(40) + 1.0, 30),
    "replacement": lambda d: mg.data.RandomSampler(d, replacement=True),
    "own": lambda d: mg.data.RandomSampler(d, generator=mg.Generator(5)),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_loaders_with_samplers_go_on_in_mid_epoch(name: str) -> None:
    """Also where sampler and model draw from one generator, in turns."""
    data = mg.data.TensorDataset(*rows(40))

    class Draws(Callback):
        def on_step_end(self, trainer: Any) -> None:
            mg.rand(1)

    def loader() -> Any:
        return mg.data.DataLoader(data, 4, sampler=SAMPLERS[name](data))

    mg.verify_resume(with_loader(loader, Draws()), at=[1, 3, 7, 9])


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("shuffle", [True, False])
def test_transformed_batches_made_ahead_go_on(shuffle: bool, prefetch: int) -> None:
    def noisy(x: Any, rng: Any) -> Any:
        return x + rng.standard_normal(x.shape, np.float32)

    data = mg.data.TensorDataset(*rows(40))
    options: dict[str, Any] = {"shuffle": True, "batch_size": 8}
    if not shuffle:
        options = {"batch_sampler": mg.data.StratifiedBatchSampler(data.arrays[1], 8)}

    def loader() -> Any:
        return mg.data.DataLoader(data, transform=noisy, prefetch=prefetch, **options)

    mg.verify_resume(with_loader(loader), at=[2, 5, 7])


@pytest.mark.parametrize("source", ["own", "python", "numpy"])
def test_random_rows_go_on_with_their_noise(source: str) -> None:
    mg.verify_resume(with_loader(lambda: mg.data.DataLoader(Noisy(source), 8, shuffle=True)))


def test_a_list_of_batches_and_a_loader_with_a_state_go_on() -> None:
    batches = Counting(False).batches
    mg.verify_resume(with_loader(lambda: list(batches)))
    mg.verify_resume(with_loader(lambda: Counting(True)), at=[3, 5, 7])


def test_an_order_that_nothing_brings_back_is_named() -> None:
    """A count of passes in the loader is brought back, one in its module is not."""
    with pytest.raises(mg.ResumeError, match="the order of the data.*gives other batches than"):
        mg.verify_resume(with_loader(lambda: Counting(False)), at=[7])


def test_a_run_that_cannot_be_repeated_is_told_from_one_that_cannot_be_resumed() -> None:
    fresh = iter(range(100))

    def make() -> Any:
        return run("sgd", "none", "none", seed=next(fresh))

    with pytest.raises(mg.ResumeError, match="two runs without a resume differ already"):
        mg.verify_resume(make)


def test_what_cannot_be_verified_is_refused() -> None:
    with pytest.raises(TypeError, match="make_trainer"):
        mg.verify_resume(lambda: 3)
    with pytest.raises(ValueError, match="has 12 steps.*got at=12"):
        mg.verify_resume(run, at=12)
