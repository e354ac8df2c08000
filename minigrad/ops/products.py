"""Products of tensors: einsum, tensordot, and sums of products, all over `matmul`."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from minigrad.engine import arguments
from minigrad.engine.dtypes import promoted
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import Bridge
from minigrad.ops.arranging import listed, sequence_of
from minigrad.ops.common import axis_of, tensor_of
from minigrad.ops.elementwise import where
from minigrad.ops.grammar import host
from minigrad.ops.linalg import matmul, swapped
from minigrad.ops.memory import cast
from minigrad.ops.reduce import Sum, norm
from minigrad.ops.registry import public
from minigrad.ops.shape import Permute, Reshape, expand
from minigrad.ops.triangles import Diagonal

Labels = list[str]
LETTERS = string.ascii_uppercase + string.ascii_lowercase


# ---------------------------------------------------------------- einsum
@public("function")
def einsum(*args: Any) -> Any:
    """Return the sum of products that an equation describes: a letter a dimension, one that is
    not in the result is summed over, `...` stands for any others.

    Either `einsum("ij,jk->ik", a, b)`, or operands with lists of numbers, `einsum(a, [0, 1], b,
    [1, 2], [0, 2])`.

    >>> import minigrad as mg
    >>> mg.einsum("ij,ij->i", mg.tensor([[1.0, 2.0]]), mg.tensor([[3.0, 4.0]]))
    tensor([11.])
    """
    if not args:
        raise ArgumentError("einsum: expected an equation and operands")
    if isinstance(args[0], str):
        equation, operands = args[0], listed("einsum", args[1:])
    else:
        equation, operands = written_out(args)
    inputs, output = parsed(equation, operands)
    terms = [simplified(t, labels) for t, labels in zip(operands, inputs, strict=True)]
    widest = sizes_of_labels(equation, terms)
    missing = [c for c in output if c not in widest]
    if missing:
        raise ArgumentError(
            f"einsum: {missing[0]!r} of the result is in no operand of {equation!r}"
        )
    first, *rest = terms
    for i, (right, labels) in enumerate(rest):
        later = {c for _, more in rest[i + 1 :] for c in more} | set(output)
        first = contracted(*first, right, labels, later)
    return arranged(*first, output)


def written_out(args: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """Return the equation, and the operands, of operands with lists of numbers."""

    def label(n: Any) -> str:
        return "..." if n is Ellipsis else LETTERS[int(n)]

    lists = ["".join(map(label, given)) for given in args[1::2]]
    operands = tuple(args[0::2])
    if len(args) % 2:  # the last list is the result's
        result = "".join(map(label, args[-1]))
        return ",".join(lists) + "->" + result, operands[:-1]
    return ",".join(lists), operands


def parsed(equation: str, operands: Sequence[Any]) -> tuple[list[Labels], Labels]:
    """Return the labels of each operand and of the result; those of `...` are digits."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        raise ArgumentError(
            f"einsum: {equation!r} has {len(parts)} operands, {len(operands)} were given"
        )
    shown = text.replace("->", "").replace("...", "").replace(",", "")
    if not all(c in LETTERS for c in shown):
        raise ArgumentError(f"einsum: expected letters, commas, '->' and '...', got {equation!r}")
    inputs, wide = [], 0
    for part, t in zip(parts, operands, strict=True):
        before, dots, after = part.partition("...")
        free = t.ndim - len(before) - len(after)
        if free < 0 or (free and not dots):
            raise ArgumentError(
                f"einsum: {part!r} of {equation!r} does not fit an operand of shape {t.shape}"
            )
        wide = max(wide, free)
        inputs.append([*before, *places(free), *after])
    if arrow:
        before, dots, after = right.partition("...")
        output = [*before, *(places(wide) if dots else ()), *after]
        if len(set(output)) != len(output):
            raise ArgumentError(f"einsum: a letter of the result of {equation!r} is there twice")
        return inputs, output
    found = [c for labels in inputs for c in labels]
    alone = sorted(c for c in set(found) if found.count(c) == 1 and c in LETTERS)
    return inputs, [*places(wide), *alone]


def places(count: int) -> Labels:
    """Return the labels of the dimensions that `...` stands for, counted from the right."""
    return [f"{i}" for i in range(count, 0, -1)]


