"""Functions and methods that no list names: those of the ops, and those that `public` entered.

An op that nobody writes out has a function made from its class, named after its kernel.  `public`
of the class says where: "tensor" is a method of Tensor and a function of minigrad, "functional" a
function of minigrad.nn.functional; an elementwise op that is a method has a method in place, too.
`also` of the class are its other names.
A name that stands there already stays as it is.

>>> import minigrad as mg
>>> from minigrad.ops.registry import OPS
>>> made(OPS["LeakyRelu"])(mg.tensor([-2.0, 1.0]), 0.5)
tensor([-1.,  1.])
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from minigrad.engine.errors import ArgumentError
from minigrad.engine.op import Op, refuse_others
from minigrad.ops.arithmetic import Binary
from minigrad.ops.common import tensor_of
from minigrad.ops.registry import PLACES, Public, for_each_op, for_each_public, function_name
from minigrad.ops.unary import Unary
from minigrad.tensors.keywords import numpy_names, rename_all
from minigrad.tensors.tensor import Tensor

Function = Callable[..., Any]
DERIVED: set[Function] = set()  # methods made from ops, to which written ones are preferred
FUNCTIONS: dict[str, dict[str, Function]] = {place: {} for place in PLACES}
GIVEN: dict[str, Function] = {}  # the methods that were made here
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
    """Return an elementwise op of two operands as a function, of tensors alone where its class says
    `numbers = False`.
    """

    def function(input: Any, other: Any) -> Any:
        if not isinstance(input, Tensor) and not isinstance(other, Tensor):
            refuse_others(cls.__name__, (input, other))
        return cls.apply(tensor_of(input, other), tensor_of(other, input))

    def of_tensors(input: Any, other: Any) -> Any:
        refuse_others(cls.__name__, (input, other))
        return cls.apply(input, other)

    return function if getattr(cls, "numbers", True) else of_tensors


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
        raise ArgumentError(
            f"op {cls.__name__}: public must be one of {', '.join(PLACES)}, or empty, got "
            f"{cls.public!r}"
        )
    function = made(cls)
    for name in (function_name(cls), *getattr(cls, "also", ())):
        if cls.public == "tensor":
            give(name, function)
            DERIVED.add(function)
            if issubclass(cls, Unary | Binary):
                written = in_place(name, cls)
                give(f"{name}_", written)
                DERIVED.add(written)
        enter(cls.public, name, function)


def publish_function(entry: Public) -> None:
    """Give a function that `public` entered its methods and its names."""
    function = numpy_names(entry.function)
    for name in entry.names:
        for place in entry.places:
            if place in ("tensor", "method"):
                give(name, function)
            if place != "method":
                enter(place, name, function)
        if entry.inplace:
            give(f"{name}_", function_in_place(name, function))


class Call:
    """A call of a function in the place of an op, for a write in place: of the tensors among its
    arguments, the other arguments are kept as they are.
    """

    keeps = True  # what the ops inside keep is not known

    def __init__(self, name: str, function: Function, args: tuple[Any, ...]) -> None:
        self.__name__ = name
        self.function = function
        self.args = args

    def apply(self, first: Any, *tensors: Any, **options: Any) -> Any:
        left = list(tensors)
        rest = [left.pop(0) if isinstance(a, Tensor) else a for a in self.args]
        return self.function(first, *rest, **options)


def function_in_place(name: str, function: Function) -> Function:
    """Return the method that writes the result of a function into its first tensor."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        tensors = [a for a in args if isinstance(a, Tensor)]
        return self._write(Call(name, function, args), *tensors, **options)

    return named(method, name)


def in_place(name: str, op: Any) -> Function:
    """Return the method that writes the result of an elementwise op into its first operand."""

    def method(self: Any, *others: Any, **options: Any) -> Any:
        return self._write(op, *others, **options)

    return named(method, name)


def named(method: Function, name: str) -> Function:
    """Name a method that writes in place."""
    method.__name__ = f"{name}_"
    method.__qualname__ = f"Tensor.{name}_"
    method.__doc__ = f"Write `{name}` of this tensor into its memory."
    return method


def give(name: str, function: Function) -> None:
    """Make a function a method of Tensor, where it has none of that name, or one from an op."""
    standing = getattr(Tensor, name, None)
    if standing is None or standing in DERIVED:
        setattr(Tensor, name, function)
        GIVEN[name] = function


def enter(place: str, name: str, function: Function) -> None:
    """Give a function its name in all modules of a place."""
    FUNCTIONS[place][name] = function
    for namespace in NAMESPACES[place]:
        offer(namespace, name, function)


def offer(namespace: dict[str, Any], name: str, function: Function) -> None:
    """Enter a function into a module's names, where it has none of that name."""
    if name not in namespace:
        namespace[name] = function
        if "__all__" in namespace:
            namespace["__all__"].append(name)


def share(namespace: dict[str, Any], place: str) -> None:
    """Give a module the functions of a place, and those that are entered later.

    The place "tensor" brings "function" along: both are functions of minigrad.
    """
    places = ("tensor", "function") if place == "tensor" else (place,)
    for each in places:
        for name, function in FUNCTIONS[each].items():
            offer(namespace, name, function)
        NAMESPACES[each].append(namespace)


# Methods that Tensor writes out, whose results PyTorch also writes in place.
WRITTEN_IN_PLACE = (
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "bitwise_left_shift"),
    *("bitwise_right_shift", "logical_and", "logical_or", "logical_xor", "logical_not"),
    *("eq", "ne", "lt", "le", "gt", "ge", "neg", "rsqrt", "reciprocal", "floor_divide"),
    *("clip", "cumsum", "masked_fill"),
)
rename_all(Tensor)
for_each_op(publish)
for _name in WRITTEN_IN_PLACE:
    give(f"{_name}_", function_in_place(_name, getattr(Tensor, _name)))
for_each_public(publish_function)
