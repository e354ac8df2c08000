"""Where we differ from PyTorch on purpose, with the reasons; all else is a fault."""

from __future__ import annotations

import re
from typing import Any

# By a pattern of the error's text: what is refused here and taken there.
STRICTER = {
    # docs/semantics: losses broadcast nothing silently
    r"(mse_loss|l1_loss|smooth_l1_loss|huber_loss|binary_cross_entropy): .*shape": "no broadcast",
    # integers divided by zero, as Python has it
    r"integers are divided by 0": "PyTorch raises too, or gives any number",
}
# Memory that nobody wrote.
UNDEFINED = {
    "empty",
    "empty_like",
    "new_empty",
    "empty_strided",
    "new_empty_strided",
    "empty_permuted",
    "resize_",
    "resize_as_",
}
# Drawn at random, where two draws may chance to be alike.
RANDOM = {"bernoulli", "multinomial", "normal", "rand", "randint", "randn", "randperm"}


def stricter(call: Any, ours: Any) -> bool:
    """Say whether we refuse a call on purpose."""
    return any(re.search(pattern, ours.message) for pattern in STRICTER)


def undefined(call: Any) -> bool:
    """Say whether the values of a result mean nothing."""
    return call.name in UNDEFINED | RANDOM
