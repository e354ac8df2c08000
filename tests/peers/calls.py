"""A call of a function with plain arguments, run here and in PyTorch, and what came of it.

Arguments are trees of lists, tuples, dicts, numbers, strings, None, slices, `Array` for a tensor
and `Name` for a dtype, so that a call can be written to a file and run without PyTorch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

SEED = 3
# Held to the largest element of the peer's answer: (of its size, absolute).
TOLERANCE = {"float32": (3e-5, 2e-6), "float64": (1e-9, 1e-12)}


@dataclasses.dataclass
class Array:
    """A tensor as an argument: its elements as they lie, and whether it has a gradient."""

    data: np.ndarray[Any, Any]
    grad: bool = False


@dataclasses.dataclass(frozen=True)
class Name:
    """A dtype as an argument."""

    name: str


@dataclasses.dataclass
class Call:
    """A call by name: of a function, of a method ("method") or of a method in place ("inplace")."""

    name: str
    args: list[Any]
    options: dict[str, Any]
    way: str = "function"


@dataclasses.dataclass
class Outcome:
    """What came of a call: the leaves of its result and the gradients, or the error's name.

    kinds: the names by which the error is caught.
    """

    error: str = ""
    message: str = ""
    leaves: list[Any] = dataclasses.field(default_factory=list)
    tracked: list[bool] = dataclasses.field(default_factory=list)
    gradients: list[Any] = dataclasses.field(default_factory=list)
    random: bool = False
    kinds: tuple[str, ...] = ()


def leaves_of(tree: Any) -> Iterator[Any]:
    """Yield the leaves of a tree in order."""
    if isinstance(tree, dict):
        for value in tree.values():
            yield from leaves_of(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from leaves_of(value)
    else:
        yield tree


def mapped(tree: Any, function: Callable[[Any], Any]) -> Any:
    """Return a tree with a function of its leaves in their places."""
    if isinstance(tree, dict):
        return {key: mapped(value, function) for key, value in tree.items()}
    if isinstance(tree, list):
        return [mapped(value, function) for value in tree]
    if isinstance(tree, tuple):
        return tuple(mapped(value, function) for value in tree)
    return function(tree)


class Library:
    """What a call needs of a library: its tensors, dtypes and functions."""

    def __init__(self, module: Any, tensor: type, make: Callable[[Any], Any]) -> None:
        self.module = module
        self.tensor = tensor
        self.make = make

    def argument(self, leaf: Any) -> Any:
        if isinstance(leaf, Array):
            made = self.make(leaf.data)
            return made.requires_grad_() if leaf.grad else made
        return getattr(self.module, leaf.name) if isinstance(leaf, Name) else leaf

    def function(self, call: Call) -> Callable[..., Any]:
        """Return the function of a call.

        Raises: AttributeError where there is none.
        """
        name = call.name.rsplit(".", 1)[-1]
        if call.way != "function":
            return getattr(self.tensor, name + "_" * (call.way == "inplace"))  # type: ignore[no-any-return]
        found = self.module
        try:
            for part in call.name.split("."):
                found = getattr(found, part)
        except AttributeError:
            if "." in call.name:
                raise
            found = getattr(self.tensor, name)
        return found  # type: ignore[no-any-return]

    def array(self, leaf: Any) -> Any:
        return leaf.detach().numpy() if isinstance(leaf, self.tensor) else leaf

    def run(self, call: Call, gradients: Callable[..., Any]) -> Outcome:
        """Run a call; return what came of it."""
        function = self.function(call)
        args, options = mapped(call.args, self.argument), mapped(call.options, self.argument)
        leaves = [x for x in leaves_of([args, options]) if isinstance(x, self.tensor)]
        inputs = [x for x in leaves if x.requires_grad]
        if call.way == "inplace":
            args[0] = args[0].clone()
        result = function(*args, **options)
        outcome = Outcome()
        smooth = []
        for leaf in leaves_of(result):
            outcome.leaves.append(plain(self.array(leaf)))
            outcome.tracked.append(isinstance(leaf, self.tensor) and leaf.requires_grad)
            if outcome.tracked[-1]:
                smooth.append(leaf)
        if inputs and smooth:
            rng = np.random.default_rng(SEED)
            seeds = [self.make(seed(rng, self.array(y))) for y in smooth]
            found = gradients(smooth, inputs, seeds, allow_unused=True)
            for x, g in zip(inputs, found, strict=True):
                zero = np.zeros(tuple(x.shape), self.array(x).dtype)
                outcome.gradients.append(zero if g is None else self.array(g))
        return outcome


def plain(leaf: Any) -> Any:
    """Return what a leaf of a result is, apart from the library: an array, a number, a name."""
    if leaf is None or isinstance(leaf, bool | int | float | str | np.ndarray):
        return leaf
    return str(leaf).rsplit(".", 1)[-1]


def seed(rng: np.random.Generator, y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a random gradient for a result."""
    return np.asarray(rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1, 1], y.shape)).astype(y.dtype)


