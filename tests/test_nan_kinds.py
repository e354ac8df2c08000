"""The kinds of numerical bug that public collections of small training programs hold, each rebuilt
in a few lines: a logarithm or a division of what became 0, an exponential that overflows, a root
whose slope is infinite.  `detect_anomaly` names the op that made the NaN or infinity.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F

LOGITS = np.array([[200.0, -200.0, 0.0], [0.5, -0.5, 0.1]], np.float32)
ONE_HOT = np.eye(3, dtype=np.float32)[[1, 0]]


def leaf(a: Any) -> mg.Tensor:
    return mg.tensor(np.asarray(a, np.float32), requires_grad=True)


def by_hand(logits: Any) -> Any:
    return logits.exp() / logits.exp().sum(1, keepdim=True)


def cross_entropy_of_probabilities() -> Any:
    return -(mg.tensor(ONE_HOT) * F.softmax(leaf(LOGITS), 1).log()).sum()


def softmax_by_hand() -> Any:
    return by_hand(leaf(LOGITS)).sum()


def binary_cross_entropy() -> Any:
    p = leaf([300.0, -1.0]).sigmoid()
    target = mg.tensor([1.0, 0.0])
    return -(target * p.log() + (1 - target) * (1 - p).log()).mean()


def discriminator_that_is_sure() -> Any:
    return -(1 - leaf([40.0]).sigmoid()).log().mean()


def log_of_relu() -> Any:
    return leaf([-1.0, 2.0]).relu().log().sum()


def variance_of_an_encoder() -> Any:
    mean, logvar = leaf([0.1, 0.2]), leaf([100.0, 0.0])
    return 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum()


def standardised_constant_column() -> Any:
    x = leaf(np.ones((4, 2)))
    return ((x - x.mean(0)) / x.std(0, unbiased=False).detach()).sum()


def divided_by_an_empty_mask() -> Any:
    mask = mg.zeros(3)
    return (leaf([1.0, 2.0, 3.0]) * mask).sum() / mask.sum()


def cosine_of_zeros() -> Any:
    x, y = leaf(np.zeros(3)), leaf(np.ones(3))
    return (x * y).sum() / ((x * x).sum().sqrt() * (y * y).sum().sqrt()).detach()


def entropy_of_a_sure_policy() -> Any:
    p = F.softmax(leaf([[500.0, 0.0]]), 1)
    return -(p * p.log()).sum()


def divergence_from_zero() -> Any:
    p, q = mg.tensor([0.5, 0.5]), leaf([1.0, 0.0])
    return (p * (p / q).log()).sum()


def root_of_a_distance() -> Any:
    x = leaf([1.0, 2.0])
    return ((x - x.detach()) ** 2).sum().sqrt()


def power_of_zero() -> Any:
    return (leaf([0.0, 1.0]) ** 0.5).sum()


def free_energy_of_a_boltzmann_machine() -> Any:
    return (1 + (leaf([[60.0, 50.0]]) @ mg.ones(2, 3)).exp()).log().sum()


def inverse_of_a_learning_rate() -> Any:
    return (leaf([1.0]) / (leaf([0.5]) - 0.5)).sum()


def logarithm_of_a_negative_rate() -> Any:
    rate = leaf([0.5, -0.1])
    return (rate - 3 * rate.log()).sum()


PROGRAMS: dict[Callable[[], Any], str] = {
    cross_entropy_of_probabilities: "Log",
    softmax_by_hand: "Exp",
    binary_cross_entropy: "Log",
    discriminator_that_is_sure: "Log",
    log_of_relu: "Log",
    variance_of_an_encoder: "Exp",
    standardised_constant_column: "Div",
    divided_by_an_empty_mask: "Div",
    cosine_of_zeros: "Div",
    entropy_of_a_sure_policy: "Log",
    divergence_from_zero: "Div",
    root_of_a_distance: "Sqrt",
    power_of_zero: "Pow|Sqrt",
    free_energy_of_a_boltzmann_machine: "Exp",
    inverse_of_a_learning_rate: "Div",
    logarithm_of_a_negative_rate: "Log",
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_the_producer_is_named(program: Callable[[], Any]) -> None:
    with pytest.raises(RuntimeError) as caught, mg.detect_anomaly():
        program().backward()
    first = re.search(r"(\w+) \(recorded at [^)]*test_nan_kinds.py:\d+\)", str(caught.value))
    assert first and re.fullmatch(PROGRAMS[program], first[1]), caught.value
