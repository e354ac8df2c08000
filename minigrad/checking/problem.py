"""The function that a gradient check evaluates; its inputs and random streams are set back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from minigrad.checking.report import GradcheckError
from minigrad.engine import random
from minigrad.engine.grad_mode import enable_grad
from minigrad.tensors.tensor import Tensor
from minigrad.tensors.transforms import grad

Array = np.ndarray[Any, Any]
Index = tuple[int, ...]


class Problem:
    """A function and its inputs: in float64, in memory of their own, set back before each
    evaluation.

    Inside the context the very tensors given hold that memory, so that a function which reaches
    them through a closure or a module is checked as well as one that takes them as arguments.
    """

    def __init__(
        self,
        name: str,
        fn: Callable[..., Any],
        inputs: Any,
        source: Callable[..., Any] | None = None,
    ) -> None:
        self.name, self.fn = name, fn
        self.source = source or fn  # where modules are looked for, whose buffers are set back
        self.when = ""  # words about another point, for a message
        given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
        self.args = tuple(_leaf(x) for x in given)
        self.first: list[Any] = []  # the outputs at the point, on the tape
        self.values: list[Any] = []  # their elements
        self.checked = _distinct(t for t in self.args if isinstance(t, Tensor) and t.requires_grad)
        if not self.checked:
            raise ValueError(
                f"{name}: none of the {len(given)} inputs requires grad, so there is nothing to"
                " check; set requires_grad=True on those to be checked"
            )

    def __enter__(self) -> Problem:
        self.rewind = random.snapshot()
        held = _distinct(t for t in self.args if isinstance(t, Tensor) and t.is_floating_point())
        self.before = [(t, t.array) for t in held]
        for t in held:
            t.array = private(t.array)
        self.start = [(t, t.array, t.array.copy()) for t in held]
        self.kept = [(b, b.array, b.array.copy()) for b in buffers_of(self.source)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.reset()
        for t, data in self.before:
            t.array = data

    def reset(self) -> None:
        """Set inputs, random streams and the buffers of modules back to the start."""
        self.rewind()
        for t, memory, value in self.start:
            t.array = memory
            memory[...] = value
        for buffer, array, value in self.kept:
            array[...] = value
            buffer.array = array

    def run(self) -> list[Any]:
        """Evaluate the function from the start; return its outputs.

        Raises: GradcheckError where the function writes to an input that is checked.
        """
        self.reset()
        found = self.evaluate()
        for t, memory, value in self.start:
            if t.requires_grad and not (
                t.array is memory and np.array_equal(memory, value, equal_nan=True)
            ):
                k = next(k for k, x in enumerate(self.args) if x is t)
                raise GradcheckError(
                    f"{self.name}: the function writes to its input {k}, outside the tape; give"
                    " back a new tensor instead"
                )
        return found

    def evaluate(self, args: Sequence[Any] | None = None) -> list[Any]:
        """Evaluate the function on its inputs as they are, or on others; return its outputs."""
        with enable_grad():
            found = self.fn(*(self.args if args is None else args))
        return tensors_in(self.name, found)

    def at(self, arrays: Sequence[Array]) -> list[Any]:
        """Evaluate with other memory for the checked inputs, which stays theirs until a reset."""
        self.reset()
        for t, a in zip(self.checked, arrays, strict=True):
            t.array = a
        return self.evaluate()

    def points(self) -> list[Array]:
        """Return where each checked input stands, in its layout."""
        values = {id(t): value for t, _, value in self.start}
        return [values[id(t)] for t in self.checked]

    @contextmanager
    def elsewhere(self, arrays: Sequence[Array], when: str) -> Any:
        """Within the context, the checked inputs start at other values."""
        was = self.start, self.first, self.values
        perturbed = {id(t): a for t, a in zip(self.checked, arrays, strict=True)}
        self.start = [(t, memory, perturbed.get(id(t), value)) for t, memory, value in self.start]
        self.when = when
        try:
            yield
        finally:
            self.start, self.first, self.values = was
            self.when = ""
            self.reset()

    def perturbed(self, i: int, step: Array) -> list[Any]:
        """Evaluate with checked input `i` moved by `step`; return the outputs' elements."""
        self.reset()
        moving = self.checked[i]
        moving.array[...] += step
        return [np.array(y.array) if isinstance(y, Tensor) else y for y in self.evaluate()]

    def position(self, i: int) -> int:
        """Return which argument the checked input `i` is, the first of equals."""
        return next(k for k, x in enumerate(self.args) if x is self.checked[i])


def _leaf(x: Any) -> Any:
    """Return a computed tensor as a leaf of its own; anything else as it is."""
    if isinstance(x, Tensor) and x.node is not None:
        return Tensor(x.array, requires_grad=x.requires_grad)
    return x


def tensors_in(name: str, found: Any) -> list[Any]:
    """Return the tensors that a function gave, out of tuples, lists and dicts.

    Raises: TypeError for anything else, which a check could not see.
    """
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, dict):
        found = tuple(found.values())
    if isinstance(found, (tuple, list)):
        return [t for part in found for t in tensors_in(name, part)]
    raise TypeError(
        f"{name}: the function gave a {type(found).__name__}, which cannot be checked; expected a"
        " tensor, or tuples, lists and dicts of tensors"
    )


