"""Reverse mode: `vjp`, `grad` and `grad_and_value`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.engine.backward import first_seed, sweep
from minigrad.engine.grad_mode import mode
from minigrad.engine.routes import edges_of
from minigrad.func import trees
from minigrad.func.lane_ops import Copies, matched
from minigrad.func.lanes import has_lanes, levels_that_differ, sizes_in
from minigrad.func.levels import alias, depends, settled, transform
from minigrad.tensors.creation import zeros_like
from minigrad.tensors.tensor import Tensor
from minigrad.tensors.transforms import parted

Argnums = int | tuple[int, ...]


def pulled(
    outputs: Sequence[Tensor],
    seeds: Sequence[Tensor],
    sources: Sequence[Tensor],
    create_graph: bool,
    retain_graph: bool,
) -> tuple[Any, ...]:
    """Carry seeds back from outputs to sources; None for a source that no output depends on."""
    pairs = [(y, within(s, y)) for y, s in zip(outputs, seeds, strict=True) if y.tracked]
    was, mode.recording = mode.recording, mode.level(create_graph)
    try:
        found: Any = {}
        if pairs:
            roots, weights = zip(*pairs, strict=True)
            found = sweep(roots, weights, create_graph, retain_graph, edges_of(sources))
        grads = [found.get(id(t.node)) for t in sources]
        return parted(list(seeds), [None if g is None else g[1] for g in grads])
    finally:
        mode.recording = was


def within(t: Tensor, like: Tensor) -> Any:
    """Return a tensor in all lanes of another, with memory of its own where that one differs: what
    rules compute from it lies as it does.
    """
    if not has_lanes(like.array):
        return t
    found = matched(t, sizes_in(like.array))
    wanted = levels_that_differ(like.array)
    if wanted <= levels_that_differ(found.array):
        return found
    return Copies.apply(found, levels=wanted)


def differentiable(name: str, tensors: Sequence[Any]) -> list[Tensor]:
    """Return aliases of tensors.

    Raises: TypeError for what is none, or has no gradient.
    """
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(
                f"{name}: expected tensors, nested in tuples, lists or dicts, to differentiate by;"
                f" leaf {i} is {type(t).__name__}"
            )
        if t.array.dtype.kind != "f":
            raise TypeError(
                f"{name}: only floating tensors have gradients, leaf {i} is {t.array.dtype}; use "
                ".float()"
            )
    return [alias(t) for t in tensors]


def tensors_of(name: str, tree: Any) -> tuple[list[Tensor], trees.Shape]:
    """Return the leaves of a function's output.

    Raises: TypeError for what is no tensor.
    """
    leaves, shape = trees.flatten(tree)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise TypeError(
                f"{name}: expected the function to return tensors, got {type(leaf).__name__}"
            )
    return leaves, shape


def parts_of(name: str, result: Any, has_aux: bool) -> tuple[Any, Any]:
    """Return what a function gave, and what it gave beside that.

    Raises: TypeError where `has_aux` asks for a pair and there is none.
    """
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise TypeError(
            f"{name}: with has_aux=True the function must return a pair (output, aux), got "
            f"{type(result).__name__}"
        )
    return result


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return func(*primals) and a function that takes a gradient of the output to those of inputs.

    `vjp_fn(cotangents)` takes what is nested as the output and returns a tuple, one for each of
    `primals`; zeros where the output does not depend on one.  has_aux: `func` returns (output,
    aux), and aux is returned as a third.

    >>> import minigrad as mg
    >>> y, pull = mg.func.vjp(lambda x: x * x, mg.tensor([1.0, 3.0]))
    >>> pull(mg.ones(2))
    (tensor([2., 6.]),)
    """
    leaves, shape = trees.flatten(primals)
    outer = bool(mode.recording)
    with transform():
        sources = differentiable("vjp", leaves)
        output, aux = parts_of("vjp", func(*trees.unflatten(shape, sources)), has_aux)
        outputs, output_shape = tensors_of("vjp", output)
    deep = depends(outputs, sources)

    def vjp_fn(
        cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None
    ) -> tuple[Any, ...]:
        seeds, given = trees.flatten(cotangents)
        if given != output_shape:
            raise RuntimeError(
                f"vjp: the cotangents are nested otherwise than the output: {len(seeds)} tensors "
                f"for {len(outputs)}"
            )
        for y, s in zip(outputs, seeds, strict=True):
            if not isinstance(s, Tensor) or s.shape != y.shape:
                raise RuntimeError(
                    f"vjp: expected a cotangent of shape {y.shape}, got "
                    f"{s.shape if isinstance(s, Tensor) else type(s).__name__}"
                )
        seeds = [first_seed("vjp", y, s) for y, s in zip(outputs, seeds, strict=True)]
        if create_graph is None:
            moving = deep or any(s.tracked for s in seeds)
            create_graph = moving and bool(mode.recording or outer)
        found = pulled(outputs, seeds, sources, create_graph, retain_graph)
        grads = [zeros_like(t) if g is None else g for g, t in zip(found, sources, strict=True)]
        return tuple(trees.unflatten(shape, grads))

    results = trees.unflatten(output_shape, [settled(y, sources) for y in outputs])
    if not has_aux:
        return results, vjp_fn
    return results, vjp_fn, trees.mapped(lambda t: settled(t, sources), aux)


