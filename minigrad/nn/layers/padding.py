"""Padding as modules; see `functional.pad`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from minigrad.nn.functional.padding import pad
from minigrad.nn.module import Module, registered
from minigrad.ops.conv import several
from minigrad.tensors.tensor import Tensor


class Padding(Module):
    """The base of the paddings: so much before and after each of the last dimensions."""

    dims: ClassVar[int] = 0
    mode: ClassVar[str] = "constant"
    value: float = 0.0

    def __init__(self, padding: Any) -> None:
        super().__init__()
        given = tuple(padding) if np.ndim(padding) else padding
        self.padding = several(self._get_name(), "padding", given, 2 * self.dims, -(10**9))

    def forward(self, input: Tensor) -> Tensor:
        value = {"value": self.value} if self.mode == "constant" else {}
        return pad(input, self.padding, mode=self.mode, **value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad(Padding):
    """The base of the paddings with a number."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


def _documented(kind: str, base: type[Padding], mode: str, what: str, dims: int) -> Any:
    """Return the class of a padding of so many dimensions."""
    sizes = {1: "1, 2", 2: "1", 3: "1"}[dims]
    shape, out = [(2, 3), (2, 3, 3), (2, 3, 3, 3)][dims - 1], (1, 2) if dims == 1 else (1, 1)
    padded = (2, *(n + sum(out) for n in shape[1:]))
    value = ", 0.5" if base is ConstantPad else ""
    doc = (
        f"Put {what} before and after the last {'dimension' if dims == 1 else 'dimensions'}.\n\n"
        f"padding: one number, or {2 * dims}, those of the last dimension first.\n\n"
        ">>> import minigrad as mg\n"
        f">>> {kind}({f'({sizes})' if dims == 1 else sizes}{value})(mg.ones{shape}).shape\n"
        f"{padded}\n"
    )
    made = type(kind, (base,), {"dims": dims, "mode": mode, "__doc__": doc, "__module__": __name__})
    return registered(made)


ZeroPad1d = _documented("ZeroPad1d", Padding, "constant", "zeros", 1)
ZeroPad2d = _documented("ZeroPad2d", Padding, "constant", "zeros", 2)
ZeroPad3d = _documented("ZeroPad3d", Padding, "constant", "zeros", 3)
ConstantPad1d = _documented("ConstantPad1d", ConstantPad, "constant", "a number", 1)
ConstantPad2d = _documented("ConstantPad2d", ConstantPad, "constant", "a number", 2)
ConstantPad3d = _documented("ConstantPad3d", ConstantPad, "constant", "a number", 3)
ReflectionPad1d = _documented("ReflectionPad1d", Padding, "reflect", "mirrored elements", 1)
ReflectionPad2d = _documented("ReflectionPad2d", Padding, "reflect", "mirrored elements", 2)
ReflectionPad3d = _documented("ReflectionPad3d", Padding, "reflect", "mirrored elements", 3)
ReplicationPad1d = _documented("ReplicationPad1d", Padding, "replicate", "the edge", 1)
ReplicationPad2d = _documented("ReplicationPad2d", Padding, "replicate", "the edge", 2)
ReplicationPad3d = _documented("ReplicationPad3d", Padding, "replicate", "the edge", 3)
CircularPad1d = _documented("CircularPad1d", Padding, "circular", "the other end", 1)
CircularPad2d = _documented("CircularPad2d", Padding, "circular", "the other end", 2)
CircularPad3d = _documented("CircularPad3d", Padding, "circular", "the other end", 3)