def simplified(t: Any, labels: Labels) -> tuple[Any, Labels]:
    """Return an operand with its repeated labels as diagonals."""
    labels = list(labels)
    for c in dict.fromkeys(labels):
        while labels.count(c) > 1:
            i = labels.index(c)
            j = labels.index(c, i + 1)
            if t.shape[i] != t.shape[j]:
                raise ArgumentError(
                    f"einsum: {c!r} names sizes {t.shape[i]} and {t.shape[j]} of one operand"
                )
            t = Diagonal.apply(t, offset=0, axis1=i, axis2=j)
            labels = [k for n, k in enumerate(labels) if n not in (i, j)] + [c]
    return t, labels


def sizes_of_labels(equation: str, terms: Sequence[tuple[Any, Labels]]) -> dict[str, int]:
    """Return the size of each label; a size of 1 goes beside any other."""
    sizes: dict[str, int] = {}
    for t, labels in terms:
        for c, n in zip(labels, t.shape, strict=True):
            known = sizes.get(c, 1)
            if n != known and n != 1 and known != 1:
                raise ArgumentError(f"einsum: {c!r} of {equation!r} has sizes {known} and {n}")
            sizes[c] = n if known == 1 else known
    return sizes


def contracted(a: Any, left: Labels, b: Any, right: Labels, later: set[str]) -> tuple[Any, Labels]:
    """Return the product of two operands, summed over what nothing after them needs."""
    a, left = summed(a, left, set(right) | later)
    b, right = summed(b, right, set(left) | later)
    sizes = sizes_of_labels("", [(a, left), (b, right)])
    both = [c for c in left if c in right]
    # A dimension of size 1 beside a larger one is broadcast, and cannot be a matrix's.
    kept = [c for c in both if c in later]
    inner = [c for c in both if c not in later]
    ours = [c for c in left if c not in right]
    theirs = [c for c in right if c not in left]
    if not inner:
        wide = [*kept, *ours, *theirs]
        return spread(a, left, wide) * spread(b, right, wide), wide
    x = arranged(a, left, [*kept, *ours, *inner])
    y = arranged(b, right, [*kept, *inner, *theirs])
    x = expand(x, [sizes[c] for c in (*kept, *ours, *inner)])
    y = expand(y, [sizes[c] for c in (*kept, *inner, *theirs)])
    shapes = [tuple(sizes[c] for c in names) for names in (kept, ours, inner, theirs)]
    batch, m, k, n = (math.prod(s) for s in shapes)
    if kept:
        product = matmul(
            Reshape.apply(x, shape=(batch, m, k)), Reshape.apply(y, shape=(batch, k, n))
        )
    else:
        product = matmul(Reshape.apply(x, shape=(m, k)), Reshape.apply(y, shape=(k, n)))
    whole = Reshape.apply(product, shape=(*shapes[0], *shapes[1], *shapes[3]))
    return whole, [*kept, *ours, *theirs]


def summed(t: Any, labels: Labels, needed: set[str]) -> tuple[Any, Labels]:
    """Return an operand summed over the labels that nothing else needs."""
    axes = tuple(i for i, c in enumerate(labels) if c not in needed)
    if not axes:
        return t, labels
    return typed_sum(t, axes), [c for c in labels if c in needed]


def typed_sum(t: Any, axes: tuple[int, ...]) -> Any:
    """Return a sum in the dtype of its operand."""
    return cast(Sum.apply(t, dim=axes), t.dtype)


def arranged(t: Any, labels: Labels, wanted: Sequence[str]) -> Any:
    """Return an operand with its labels in another order, the others summed over."""
    t, labels = summed(t, labels, set(wanted))
    order = tuple(labels.index(c) for c in wanted)
    return t if order == tuple(range(len(order))) else Permute.apply(t, axes=order)


def spread(t: Any, labels: Labels, wanted: Sequence[str]) -> Any:
    """Return an operand with a dimension for every label, of size 1 where it has none."""
    t = arranged(t, labels, [c for c in wanted if c in labels])
    sizes = iter(t.shape)
    return Reshape.apply(t, shape=tuple(next(sizes) if c in labels else 1 for c in wanted))


