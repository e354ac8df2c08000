"""Arrays with lanes: what `vmap` computes on.

Under `vmap` a tensor's array has the shape of one example and holds all of them: one *lane* each.
To the ops it looks like an array on a device, a `DeviceArray`, for which they launch kernels and
never read an element; its target, a `Lanes`, says how the lanes lie, and launches the kernels of
the CPU over all lanes at once, or lane by lane (kernel_lanes.py).  So ops, rules and the functions
over them are the same with lanes and without, and so are gradients in both modes.

A lane axis is told by the number of its level, one a call of `vmap`; nested calls give several
axes.  An array that is the same in all lanes has stride 0 along them.

Shapes: the whole of an array of shape S is (B1, B2, ..., *S), B by level.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.engine.allocator import ELSEWHERE, POOL, POOLED
from minigrad.engine.device import BATCHED, USED, DeviceArray, _elsewhere
from minigrad.engine.dispatch import hold_over_fork
from minigrad.func import kernel_lanes

Array = np.ndarray[Any, Any]
Axis = tuple[int, int, int]  # level, size, stride in bytes
Sizes = tuple[tuple[int, int], ...]  # level and size of each axis, by level


COUNTING = threading.RLock()  # a finalizer may run while it is held
hold_over_fork(COUNTING)


class NotBatched(RuntimeError):
    """What reads an element, or is not launched as a kernel, cannot be computed for all lanes."""


class Lanes:
    """How the lanes of an array lie: one axis a level.

    own: the same of what is made beside the array: it has memory of its own where this one, or
    another operand, differs.

    It is kept alive by the arrays; while there are any, ops ask where they run.
    """

    __slots__ = ("__weakref__", "axes", "own")
    name = "cpu"
    processors = 1
    reshapes = False
    alive = 0

    def __init__(self, axes: tuple[Axis, ...], own: tuple[Axis, ...] | None = None) -> None:
        self.axes = axes
        self.own = axes if own is None else own
        with COUNTING:
            Lanes.alive += 1
            if Lanes.alive == 1:
                switch_on()

    def __del__(self) -> None:
        with COUNTING:
            Lanes.alive -= 1
            if Lanes.alive == 0:
                switch_off()

    @property
    def sizes(self) -> Sizes:
        """The level and the size of each axis."""
        return tuple([(level, size) for level, size, _ in self.axes])

    # ------------------------------------------------------------ what ops ask of a device
    def empty(self, shape: Any, dtype: Any) -> DeviceArray:
        """Return an array of undefined content, with memory in the lanes in which this differs."""
        return fresh(self.own, (shape,) if isinstance(shape, int) else tuple(shape), dtype)

    def merged(self, other: Any) -> Any:
        """Return where the result of arrays here and there lies: in the lanes of both."""
        if other is None or other is self or not isinstance(other, Lanes):
            return self if other is None else other
        own = united((self.own, other.own))
        return self if own == self.own else Lanes(own)

    def join(self, arrays: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Return the lanes of all arrays, and the arrays in them."""
        own = united([a.target.own for a in arrays if has_lanes(a)])
        return Lanes(own), [beside(a, own) for a in arrays]

    def launch(self, name: str, args: Sequence[Any]) -> None:
        """Run a kernel for all lanes."""
        sizes = sizes_of(args)
        views = [whole(a, sizes) if isinstance(a, (DeviceArray, np.ndarray)) else a for a in args]
        kernel_lanes.launch(name, views, args, sizes)

    def copy(self, source: Any, made: Any) -> None:
        """Copy an array into another."""
        self.launch("copy", (source, made))

    def write(self, array: Any, values: Any, wait: bool = True) -> None:
        """Copy host values into all lanes."""
        whole(array, array.target.sizes)[...] = values

    def read(self, array: Any, wait: bool = True) -> Array:
        """Return the elements, where they are the same in all lanes.

        Raises: NotBatched where they are not.
        """
        found = whole(array, array.target.sizes)
        flat = found.reshape(-1, *array.shape)
        if len(flat) > 1:
            raise NotBatched("an element is read whose value differs from example to example")
        return np.array(flat[0])

    def whole(self, array: Any) -> Array:
        """Return the elements of all lanes."""
        return whole(array, array.target.sizes)

    def run(self, *_: Any, **__: Any) -> None:
        """Refuse a kernel of a GPU."""
        raise NotBatched("a kernel of a GPU is launched on arrays with lanes")

    def synchronize(self) -> None:
        """Return: nothing is waited for."""


MARKER = Lanes.__name__


def switch_on() -> None:
    """Let ops ask where they run, and find lanes."""
    if MARKER not in USED:
        USED.append(MARKER)
    if _elsewhere not in ELSEWHERE:
        ELSEWHERE.append(_elsewhere)
    if not BATCHED:
        BATCHED.append(APPLY[0])
    for switch in ON:
        switch(True)


def switch_off() -> None:
    """Let ops run as before, now that no array has lanes."""
    BATCHED.clear()
    for switch in ON:
        switch(False)
    if MARKER in USED:
        USED.remove(MARKER)
    if not USED:
        ELSEWHERE.clear()