def difference(
    ours: Outcome,
    peer: Outcome,
    of_float64: tuple[float, float] | None = None,
    of_float32: tuple[float, float] | None = None,
) -> str:
    """Say how our outcome differs from the peer's; "" where it does not.

    of_float64, of_float32: how far they may be apart, where the peer's are known with fewer digits.
    """
    given = {"float64": of_float64, "float32": of_float32}
    limits = {**TOLERANCE, **{name: limit for name, limit in given.items() if limit}}
    if len(ours.leaves) != len(peer.leaves):
        return f"{len(ours.leaves)} results, expected {len(peer.leaves)}"
    for i, (a, b) in enumerate(zip(ours.leaves, peer.leaves, strict=True)):
        found = unlike(a, b, limits, values=not peer.random)
        if found:
            return f"result {i}: {found}"
    if ours.tracked != peer.tracked:
        return f"requires_grad {ours.tracked}, expected {peer.tracked}"
    for i, (a, b) in enumerate(zip(ours.gradients, peer.gradients, strict=True)):
        found = unlike(a, b, limits, values=not peer.random)
        if found:
            return f"gradient {i}: {found}"
    return ""


def unlike(a: Any, b: Any, limits: dict[str, tuple[float, float]], values: bool = True) -> str:
    """Say how a leaf differs from the expected one."""
    if isinstance(b, np.ndarray) != isinstance(a, np.ndarray):
        return f"{type(a).__name__} {a!r:.60}, expected {type(b).__name__} {b!r:.60}"
    if not isinstance(b, np.ndarray):
        if isinstance(b, float) and isinstance(a, int | float):
            same = np.isclose(a, b, equal_nan=True)
        else:
            same = a == b
        return "" if same or not values else f"{a!r:.80}, expected {b!r:.80}"
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return f"{a.dtype} {a.shape}, expected {b.dtype} {b.shape}"
    if not values or not b.size:
        return ""
    if b.dtype.kind != "f":
        return "" if np.array_equal(a, b) else f"{shown(a)}, expected {shown(b)}"
    x, y = a.astype(np.float64), b.astype(np.float64)
    if not np.array_equal(np.isnan(x), np.isnan(y)):
        return f"NaN at other places: {shown(a)}, expected {shown(b)}"
    finite = np.isfinite(y)
    if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
        return f"infinite at other places: {shown(a)}, expected {shown(b)}"
    relative, absolute = limits[b.dtype.name]
    largest = float(np.abs(y[finite]).max(initial=0.0))
    with np.errstate(invalid="ignore", over="ignore"):
        worst = float(np.abs(x - y)[finite].max(initial=0.0))
    if worst <= relative * largest + absolute:
        return ""
    return f"off by {worst:.3g} of {largest:.3g}: {shown(a)}, expected {shown(b)}"


def shown(a: np.ndarray[Any, Any]) -> str:
    """Return the head of an array on one line."""
    return " ".join(f"{v:.5g}" for v in a.reshape(-1)[:6].tolist()) or "empty"