# ---------------------------------------------------------------- contractions
@public("function")
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Return the product of two tensors summed over dimensions of both.

    dims: how many, the last of `a` and the first of `b`; or the two lists of them.

    >>> import minigrad as mg
    >>> mg.tensordot(mg.ones(2, 3), mg.ones(3, 4), 1).shape
    (2, 4)
    """
    if isinstance(dims, Bridge.tensor):
        dims = host(dims).tolist()
    if not isinstance(dims, (tuple, list)):
        dims = arguments.whole("tensordot", "dims", dims)
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ArgumentError(
                f"tensordot: dims {dims} is out of range for {a.shape} and {b.shape}"
            )
        first, second = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        first, second = (list(sequence_of(d)) for d in dims)
    if len(first) != len(second):
        raise ArgumentError(f"tensordot: expected as many dims of both, got {first} and {second}")
    first = [axis_of("tensordot", d, a.ndim) for d in first]
    second = [axis_of("tensordot", d, b.ndim) for d in second]
    names = iter(LETTERS)
    left = [next(names) for _ in range(a.ndim)]
    right = [next(names) for _ in range(b.ndim)]
    for i, j in zip(first, second, strict=True):
        if a.shape[i] != b.shape[j] and 1 not in (a.shape[i], b.shape[j]):
            raise ArgumentError(
                f"tensordot: dim {i} of {a.shape} and dim {j} of {b.shape} must have one size"
            )
        right[j] = left[i]
    later = {c for c in (*left, *right) if (c in left) != (c in right)}
    return contracted(a, left, b, right, later)[0]


@public("tensor")
def inner(input: Any, other: Any) -> Any:
    """Return the sums of products over the last dimensions of both; of a number, the product."""
    if not input.ndim or not other.ndim:
        return input * other
    return tensordot(input, other, ([-1], [-1]))


@public("tensor")
def vdot(input: Any, other: Any) -> Any:
    """Return the inner product of two vectors."""
    for t in (input, other):
        if t.ndim != 1:
            raise ArgumentError(f"vdot: expected two vectors, got {input.shape} and {other.shape}")
    if input.shape != other.shape:
        raise ArgumentError(f"vdot: sizes {input.shape} and {other.shape} must agree")
    return matmul(input, other)


@public("tensor")
def mv(input: Any, vec: Any) -> Any:
    """Return the product of a matrix and a vector."""
    if input.ndim != 2 or vec.ndim != 1:
        raise ArgumentError(
            f"mv: expected a matrix and a vector, got {input.shape} and {vec.shape}"
        )
    return matmul(input, vec)


def plus_product(name: str, input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """Return beta * input + alpha * product; without `input`, not even its NaN, where beta is 0."""
    dtype = product.array.dtype
    if promoted(input.array.dtype, dtype) != dtype:
        raise ArgumentTypeError(
            f"{name}: dtypes {input.array.dtype} and {dtype} differ; convert one of them"
        )
    if dtype.kind == "b":  # sums of bools are bools
        return ((expand(input, product.shape) & bool(beta)) | (product & bool(alpha))).bool()
    if dtype.kind != "f":
        beta, alpha = int(beta), int(alpha)
    if alpha != 1:
        product = product * tensor_of(alpha, product)
    if beta == 0:
        zero = where(input != input, tensor_of(0, input), input) * 0
        return expand(zero, product.shape) + product
    wide = expand(input, product.shape)
    return (wide if beta == 1 else wide * tensor_of(beta, wide)) + product


def ranks(name: str, tensors: Sequence[Any], dims: Sequence[int]) -> None:
    """Refuse operands of other numbers of dimensions."""
    for t, n in zip(tensors, dims, strict=True):
        if t.ndim != n:
            shown = " and ".join(str(tuple(x.shape)) for x in tensors)
            raise ArgumentError(
                f"{name}: expected {' and '.join(map(str, dims))} dims, got {shown}"
            )


@public("tensor", inplace=True)
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * input + alpha * (mat1 @ mat2).

    >>> import minigrad as mg
    >>> mg.addmm(mg.ones(1), mg.ones(1, 2), mg.ones(2, 1), alpha=3)
    tensor([[7.]])
    """
    ranks("addmm", (mat1, mat2), (2, 2))
    return plus_product("addmm", input, matmul(mat1, mat2), beta, alpha)


@public("tensor", inplace=True)
def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * input + alpha * (mat @ vec)."""
    ranks("addmv", (mat, vec), (2, 1))
    return plus_product("addmv", input, matmul(mat, vec), beta, alpha)


@public("tensor", inplace=True)
def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * input + alpha * (outer product of two vectors)."""
    ranks("addr", (vec1, vec2), (1, 1))
    column = Reshape.apply(vec1, shape=(-1, 1))
    return plus_product("addr", input, column * vec2, beta, alpha)


