"""Forward mode by hand: tensors that carry a tangent, inside of a `dual_level`."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from minigrad.func.forward import Forward, paired
from minigrad.func.levels import settled, transform
from minigrad.tensors.tensor import Tensor

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """A tensor and its tangent, None where it has none."""

    primal: Tensor
    tangent: Tensor | None


class _Current(threading.local):
    level: Forward | None = None
    context: Any = None


current = _Current()


def enter_dual_level() -> int:
    """Begin a level of dual tensors; end it with `exit_dual_level`.

    Raises: RuntimeError inside of another: nest `mg.func.jvp` for higher orders.
    """
    if current.level is not None:
        raise RuntimeError(
            "forward_ad: levels do not nest; use mg.func.jvp, which does, for higher orders"
        )
    current.context = transform()
    current.context.__enter__()
    current.level = Forward().__enter__()
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level; its tensors keep their values and lose their tangents."""
    if current.level is None:
        raise RuntimeError("forward_ad: there is no dual level to leave")
    current.level.__exit__()
    current.context.__exit__()
    current.level = current.context = None


class dual_level:
    """A context in which tensors carry tangents.

    >>> import minigrad as mg
    >>> with dual_level():
    ...     x = make_dual(mg.tensor(3.0), mg.tensor(1.0))
    ...     unpack_dual(x * x).tangent
    tensor(6.)
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *_: Any) -> None:
        exit_dual_level()


def here(what: str) -> Forward:
    """Return the level.

    Raises: RuntimeError outside of one.
    """
    if current.level is None:
        raise RuntimeError(f"{what}: expected to be inside of `with dual_level():`")
    return current.level


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """Return a tensor that carries a tangent: both of one shape, floating."""
    inside = here("make_dual")
    if not isinstance(tensor, Tensor) or tensor.array.dtype.kind != "f":
        raise ValueError("make_dual: expected a floating tensor")
    (primal,), (moved,), _ = paired("make_dual", (tensor,), (tangent,))
    return inside.dual(primal, moved)


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """Return a tensor's value and its tangent; outside of a level it has none."""
    if current.level is None:
        return UnpackedDualTensor(tensor, None)
    roots = current.level.roots
    tangent = current.level.of(tensor)
    found = None if tangent is None else settled(tangent, roots)
    return UnpackedDualTensor(settled(tensor, roots), found)
