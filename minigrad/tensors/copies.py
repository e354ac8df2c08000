"""Copies of tensors by `copy` and `pickle`: memory that tensors share stays shared in one copy.

A tensor is copied with all of the memory it is a view of, as in PyTorch, so that its siblings in
the same `deepcopy` or pickle lie over one memory again; `clone()` a small view of something large
first.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np

from minigrad.engine.device import USED, Device, DeviceArray, device_of, moved
from minigrad.engine.recording import refuse_recording
from minigrad_kernels.jit.address_table import address, buffer_of

Array = np.ndarray[Any, Any]

# What the engine holds in a tensor; all else among its attributes is the user's.
OWN = frozenset(
    ("_grad", "apart", "array", "base", "cell", "hooks", "node", "retains_grad", "tracked", "views")
)


def given_away(array: Array) -> Array:
    """Return a tensor's memory, to what is not recorded."""
    if USED:
        refuse_recording("numpy() gives memory away, to what is not recorded")
    return array


# ---------------------------------------------------------------- memory
class Place:
    """The place of an array's elements in the memory of another array."""

    def __init__(self, array: Array, root: Array) -> None:
        self.start = address(array) - address(root)  # bytes
        self.shape, self.strides, self.dtype = array.shape, array.strides, array.dtype

    def of(self, root: Array) -> Array:
        """Return the array at this place in a copy of the memory."""
        flat = root.ravel(order="K")
        made: Array = np.ndarray(self.shape, self.dtype, flat, self.start, self.strides)
        if any(n > 1 and step == 0 for n, step in zip(self.shape, self.strides, strict=True)):
            made.flags.writeable = False  # as expand() made it: elements share memory
        return made


def memory_of(array: Array) -> tuple[Array, Place | None]:
    """Return what `array` is a view of, and where it lies there: None where it is all.

    Of memory with gaps, or without elements, the array is all that is taken.
    """
    root = buffer_of(array)
    if root is array or not root.flags.forc or not array.size:
        return array, None
    return root, Place(array, root)


def deep_array(array: Any, memo: dict[int, Any]) -> Any:
    """Copy the memory of an array, once in one `deepcopy`."""
    device = type(array) is DeviceArray
    root, place = memory_of(array.geometry if device else array)
    made: Any = memo.get(id(root))
    if made is None and device:
        made = array.like(root).copy() if root.flags.c_contiguous else array.copy()
        memo[id(root)] = made
    elif made is None:
        made = memo[id(root)] = np.array(root, order="K")
    if place is None or (device and not root.flags.c_contiguous):
        return made
    return made.like(place.of(made.geometry)) if device else place.of(made)


# ---------------------------------------------------------------- tensors
def blank(cls: Any) -> Any:
    """Return a tensor of a class without what its constructor does."""
    return cls.__new__(cls)


def check_leaf(name: str, tensor: Any, instead: str) -> None:
    """Refuse a computed tensor: its copy would be no function of what it was computed from."""
    if tensor.node is not None:
        raise RuntimeError(f"{name}: only leaves can be {instead}")


def deep(tensor: Any, memo: dict[int, Any], gradient: bool) -> Any:
    """Return a copy of a leaf in memory of its own, with its attributes, without its hooks."""
    check_leaf("deepcopy", tensor, "copied deeply; use .detach().clone()")
    made = memo[id(tensor)] = blank(type(tensor))
    made.array = deep_array(tensor.array, memo)
    made.tracked = tensor.tracked
    made.cell = copy.deepcopy(tensor.cell, memo)  # one for all that share the memory
    held = tensor._grad
    if gradient and held is not None:
        made._grad = copy.deepcopy(held if held.node is None else held.detach(), memo)
    state = tensor.__getstate__()
    if state:
        made.__setstate__(copy.deepcopy(state, memo))
    return made


def shallow(tensor: Any) -> Any:
    """Return another leaf over the same memory, with the same attributes."""
    check_leaf("copy", tensor, "copied; use .detach()")
    warn_of_hooks("copy", tensor)
    made = blank(type(tensor))
    made.array, made.tracked = tensor.array, tensor.tracked
    state = tensor.__getstate__()
    if state:
        made.__setstate__(state)
    return made


def reduced(tensor: Any) -> tuple[Any, ...]:
    """Return what pickle makes the tensor of again."""
    check_leaf("pickle", tensor, "pickled; use .detach() first")
    warn_of_hooks("pickle", tensor)
    array = tensor.array
    held: tuple[Any, Any, str | None]
    if type(array) is DeviceArray:
        held = (array.read(), None, str(device_of(array)))
    else:
        held = (*memory_of(array), None)
    return (rebuilt, (type(tensor), *held, tensor.tracked), tensor.__getstate__() or None)


def rebuilt(cls: Any, root: Any, place: Place | None, device: str | None, tracked: bool) -> Any:
    """Make a tensor of what `reduced` gave."""
    made = blank(cls)
    array = root if place is None else place.of(root)
    array = array if type(array) is np.ndarray else array.view(np.ndarray)
    made.array = array if device is None else moved(array, Device(device))
    made.tracked = tracked
    return made


def warn_of_hooks(name: str, tensor: Any) -> None:
    """Say that the copy will have no hooks."""
    if tensor.hooks is not None and tensor.hooks.calls:
        warnings.warn(
            f"{name}: the hooks of a tensor of shape {tensor.shape} do not come along; register"
            " them on the copy",
            stacklevel=4,
        )


def attributes(tensor: Any) -> dict[str, Any]:
    """Return the attributes that are not the engine's, those in slots of subclasses too."""
    found = {name: value for name, value in vars(tensor).items() if name not in OWN}
    for cls in type(tensor).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(tensor, name) and name not in ("__dict__", "__weakref__"):
                found[name] = getattr(tensor, name)
    return found
