"""Checkpoints: forget what a part of a model computed, and compute it again in backward.

The part runs recorded, once, and its graph is let go: what stays is one node with an edge to all
that the part is a function of, its arguments and whatever else it used.  In backward the part runs
again, with the same random numbers, and the sweep goes on through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minigrad.engine import random
from minigrad.engine.backward import sweep
from minigrad.engine.device import on_device, target_of
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import LEAF, SLOT, Op, next_seq
from minigrad.engine.routes import edges_of
from minigrad.func import trees
from minigrad.func.forward import Forward
from minigrad.func.levels import alias, transform
from minigrad.tensors.tensor import Tensor, new

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
]


class CheckpointError(RuntimeError):
    """The part computed something else the second time."""


class Checkpoint(Op):
    """A part of a model that is computed again in backward.

    outside: the edges that lead out of the part, beside those of its arguments.
    """

    several = True
    keeps = False
    run: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    outside: list[Any]
    rewind: Callable[[], None] | None

    def backward(self, *grads: Any) -> tuple[Any, ...]:
        again = random.snapshot() if self.rewind is not None else None
        if self.rewind is not None:
            self.rewind()
        try:
            tensors = [t for t in trees.flatten(self.args)[0] if isinstance(t, Tensor)]
            with transform(), on_device(target_of(t.array for t in tensors)):
                sources, outputs, _ = traced(self.run, self.args, self.options)
        finally:
            if again is not None:
                again()
        self.check(outputs)
        pairs = [(y, g) for y, g in zip(outputs, grads, strict=True) if g is not None and y.tracked]
        targets = edges_of(sources) | {id(e): e for e in self.outside}
        roots, seeds = [y for y, _ in pairs], [g for _, g in pairs]
        create_graph = bool(mode.recording)
        found = sweep(roots, seeds, create_graph, create_graph, targets) if roots else {}
        ends = [t.node for t in sources] + self.outside
        return tuple([found[id(e)][1] if id(e) in found else None for e in ends])

    def check(self, outputs: Sequence[Any]) -> None:
        """Refuse outputs of other shapes or dtypes than the first time."""
        now = [(y.array.shape, y.array.dtype) for y in outputs]
        if now != self.meta["like"]:
            raise CheckpointError(
                f"checkpoint: the function gave other tensors the second time: {now}, first "
                f"{self.meta['like']}; it must be a function of its arguments alone"
            )


def traced(
    function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[list[Tensor], list[Any], Any]:
    """Run a function on aliases of its tensors; return these, its outputs and their nesting."""
    leaves, shape = trees.flatten((args, options))
    given = [alias(t) if isinstance(t, Tensor) and t.tracked else t for t in leaves]
    positional, named = trees.unflatten(shape, given)
    result = function(*positional, **named)
    found, nesting = trees.flatten(result)
    sources = [t for t, was in zip(given, leaves, strict=True) if t is not was]
    return sources, [y for y in found if isinstance(y, Tensor)], (found, nesting)


def leading_out(outputs: Iterable[Any], inside: set[int], first: int) -> list[Any]:
    """Return the edges by which the graph of outputs leaves what was recorded from `first` on."""
    found: dict[int, Any] = {}
    seen: set[int] = set()
    stack: list[Any] = [y.node or y for y in outputs if y.tracked]
    while stack:
        edge = stack.pop()
        if edge.kind == LEAF or edge.seq < first:
            found[id(edge)] = edge
            continue
        node = edge.op if edge.kind == SLOT else edge
        if id(node) in seen or id(node) in inside:
            continue
        seen.add(id(node))
        stack += [e for e in node.edges or () if e is not None]
    return list(found.values())


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
    determinism_check: str = "default",
    preserve_rng_state: bool = True,
    debug: bool = False,
    **kwargs: Any,
) -> Any:
    """Call a function and keep nothing of what it computes inside: backward computes it again.

    It is right for whatever the function uses, its arguments, parameters, tensors around it, for
    `backward` and `grad`, to any order, and inside of `mg.func`; `use_reentrant`, which chooses
    between two ways in PyTorch, makes no difference.

    preserve_rng_state: draw the same random numbers the second time.
    Raises: CheckpointError where the function gives tensors of other shapes then.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda x: (x * x).exp().sum(), x).backward()
    >>> x.grad.shape
    (2,)
    """
    del use_reentrant, context_fn, debug
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"checkpoint: determinism_check must be 'default' or 'none', got {determinism_check!r}"
        )
    if not mode.recording or isinstance(mode.tape, Forward):
        return function(*args, **kwargs)
    rewind = random.snapshot() if preserve_rng_state else None
    first = next_seq()
    sources, outputs, (found, nesting) = traced(function, args, kwargs)
    inside = {id(t.node) for t in sources}
    outside = leading_out(outputs, inside, first)
    if not sources and not outside:
        return trees.unflatten(nesting, found)
    op = Checkpoint()
    op.run, op.args, op.options, op.rewind = function, args, kwargs, rewind
    op.outside = outside
    made = [new(y.array) for y in outputs]
    like = [(y.array.shape, y.array.dtype) for y in outputs]
    op.record(sources, {"like": like}, made)
    op.edges = [t.node.edges[0] for t in sources] + outside
    for y, t in zip(outputs, made, strict=True):
        t.cell = y.cell
        if not y.tracked:
            t.tracked, t.node = False, None
    fresh = iter(made)
    return trees.unflatten(nesting, [next(fresh) if isinstance(y, Tensor) else y for y in found])


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """Call modules or functions one after another, in `segments` parts of which each but the last
    is a `checkpoint`.

    >>> import minigrad as mg
    >>> layers = mg.nn.Sequential(mg.nn.Linear(2, 2), mg.nn.Tanh(), mg.nn.Linear(2, 1))
    >>> checkpoint_sequential(layers, 2, mg.ones(1, 2)).shape
    (1, 1)
    """
    steps = list(functions.children()) if hasattr(functions, "children") else list(functions)
    if not 1 <= segments <= max(1, len(steps)):
        raise ValueError(
            f"checkpoint_sequential: expected 1 to {len(steps)} segments, got {segments}"
        )

    def part(start: int, end: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for step in steps[start:end]:
                x = step(x)
            return x

        return run

    size = len(steps) // segments
    for k in range(segments - 1):
        run = part(k * size, (k + 1) * size)
        input = checkpoint(run, input, preserve_rng_state=preserve_rng_state)
    return part((segments - 1) * size, len(steps))(input)
