"""Where we differ from PyTorch on purpose, with the reasons; all else is a fault."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

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


# Drawn at random where no numbers are given.
DRAWN = {"nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d"}
# Losses of log-probabilities whose gradient PyTorch gives as that of the logits, for any logits
# whose log-softmax they are; ours is the derivative of the input, which gradcheck takes.  Through
# log_softmax, which every program has before them, the two are one, and here they are compared so.
WITHIN_SIMPLEX = {"nn.functional.ctc_loss"}


# Whose first argument's NaN stays NaN here, as in NumPy, and becomes a number there.
KEEPS_NAN = {"heaviside"}


# Where PyTorch's float32 is the farther of the two from float64: (of its size, absolute).
PEERS_FLOAT32 = {"nn.functional.ctc_loss": (1e-4, 2e-6)}


def within_simplex(log_probabilities: Any, gradient: Any) -> Any:
    """Return a gradient of log-probabilities as that of the logits behind them."""
    return gradient - np.exp(log_probabilities) * gradient.sum(-1, keepdims=True)


def stricter(call: Any, ours: Any) -> bool:
    """Say whether we refuse a call on purpose."""
    return any(re.search(pattern, ours.message) for pattern in STRICTER)


def undefined(call: Any) -> bool:
    """Say whether the values of a result mean nothing."""
    drawn = call.name in DRAWN and call.options.get("_random_samples") is None
    return drawn or call.name in UNDEFINED | RANDOM
