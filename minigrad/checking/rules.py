"""Watch rules, op by op while the sweep of a check runs over the graph, for what none may do.

The engine casts and unbroadcasts what a rule returns, drops what nobody asked for, and trusts the
rest; a check looks at what each rule returned before that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad.checking.report import GradcheckError
from minigrad.engine.op import LEAF, SLOT, Op, name_of
from minigrad.engine.routes import parents
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
Fail = Callable[[str], None]


def nodes_of(outputs: Sequence[Any]) -> list[Op]:
    """Return every op that leads to one of the outputs."""
    found: dict[int, Op] = {}
    stack = [t.node for t in outputs if isinstance(t, Tensor) and t.node is not None]
    while stack:
        edge = stack.pop()
        node = edge.op if edge.kind == SLOT else edge
        if node.kind != LEAF and id(node) not in found:
            found[id(node)] = node
            stack.extend(parents(node))
    return list(found.values())


@contextmanager
def watched(name: str, outputs: Sequence[Any], when: str = "", recorded: bool = False) -> Any:
    """Within the context, hold every rule of the outputs' graph to what rules may do.

    when: words about this sweep for a message.  recorded: the sweep is recorded, so that what a
    rule returns must be on the tape.
    """
    nodes = nodes_of(outputs)
    for node in nodes:
        vars(node)["backward"] = _Watch(node, name, when, recorded)
    try:
        yield
    finally:
        for node in nodes:
            vars(node).pop("backward", None)


class _Watch:
    """Stands in for `node.backward`: calls it, and looks at all that it was given and returns."""

    def __init__(self, node: Op, name: str, when: str, recorded: bool) -> None:
        self.node, self.rule = node, node.backward
        self.name, self.when, self.recorded = name, when, recorded

    def fail(self, what: str, cause: Exception | None = None) -> None:
        """Raise, with the op's name."""
        where = f" ({self.when})" if self.when else ""
        raise GradcheckError(
            f"{self.name}: the rule of {name_of(self.node)} {what}{where}"
        ) from cause

    def __call__(self, *grads: Any) -> Any:
        node = self.node
        held = {f"input {i}": t.array for i, t in enumerate(node.inputs)}
        if isinstance(vars(node).get("y"), np.ndarray):
            held["saved output"] = node.y
        given = {f"gradient {k}": g.array for k, g in enumerate(grads) if g is not None}
        if len(given) == 1:
            given = {"gradient": next(iter(given.values()))}
        before = {what: a.copy() for what, a in (held | given).items()}
        try:
            parts = self.rule(*grads)
        except GradcheckError:
            raise
        except Exception as error:
            self.fail(f"raises {type(error).__name__}: {error}", error)
        for what, a in (held | given).items():
            if not np.array_equal(a, before[what], equal_nan=a.dtype.kind == "f"):
                self.fail(f"writes in place to the {what} that it was given; write to a copy")
        self.look(parts, grads)
        return parts

    def look(self, parts: Any, grads: Sequence[Any]) -> None:
        """Hold what the rule returned to the contract."""
        edges = self.node.edges or []
        if not isinstance(parts, (tuple, list)):
            self.fail(
                f"returns {described(parts)} by itself; expected a tuple with a gradient, or None,"
                f" for each of its {len(edges)} inputs"
            )
        if len(parts) != len(edges):
            self.fail(
                f"returns {len(parts)} gradients for {len(edges)} inputs; expected one each, None"
                " for one that has none"
            )
        dtypes = {g.array.dtype for g in grads if g is not None}
        shapes = [g.array.shape for g in grads if g is not None]
        on_tape = any(g.requires_grad for g in grads if g is not None)
        for i, (part, edge) in enumerate(zip(parts, edges, strict=True)):
            if part is None:
                continue
            if not isinstance(part, Tensor):
                self.fail(
                    f"returns {described(part)} for input {i}; expected a Tensor, computed by"
                    " tensor operations"
                )
            self.look_at_input(i, part)
            if edge is not None:
                like = edge.array if edge.kind == LEAF else edge
                self.look_at_part(i, part, like, dtypes, shapes)
                if self.recorded and on_tape and not part.requires_grad and part.array.any():
                    self.fail(
                        f"leaves the tape: under create_graph=True its gradient for input {i}"
                        " depends on no tensor, so that its derivative is lost; compute it with"
                        " tensor operations from the gradient and self.saved(i), not from raw"
                        " arrays, detached tensors or numbers"
                    )

    def look_at_input(self, i: int, part: Any) -> None:
        """Refuse a gradient for what has none: integers and bools."""
        if self.node.inputs and self.node.inputs[i].array.dtype.kind != "f":
            self.fail(
                f"returns a gradient for input {i}, which is {self.node.inputs[i].array.dtype} and"
                " has none; expected None"
            )

    def look_at_part(
        self, i: int, part: Any, like: Any, dtypes: set[Any], shapes: list[Any]
    ) -> None:
        """Refuse a dtype and a shape that the engine would mend in silence."""
        dtype, shape = part.array.dtype, part.array.shape
        if dtype != like.dtype and dtype not in dtypes:
            self.fail(
                f"returns a {dtype} gradient for input {i}, which is {like.dtype}: the wrong dtype;"
                " the engine casts it, but its digits are those of the narrower one"
            )
        placed = (
            "index" in self.node.meta
        )  # a value is broadcast to the place, which no output shows
        if shape != like.shape and not placed and not summed(shape, like.shape, shapes):
            self.fail(
                f"returns a gradient of shape {shape} for input {i} of shape {like.shape}: the"
                " wrong shape, which no broadcasting of the op explains and which would be summed"
                " in silence"
            )


def described(x: Any) -> str:
    """Return what `x` is, with an article and its shape.

    >>> described(np.zeros((2, 3))), described(1.0)
    ('a raw array (ndarray of shape (2, 3))', 'a float')
    """
    if isinstance(x, np.ndarray):
        return f"a raw array (ndarray of shape {x.shape})"
    shape = f" of shape {x.array.shape}" if isinstance(x, Tensor) else ""
    return f"a{'n' if type(x).__name__[0] in 'aeiou' else ''} {type(x).__name__}{shape}"


def summed(shape: tuple[int, ...], like: tuple[int, ...], outputs: Iterator[Any] | Any) -> bool:
    """Say whether an op that broadcasts `like` may leave a gradient of `shape` to be summed.

    Every axis along which it was broadcast is one of an output's.

    >>> summed((2, 3), (3,), [(2, 3)]), summed((3, 3), (3,), [(3,)])
    (True, False)
    """
    lead = len(shape) - len(like)
    if lead < 0 or any(n not in (1, m) for n, m in zip(like, shape[lead:], strict=True)):
        return False
    spread = [k for k in range(-len(shape), 0) if -k > len(like) or like[k] != shape[k]]
    return all(any(len(y) >= -k and y[k] == shape[k] for y in outputs) for k in spread)