ON: list[Callable[[bool], None]] = []  # told when there begin to be lanes, and when they end
APPLY: list[Any] = [lambda *_: None]  # how ops apply to lanes: lane_ops.py fills it in


# ---------------------------------------------------------------- arrays and their wholes
def has_lanes(array: Any) -> bool:
    """Say whether an array has lanes."""
    return type(array) is DeviceArray and type(array.target) is Lanes


def sizes_in(array: Any) -> Sizes:
    """Return the axes of an array's lanes, none of a plain one."""
    found: Sizes = array.target.sizes if has_lanes(array) else ()
    return found


def levels_that_differ(array: Any) -> set[int]:
    """Return the levels along whose lanes the elements of an array differ."""
    return {level for level, _, step in array.target.axes if step} if has_lanes(array) else set()


def union(several: Iterable[Sizes]) -> Sizes:
    """Return all axes of several arrays, by level."""
    found: dict[int, int] = {}
    for sizes in several:
        found.update(sizes)
    return tuple(sorted(found.items()))


def sizes_of(arrays: Iterable[Any]) -> Sizes:
    """Return the axes that arrays have together.

    Raises: NotBatched for one on a GPU.
    """
    found = []
    for a in arrays:
        if type(a) is DeviceArray:
            if type(a.target) is not Lanes:
                raise NotBatched("an array lies on a GPU")
            found.append(sizes_in(a))
    return found[0] if len(found) == 1 else union(found)


def united(several: Iterable[tuple[Axis, ...]]) -> tuple[Axis, ...]:
    """Return all axes of several arrays, by level; the stride is 0 where none differs."""
    found: dict[int, tuple[int, int]] = {}
    for axes in several:
        for level, n, step in axes:
            found[level] = n, step or found.get(level, (n, 0))[1]
    return tuple([(level, n, step) for level, (n, step) in sorted(found.items())])


def fresh(axes: tuple[Axis, ...], shape: tuple[int, ...], dtype: Any) -> DeviceArray:
    """Return an array of undefined content with lanes; the same in those of stride 0."""
    y = np.empty(tuple([n if step else 1 for _, n, step in axes]) + shape, dtype)
    if y.nbytes >= POOLED:
        y = POOL.take(y.shape, y.dtype)
    made = seen(y, tuple([(level, n) for level, n, _ in axes]))
    made.handle = y
    made.whole = True
    return made


def seen(view: Array, sizes: Sizes) -> Any:
    """Return a whole, of which axes may have size 1 for what is the same in all lanes, with lanes;
    a plain array where there are no axes.
    """
    if not sizes:
        return view
    nothing = int(not view.size)  # its strides say nothing
    axes = [
        (level, n, (step or nothing) if size == n else 0)
        for (level, n), size, step in zip(sizes, view.shape, view.strides, strict=False)
    ]
    return DeviceArray(view[(0,) * len(sizes) + (...,)], Lanes(tuple(axes)))


def whole(array: Any, sizes: Sizes) -> Array:
    """Return an array with its lanes as first axes; those in which it does not differ have size 1.

    sizes: the axes that are asked for, among them all that the array has.
    """
    if type(array) is not DeviceArray:
        return array[(None,) * len(sizes) + (...,)]
    target: Any = array.target
    if array.handle is not None and target.sizes == sizes:
        return array.handle
    steps = {level: (n, step) for level, n, step in target.axes}
    if not steps.keys() <= dict(sizes).keys():
        raise NotBatched("an array has lanes of another level")
    shape, strides = [], []
    for level, _ in sizes:
        n, step = steps.get(level, (1, 0))
        shape.append(n if step else 1)
        strides.append(step)
    geometry = array.geometry
    return np.lib.stride_tricks.as_strided(
        geometry,
        (*shape, *geometry.shape),
        (*strides, *geometry.strides),
        writeable=geometry.flags.writeable,
    )


def spread(array: Any, sizes: Sizes) -> DeviceArray:
    """Return an array with at least these lanes, the same in those that it has not."""
    if type(array) is not DeviceArray:
        return DeviceArray(array, Lanes(tuple([(level, n, 0) for level, n in sizes])))
    axes: tuple[Axis, ...] = array.target.axes  # type: ignore[attr-defined]
    own = {level for level, _, _ in axes}
    missing = [(level, n, 0) for level, n in sizes if level not in own]
    if not missing:
        return array
    return DeviceArray(array.geometry, Lanes(tuple(sorted([*axes, *missing]))))


def beside(array: Any, own: tuple[Axis, ...]) -> DeviceArray:
    """Return an array in these lanes, for results that differ where `own` says."""
    found = spread(array, tuple([(level, n) for level, n, _ in own]))
    target: Any = found.target
    if [bool(step) for *_, step in target.own] == [bool(step) for *_, step in own]:
        return found
    made = DeviceArray(found.geometry, Lanes(target.axes, own), found.whole)
    made.handle = found.handle
    return made


def full(array: Any, sizes: Sizes) -> Array:
    """Return an array with its lanes as first axes, each of its full size."""
    found = whole(array, sizes)
    wanted = tuple([n for _, n in sizes]) + array.shape
    return found if found.shape == wanted else np.broadcast_to(found, wanted)
