"""What of Fourier transforms is real: frequencies, their order, and transforms to real signals of
half-spectra that are real.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import device as device_type
from minigrad.engine.device import moved, to_current_device
from minigrad.engine.dtypes import numpy_dtype
from minigrad.engine.errors import ArgumentError, ArgumentIndexError
from minigrad.engine.op import Bridge, Op
from minigrad.ops.arranging import roll, sequence_of
from minigrad.ops.common import Array, axis_of, floating, op
from minigrad.ops.grammar import host
from minigrad.ops.registry import public

COMPLEX = tuple(
    f"{kind}{dims}" for kind in ("fft", "ifft", "rfft", "ihfft") for dims in ("", "2", "n")
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


# ---------------------------------------------------------------- to real signals
# How the transform that goes back is scaled.
BACK: dict[str, Any] = {"backward": "forward", "forward": "backward", "ortho": "ortho"}
Sizes = tuple[int, ...]


def half(sizes: Sizes) -> Sizes:
    """Return the sizes of the half-spectrum of a signal."""
    return (*sizes[:-1], sizes[-1] // 2 + 1)


def resized(a: Array, axes: Sizes, sizes: Sizes) -> Array:
    """Return an array cut, or enlarged with zeros, at the ends of axes."""
    shape = list(a.shape)
    for axis, n in zip(axes, sizes, strict=True):
        shape[axis] = n
    made = np.zeros(shape, a.dtype)
    part = tuple(slice(0, min(n, m)) for n, m in zip(a.shape, shape, strict=True))
    made[part] = a[part]
    return made


class OverFrequencies(Op):
    """The transform of a real half-spectrum to a signal, or that which hands gradients back."""

    keeps = False

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((draw.normal(2, 3),), {"axes": (1,), "sizes": (4,), "norm": "backward", "was": (3,)}),
            ((draw.normal(4, 2).T,), {"axes": (1,), "sizes": (5,), "norm": "ortho", "was": (4,)}),
            (
                (draw.normal(2, 3, 2),),
                {"axes": (1, 2), "sizes": (2, 3), "norm": "forward", "was": (3, 2)},
            ),
        ]


@op
class ToSignal(OverFrequencies):
    """y = the real signal of `sizes` along `axes` whose half-spectrum is a, cut or filled with
    zeros; was: a's sizes
    """

    def forward(self, a: Array, axes: Sizes, sizes: Sizes, norm: Any, was: Sizes) -> Array:
        x = resized(host(a), axes, half(sizes))
        made: Array = to_current_device(np.fft.irfftn(x, sizes, axes, norm).astype(a.dtype))
        return made

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (FromSignal.apply(g, **self.meta),)


@op
class FromSignal(OverFrequencies):
    """dx = what `ToSignal` hands back from dy: its transpose"""

    @staticmethod
    def samples(draw: Any) -> Any:
        found = []
        for (x,), how in OverFrequencies.samples(draw):
            shape = list(x.shape)
            for axis, n in zip(how["axes"], how["sizes"], strict=True):
                shape[axis] = n
            found.append(((draw.normal(*shape),), how))
        return found

    def forward(self, dy: Array, axes: Sizes, sizes: Sizes, norm: Any, was: Sizes) -> Array:
        spectrum = np.fft.rfftn(host(dy), sizes, axes, BACK[norm]).real
        factor = np.full(sizes[-1] // 2 + 1, 2.0)
        factor[0] = 1
        if sizes[-1] % 2 == 0:
            factor[-1] = 1
        spectrum = spectrum * factor.reshape(-1, *(1,) * (spectrum.ndim - axes[-1] - 1))
        made: Array = to_current_device(resized(spectrum, axes, was).astype(dy.dtype))
        return made

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (ToSignal.apply(g, **self.meta),)


def signal(name: str, input: Any, s: Any, dim: Any, norm: str | None, hermitian: bool) -> Any:
    """Return the real signal of a real half-spectrum."""
    kind = "backward" if norm is None else norm
    if kind not in BACK:
        raise ArgumentError(f"{name}: norm must be 'backward', 'forward' or 'ortho', got {norm!r}")
    x = input if input.array.dtype.kind == "f" else Bridge.new(floating(input.array))
    if dim is None:
        count = x.ndim if s is None else len(tuple(s))
        dim = tuple(range(x.ndim - count, x.ndim))
    axes = tuple(axis_of(name, d, x.ndim) for d in sequence_of(dim))
    if not axes or len(set(axes)) != len(axes) or not x.ndim:
        raise ArgumentIndexError(f"{name}: dim {dim} does not name dimensions of shape {x.shape}")
    was = tuple(x.shape[d] for d in axes)
    given = (-1,) * len(axes) if s is None else sequence_of(tuple(s))
    if len(given) != len(axes):
        raise ArgumentError(f"{name}: expected as many sizes as dims, got {given} and {axes}")
    usual = (*was[:-1], 2 * (was[-1] - 1))
    sizes = tuple(m if n == -1 else n for n, m in zip(given, usual, strict=True))
    if min(sizes) < 1:
        raise ArgumentError(f"{name}: a signal of sizes {sizes} has no element")
    # A Hermitian transform is the inverse one with the other scaling.
    kind = BACK[kind] if hermitian else kind
    return ToSignal.apply(x, axes=axes, sizes=sizes, norm=kind, was=was)


@public("fft")
def irfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """Return the real signal of `n` samples whose half-spectrum is `input`, which is real here.

    n: twice the spectrum's size less 2 if None.  norm: "backward" (1/n), "ortho" or "forward".

    >>> import minigrad as mg
    >>> mg.fft.irfft(mg.tensor([1.0, 1.0, 1.0]))
    tensor([1., 0., 0., 0.])
    """
    return signal("irfft", input, None if n is None else (n,), dim, norm, False)


@public("fft")
def irfft2(
    input: Any, s: Any = None, dim: Sequence[int] = (-2, -1), norm: str | None = None
) -> Any:
    """Return the real image whose half-spectrum is `input`, which is real here; see `irfft`."""
    return signal("irfft2", input, s, dim, norm, False)


@public("fft")
def irfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """Return the real signal of several dimensions, by default of all; see `irfft`."""
    return signal("irfftn", input, s, dim, norm, False)


@public("fft")
def hfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """Return the real spectrum of a signal with Hermitian symmetry, of which `input`, real here, is
    the half; see `irfft`.
    """
    return signal("hfft", input, None if n is None else (n,), dim, norm, True)


@public("fft")
def hfft2(input: Any, s: Any = None, dim: Sequence[int] = (-2, -1), norm: str | None = None) -> Any:
    """Return the real spectrum over two dimensions; see `hfft`."""
    return signal("hfft2", input, s, dim, norm, True)


@public("fft")
def hfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """Return the real spectrum over several dimensions; see `hfft`."""
    return signal("hfftn", input, s, dim, norm, True)
