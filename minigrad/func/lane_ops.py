"""Tensors with lanes: how they come to be, how ops apply to them, how they end.

Four ops move between a tensor of all examples and one with lanes, each the other's gradient:
`ToLanes` and `FromLanes`; `Spread`, for what is the same in all lanes, and `SumLanes`.  Two more
serve the ops that cannot be computed for all lanes at once: these run lane by lane.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine import fast
from minigrad.engine.device import BATCHED, DeviceArray, run_at
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import Op, cell_of, share
from minigrad.func.lanes import (
    APPLY,
    Lanes,
    NotBatched,
    Sizes,
    fresh,
    full,
    has_lanes,
    levels_that_differ,
    seen,
    sizes_in,
    spread,
    union,
    whole,
)
from minigrad.tensors.tensor import Tensor, new

Array = np.ndarray[Any, Any]


class _Levels(threading.local):
    """The calls of `vmap` that this thread is inside of, by level and size."""

    sizes: Sizes = ()


levels = _Levels()


# ---------------------------------------------------------------- the ops
class LaneOp(Op):
    """An op that adds lanes or takes them away: it is never itself computed lane by lane."""

    keeps = False

    @classmethod
    def apply(cls, *inputs: Any, **meta: Any) -> Any:
        op = cls()
        found = op.forward(*[t.array for t in inputs], **meta)
        outputs = tuple([new(y) for y in (found if cls.several else (found,))])
        return noted(op, inputs, meta, outputs)


def noted(op: Op, inputs: Sequence[Any], meta: Any, outputs: tuple[Any, ...]) -> Any:
    """Record an op where a gradient may be asked for, and return its outputs."""
    if mode.recording and any(t.tracked for t in inputs):
        op.record(tuple(inputs), meta, outputs)
    if mode.recording and mode.tape is not None:
        mode.tape.add(op, tuple(inputs), outputs)
    return outputs if op.several else outputs[0]


class ToLanes(LaneOp):
    """y = x with its dimension `dim` as the lanes of a level"""

    def forward(self, x: Any, dim: int, level: int) -> Any:
        if type(x) is DeviceArray and not has_lanes(x):
            raise NotBatched("an array lies on a GPU")
        own = sizes_in(x)
        self.size = x.shape[dim]
        sizes = union((own, ((level, self.size),)))
        place = [at for at, _ in sizes].index(level)
        return seen(np.moveaxis(whole(x, own), dim + len(own), place), sizes)

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (FromLanes.apply(g, **self.meta, size=self.size),)


class FromLanes(LaneOp):
    """y = x with the lanes of a level as dimension `dim`"""

    shared = False

    def forward(self, x: Any, dim: int, level: int, size: int) -> Any:
        sizes = union((sizes_in(x), ((level, size),)))
        held = whole(x, sizes)
        place = [at for at, _ in sizes].index(level)
        if held.shape[place] != size:
            shape = list(held.shape)
            shape[place] = size
            held = np.broadcast_to(held, shape)
        rest = tuple([pair for pair in sizes if pair[0] != level])
        moved = np.moveaxis(held, place, dim + len(rest))
        self.shared = has_lanes(x) and x.whole and moved.flags.c_contiguous
        return seen(moved if self.shared else np.array(moved, order="C"), rest)

    @classmethod
    def apply(cls, t: Any, **meta: Any) -> Any:
        op = cls()
        out = new(op.forward(t.array, **meta))
        if op.shared:  # a write to the one is noticed where the other is saved
            out.cell = cell_of(t)
        return noted(op, (t,), meta, (out,))

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (ToLanes.apply(g, dim=self.meta["dim"], level=self.meta["level"]),)


class Spread(LaneOp):
    """y = x in all lanes of some levels"""

    def forward(self, x: Any, sizes: Sizes) -> Any:
        return spread(x, sizes)

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (SumLanes.apply(g, sizes=self.meta["sizes"]),)


class SumLanes(LaneOp):
    """y = the sum of x over the lanes of some levels"""

    def forward(self, x: Any, sizes: Sizes) -> Any:
        every = union((sizes_in(x), sizes))
        gone = {level for level, _ in sizes}
        axes = tuple([i for i, (level, _) in enumerate(every) if level in gone])
        total = np.asarray(np.sum(full(x, every), axis=axes))
        return seen(total, tuple([pair for pair in every if pair[0] not in gone]))

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (Spread.apply(g, sizes=self.meta["sizes"]),)


class Copies(LaneOp):
    """y = x, with memory for each lane of some levels"""

    def forward(self, x: Any, levels: set[int]) -> Any:
        axes = [(a, n, 1 if a in levels else step) for a, n, step in x.target.axes]
        y = fresh(tuple(axes), x.shape, x.dtype)
        whole(y, sizes_in(x))[...] = whole(x, sizes_in(x))
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g,)


class Unstack(LaneOp):
    """(y_0, y_1, ...) = x in each lane"""

    several = True

    def forward(self, x: Any, sizes: Sizes) -> Any:
        every = union((sizes_in(x), sizes))
        held = full(x, every)
        self.like = x.shape, x.dtype
        rest = tuple([pair for pair in every if pair not in sizes])
        return tuple([seen(held[place], rest) for place in places_in(every, sizes)])

    def backward(self, *grads: Any) -> tuple[Any, ...]:
        shape, dtype = self.like
        parts = [new(np.zeros(shape, dtype)) if g is None else g for g in grads]
        return (Stack.apply(*parts, sizes=self.meta["sizes"]),)


class Stack(LaneOp):
    """y = x_i in lane i"""

    def forward(self, *parts: Any, sizes: Sizes) -> Any:
        if any(has_lanes(p) for p in parts):
            return stacked_lanes(parts, sizes)
        y = fresh(differing(sizes), parts[0].shape, parts[0].dtype)
        held = whole(y, sizes)
        for at, part in zip(np.ndindex(*[n for _, n in sizes]), parts, strict=True):
            held[(*at, ...)] = part
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        sizes = self.meta["sizes"]
        found: tuple[Any, ...] = Unstack.apply(matched(g, sizes), sizes=sizes)
        return found


def differing(sizes: Sizes) -> Any:
    """Return axes along which an array differs."""
    return tuple([(level, n, 1) for level, n in sizes])


def places_in(every: Sizes, sizes: Sizes) -> Iterator[tuple[Any, ...]]:
    """Yield the index of each lane of `sizes` in a whole with axes `every`."""
    order = [level for level, _ in every]
    for at in np.ndindex(*[n for _, n in sizes]):
        place: list[Any] = [slice(None)] * len(every)
        for (level, _), i in zip(sizes, at, strict=True):
            place[order.index(level)] = i
        yield (*place, ...)


def stacked_lanes(parts: Sequence[Any], sizes: Sizes) -> Any:
    """Return arrays with lanes of other levels, one after another in those of `sizes`."""
    own = union([sizes_in(p) for p in parts])
    if {level for level, _ in own} & {level for level, _ in sizes}:
        raise NotBatched("lanes of one level are stacked in it")
    every = union((own, sizes))
    y = fresh(differing(every), parts[0].shape, parts[0].dtype)
    held = whole(y, every)
    for place, part in zip(places_in(every, sizes), parts, strict=True):
        held[place] = full(part, own)
    return y


# ---------------------------------------------------------------- how ops apply
def matched(t: Any, sizes: Sizes) -> Any:
    """Return a tensor with at least these lanes."""
    array = t.array
    own = {level for level, _ in sizes_in(array)}
    missing = tuple([pair for pair in sizes if pair[0] not in own])
    if not missing:
        return t
    if mode.recording and t.tracked:
        return Spread.apply(t, sizes=missing)
    held: Any = spread(array, missing)
    made = new(held)
    made.cell = t.cell
    return made


def here(t: Any) -> Any:
    """Return a tensor in all lanes that this thread is inside of."""
    return matched(t, levels.sizes)


def apply(cls: Any, inputs: Sequence[Any], meta: Any) -> Any:
    """Apply an op to inputs of which some have lanes; None where none has."""
    sizes: Sizes = ()
    for t in inputs:
        array = t.array
        if type(array) is DeviceArray:
            if type(array.target) is not Lanes:
                return None
            if array.target.sizes != sizes:
                sizes = union((sizes, array.target.sizes)) if sizes else array.target.sizes
    if not sizes:
        return None
    given = [matched(t, sizes) for t in inputs]
    op = cls()
    try:
        found = run_at(cls.__name__, partial(op.forward, **meta), *[t.array for t in given])
    except Exception:
        moving = tuple(
            [p for p in sizes if any(p[0] in levels_that_differ(t.array) for t in given)]
        )
        return lane_by_lane(cls, given, meta, moving or sizes)
    outputs = tuple([new(y) for y in (found if cls.several else (found,))])
    if cls.view:
        for out in outputs:
            share(given[0], out)
    return noted(op, given, meta, outputs)


def lane_by_lane(cls: Any, inputs: Sequence[Any], meta: Any, sizes: Sizes) -> Any:
    """Apply an op to each lane by itself."""
    if not inputs or any(not n for _, n in sizes):
        raise NotBatched(f"{cls.__name__} has no lanes to run on")
    parts = [Unstack.apply(t, sizes=sizes) for t in inputs]
    outputs = []
    for k, at in enumerate(np.ndindex(*[n for _, n in sizes])):
        own = {name: picked(value, sizes, at) for name, value in meta.items()}
        outputs.append(cls.apply(*[part[k] for part in parts], **own))
    if not cls.several:
        return Stack.apply(*outputs, sizes=sizes)
    return tuple([Stack.apply(*column, sizes=sizes) for column in zip(*outputs, strict=True)])


def picked(value: Any, sizes: Sizes, at: tuple[int, ...]) -> Any:
    """Return what an option is in one lane."""
    place: Any = (*at, ...)
    return full(value, sizes)[place] if has_lanes(value) else value


APPLY[0] = apply


def install() -> None:
    """Let the readable `Op.apply` find lanes, where the fast one is left out."""
    readable = Op.__dict__["apply"].__func__

    @functools.wraps(readable)
    def find_lanes(cls: Any, *inputs: Any, **meta: Any) -> Any:
        if BATCHED and all(isinstance(t, Tensor) for t in inputs):
            found = apply(cls, inputs, meta)
            if found is not None:
                return found
        return readable(cls, *inputs, **meta)

    Op.apply = classmethod(find_lanes)  # type: ignore[method-assign, assignment]


if not fast.ON:
    install()
