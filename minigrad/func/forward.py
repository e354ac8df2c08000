"""Forward mode: tangents go along with what is computed, op by op.

A `Forward` listens where a `Tape` does: each op that is recorded passes it, and the tangents of its
inputs are pushed to its outputs by the op's own rule, see pushforward.py.

Tangents lie at the places on the tape, so that views and writes in place have theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.engine.backward import sweep
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import LEAF, SLOT, Op
from minigrad.engine.routes import edges_of
from minigrad.func import trees
from minigrad.func.levels import alias, depth, settled, transform
from minigrad.func.pushforward import pushed
from minigrad.func.reverse import differentiable, parts_of, tensors_of
from minigrad.tensors.creation import full_like, zeros_like
from minigrad.tensors.tensor import Tensor, cast

KEPT = ("tangents", "slots", "hooks", "cell")  # of an op whose tangents are computed


class Forward:
    """One level of forward mode; levels nest, and each has tangents of its own.

    outer: what listened before: a level outside, a `Tape`, or None.
    """

    def __init__(self) -> None:
        self.outer: Any = None
        self.roots: list[Tensor] = []
        self.depth = 0
        self.active = False

    def __enter__(self) -> Forward:
        self.active = True
        self.outer, mode.tape = mode.tape, self
        mode.recording = mode.level(bool(mode.recording))
        self.depth = depth.count
        return self

    def __exit__(self, *_: Any) -> None:
        self.active = False
        mode.tape = self.outer
        mode.recording = mode.level(bool(mode.recording))

    # ------------------------------------------------------------ tangents at their places
    def dual(self, primal: Tensor, tangent: Tensor) -> Tensor:
        """Return an alias of a tensor that carries a tangent."""
        made = alias(primal)
        self.put(made, tangent)
        if not primal.tracked:
            made.node.shell = self
        self.roots.append(made)
        return made

    def put(self, t: Tensor, tangent: Any) -> None:
        """Give a computed tensor its tangent."""
        node, index = place(t)
        node.__dict__.setdefault("tangents", {})[id(self), index] = tangent

    def of(self, t: Any) -> Any:
        """Return the tangent of a tensor; None stands for zero."""
        if not isinstance(t, Tensor) or t.node is None:
            return None
        node, index = place(t)
        found = node.__dict__.get("tangents")
        return None if found is None else found.get((id(self), index))

    def tangent(self, t: Tensor) -> Tensor:
        """Return the tangent of a result, zeros where it does not depend on the inputs."""
        found = self.of(t)
        return zeros_like(t) if found is None else found

    # ------------------------------------------------------------ what a listener is told
    def add(self, op: Op, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """Push the tangents of an op's inputs to its outputs."""
        if self.outer is not None:
            self.outer.add(op, inputs, outputs)
        given = [self.of(t) for t in inputs]
        if all(g is None for g in given) or not any(y.tracked for y in outputs):
            return
        was, listening = mode.recording, mode.tape
        mode.tape = self.outer
        mode.recording = mode.level(self.outer is not None or self.moves(inputs, given))
        try:
            results = pushed(op, inputs, given, outputs)
        finally:
            mode.tape, mode.recording = listening, was
        for y, tangent in zip(outputs, results, strict=True):
            if tangent is not None and y.tracked:
                self.put(y, tangent)
        if depth.count == 1 and self.outer is None and all(map(self.light, op.edges or ())):
            self.empty(op)

    def light(self, edge: Any) -> bool:
        """Say whether an edge leads to this level's inputs alone."""
        if edge is None:
            return True
        if edge.kind == LEAF:
            return False
        node = edge.op if edge.kind == SLOT else edge
        return node.__dict__.get("shell") is self

    def empty(self, op: Op) -> None:
        """Drop what an op has saved: no sweep comes here, and its tangents are computed.

        So a pass forward holds no more memory than the function itself.
        """
        n, own = len(op.edges or ()), vars(op)
        kept: Any = {name: own[name] for name in KEPT if name in own}
        own.clear()
        own.update(kept, shell=self, edges=[None] * n, composite=None)
        own["backward"] = lambda *_: (None,) * n

    def moves(self, inputs: Sequence[Any], given: Sequence[Any]) -> bool:
        """Say whether tangents may be part of another gradient."""
        if depth.count > 1 or self.outside or any(g is not None and g.tracked for g in given):
            return True
        return any(t.tracked and self.of(t) is None for t in inputs)

    outside = False  # whether a primal is part of another gradient


def place(t: Tensor) -> tuple[Any, int]:
    """Return the node that made a tensor, and which of its outputs it is."""
    node = t.node
    return (node.op, node.index) if node.kind == SLOT else (node, 0)


