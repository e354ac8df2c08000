"""Programs over the grammar of indices, in PyTorch's own spelling: what is read, its gradient, and
what is written, for minigrad and PyTorch alike.

A case is (shape, index); an index is a tree of plain Python values that `build` makes into the
library's objects, so that one case serves both.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Case = tuple[tuple[int, ...], tuple[Any, ...]]
SHAPES = ((), (3,), (1,), (0,), (2, 3), (3, 0), (3, 4, 2), (1, 2, 3), (2, 2, 1, 3))
SEED, COUNT = 11, 1850

# One index whole, not in a tuple; every one over (3, 4, 2) and (3,).
WHOLE: tuple[Any, ...] = (
    *(("int", n) for n in (0, 2, -1, -3, 3, -4)),
    *(("np", 1, kind) for kind in ("int64", "int32", "int8", "uint8")),
    *(("tensor", 1, kind) for kind in ("int64", "int32")),
    ("array", 1, "int64"),
    *(("bool", b) for b in (True, False)),
    *(("tensor", b, "bool") for b in (True, False)),
    ("array", True, "bool"),
    ("slice", None, None, None),
    ("slice", 1, None, 2),
    ("slice", -1, -5, None),
    ("slice", ("np", 0, "int64"), ("np", 2, "int32"), ("np", 1, "int8")),
    ("slice", ("tensor", 1, "int64"), ("tensor", 3, "int32"), None),
    ("slice", ("tensor", [1], "int64"), None, None),
    ("slice", ("bool", False), ("bool", True), None),
    ("slice", ("float", 0.0), None, None),
    ("slice", None, None, 0),
    ("none",),
    ("dots",),
    ("list", 0, 2),
    ("list", 0, -1, 0),
    ("list", True, False, True),
    ("list", ("np", 0, "int64"), ("np", 2, "int64")),
    ("list", True, 2),
    ("list",),
    ("list", 3),
    ("list", True, False),
    ("range", 1, 3, 1),
    ("range", 2, -1, -1),
    ("range", 0, 0, 1),
    ("range", 0, 4, 1),
    ("tuple",),
    ("tuple", ("tuple", 0, 2)),
    ("tuple", ("tuple",)),
    ("tuple", ("list", ("list", 0, 1), ("list", 2, 0))),
    ("tuple", ("list", ("tuple", 0, 1), ("range", 0, 2, 1))),
    ("tuple", ("list", ("tensor", 0, "int64"), ("tensor", 2, "int64"))),
    ("tuple", ("list", ("list",))),
    *(("tensor", [2, 0, 2], kind) for kind in ("int64", "int32")),
    ("tensor", [[0, -1], [1, 1]], "int64"),
    ("array", [[0, -1], [1, 1]], "int64"),
    ("array", [0, 1], "uint16"),
    ("tensor", [], "int64"),
    ("tensor", [True, False, True], "bool"),
    ("array", [False, False, False], "bool"),
    ("tensor", [True], "bool"),
    ("tensor", [], "bool"),
    ("tensor", [[True, False, True, True]] * 3, "bool"),
    ("tensor", [[[True, False]] * 4] * 3, "bool"),
    ("tensor", [[[[True], [False]]] * 4] * 3, "bool"),
    ("tensor", [[True, False]] * 3, "bool"),
    ("tensor", [0.0, 1.0], "float32"),
    ("tensor", 1.0, "float32"),
    ("float", 1.0),
    ("text", "a"),
    ("int", 2**63),
    ("tuple", 0, ("slice", None, None, None), ("list", 0, 1)),
    ("tuple", ("list", 0, 1), ("slice", None, None, None), 0),
    ("tuple", ("list", 0, 1), ("slice", None, None, None), ("list", 0, 1)),
    ("tuple", ("list", 0, 1), ("none",), ("list", 0, 1)),
    ("tuple", ("bool", True), ("slice", None, None, None), ("list", 0, 1)),
    ("tuple", ("bool", False), ("list", 0, 1)),
    ("tuple", ("bool", True), ("bool", True)),
    ("tuple", ("bool", True), ("bool", False)),
    ("tuple", ("tensor", [True, False, True], "bool"), ("slice", None, None, None), 1),
    ("tuple", 0, ("tensor", [True, False, True, False], "bool")),
    ("tuple", ("dots",), ("tensor", [True, False], "bool")),
    ("tuple", ("list", 0, 1), ("list", 0, 1, 2)),
    ("tuple", 0, 0, 0, 0),
    ("tuple", 0, 0, 0, ("dots",)),
    ("tuple", ("list", 0), ("list", 0), ("list", 0), ("list", 0)),
)

# Taken by PyTorch, refused here: it means another thing to NumPy, or numbers are cut to integers.
REFUSED: tuple[Any, ...] = (
    ("list", ("list", 0, 1), ("list", 2, 0)),
    ("list", ("tensor", 0, "int64"), ("tensor", 1, "int64")),
    ("list", ("slice", 0, 2, None)),
    ("list", ("none",), 0),
    ("list", ("dots",), 0),
    ("tensor", [1, 0, 1], "uint8"),
    ("tensor", 1, "uint8"),
    ("array", [1, 0, 1], "uint8"),
    ("array", [0.0, 1.0], "float64"),
    ("list", 0.0, 1.5),
    ("tuple", ("dots",), ("dots",)),
)
# Refused by PyTorch, taken here: what each means in words that both know.
OURS: tuple[tuple[Any, Any], ...] = (
    (("slice", None, None, -1), ("list", 2, 1, 0)),
    (("tensor", [1, 0], "int8"), ("list", 1, 0)),
    (("array", [1, 0], "int16"), ("list", 1, 0)),
    (("np", True, "bool"), ("bool", True)),
)


def build(lib: Any, node: Any) -> Any:
    """Return the index that a tree describes."""
    if node is None or not isinstance(node, tuple):
        return node
    kind, *rest = node
    if kind in ("int", "bool", "float", "text"):
        return rest[0]
    if kind == "np":
        return np.dtype(rest[1]).type(rest[0])
    if kind == "array":
        return np.array(rest[0], rest[1])
    if kind == "tensor":
        return lib.tensor(rest[0], dtype=getattr(lib, rest[1]))
    if kind in ("none", "dots"):
        return None if kind == "none" else ...
    parts = [build(lib, p) for p in rest]
    made = {"slice": slice, "range": range}.get(kind)
    return made(*parts) if made else tuple(parts) if kind == "tuple" else parts


# ---------------------------------------------------------------- drawn ones
def numbers(draw: random.Random, n: int, count: int) -> list[int]:
    """Draw positions in a dimension of `n`, rarely one outside."""
    return [draw.randrange(-n, n) if n and draw.random() < 0.99 else n for _ in range(count)]


def drawn_part(draw: random.Random, shape: tuple[int, ...], count: int) -> tuple[Any, int]:
    """Draw one part of an index for the first of `shape`, and how many dimensions it takes."""
    n = shape[0] if shape else 1
    kind = draw.choice(("int", "slice", "array", "array", "mask", "none", "bool"))
    if kind == "none":
        return ("none",), 0
    if kind == "bool":
        return draw.choice((("bool", True), ("tensor", True, "bool"), ("bool", False))), 0
    if kind == "int":
        at = numbers(draw, n, 1)[0]
        return draw.choice((at, ("np", at, "int64"), ("tensor", at, "int64"))), 1
    if kind == "slice":
        ends = [draw.choice((None, *range(-n - 1, n + 2))) for _ in range(2)]
        return ("slice", *ends, draw.choice((None, None, 1, 2, 3))), 1
    if kind == "mask":
        dims = draw.choice((1, 1, 2)) if len(shape) > 1 else 1
        size = shape[:dims] or (1,)
        if 0 in size[:-1]:
            return ("slice", None, None, None), 1
        flat = [draw.random() < 0.6 for _ in range(int(np.prod(size)))]
        # PyTorch counts a NumPy mask of several dimensions as one where an Ellipsis is to be filled
        how = draw.choice(("tensor", "array")) if dims == 1 else "tensor"
        return (how, np.array(flat, bool).reshape(size).tolist(), "bool"), dims
    values = numbers(draw, n, count)
    form = draw.choice(("list", "tuple", "tensor", "array", "row", "column"))
    if form in ("list", "tuple"):
        return (form, *values), 1
    nested: Any = {"row": [values], "column": [[v] for v in values]}.get(form, values)
    return ("array" if form == "array" else "tensor", nested, "int64"), 1


def drawn(seed: int, count: int) -> list[Case]:
    """Draw cases: shapes, and tuples of parts that mostly fit."""
    draw = random.Random(seed)
    made: list[Case] = []
    while len(made) < count:
        shape = draw.choice(SHAPES)
        several = draw.choice((1, 2, 2, 3))
        parts: list[Any] = []
        at, dots = 0, False
        for _ in range(draw.randrange(1, len(shape) + 3)):
            if not dots and draw.random() < 0.12:
                parts.append(("dots",))
                dots, at = True, min(len(shape), at + draw.randrange(3))
                continue
            part, taken = drawn_part(draw, shape[at:], several)
            at += taken
            if at > len(shape) and draw.random() < 0.9:
                break
            parts.append(part)
        made.append((shape, ("tuple", *parts)))
    return made


def every_case() -> list[Case]:
    """Return the cases of the golden file, in its order."""
    whole = [(shape, index) for shape in ((3, 4, 2), (3,)) for index in WHOLE]
    return whole + drawn(SEED, COUNT)


# ---------------------------------------------------------------- what a case does
def weights(shape: tuple[int, ...], first: int) -> Array:
    """Return whole numbers, no two alike, from `first`."""
    return np.arange(first, first + int(np.prod(shape)), dtype=np.float64).reshape(shape)


def tensors(lib: Any, device: str) -> Any:
    """Return a function that makes a leaf of an array."""

    def leaf(a: Array, moves: bool = True) -> Any:
        # the simulator has no float64 to spare; the numbers are small and whole
        t = lib.tensor(a.tolist(), dtype=lib.float32).reshape(a.shape).to(device)
        t.requires_grad = moves
        return t

    return leaf


def evaluate(lib: Any, case: Case, device: str = "cpu", index: Any = None) -> list[Array] | None:
    """Return all that the case reads and writes as arrays; None where it raises.

    In order: what is read; whether a write to it reaches x; its gradient; x after a number, a
    tensor and a row are written, and after `x[i] += v`; the gradients of the old elements and of
    the tensor.
    """
    shape, tree = case
    leaf = tensors(lib, device)
    i = build(lib, tree) if index is None else index
    x = leaf(weights(shape, 1))
    try:
        y = x[i]
    except (IndexError, TypeError, ValueError, RuntimeError):
        return None
    kept = tuple(y.shape)
    (y * leaf(weights(kept, 2), False)).sum().backward()
    found = [y, x.grad]
    with lib.no_grad():
        y.zero_()
    found.append(x * 1)  # zero where `y` is a view
    for value in (-5.0, leaf(weights(kept, 100)), leaf(weights(kept[-1:], 60))):
        old = leaf(weights(shape, 1))
        z = old * 1
        z[i] = value
        (z * leaf(weights(shape, 3), False)).sum().backward()
        found += [z, old.grad]
        if value.__class__ is not float:  # PyTorch leaves None where nothing was written
            found.append(value * 0 if value.grad is None else value.grad)
    z = leaf(weights(shape, 1)) * 1
    z[i] += leaf(weights(kept, 10))
    return [a.detach().cpu().numpy().copy() for a in (*found, z)]


def quietly(lib: Any, case: Case) -> list[Array] | None:
    """Return what `evaluate` does, without PyTorch's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return evaluate(lib, case)


