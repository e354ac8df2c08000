"""What of Fourier transforms is real: frequencies, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import device as device_type
from minigrad.engine.device import moved
from minigrad.engine.dtypes import numpy_dtype
from minigrad.engine.op import Bridge
from minigrad.ops.arranging import roll, sequence_of
from minigrad.ops.registry import public

COMPLEX = tuple(
    f"{kind}{dims}"
    for kind in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    for dims in ("", "2", "n")
)


def reason(name: str) -> str:
    """Return why a transform is not here."""
    return (
        f"minigrad.fft.{name}: Fourier transforms are of complex numbers, and minigrad has no "
        f"complex tensors; numpy.fft.{name}(x.detach().numpy()) computes it, without gradients"
    )


def made(values: Any, dtype: Any, device: Any, requires_grad: bool) -> Any:
    """Return values as a tensor."""
    kind = np.dtype(np.float32) if dtype is None else numpy_dtype(dtype)
    found = np.asarray(values, kind)
    y = Bridge.new(found if device is None else moved(found, device_type(device)))
    return y.requires_grad_(True) if requires_grad else y


@public("fft")
def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Return the frequencies of a transform of `n` samples `d` apart, the negative ones last."""
    return made(np.fft.fftfreq(n, d), dtype, device, requires_grad)


@public("fft")
def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Return the frequencies from 0 on of a transform of `n` real samples `d` apart."""
    return made(np.fft.rfftfreq(n, d), dtype, device, requires_grad)


@public("fft")
def fftshift(input: Any, dim: int | Sequence[int] | None = None) -> Any:
    """Return frequencies in rising order: the 0 in the middle."""
    axes = tuple(range(input.ndim)) if dim is None else sequence_of(dim)
    return roll(input, [input.shape[d] // 2 for d in axes], axes)


@public("fft")
def ifftshift(input: Any, dim: int | Sequence[int] | None = None) -> Any:
    """Return frequencies in the order of a transform: `fftshift` turned about."""
    axes = tuple(range(input.ndim)) if dim is None else sequence_of(dim)
    return roll(input, [(input.shape[d] + 1) // 2 for d in axes], axes)
