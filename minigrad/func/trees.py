"""Nested tuples, lists and dicts of tensors: taken apart and put together again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    """How a tree is nested; a leaf has no kind.

    keys: of a dict.
    """

    kind: Any = None
    children: tuple[Shape, ...] = ()
    keys: tuple[Any, ...] = ()

    @property
    def count(self) -> int:
        """The number of leaves."""
        return sum(child.count for child in self.children) if self.kind else 1


LEAF = Shape()


def flatten(tree: Any) -> tuple[list[Any], Shape]:
    """Return the leaves of a tree and how it is nested; what is no container is a leaf.

    >>> leaves, shape = flatten({"a": [1, 2], "b": (3,)})
    >>> leaves, unflatten(shape, [n + 1 for n in leaves])
    ([1, 2, 3], {'a': [2, 3], 'b': (4,)})
    """
    kind = type(tree)
    if kind in (dict, OrderedDict):
        items, keys = list(tree.values()), tuple(tree)
    elif kind in (list, tuple) or (isinstance(tree, tuple) and hasattr(tree, "_fields")):
        items, keys = list(tree), ()
    else:
        return [tree], LEAF
    leaves: list[Any] = []
    children = []
    for item in items:
        found, shape = flatten(item)
        leaves += found
        children.append(shape)
    return leaves, Shape(kind, tuple(children), keys)


def unflatten(shape: Shape, leaves: Sequence[Any]) -> Any:
    """Return the tree of these leaves."""
    if not shape.kind:
        return leaves[0]
    items, at = [], 0
    for child in shape.children:
        items.append(unflatten(child, leaves[at : at + child.count]))
        at += child.count
    if shape.keys or shape.kind in (dict, OrderedDict):
        return shape.kind(zip(shape.keys, items, strict=True))
    return shape.kind(*items) if hasattr(shape.kind, "_fields") else shape.kind(items)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return the tree with a function applied to each leaf."""
    leaves, shape = flatten(tree)
    return unflatten(shape, [function(leaf) for leaf in leaves])


def spread(tree: Any, shape: Shape) -> list[Any] | None:
    """Return one leaf of `tree` for each leaf of a tree of `shape`, of which it is a prefix: a
    leaf stands for a whole branch.  None where it is no prefix.
    """
    kind = type(tree)
    if kind in (dict, OrderedDict):
        if shape.kind not in (dict, OrderedDict) or set(tree) != set(shape.keys):
            return None
        items = [tree[key] for key in shape.keys]
    elif isinstance(tree, tuple | list):
        if not shape.kind or shape.keys or len(tree) != len(shape.children):
            return None
        items = list(tree)
    else:
        return [tree] * shape.count
    found: list[Any] = []
    for item, child in zip(items, shape.children, strict=True):
        part = spread(item, child)
        if part is None:
            return None
        found += part
    return found
