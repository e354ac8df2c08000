"""The mutation score: what is seen, what survives, and what changes nothing that is not zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad import where
from minigrad.checking import mutation
from minigrad.checking.mutation import changes_only_zeros, mutants_of, mutation_score
from minigrad.checking.samples import OP_SAMPLES
from minigrad.engine.op import Op
from minigrad.ops.registry import OPS


class Masked(Op):
    """y = a b, with a number in its rule that a mask hides."""

    def forward(self, a: Any, b: Any) -> Any:
        return a * b

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b = self.saved(0), self.saved(1)
        return g * where(a == a, b, b + 1.5), g * a


SAMPLES: Any = [((np.array([0.3, -1.2, 2.4]), np.array([1.0, 0.5, -2.0])), {})]


class Rounded(Op):
    """y = round(a) b: nothing reaches a, however it is written."""

    def forward(self, a: Any, b: Any) -> Any:
        return np.round(a) * b

    def backward(self, g: Any) -> tuple[Any, ...]:
        b = self.saved(1)
        return (b - b) * g, g * self.saved(0).round()


def test_a_number_on_which_nothing_depends_is_counted_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OP_SAMPLES, "Masked", SAMPLES)
    monkeypatch.setitem(OPS, "Masked", Masked)
    score = mutation_score(["Masked"])
    assert any("1.5 is doubled" in words for words in score.equivalent)
    assert not any("gradient" in words for words in score.equivalent)
    assert score.killed > 10


@pytest.fixture
def rounded(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(OP_SAMPLES, "Rounded", SAMPLES)
    monkeypatch.setitem(OPS, "Rounded", Rounded)
    return "Rounded"


def test_a_change_of_what_is_always_zero_is_counted_apart(rounded: str) -> None:
    score = mutation_score([rounded])
    assert any("gradient 0 is doubled" in words for words in score.equivalent)
    assert not any("gradient 1" in words for words in score.equivalent)
    assert score.share == 1.0, score.survivors
    assert score.killed >= 5


def test_a_change_of_what_is_not_zero_is_no_equivalent(rounded: str) -> None:
    for mutant in mutants_of(OPS[rounded]):
        if "gradient 1" in mutant.words or mutant.words.endswith("- is +"):
            assert not changes_only_zeros(mutant, Rounded), mutant.words


def test_a_mutant_that_no_check_sees_survives(
    rounded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutation, "seen", lambda mutant, name: False)
    score = mutation_score([rounded])
    assert score.killed == 0
    assert any("gradient 1 is doubled" in words for words in score.survivors)
