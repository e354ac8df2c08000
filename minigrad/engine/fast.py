"""The hot paths, all of them: faster versions of what stands readable in the heart.

A training step of a small network is some hundred ops of half a microsecond each, so that one
function call more is seen.  `install` puts these versions in the places of the readable ones; bits
and errors are the same.  `MINIGRAD_FAST=0` leaves them out, and so does plain mode: then a debugger
steps through the code of `op.py`, `backward.py` and `ops/` as it reads.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from sys import getrefcount
from typing import Any

import numpy as np

from minigrad.engine import backward
from minigrad.engine.allocator import empty, owns
from minigrad.engine.backward import (
    Found,
    Sweep,
    apply_rule,
    through_composite,
    unbroadcast,
    wrong_number,
)
from minigrad.engine.device import BATCHED, USED, batched, current, one_target, run_at
from minigrad.engine.dispatch import PARALLEL, Dispatch, dispatch, launch, launches_checked
from minigrad.engine.grad_mode import NOT_HERE, WATCHED, Recording, leave, mode
from minigrad.engine.hooks import hooks_at
from minigrad.engine.op import LEAF, NO_OPTIONS, SLOT, Bridge, Op, next_seq, no_tensor, share
from minigrad.engine.overwrite import copy_of
from minigrad.engine.routes import refuse
from minigrad.ops import common, unary
from minigrad.ops.arithmetic import Add, Binary, Div, Mul, Sub
from minigrad.ops.unary import Unary
from minigrad.tensors.tensor import Tensor, lift
from minigrad_kernels.jit import plain
from minigrad_kernels.table import KERNELS

ON = os.environ.get("MINIGRAD_FAST", "1") not in ("", "0") and not plain.ON

Array = np.ndarray[Any, Any]
make = object.__new__


# ---------------------------------------------------------------- launches of small arrays
check_all = Dispatch.check


def check(self: Any, on: bool) -> None:
    """Set `small` too: the elementwise rows that are one NumPy ufunc below PARALLEL elements, as
    that ufunc, with no Python frame before it (0.2 us where `launch` takes 0.4).
    """
    check_all(self, on)
    table = launches_checked() if on else {n: row.small or row.cpu for n, row in KERNELS.items()}
    self.small = {name: partial(self.context.run, kernel) for name, kernel in table.items()}


# ---------------------------------------------------------------- recording
apply_any = Op.__dict__["apply"].__func__
record_any = Op.record


def apply(cls: Any, *inputs: Any, **meta: Any) -> Any:
    """`Op.apply` for one output, without a tuple of outputs."""
    if cls.several:
        found = batched(cls, inputs, meta) if USED else None
        return apply_any(cls, *inputs, **meta) if found is None else found
    op = cls()
    try:
        arrays = [t.array for t in inputs]
    except AttributeError:
        raise no_tensor(cls.__name__, inputs) from None
    if USED:
        if BATCHED:
            found = batched(cls, inputs, meta)
            if found is not None:
                return found
        target = one_target(arrays)
        if target is None:
            data = run_at(cls.__name__, partial(op.forward, **meta), *arrays)
        else:
            was, current.target = current.target, target
            try:
                data = op.forward(*arrays, **meta)
            finally:
                current.target = was
    else:
        data = op.forward(*arrays, **meta)
    out = make(Tensor)
    out.array = data
    if cls.view:
        share(inputs[0], out)
    recording = mode.recording
    if recording:
        for t in inputs:
            if t.tracked:
                op.record(inputs, meta, (out,))
                break
        if recording == WATCHED and mode.tape is not None:
            mode.tape.add(op, inputs, (out,))
    return out


def record(self: Any, inputs: Any, meta: dict[str, Any], outputs: Any) -> None:
    """`Op.record` for one output, in one loop over the inputs."""
    if self.several:
        record_any(self, inputs, meta, outputs)
        return
    (out,) = outputs
    data = out.array
    self.seq = next_seq()
    self.shape = data.shape
    self.dtype = data.dtype
    self.meta = meta
    edges: list[Any] = []
    for t in inputs:
        if t.tracked:
            edges.append(t.node or t)
        else:
            edges.append(None)
        if t.cell is not None and self.versions is None:
            self.versions = tuple([0 if u.cell is None else u.cell[0] for u in inputs])
    self.edges = edges
    if self.keeps:
        self.inputs = inputs
    if mode.anomaly is not None:
        mode.anomaly.recorded(self, inputs)
    out.tracked = True
    out.node = self


def apply_binary(cls: Any, a: Any, b: Any) -> Any:
    """`Binary.apply`: small arrays of one shape and dtype go to their ufunc, and are recorded here.

    They are too small for the pool: `np.empty` takes 0.1 us less.
    """
    try:
        x, z = a.array, b.array
    except AttributeError:
        raise no_tensor(cls.__name__, (a, b)) from None
    if USED:
        found = batched(cls, (a, b), NO_OPTIONS)
        if found is not None:
            return found
        y = run_at(cls.__name__, cls().forward, x, z)
    elif x.dtype is z.dtype and x.shape == z.shape:
        if x.size < PARALLEL:
            y = np.empty(x.shape, x.dtype)
            dispatch.small[cls.kernel](x, z, y)
        else:
            y = empty(x.shape, x.dtype)
            launch(cls.kernel, x, z, y)
    else:
        y = cls().forward(x, z)
    out = make(Tensor)
    out.array = y
    recording = mode.recording
    if recording:
        needed = a.tracked, b.tracked
        if True in needed:
            op = cls()
            if recording is not True or a.cell is not None or b.cell is not None:
                op.record((a, b), NO_OPTIONS, (out,))
            else:
                out.tracked = True
                out.node = op
                op.seq = next_seq()
                op.shape = y.shape
                op.dtype = y.dtype
                op.edges = [
                    (a.node or a) if needed[0] else None,
                    (b.node or b) if needed[1] else None,
                ]
                if cls.keeps:
                    op.inputs = (a, b)
        if recording == WATCHED and mode.tape is not None:
            mode.tape.add(out.node or cls(), (a, b), (out,))
    return out


def apply_unary(cls: Any, a: Any) -> Any:
    """`Unary.apply`: small arrays go to their ufunc, and are recorded here."""
    try:
        x = a.array
    except AttributeError:
        raise no_tensor(cls.__name__, (a,)) from None
    if x.dtype.kind != "f":
        return cls.of_integers(a)
    if USED:
        found = batched(cls, (a,), NO_OPTIONS)
        if found is not None:
            return found
        y = run_at(cls.__name__, cls().forward, x)
    elif x.size < PARALLEL:
        y = np.empty(x.shape, x.dtype)
        dispatch.small[cls.kernel](x, y)
    else:
        y = empty(x.shape, x.dtype)
        launch(cls.kernel, x, y)
    out = make(Tensor)
    out.array = y
    recording = mode.recording
    if recording:
        if a.tracked:
            op = cls()
            if recording is not True or a.cell is not None:
                op.record((a,), NO_OPTIONS, (out,))
            else:
                out.tracked = True
                out.node = op
                op.seq = next_seq()
                op.shape = y.shape
                op.dtype = y.dtype
                op.edges = [a.node or a]
                if cls.keeps:
                    op.inputs = (a,)
            if cls.keeps_output:
                op.y = y
        if recording == WATCHED and mode.tape is not None:
            mode.tape.add(out.node or cls(), (a,), (out,))
    return out


multiplied = Mul.backward


def mul_backward(self: Any, g: Any) -> tuple[Any, ...]:
    """`Mul.backward`, which asks first whether an operand that learns was broadcast at all."""
    first, second = self.edges
    a, b = self.inputs[0].array, self.inputs[1].array
    if a.shape == b.shape or (second is None and a.shape == g.array.shape):
        return (
            None if first is None else Mul.apply(g, self.saved(1)),
            None if second is None else Mul.apply(g, self.saved(0)),
        )
    return multiplied(self, g)


def release_binary(self: Any) -> None:
    """`Op.release` of what a Binary keeps."""
    self.edges = None
    self.inputs = ()


def release_unary(self: Any) -> None:
    """`Op.release` of what a Unary keeps."""
    self.edges = self.y = None
    self.inputs = ()


def fused_backward(name: str, g: Any, saved: Array) -> Any:
    """`unary.fused_backward`: small arrays go to their ufunc."""
    if saved.size < PARALLEL and not USED:
        y = np.empty(saved.shape, saved.dtype)
        dispatch.small[name](g.array, saved, y)
    else:
        y = empty(saved.shape, saved.dtype, saved)
        launch(name, g.array, saved, y)
    return Bridge.new(y)


# ---------------------------------------------------------------- operators, classes bound once
def bound(op: Any) -> Callable[[Any, Any], Any]:
    """Return an operator of two tensors, or of a tensor and a number."""
    apply = op.apply

    def operator(self: Any, o: Any) -> Any:
        return apply(self, o if isinstance(o, Tensor) else lift(o, self))

    return operator


def divided(self: Any, o: Any) -> Any:
    """`Tensor.__truediv__`."""
    try:
        other = o if isinstance(o, Tensor) else lift(o, self)
    except OverflowError:
        other = lift(float(o), self)
    return Div.apply(self, other)


# ---------------------------------------------------------------- no_grad, enable_grad
def enter(self: Any) -> None:
    """`Recording.__enter__`, in one call: every evaluation comes through here."""
    now = mode.recording
    mode.entered.append((self, bool(now)))
    if now is not self.record:
        mode.recording = self.record and mode.level(True)


def leave_recording(self: Any, *_: Any) -> None:
    """`Recording.__exit__`."""
    entered = mode.entered
    was = entered.pop()[1] if entered and entered[-1][0] is self else leave(self)
    if was is not NOT_HERE and mode.recording is not was:
        mode.recording = was and mode.level(True)


# ---------------------------------------------------------------- the sweep
def run(self: Any, roots: Sequence[Any], seeds: Sequence[Any]) -> Found:
    """`Sweep.run`, with what it calls a node written out."""
    pending, heap, found = self.pending, self.heap, self.found
    send, routes = self.send, self.routes
    create_graph, retain_graph = self.create_graph, self.retain_graph
    for root, seed in zip(roots, seeds, strict=True):
        send(root.node or root, seed)
    anomaly = mode.anomaly
    while heap:
        entry = pending.pop(-heappop(heap))
        node, grad = entry[0], entry[1]
        if node.hooks is not None or routes is not None:
            grad = self.complete(node, grad)
        edges = node.edges
        try:
            if USED:
                target = None
                if node.slots is None and not create_graph:
                    target = getattr(grad.array, "target", None)
                if target is None:
                    parts = apply_rule(node, grad, create_graph)
                else:
                    was, current.target = current.target, target
                    try:
                        parts = node.backward(grad)
                    finally:
                        current.target = was
            elif create_graph and node.composite is not None:
                parts = through_composite(node, grad)
            elif node.slots is not None:
                parts = node.backward(*grad)
            else:
                parts = node.backward(grad)
        except Exception:
            if node.edges is None:
                refuse(node)
            raise
        if edges is None:
            refuse(node)
        if len(parts) != len(edges):
            raise wrong_number(node, parts, edges)
        if anomaly is not None:
            anomaly.check_gradients(node, parts)
        for edge, g in zip(edges, parts):  # noqa: B905
            if edge is None or g is None:
                continue
            data = g.array
            kind = edge.kind
            like = edge.array if kind == LEAF else edge
            if data.shape != like.shape:
                g = unbroadcast(node, g, like.shape)
            if data.dtype is not like.dtype and data.dtype != like.dtype:
                g = Bridge.cast(g, like.dtype)
            if routes is not None or kind == SLOT:
                send(edge, g)
            elif kind == LEAF:
                add(found, id(edge), edge, g)
            elif edge.seq in pending and edge.edges is not None:
                add(pending, edge.seq, edge, g)
            elif edge.edges is None:
                send(edge, g)
            else:
                pending[edge.seq] = [edge, g]
                heappush(heap, -edge.seq)
        if not retain_graph:
            node.release()
    arrived: Found = {}
    for key, entry in found.items():
        edge, g = entry[0], entry[1]
        if edge.hooks is not None and (routes is None or key in routes.ends):
            hooks = hooks_at(edge)
            g = g if hooks is None else hooks.run(g)
        arrived[key] = edge, g
    return arrived


def add(entries: dict[int, list[Any]], key: int, edge: Any, g: Any) -> None:
    """`Sweep.add`: from the third term on in place, unless the sum is recorded.

    An entry of three is a sum made here, which nobody else has seen.
    """
    entry = entries.get(key)
    if entry is None:
        entries[key] = [edge, g]
    elif len(entry) == 3:
        held = entry[1].array
        if held.size < PARALLEL and not USED:
            dispatch.small["add"](held, g.array, held)
        else:
            launch("add", held, g.array, held)
    else:
        entry[1] = entry[1] + g
        if not (mode.recording or BATCHED):  # with lanes a sum may have fewer than what comes next
            entry.append("a sum")


# References to a gradient and to its array in `owned` where nobody else holds them: the tensor's,
# those of the frames (the loop of `backward`, one a function) and the count's own.  From 3.14 on
# CPython does not count all of a frame's own: there every gradient is copied.
COUNTED = sys.version_info < (3, 14)
HELD_TENSOR = 4 if COUNTED else 0
HELD_DATA = 3 if COUNTED else 0


def owned(g: Any) -> Any:
    """`backward.owned`: `g` itself where nobody else holds it, nor its memory."""
    data = g.array
    if (
        owns(data)
        and data.flags.c_contiguous
        and getrefcount(data) <= HELD_DATA
        and getrefcount(g) <= HELD_TENSOR
    ):
        return g
    if g.tracked and mode.recording:
        return g.clone()
    return Bridge.new(copy_of(data))


# ---------------------------------------------------------------- into their places
def install() -> None:
    """Put the fast versions in the places of the readable ones."""
    versions: tuple[tuple[Any, str, Any], ...] = (
        (Dispatch, "check", check),
        (Op, "apply", classmethod(apply)),
        (Op, "record", record),
        (Binary, "apply", classmethod(apply_binary)),
        (Binary, "release", release_binary),
        (Mul, "backward", mul_backward),
        (common, "broadcast_shape", functools.lru_cache(4096)(common.broadcast_shape)),
        (Unary, "apply", classmethod(apply_unary)),
        (Unary, "release", release_unary),
        (unary, "fused_backward", fused_backward),
        (Recording, "__enter__", enter),
        (Recording, "__exit__", leave_recording),
        (Sweep, "run", run),
        (Sweep, "add", staticmethod(add)),
        (backward, "owned", owned),
    )
    for owner, name, version in versions:
        setattr(owner, name, version)
    dispatch.check(dispatch.checked)
    operators: dict[str, Any] = {
        **dict.fromkeys(("__add__", "__radd__"), bound(Add)),
        **dict.fromkeys(("__mul__", "__rmul__"), bound(Mul)),
        "__sub__": bound(Sub),
        "__truediv__": divided,
    }
    for name, operator in operators.items():
        setattr(Tensor, name, operator)


if ON:
    install()