# ---------------------------------------------------------------- along one dimension
X = np.arange(6.0).reshape(2, 3)
ALONG = [
    # function, input, dim, index, dtype of the index
    *(("gather", X, 1, [[1], [0]], kind) for kind in ("int64", "int32", "uint8", "bool")),
    *(("gather", X, 1, [[1], [0]], kind) for kind in ("int16", "float32")),
    ("gather", X, 1, [[-1], [0]], "int64"),
    ("gather", X, 1, [[3], [0]], "int64"),
    ("gather", X, 1, [[2]], "int64"),
    ("gather", X, 0, [[1, 0, 1], [1, 1, 1], [0, 0, 0]], "int64"),
    ("gather", X, 1, [[0], [0], [0]], "int64"),
    ("gather", X, 1, [[], []], "int64"),
    ("gather", X, 1, [0], "int64"),
    ("gather", np.array(5.0), 0, 0, "int64"),
    ("gather", np.array(5.0), 0, [0, 0], "int64"),
    ("gather", np.array(5.0), -1, [1], "int64"),
    ("gather", X[0], 0, 1, "int64"),
    ("gather", X[:0], 0, np.zeros((0, 3)), "int64"),
    ("gather", X[:0], 0, [[0, 0, 0]], "int64"),
    *(("index_select", X, 0, [1, 0, 1], kind) for kind in ("int64", "int32", "uint8")),
    *(("index_select", X, 0, [1, 0], kind) for kind in ("bool", "int16", "float32")),
    ("index_select", X, 0, [-1], "int64"),
    ("index_select", X, 1, [3], "int64"),
    ("index_select", X, -1, 2, "int64"),
    ("index_select", X, 2, [0], "int64"),
    ("index_select", X, 0, [[0]], "int64"),
    ("index_select", X, 1, [], "int64"),
    ("index_select", X[:, :0], 0, [1, 1], "int64"),
    ("index_select", np.array(5.0), 0, [0], "int64"),
    ("index_select", np.array(5.0), 0, 0, "int64"),
    ("index_select", np.array(5.0), 0, [0, 0], "int64"),
]


def along(lib: Any, case: Any) -> Any:
    """Return the values and the gradient of a pick along one dimension, None where it raises."""
    name, a, dim, index, kind = case
    x = lib.tensor(a, dtype=lib.float64, requires_grad=True)
    try:
        y = getattr(x, name)(dim, lib.tensor(index, dtype=getattr(lib, kind)))
    except (IndexError, TypeError, ValueError, RuntimeError):
        return None
    w = np.arange(2.0, 2.0 + np.prod(y.shape)).reshape(tuple(y.shape))
    (y * lib.tensor(w)).sum().backward()
    return [y.tolist(), x.grad.tolist()]
