"""Functions of the ops that nobody writes out: made from the op's class, named after its kernel.

`public` of the class says where: "tensor" is a method of Tensor and a function of minigrad,
"functional" a function of minigrad.nn.functional.  A name that stands there already stays as it is.

>>> import minigrad as mg
>>> from minigrad.ops.registry import OPS
>>> made(OPS["LeakyRelu"])(mg.tensor([-2.0, 1.0]), 0.5)
tensor([-1.,  1.])
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from minigrad.engine.op import Op
from minigrad.ops.arithmetic import Binary
from minigrad.ops.common import tensor_of
from minigrad.ops.registry import for_each_op, function_name
from minigrad.ops.unary import Unary
from minigrad.tensors.tensor import Tensor

Function = Callable[..., Any]
PLACES = ("tensor", "functional")
FUNCTIONS: dict[str, dict[str, Function]] = {place: {} for place in PLACES}
NAMESPACES: dict[str, list[dict[str, Any]]] = {place: [] for place in PLACES}


def made(cls: type[Op]) -> Function:
    """Return an op as a function of tensors and of its options, which may be given by position.

    Of an op of two operands, either may be a number.
    """
    make = of_one if issubclass(cls, Unary) else of_two if issubclass(cls, Binary) else of_any
    found = make(cls)
    found.__name__ = found.__qualname__ = function_name(cls)
    found.__module__ = cls.__module__
    found.__doc__ = f"Compute {inspect.getdoc(cls)}"
    return found


def of_one(cls: type[Op]) -> Function:
    """Return an elementwise op of one operand as a function."""

    def function(input: Any) -> Any:
        return cls.apply(input)

    return function


def of_two(cls: type[Op]) -> Function:
    """Return an elementwise op of two operands as a function."""

    def function(input: Any, other: Any) -> Any:
        return cls.apply(tensor_of(input, other), tensor_of(other, input))

    return function


def of_any(cls: type[Op]) -> Function:
    """Return any other op as a function with the parameters of its `forward`."""
    own = inspect.signature(cls.forward)
    signature = own.replace(parameters=list(own.parameters.values())[1:])

    def function(*args: Any, **options: Any) -> Any:
        bound = signature.bind(*args, **options)
        bound.apply_defaults()
        given = bound.arguments
        inputs = [name for name, value in given.items() if isinstance(value, Tensor)]
        return cls.apply(*[given.pop(name) for name in inputs], **given)

    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def publish(cls: type[Op]) -> None:
    """Give an op its method and its function.

    Raises: ValueError where `public` is none of PLACES.
    """
    if not cls.public:
        return
    if cls.public not in PLACES:
        raise ValueError(
            f"op {cls.__name__}: public must be one of {', '.join(PLACES)}, or empty, got "
            f"{cls.public!r}"
        )
    name, function = function_name(cls), made(cls)
    if cls.public == "tensor" and not hasattr(Tensor, name):
        setattr(Tensor, name, function)
    FUNCTIONS[cls.public][name] = function
    for namespace in NAMESPACES[cls.public]:
        offer(namespace, name, function)


def offer(namespace: dict[str, Any], name: str, function: Function) -> None:
    """Enter a function into a module's names, where it has none of that name."""
    if name not in namespace:
        namespace[name] = function
        if "__all__" in namespace:
            namespace["__all__"].append(name)


def share(namespace: dict[str, Any], place: str) -> None:
    """Give a module the functions of a place, and those of ops that are entered later."""
    for name, function in FUNCTIONS[place].items():
        offer(namespace, name, function)
    NAMESPACES[place].append(namespace)


for_each_op(publish)