def buffers_of(fn: Any) -> list[Any]:
    """Return the buffers of the modules that a function is, closes over or is a method of."""
    cells = getattr(fn, "__closure__", None) or ()
    near = [fn, getattr(fn, "__self__", None), *getattr(fn, "args", ()), getattr(fn, "func", None)]
    for cell in cells:
        try:
            near.append(cell.cell_contents)
        except ValueError:  # not bound yet
            continue
    names = getattr(getattr(fn, "__code__", None), "co_names", ())
    scope = getattr(fn, "__globals__", {})
    near += [scope[name] for name in names if name in scope]
    modules = [m for m in near if hasattr(type(m), "named_buffers")]
    return _distinct(b for m in modules for _, b in m.named_buffers())


def _distinct(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return the tensors without repetitions, in their order."""
    return list({id(t): t for t in tensors}.values())


def private(a: Array) -> Array:
    """Return a float64 copy with the strides of `a`; in C order where elements of `a` share memory.

    >>> private(np.zeros((4, 6), np.float32)[::2, ::-3]).strides
    (96, -24)
    """
    steps = [s // a.itemsize for s in a.strides]
    reach = 0
    apart = a.size > 0 and all(s % a.itemsize == 0 for s in a.strides)
    for step, n in sorted((abs(s), n) for s, n in zip(steps, a.shape, strict=True) if n > 1):
        apart = apart and step > reach
        reach += step * (n - 1)
    if not apart:
        return np.array(a, np.float64, order="C")
    start = sum(-s * (n - 1) for s, n in zip(steps, a.shape, strict=True) if s < 0)
    memory = np.zeros(reach + 1)
    strides = [s * memory.itemsize for s in steps]
    view = np.lib.stride_tricks.as_strided(memory[start:], a.shape, strides)
    view[...] = a
    return view


# ---------------------------------------------------------------- both Jacobians
def live(problem: Problem, outputs: Sequence[Any]) -> list[int]:
    """Return which outputs are differentiable; refuse one that is not float64."""
    found = [k for k, y in enumerate(outputs) if isinstance(y, Tensor) and y.requires_grad]
    for k in found:
        if outputs[k].array.dtype != np.float64:
            raise TypeError(
                f"{problem.name}: output {k} is {outputs[k].array.dtype} although every floating "
                "input"
                " is float64; differences of a millionth drown in its rounding: make the function"
                " compute in float64 (module.double(), no .float() and no float32 constants)"
            )
    return found


def swept(problem: Problem, outputs: Sequence[Any], seeds: Sequence[Tensor]) -> Sequence[Any]:
    """Return the gradient of each checked input as the sweep gives it, None where there is none."""
    return grad(outputs, problem.checked, seeds, retain_graph=True, allow_unused=True)


def gradients(problem: Problem, outputs: Sequence[Any], seeds: Sequence[Tensor]) -> list[Array]:
    """Return the gradient of each checked input as an array, zeros for an input that is not
    used.
    """
    arrays = []
    for i, (t, g) in enumerate(zip(problem.checked, swept(problem, outputs, seeds), strict=True)):
        if g is None:
            arrays.append(np.zeros(t.shape))
            continue
        if g.array.shape != t.array.shape or g.array.dtype != t.array.dtype:
            raise GradcheckError(
                f"{problem.name}: the gradient of input {problem.position(i)} is {g.array.dtype} "
                "of shape"
                f" {g.shape}, the input {t.array.dtype} of shape {t.shape}: they must agree"
            )
        arrays.append(np.array(g.array))
    return arrays


def analytic(problem: Problem, output: Any) -> list[Array]:
    """Return d(output)/d(input) for each checked input: (elements of the output, of the input)."""
    rows = []
    for k in range(output.array.size):
        seed = np.zeros(output.shape)
        seed.reshape(-1)[k] = 1.0
        rows.append(gradients(problem, [output], [Tensor(seed)]))
    return [
        np.array([row[i].reshape(-1) for row in rows]).reshape(len(rows), t.array.size)
        for i, t in enumerate(problem.checked)
    ]


def unit(shape: Index, k: int, size: float) -> Array:
    """Return zeros of `shape` but for `size` at flat position `k`."""
    step = np.zeros(shape)
    step.reshape(-1)[k] = size
    return step


def numeric(problem: Problem, i: int, outputs: list[int], eps: float) -> list[Array]:
    """Return d(output)/d(checked input i) of each output by central differences."""
    columns: list[list[Array]] = [[] for _ in outputs]
    shape = problem.checked[i].shape
    for k in range(problem.checked[i].array.size):
        up, down = (problem.perturbed(i, unit(shape, k, s)) for s in (eps, -eps))
        for column, j in zip(columns, outputs, strict=True):
            column.append((up[j] - down[j]).reshape(-1) / (2 * eps))
    sizes = [problem.first[j].array.size for j in outputs]
    return [np.array(c).reshape(len(c), n).T for c, n in zip(columns, sizes, strict=True)]
