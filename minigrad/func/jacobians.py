"""Whole matrices of derivatives: `jacrev` row by row, `jacfwd` column by column, `hessian`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.func import trees
from minigrad.func.forward import jvp
from minigrad.func.reverse import Argnums, chosen, grad, tensors_of, vjp
from minigrad.func.vectorized import vmap
from minigrad.ops.shape import permute
from minigrad.tensors.creation import zeros_like
from minigrad.tensors.tensor import Tensor, new


def units(tensors: Sequence[Tensor], k: int) -> list[Tensor]:
    """Return one tensor a unit vector of the k-th, stacked: (n, *shape); zeros for the others."""
    n = tensors[k].numel()
    found = []
    for i, t in enumerate(tensors):
        made = np.zeros((n, *t.shape), t.array.dtype)
        if i == k:
            made.reshape(n, n)[...] = np.eye(n, dtype=t.array.dtype)
        found.append(new(made).to(t.device))
    return found


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """Return a function that computes the Jacobian of `func`, one reverse sweep for all its rows.

    For outputs and arguments that are nested, it is nested as the output, and inside as the
    arguments.  chunk_size: how many rows are computed at once; None is all.

    Shape: output S, argument T -> (*S, *T).

    >>> import minigrad as mg
    >>> mg.func.jacrev(lambda x: x * x)(mg.tensor([1.0, 3.0]))
    tensor([[2., 0.],
            [0., 6.]])
    """

    @functools.wraps(func)
    def jacobian(*args: Any, **options: Any) -> Any:
        function, inputs = of_chosen("jacrev", func, args, argnums, options)
        found = vjp(function, *inputs, has_aux=has_aux)
        outputs, shape = tensors_of("jacrev", found[0])
        pull = found[1]
        rows = []
        for k, y in enumerate(outputs):
            if not y.numel():
                rows.append(empty_rows(y, inputs, argnums))
                continue
            seeds = units(outputs, k)
            sweep = vmap(lambda *s: pull(trees.unflatten(shape, s)), chunk_size=chunk_size)
            block = [fold_first(g, y.shape) for g in trees.flatten(sweep(*seeds))[0]]
            rows.append(as_arguments(block, inputs, argnums))
        result = trees.unflatten(shape, rows)
        return (result, found[2]) if has_aux else result

    return jacobian


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """Return a function that computes the Jacobian of `func`, one pass forward for all its columns;
    see `jacrev`.

    >>> import minigrad as mg
    >>> mg.func.jacfwd(lambda x: x * x)(mg.tensor([1.0, 3.0]))
    tensor([[2., 0.],
            [0., 6.]])
    """

    @functools.wraps(func)
    def jacobian(*args: Any, **options: Any) -> Any:
        function, inputs = of_chosen("jacfwd", func, args, argnums, options)
        leaves, shape = trees.flatten(tuple(inputs))
        primals = trees.unflatten(shape, leaves)
        columns: list[list[Any]] = []
        aux = output_shape = None

        def push(*tangents: Any) -> Any:
            nonlocal aux, output_shape
            found = jvp(function, primals, trees.unflatten(shape, tangents), has_aux=has_aux)
            moved, output_shape = tensors_of("jacfwd", found[1])
            aux = found[2] if has_aux else None
            return tuple(moved)

        for k, x in enumerate(leaves):
            if not x.numel():
                zero = [zeros_like(t) for t in leaves]
                columns.append([fold_last(y, x.shape) for y in push(*zero)])
                continue
            found = vmap(push, randomness=randomness)(*units(leaves, k))
            columns.append([fold_last(y, x.shape) for y in found])
        assert output_shape is not None
        rows = [as_arguments(list(block), inputs, argnums) for block in zip(*columns, strict=True)]
        result = trees.unflatten(output_shape, rows)
        return (result, aux) if has_aux else result

    return jacobian


def of_chosen(
    name: str, func: Callable[..., Any], args: Sequence[Any], argnums: Argnums, options: Any
) -> tuple[Callable[..., Any], list[Any]]:
    """Return a function of the chosen arguments alone, and these."""
    numbers = chosen(name, args, argnums)

    def function(*inputs: Any) -> Any:
        given = list(args)
        for n, value in zip(numbers, inputs, strict=True):
            given[n] = value
        return func(*given, **options)

    return function, [args[n] for n in numbers]


def fold_first(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return (n, *T) as (*shape, *T)."""
    return g.reshape(*shape, *g.shape[1:])


def fold_last(y: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return (n, *S) as (*S, *shape)."""
    if not math.prod(shape):
        return new(np.zeros((*y.shape, *shape), y.array.dtype))
    moved = permute(y, (*range(1, y.ndim), 0))
    return moved.reshape(*y.shape[1:], *shape)


def empty_rows(y: Tensor, inputs: Sequence[Any], argnums: Argnums) -> Any:
    """Return the rows of an output without elements."""
    leaves = trees.flatten(tuple(inputs))[0]
    block = [new(np.zeros((*y.shape, *t.shape), y.array.dtype)) for t in leaves]
    return as_arguments(block, inputs, argnums)


def as_arguments(block: list[Any], inputs: Sequence[Any], argnums: Argnums) -> Any:
    """Return blocks nested as the arguments are; of a single one by itself."""
    found = trees.unflatten(trees.flatten(tuple(inputs))[1], block)
    return found if isinstance(argnums, tuple) else found[0]


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that computes the second derivatives of `func`: forward over reverse.

    >>> import minigrad as mg
    >>> mg.func.hessian(lambda x: (x * x * x).sum())(mg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


def hvp(
    func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Any, Any]:
    """Return the gradient of `func` and the Hessian times `tangents`, without the Hessian; a single
    argument's by itself, else tuples.

    func: returns a single number.  Forward over reverse: the cost is that of a few gradients.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0])
    >>> mg.func.hvp(lambda x: (x * x * x).sum(), (x,), (mg.tensor([1.0, 0.0]),))
    (tensor([ 3., 12.]), tensor([6., 0.]))
    """
    argnums: Argnums = tuple(range(len(primals))) if len(primals) > 1 else 0
    found: tuple[Any, Any] = jvp(grad(func, argnums), primals, tangents)
    return found


def vhp(
    func: Callable[..., Any], primals: tuple[Any, ...], cotangents: tuple[Any, ...]
) -> tuple[Any, Any]:
    """Return the gradient of `func` and `cotangents` times the Hessian, reverse over reverse.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0])
    >>> mg.func.vhp(lambda x: (x * x * x).sum(), (x,), (mg.tensor([1.0, 0.0]),))
    (tensor([ 3., 12.]), tensor([6., 0.]))
    """
    single = len(primals) == 1
    value, pull = vjp(grad(func, 0 if single else tuple(range(len(primals)))), *primals)
    found = pull(cotangents[0] if single else tuple(cotangents))
    return value, found[0] if single else found
