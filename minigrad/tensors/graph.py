"""The graph as programs walk it: `grad_fn.next_functions`, `grad_fn.name()`."""

from __future__ import annotations

from typing import Any

from minigrad.engine.op import LEAF, OP, Op
from minigrad.tensors.tensor import Tensor


class AccumulateGrad:
    """The end of the graph at a leaf, into whose `.grad` the sweep adds.

    variable: that leaf.
    """

    next_functions = ()

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

    def name(self) -> str:
        """Return its name."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def next_functions(self: Op) -> tuple[tuple[Any, int], ...]:
    """The nodes that this one hands its gradients to, each with the number of its output there; no
    node where no gradient is asked for, and none at all once the sweep has freed the graph.

    >>> import minigrad as mg
    >>> w = mg.ones(2, requires_grad=True)
    >>> y = (w * 2).sum()
    >>> [node for node, _ in y.grad_fn.next_functions[0][0].next_functions]
    [<AccumulateGrad>, None]
    """
    return tuple([end_of(edge) for edge in self.edges or ()])


def end_of(edge: Any) -> tuple[Any, int]:
    """Return the node that an edge leads to, and the number of its output."""
    if edge is None:
        return None, 0
    if edge.kind == LEAF:
        return AccumulateGrad(edge), 0
    return (edge, 0) if edge.kind == OP else (edge.op, edge.index)


def name(self: Op) -> str:
    """Return the name of the op as a node of the graph.

    >>> import minigrad as mg
    >>> (mg.ones(2, requires_grad=True) * 2).grad_fn.name()
    'MulBackward0'
    """
    return f"{type(self).__name__}Backward0"


setattr(Op, "next_functions", property(next_functions))  # noqa: B010
setattr(Op, "name", name)  # noqa: B010
