"""Derivatives of functions at given inputs, as `torch.autograd.functional` has them.

inputs: a tensor or a tuple of them.  create_graph: record, so that the result can be
differentiated.  strict: raise where an output does not depend on an input, in place of zeros.
`mg.func` has the same as functions of functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.engine.grad_mode import mode, no_grad
from minigrad.func import jacobians, levels, reverse
from minigrad.func.forward import jvp as push_forward
from minigrad.tensors.creation import ones_like
from minigrad.tensors.tensor import Tensor

__all__ = [
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "vhp",
    "vjp",
]

Tensors = Tensor | tuple[Tensor, ...]
Function = Callable[..., Any]


def tuple_of(name: str, given: Any, what: str) -> tuple[Tensor, ...]:
    """Return a tensor, or a tuple of tensors, as a tuple.

    Raises: TypeError for anything else.
    """
    found = given if isinstance(given, tuple) else (given,)
    for t in found:
        if not isinstance(t, Tensor):
            raise TypeError(
                f"{name}: expected {what} to be a tensor or a tuple of them, got {type(t).__name__}"
            )
    return found


def prepared(name: str, inputs: Any, create_graph: bool) -> tuple[Tensor, ...]:
    """Return the inputs: as they are on the tape where the result is to be on it, too."""
    found = tuple_of(name, inputs, "inputs")
    return found if create_graph else tuple([t.detach() for t in found])


def like(given: Any, found: Sequence[Any]) -> Any:
    """Return results as the inputs were given: by themselves, or as a tuple."""
    return tuple(found) if isinstance(given, tuple) else found[0]


def finished(tree: Any, create_graph: bool) -> Any:
    """Return results, off the tape unless they are to be on it."""
    if isinstance(tree, tuple):
        return tuple([finished(t, create_graph) for t in tree])
    return tree if create_graph else tree.detach()


def check_strict(name: str, func: Function, inputs: tuple[Tensor, ...], what: str) -> None:
    """Refuse a function of which an output does not depend on an input."""
    with levels.transform():
        sources = [levels.alias(t) for t in inputs]
        outputs = tuple_of(name, func(*sources), "the function's output")
        for i, y in enumerate(outputs):
            found: Sequence[Any] = [None] * len(sources)
            if y.tracked:
                found = reverse.pulled([y], [ones_like(y)], sources, False, True)
            for k, g in enumerate(found):
                if g is None:
                    raise RuntimeError(
                        f"{name}: strict: output {i} of {what} is independent of input {k}"
                    )


def checked_vector(name: str, v: Any, like_what: tuple[Tensor, ...], what: str) -> Any:
    """Return the vector of a product: given, or 1 for a single number.

    Raises: RuntimeError where it is missing or does not fit.
    """
    if v is None:
        if len(like_what) != 1 or like_what[0].numel() != 1:
            raise RuntimeError(
                f"{name}: v may be left out only where {what} is a single number; give one of its "
                "shape"
            )
        return (ones_like(like_what[0]).detach(),)
    found = tuple_of(name, v, "v")
    if [t.shape for t in found] != [t.shape for t in like_what]:
        raise RuntimeError(
            f"{name}: v has shapes {[t.shape for t in found]}, {what} has "
            f"{[t.shape for t in like_what]}: they must agree"
        )
    return found


def single_number(name: str, func: Function) -> Function:
    """Return a function that checks that its output is one number, and gives it without
    dimensions.
    """

    def scalar(*inputs: Any) -> Any:
        y = func(*inputs)
        if not isinstance(y, Tensor) or y.numel() != 1:
            raise RuntimeError(
                f"{name}: expected the function to return a single number, got "
                f"{f'shape {y.shape}' if isinstance(y, Tensor) else type(y).__name__}"
            )
        return y.reshape(())

    return scalar


def outputs_of(name: str, func: Function) -> Function:
    """Return a function that checks that its output is a tensor or a tuple of them."""

    def function(*inputs: Any) -> Any:
        found = func(*inputs)
        tuple_of(name, found, "the function's output")
        return found

    return function


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Return the Jacobian: for tuples, a tuple by output of tuples by input.

    strategy: "reverse-mode" or "forward-mode".  All rows are computed at once, `vectorize` or not.
    Shape: output S, input T -> (*S, *T).

    >>> import minigrad as mg
    >>> jacobian(lambda x: x * x, mg.tensor([1.0, 3.0]))
    tensor([[2., 0.],
            [0., 6.]])
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(
            f"jacobian: strategy must be 'reverse-mode' or 'forward-mode', got {strategy!r}"
        )
    given = prepared("jacobian", inputs, create_graph)
    if strict:
        check_strict("jacobian", func, given, "the function")
    every = tuple(range(len(given)))
    make = jacobians.jacrev if strategy == "reverse-mode" else jacobians.jacfwd
    with recording(create_graph):
        found = make(outputs_of("jacobian", func), every if isinstance(inputs, tuple) else 0)(
            *given
        )
    return finished(found, create_graph)


def recording(create_graph: bool) -> Any:
    """Return a context that records, or does not."""
    return levels.transform() if create_graph and mode.recording else no_grad()


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Return the second derivatives of a function that gives a single number.

    >>> import minigrad as mg
    >>> hessian(lambda x: (x * x * x).sum(), mg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    given = prepared("hessian", inputs, create_graph)
    every = tuple(range(len(given))) if isinstance(inputs, tuple) else 0
    scalar = single_number("hessian", func)
    gradient = reverse.grad(scalar, every)
    if strict:
        check_strict("hessian", scalar, given, "the function")
        check_strict("hessian", gradient, given, "its gradient")
    forward = outer_jacobian_strategy == "forward-mode"
    make = jacobians.jacfwd if forward else jacobians.jacrev
    with recording(create_graph):
        found = make(gradient, every)(*given)
    return finished(found, create_graph)


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return func(*inputs) and the product of a vector with the Jacobian.

    v: of the output's shape; may be left out where that is a single number.

    >>> import minigrad as mg
    >>> vjp(lambda x: (x * x).sum(), mg.tensor([1.0, 3.0]))
    (tensor(10.), tensor([2., 6.]))
    """
    given = prepared("vjp", inputs, create_graph)
    if strict:
        check_strict("vjp", func, given, "the function")
    with recording(create_graph):
        value, pull = reverse.vjp(outputs_of("vjp", func), *given)
        outputs = value if isinstance(value, tuple) else (value,)
        weights = checked_vector("vjp", v, outputs, "the output")
        found = pull(like(value, weights))
    return finished(value, create_graph), finished(like(inputs, found), create_graph)


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return func(*inputs) and the product of the Jacobian with a vector, in one pass forward.

    v: of the inputs' shapes; may be left out for a single input of one number.

    >>> import minigrad as mg
    >>> jvp(lambda x: x * x, mg.tensor([1.0, 3.0]), mg.tensor([1.0, 1.0]))
    (tensor([1., 9.]), tensor([2., 6.]))
    """
    given = prepared("jvp", inputs, create_graph)
    tangents = checked_vector("jvp", v, given, "the input")
    if strict:
        check_strict("jvp", func, given, "the function")
    with recording(create_graph):
        value, found = push_forward(outputs_of("jvp", func), given, tuple(tangents))
    return finished(value, create_graph), finished(found, create_graph)


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return func(*inputs), a single number, and its Hessian times a vector.

    >>> import minigrad as mg
    >>> hvp(lambda x: (x * x * x).sum(), mg.tensor([1.0, 2.0]), mg.tensor([1.0, 0.0]))
    (tensor(9.), tensor([6., 0.]))
    """
    given = prepared("hvp", inputs, create_graph)
    tangents = checked_vector("hvp", v, given, "the input")
    scalar = single_number("hvp", func)
    every = tuple(range(len(given)))
    if strict:
        check_strict("hvp", scalar, given, "the function")
        check_strict("hvp", reverse.grad(scalar, every), given, "its gradient")
    with recording(create_graph):
        compute = reverse.grad_and_value(scalar, every)
        (_, value), (found, _) = push_forward(compute, given, tuple(tangents))
    return finished(value, create_graph), finished(like(inputs, found), create_graph)


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return func(*inputs), a single number, and a vector times its Hessian.

    >>> import minigrad as mg
    >>> vhp(lambda x: (x * x * x).sum(), mg.tensor([1.0, 2.0]), mg.tensor([1.0, 0.0]))
    (tensor(9.), tensor([6., 0.]))
    """
    given = prepared("vhp", inputs, create_graph)
    weights = checked_vector("vhp", v, given, "the input")
    scalar = single_number("vhp", func)
    every = tuple(range(len(given)))
    if strict:
        check_strict("vhp", scalar, given, "the function")
        check_strict("vhp", reverse.grad(scalar, every), given, "its gradient")
    with recording(create_graph):
        gradient, pull, value = reverse.vjp(
            lambda *xs: reverse.grad_and_value(scalar, every)(*xs), *given, has_aux=True
        )
        del gradient
        found = pull(tuple(weights))
    return finished(value, create_graph), finished(like(inputs, found), create_graph)
