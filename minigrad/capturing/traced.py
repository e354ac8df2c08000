"""Arrays that tell a recording when Python or NumPy reads or writes them.

A replay repeats launches of kernels, and nothing else.  So while a function is recorded, its
arrays are of this type: views of them are free, and whatever looks at their elements, `item()`, a
ufunc, an index by positions, ends the recording with a reason.  The call itself goes on, with the
right numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.engine.dispatch import empty, launch
from minigrad.engine.recording import recording, refuse_recording

Array = np.ndarray[Any, Any]

# Functions of NumPy that look at shapes and addresses alone.
VIEWS = {
    *(np.broadcast_to, np.expand_dims, np.may_share_memory, np.moveaxis, np.ndim, np.ravel),
    *(np.reshape, np.rollaxis, np.shape, np.shares_memory, np.size, np.squeeze, np.swapaxes),
    *(np.transpose, np.flip, np.diagonal, np.result_type, np.can_cast, np.broadcast_arrays),
}
SHOWN = {
    "item": "item(), or the truth value of a tensor,",
    "__str__": "printing",
    "__repr__": "printing",
}
READS = (
    *("__bool__", "__complex__", "__contains__", "__copy__", "__deepcopy__", "__float__"),
    *("__format__", "__index__", "__int__", "__iter__", "__reduce__", "__reduce_ex__"),
    *("__repr__", "__str__", "__dlpack__"),
    *("all", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "clip", "compress"),
    *("conj", "conjugate", "cumprod", "cumsum", "dot", "dump", "dumps", "flatten", "item", "max"),
    *("mean", "min", "nonzero", "partition", "prod", "put", "repeat", "round", "searchsorted"),
    *("sort", "std", "sum", "take", "tobytes", "tofile", "tolist", "trace", "var", "byteswap"),
)


def plain(value: Any) -> Any:
    """Return an array, or what holds arrays, with those of this file as NumPy's."""
    if isinstance(value, Traced):
        return value.view(np.ndarray)
    if type(value) in (list, tuple):
        return type(value)(plain(v) for v in value)
    if type(value) is dict:
        return {k: plain(v) for k, v in value.items()}
    return value


def same_memory(a: Any, b: Any) -> bool:
    """Return whether `a` is an array without elements, or a part of the memory of `b`."""
    return isinstance(a, np.ndarray) and (not a.size or np.may_share_memory(plain(a), plain(b)))


class Traced(np.ndarray[Any, Any]):
    """An array of a recording."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        refuse_recording(f"np.{ufunc.__name__} computes outside of the kernels")
        return getattr(ufunc, method)(*plain(inputs), **plain(options))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func not in VIEWS:
            refuse_recording(f"np.{func.__name__} computes outside of the kernels")
        found = func(*plain(args), **plain(kwargs))
        if func in VIEWS and isinstance(found, np.ndarray):
            if same_memory(found, self):
                return found.view(Traced)
            refuse_recording(f"np.{func.__name__} copies outside of the kernels")
        return found

    def __getitem__(self, key: Any) -> Any:
        found = plain(self)[plain(key)]
        if same_memory(found, self):
            return found.view(Traced)
        refuse_recording("an index by positions, or of one element, reads outside of the kernels")
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        if key is Ellipsis and isinstance(value, bool | int | float):
            self.fill(value)
            return
        refuse_recording("NumPy writes outside of the kernels")
        plain(self)[plain(key)] = plain(value)

    def reshape(self, *shape: Any, **options: Any) -> Any:
        """Reshape; a copy is made by a kernel."""
        found = plain(self).reshape(*shape, **options)
        if same_memory(found, self):
            return found.view(Traced)
        return self.copy().reshape(*shape, **options)

    def ravel(self, order: Any = "C") -> Any:
        """Flatten; a copy is made by a kernel."""
        return self.reshape(-1, order=order)

    def fill(self, value: Any) -> None:
        """Set all elements to a number, by a kernel."""
        if recording.recorder is None:
            plain(self).fill(value)
        else:
            launch("copy", np.array(value, self.dtype), self)

    def copy(self, order: Any = "C") -> Any:
        """Copy by a kernel."""
        return self.astype(self.dtype, order)

    def astype(  # type: ignore[override]
        self, dtype: Any, order: Any = "C", *_: Any, copy: bool = True, **__: Any
    ) -> Any:
        """Convert by a kernel."""
        kind = np.dtype(dtype)
        if not copy and kind == self.dtype:
            return self
        if recording.recorder is None:
            return plain(self).astype(kind, order)
        if order not in ("C", "K") or (self.dtype.kind == "f" and kind.kind != "f"):
            refuse_recording(f"NumPy converts {self.dtype} to {kind}")
        y = empty(self.shape, kind)
        launch("copy", self, y)
        return y


def reading(name: str) -> Callable[..., Any]:
    """Return a method of arrays that says that it reads."""
    shown = SHOWN.get(name, f"{name}()")

    def method(self: Any, *args: Any, **options: Any) -> Any:
        refuse_recording(f"{shown} reads a number that the next call may change")
        return getattr(plain(self), name)(*plain(args), **plain(options))

    method.__name__ = name
    return method


for _name in READS:
    setattr(Traced, _name, reading(_name))
