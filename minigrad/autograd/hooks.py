"""Hooks on what is saved for backward: packed when it is saved, unpacked when it is used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from minigrad.tensors.tensor import Tensor

Pair = tuple[Callable[[Any], Any], Callable[[Any], Any]]


class _Active(threading.local):
    """The hooks of this thread, the innermost last."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self.refused: str | None = None


active = _Active()


class Packed:
    """What a pack hook gave, with what unpacks it."""

    __slots__ = ("unpack", "value")

    def __init__(self, value: Any, unpack: Callable[[Any], Any]) -> None:
        self.value, self.unpack = value, unpack


def packed(tensor: Any) -> Any:
    """Return a tensor as the innermost hooks keep it; itself where there are none."""
    if not active.pairs:
        return tensor
    pack, unpack = active.pairs[-1]
    pairs, active.pairs = active.pairs, []
    try:
        plain = tensor.detach() if tensor.tracked else tensor
        return Packed(pack(plain), unpack)
    finally:
        active.pairs = pairs


def is_packed(kept: Any) -> bool:
    """Say whether hooks keep it."""
    return isinstance(kept, Packed)


def unpacked(kept: Any) -> Any:
    """Return the tensor again.

    Raises: TypeError where the unpack hook gives something else.
    """
    if not isinstance(kept, Packed):
        return kept
    found = kept.unpack(kept.value)
    if not isinstance(found, Tensor):
        raise TypeError(
            f"saved_tensors_hooks: unpack returned {type(found).__name__}: expected the tensor"
        )
    return found