# ---------------------------------------------------------------- functions
def paired(name: str, primals: Any, tangents: Any) -> tuple[list[Any], list[Any], trees.Shape]:
    """Return the leaves of primals and of tangents that fit them.

    Raises: TypeError or RuntimeError where they do not.
    """
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple):
            raise RuntimeError(
                f"{name}: expected {what} to be a tuple, one for each argument of the function, got"
                f" {type(given).__name__}"
            )
    leaves, shape = trees.flatten(primals)
    moved, other = trees.flatten(tangents)
    if shape != other:
        raise RuntimeError(f"{name}: primals and tangents must be nested alike")
    for i, (p, t) in enumerate(zip(leaves, moved, strict=True)):
        if not isinstance(p, Tensor) or not isinstance(t, Tensor):
            raise RuntimeError(
                f"{name}: expected tensors, leaf {i} is {type(p).__name__} with a tangent of "
                f"{type(t).__name__}"
            )
        if p.shape != t.shape:
            raise RuntimeError(
                f"{name}: leaf {i} has shape {p.shape}, its tangent {t.shape}: they must agree"
            )
        if p.array.dtype != t.array.dtype:
            moved[i] = cast(t, p.array.dtype)
    return leaves, moved, shape


def jvp(
    func: Callable[..., Any],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """Return func(*primals) and its derivative in the direction of `tangents`, in one pass forward.

    The result's tangents are zeros where an output does not depend on the inputs (strict: that
    raises).  has_aux: `func` returns (output, aux), and aux is returned as a third.

    >>> import minigrad as mg
    >>> mg.func.jvp(lambda x: x * x, (mg.tensor([1.0, 3.0]),), (mg.tensor([1.0, 0.5]),))
    (tensor([1., 9.]), tensor([2., 3.]))
    """
    leaves, moved, shape = paired("jvp", primals, tangents)
    outer = bool(mode.recording)
    with transform(), Forward() as level:
        level.outside = outer and any(t.tracked for t in leaves)
        differentiable_leaves("jvp", leaves)
        duals = [level.dual(p, t) for p, t in zip(leaves, moved, strict=True)]
        output, aux = parts_of("jvp", func(*trees.unflatten(shape, duals)), has_aux)
        outputs, output_shape = tensors_of("jvp", output)
        if strict and any(level.of(y) is None for y in outputs):
            raise RuntimeError("jvp: strict: an output does not depend on the inputs")
        results = [settled(level.tangent(y), duals) for y in outputs]
    values = trees.unflatten(output_shape, [settled(y, duals) for y in outputs])
    derivative = trees.unflatten(output_shape, results)
    if not has_aux:
        return values, derivative
    return values, derivative, trees.mapped(lambda t: settled(t, duals), aux)


def differentiable_leaves(name: str, leaves: Sequence[Tensor]) -> None:
    """Refuse tensors that have no derivative."""
    for i, t in enumerate(leaves):
        if t.array.dtype.kind != "f":
            raise TypeError(
                f"{name}: only floating tensors have tangents, leaf {i} is {t.array.dtype}; use "
                ".float()"
            )


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Return func(*primals) and a function of tangents: its derivative there, computed anew for
    each, without `func` being run again.

    >>> import minigrad as mg
    >>> y, push = linearize(lambda x: x * x, mg.tensor([1.0, 3.0]))
    >>> push(mg.tensor([1.0, 0.0]))
    tensor([2., 0.])
    """
    leaves, shape = trees.flatten(primals)
    with transform():
        sources = differentiable("linearize", leaves)
        outputs, output_shape = tensors_of("linearize", func(*trees.unflatten(shape, sources)))
        moving = [y for y in outputs if y.tracked]
        dummies = [alias(full_like(y.detach(), 0.5)) for y in moving]
        found = sweep(moving, dummies, True, True, edges_of(sources)) if moving else {}
        parts = [found[id(t.node)][1] if id(t.node) in found else None for t in sources]

    def push(*tangents: Any) -> Any:
        given, moved, _ = paired("linearize", primals, tangents)
        del given
        pairs = [(p, t) for p, t in zip(parts, moved, strict=True) if p is not None and p.tracked]
        with transform():
            keep = any(t.tracked for _, t in pairs) or depth.count > 1
            mode.recording = mode.level(keep)
            roots, seeds = [p for p, _ in pairs], [t for _, t in pairs]
            back = sweep(roots, seeds, keep, True, edges_of(dummies)) if roots else {}
        at = {id(y): back.get(id(d.node)) for y, d in zip(moving, dummies, strict=True)}
        found = [at.get(id(y)) for y in outputs]
        results = [
            zeros_like(y) if f is None else f[1] for f, y in zip(found, outputs, strict=True)
        ]
        return trees.unflatten(output_shape, results)

    return trees.unflatten(output_shape, [settled(y, sources) for y in outputs]), push
