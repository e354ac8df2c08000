"""`torch.nn.attention`: which kernel is taken, of which there is one; and causal masks."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from typing import Any

from minigrad.tensors import creation
from minigrad.tensors.tensor import Tensor


class SDPBackend(enum.Enum):
    """The kernels of attention that PyTorch has."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(backends: Any, set_priority: bool = False) -> Iterator[None]:
    """Do nothing: there is one way to compute attention, with the same result."""
    yield


def causal_upper_left(*size: int) -> Tensor:
    """Return the mask of (queries, keys) that begin together: each looks at those before it."""
    return creation.ones(*size, dtype="bool").tril()


def causal_lower_right(*size: int) -> Tensor:
    """Return the mask of (queries, keys) that end together."""
    queries, keys = size
    return creation.ones(queries, keys, dtype="bool").tril(keys - queries)


ATTENTION: dict[str, Any] = {"SDPBackend": SDPBackend, "sdpa_kernel": sdpa_kernel}
BIAS: dict[str, Any] = {
    "causal_lower_right": causal_lower_right,
    "causal_upper_left": causal_upper_left,
}