@public("tensor", inplace=True)
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * input + alpha * (batch1 @ batch2), a matrix each."""
    ranks("baddbmm", (batch1, batch2), (3, 3))
    return plus_product("baddbmm", input, matmul(batch1, batch2), beta, alpha)


@public("tensor", inplace=True)
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * input + alpha * (sum of the products of batches of matrices)."""
    ranks("addbmm", (batch1, batch2), (3, 3))
    product = typed_sum(matmul(batch1, batch2), (0,))
    return plus_product("addbmm", input, product, beta, alpha)


@public("function")
def chain_matmul(*matrices: Any) -> Any:
    """Return the product of matrices, in the order that needs the fewest multiplications."""
    found = listed("chain_matmul", matrices)
    ranks("chain_matmul", found, (2,) * len(found))
    return chained(found)


def chained(matrices: Sequence[Any]) -> Any:
    """Return the product of matrices, by dynamic programming over where to cut."""
    n = len(matrices)
    sizes = [matrices[0].shape[0], *(m.shape[1] for m in matrices)]
    cost = {(i, i): (0, i) for i in range(n)}
    for span in range(1, n):
        for i in range(n - span):
            j = i + span
            ways = [
                (
                    cost[i, k][0] + cost[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1],
                    k,
                )
                for k in range(i, j)
            ]
            cost[i, j] = min(ways)

    def product(i: int, j: int) -> Any:
        if i == j:
            return matrices[i]
        k = cost[i, j][1]
        return matmul(product(i, k), product(k + 1, j))

    return product(0, n - 1)


# ---------------------------------------------------------------- distances
CDIST_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


def by_products(a: Any, b: Any) -> Any:
    """Return the distances of all pairs of rows by |a|^2 + |b|^2 - 2 a b, a product of matrices.

    Of rows that are nearly equal the squares cancel: the error of a distance d is up to some
    eps |a|^2 / d, as PyTorch's.  Where the squares leave nothing it and its gradient are 0.
    """
    squares = (a * a).sum(-1, True) + swapped((b * b).sum(-1, True))
    apart = squares - 2 * matmul(a, swapped(b))
    found = apart.detach() > 0
    # Not a number stays so: of it nothing is above 0.
    found = found | apart.detach().isnan()
    return where(found, where(found, apart, 1.0).sqrt(), 0.0)


@public("function")
def cdist(
    x1: Any,
    x2: Any,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Any:
    """Return the p-norms of the differences of all pairs of rows.

    Shape: x1: (..., P, M), x2: (..., R, M) -> (..., P, R).
    compute_mode: for p = 2, whether a product of matrices stands for the differences, which is
        faster and less exact for rows that nearly agree: "use_mm_for_euclid_dist",
        "donot_use_mm_for_euclid_dist", or by default from more than 25 rows on.

    >>> import minigrad as mg
    >>> mg.cdist(mg.zeros(1, 2), mg.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """
    for t in (x1, x2):
        if t.ndim < 2 or t.array.dtype.kind != "f":
            raise ArgumentError(
                f"cdist: expected floating tensors (..., rows, size), got {t.dtype} {t.shape}"
            )
    if x1.shape[-1] != x2.shape[-1]:
        raise ArgumentError(f"cdist: rows of {x1.shape} and {x2.shape} must have one size")
    if p < 0:
        raise ArgumentError(f"cdist: p must not be negative, got {p}")
    if compute_mode not in CDIST_MODES:
        raise ArgumentError(
            f"cdist: compute_mode must be one of {CDIST_MODES}, got {compute_mode!r}"
        )
    many = max(x1.shape[-2], x2.shape[-2]) > 25
    products = compute_mode == CDIST_MODES[1] or (many and compute_mode == CDIST_MODES[0])
    if products and p == 2 and x1.array.dtype == x2.array.dtype and x1.shape[-1]:
        return by_products(x1, x2)
    a = Reshape.apply(x1, shape=(*x1.shape[:-1], 1, x1.shape[-1]))
    b = Reshape.apply(x2, shape=(*x2.shape[:-2], 1, *x2.shape[-2:]))
    gaps = a - b
    if not gaps.shape[-1]:
        return typed_sum(gaps, (gaps.ndim - 1,))
    return norm(gaps, p, -1)


@public("tensor")
def dist(input: Any, other: Any, p: float = 2.0) -> Any:
    """Return the p-norm of the difference of two tensors."""
    return norm(input - other, p)