def chosen(name: str, args: Sequence[Any], argnums: Argnums) -> list[int]:
    """Return the positions that `argnums` names, counted from the left.

    Raises: RuntimeError for one that is out of range, TypeError for what is no int.
    """
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)
    for n in numbers:
        if not isinstance(n, int) or isinstance(n, bool):
            raise TypeError(f"{name}: argnums must be an int or a tuple of ints, got {argnums!r}")
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"{name}: argnum {n} is out of range for {len(args)} arguments")
    found = [n % len(args) for n in numbers]
    if not found or len(set(found)) < len(found):
        raise RuntimeError(f"{name}: argnums must name one argument or several, got {argnums!r}")
    return found


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that computes the gradient of `func` and its value, (gradient, value).

    func: returns a single number, as a tensor.  argnums: by which arguments, each a tensor or
    tensors nested in tuples, lists and dicts; a tuple gives a tuple of gradients.  has_aux: `func`
    returns (value, aux), and the value is that pair.

    >>> import minigrad as mg
    >>> mg.func.grad_and_value(lambda x: (x * x).sum())(mg.tensor([1.0, 2.0]))
    (tensor([2., 4.]), tensor(5.))
    """
    name = "grad"

    @functools.wraps(func)
    def differentiated(*args: Any, **options: Any) -> Any:
        numbers = chosen(name, args, argnums)
        outer = bool(mode.recording)
        with transform():
            leaves, shape = trees.flatten([args[n] for n in numbers])
            sources = differentiable(name, leaves)
            inputs = list(args)
            for n, value in zip(numbers, trees.unflatten(shape, sources), strict=True):
                inputs[n] = value
            output, aux = parts_of(name, func(*inputs, **options), has_aux)
            check_scalar(output)
            deep = depends((output,), sources)
            seed = first_seed(name, output, None)
            value = settled(output, sources)
            aux = trees.mapped(lambda t: settled(t, sources), aux) if has_aux else None
            found = pulled([output], [seed], sources, deep, deep)
        grads = [zeros_like(t) if g is None else g for g, t in zip(found, sources, strict=True)]
        if deep and not outer:
            grads = [g.detach() for g in grads]
        parts = trees.unflatten(shape, grads)
        if has_aux:
            value = value, aux
        return (tuple(parts) if isinstance(argnums, tuple) else parts[0]), value

    return differentiated


def check_scalar(output: Any) -> None:
    """Refuse an output that is no single floating number."""
    if not isinstance(output, Tensor):
        raise RuntimeError(
            f"grad: expected the function to return a tensor, got {type(output).__name__}; return"
            " what goes beside it as (loss, aux) with has_aux=True"
        )
    if output.array.ndim:
        raise RuntimeError(
            f"grad: expected the function to return a single number, got shape {output.shape}; "
            "reduce it, e.g. .sum(), or use jacrev"
        )
    if output.array.dtype.kind != "f":
        raise RuntimeError(f"grad: expected a floating result, got {output.array.dtype}")


def grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that computes the gradient of `func`; see `grad_and_value`.

    has_aux: `func` returns (value, aux), the result is (gradient, aux).

    >>> import minigrad as mg
    >>> third = mg.func.grad(mg.func.grad(mg.func.grad(lambda x: x**4)))
    >>> third(mg.tensor(2.0))
    tensor(48.)
    """
    compute = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def differentiated(*args: Any, **options: Any) -> Any:
        found, value = compute(*args, **options)
        return (found, value[1]) if has_aux else found

    return differentiated


def value_and_grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that computes (value, gradient): `grad_and_value` in JAX's order.

    >>> import minigrad as mg
    >>> value_and_grad(lambda x: x * x)(mg.tensor(3.0))
    (tensor(9.), tensor(6.))
    """
    compute = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def differentiated(*args: Any, **options: Any) -> Any:
        found, value = compute(*args, **options)
        return value, found

    return differentiated
