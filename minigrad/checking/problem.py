"""The function that a gradient check evaluates; its inputs and random streams are set back."""

from __future__ import annotations

import random as python_random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from minigrad.checking.reach import distinct, leaves_of, modules_of, parameters_of
from minigrad.checking.report import GradcheckError
from minigrad.engine import random
from minigrad.engine.grad_mode import enable_grad
from minigrad.tensors.tensor import Tensor
from minigrad.tensors.transforms import grad

Array = np.ndarray[Any, Any]
Index = tuple[int, ...]
Named = list[tuple[str, Tensor]]


class Problem:
    """A function and its inputs: in float64, in memory of their own, set back before each
    evaluation.

    Inside the context the very tensors given hold that memory, so that a function which reaches
    them through a closure or a module is checked as well as one that takes them as arguments.
    Parameters of the module that the function is are inputs too; where no argument requires grad,
    so are all leaves of its graph.

    beside: inputs that are no arguments, with their names; found where not given.
    """

    def __init__(
        self,
        name: str,
        fn: Callable[..., Any],
        inputs: Any = (),
        source: Callable[..., Any] | None = None,
        beside: Named | None = None,
    ) -> None:
        self.name, self.fn = name, fn
        self.source = source or fn  # where modules are looked for, whose buffers are set back
        self.when = ""  # words about another point, for a message
        self.first: list[Any] = []  # the outputs at the point, on the tape
        self.values: list[Any] = []  # their elements
        self.origin: list[Array] = []  # the point given, while another one is looked at
        self.elementwise = False  # whether each output element depends on its own input element
        self.weights = 0  # how many of the last arguments weight the outputs of a first derivative
        given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
        self.args: tuple[Any, ...] = tuple(mapped(_leaf, x) for x in given)
        self.places = [(path, t) for path, t in tensors_within(self.args)]
        self.modules = modules_of(self.source)
        asked = [(path, t) for path, t in self.places if t.requires_grad]
        if beside is None:
            held = {id(t) for _, t in asked}
            beside = [(n, p) for n, p in parameters_of(fn) if id(p) not in held]
            if not asked and not beside:
                beside = self.discovered()
        self.beside = beside
        self.names = [path for path, _ in asked] + [name for name, _ in beside]
        self.checked: list[Tensor] = []
        for t in [t for _, t in asked] + [t for _, t in beside]:
            if not any(t is s for s in self.checked):
                self.checked.append(t)
        if not self.checked:
            raise ValueError(
                f"{name}: none of the {len(given)} inputs requires grad, so there is nothing to"
                " check; set requires_grad=True on those to be checked"
            )

    def discovered(self) -> Named:
        """Return the leaves of the graph of one evaluation, which leaves nothing behind."""
        rewind = random.snapshot()
        kept = self.held_by_modules()
        modes = self.modes()
        try:
            return leaves_of(self.fn, self.evaluate())
        finally:
            rewind()
            for t, array, value in kept:
                array[...] = value
                t.array = array
            restore(modes)

    def held_by_modules(self) -> list[tuple[Any, Any, Any]]:
        """Return the parameters and buffers of the modules, their memory and a copy of it."""
        held = [t for m in self.modules for _, t in (*m.named_buffers(), *m.named_parameters())]
        return [(t, t.array, t.array.copy()) for t in distinct(held)]

    def modes(self) -> list[tuple[Any, bool]]:
        """Return which modules are in training."""
        every = [m for module in self.modules for m in module.modules()]
        return [(m, m.training) for m in distinct(every)]

    def __enter__(self) -> Problem:
        self.rewind = random.snapshot()
        self.shared = np.random.get_state(), python_random.getstate()  # noqa: NPY002
        self.was_training = self.modes()
        floats = [t for _, t in self.places] + self.checked
        held = distinct(t for t in floats if t.is_floating_point())
        taken = {id(t) for t in held}
        inside = [(t, a) for t, a, _ in self.held_by_modules() if id(t) not in taken]
        self.before = [(t, t.array) for t in held] + inside
        for t in held:
            t.array = private(t.array)
        for t, array in inside:
            narrow = array.dtype.kind == "f" and array.dtype != np.float64
            t.array = array.astype(np.float64) if narrow else array.copy()
        self.start = [(t, t.array, t.array.copy()) for t in held]
        self.kept = [(t, t.array, t.array.copy()) for t, _ in inside]
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
        np.random.set_state(self.shared[0])  # noqa: NPY002
        python_random.setstate(self.shared[1])

    def reset(self) -> None:
        """Set inputs, random streams, modes, parameters and buffers of modules back to the
        start.
        """
        self.rewind()
        for t, memory, value in self.start:
            t.array = memory
            memory[...] = value
        for t, array, value in self.kept:
            array[...] = value
            t.array = array
        restore(self.was_training)

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
                raise GradcheckError(
                    f"{self.name}: the function writes to its {self.named_tensor(t)}, outside the"
                    " tape; give back a new tensor instead"
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
        was, before = (self.start, self.first, self.values), self.when
        origin, self.origin = self.origin, self.origin or self.points()
        perturbed = {id(t): a for t, a in zip(self.checked, arrays, strict=True)}
        self.start = [(t, memory, perturbed.get(id(t), value)) for t, memory, value in self.start]
        self.when = when
        try:
            yield
        finally:
            self.start, self.first, self.values = was
            self.when, self.origin = before, origin
            self.reset()

    def perturbed(self, i: int, step: Array) -> list[Any]:
        """Evaluate with checked input `i` moved by `step`; return the outputs' elements."""
        self.reset()
        moving = self.checked[i]
        moving.array[...] += step
        return [np.array(y.array) if isinstance(y, Tensor) else y for y in self.evaluate()]

    def named(self, i: int) -> str:
        """Return what the checked input `i` is called: "input 0", "input 1['w']", "parameter w"."""
        return self.named_tensor(self.checked[i])

    def named_tensor(self, t: Tensor) -> str:
        """Return what an input is called, by the first of its places."""
        for path, x in self.places:
            if x is t:
                return f"input {path}"
        return next(name for name, x in self.beside if x is t)

    def label(self, i: int) -> str:
        """Return the same without the word: "0", "1['w']", "parameter w"."""
        return self.named(i).removeprefix("input ")

    def position(self, i: int) -> int:
        """Return which argument the checked input `i` is in, the first of equals; of one that is no
        argument, its place after them.
        """
        for path, x in self.places:
            if x is self.checked[i]:
                return int(path.partition("[")[0])
        return len(self.args) + next(
            k for k, (_, x) in enumerate(self.beside) if x is self.checked[i]
        )


def restore(modes: Sequence[tuple[Any, bool]]) -> None:
    """Set modules to training or not, each by itself."""
    for module, training in modes:
        if module.training != training:
            module.training = training


def mapped(change: Callable[[Any], Any], x: Any) -> Any:
    """Return `x` with every tensor within its lists, tuples and dicts changed; the very `x` where
    none is.
    """
    if isinstance(x, Tensor):
        return change(x)
    if isinstance(x, dict):
        parts = {k: mapped(change, v) for k, v in x.items()}
        same = all(parts[k] is v for k, v in x.items())
        return x if same else parts
    if isinstance(x, (list, tuple)):
        items = [mapped(change, v) for v in x]
        if all(a is b for a, b in zip(items, x, strict=True)):
            return x
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    return x


def tensors_within(x: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors within arguments, with their places: "0", "1['w']", "2[0]".

    >>> [path for path, _ in tensors_within(({"w": Tensor(np.zeros(1))}, 3))]
    ["0['w']"]
    """
    if isinstance(x, Tensor):
        yield path, x
    elif isinstance(x, dict):
        for k, v in x.items():
            yield from tensors_within(v, f"{path}[{k!r}]")
    elif isinstance(x, (list, tuple)):
        for k, v in enumerate(x):
            yield from tensors_within(v, f"{path}[{k}]" if path else str(k))


def _leaf(x: Tensor) -> Tensor:
    """Return a computed tensor as a leaf of its own; any other as it is."""
    return x if x.node is None else Tensor(x.array, requires_grad=x.requires_grad)


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
                f"{problem.name}: the gradient of {problem.named(i)} is {g.array.dtype} "
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


def steps_for(a: Array, eps: float) -> Array:
    """Return how far each element is moved: `eps`, or that share of a large one."""
    return np.asarray(eps * np.maximum(1.0, np.where(np.isfinite(a), np.abs(a), 1.0)))


def numeric(problem: Problem, i: int, outputs: list[int], eps: float) -> list[Array]:
    """Return d(output)/d(checked input i) of each output by central differences."""
    return [n for n, _ in numeric_with_bends(problem, i, outputs, eps)]


def numeric_with_bends(
    problem: Problem, i: int, outputs: list[int], eps: float
) -> list[tuple[Array, Array]]:
    """Return the same, and beside each by how much the slopes to both sides differ."""
    columns: list[list[Array]] = [[] for _ in outputs]
    bends: list[list[Array]] = [[] for _ in outputs]
    at = problem.points()[i]
    sizes = steps_for(at, eps).reshape(-1)
    for k in range(at.size):
        up, down = (problem.perturbed(i, unit(at.shape, k, s * sizes[k])) for s in (1, -1))
        for column, bend, j in zip(columns, bends, outputs, strict=True):
            with np.errstate(all="ignore"):
                column.append((up[j] - down[j]).reshape(-1) / (2 * sizes[k]))
                bend.append((up[j] + down[j] - 2 * problem.values[j]).reshape(-1) / sizes[k])
    lengths = [problem.first[j].array.size for j in outputs]

    def matrix(rows: list[Array], length: int) -> Array:
        return np.array(rows).reshape(len(rows), length).T

    return [
        (matrix(c, n), np.abs(matrix(b, n)))
        for c, b, n in zip(columns, bends, lengths, strict=True)
    ]
