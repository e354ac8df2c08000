"""Your own pair: a function for the CPU and a CUDA kernel, in a file of yours.

`minigrad compare my_kernels.py:pair` compares what stands there as

    pair = Pair(cpu=saxpy, cuda=saxpy_kernel, example=example)

with `saxpy(a, x, y)` a function of NumPy arrays, jitted or not, `saxpy_kernel` what `cuda.jit`
made of the same arguments, and `example(rng, dtype, n)` the arguments of a wanted size.

>>> import numpy as np
>>> def double(x, y):
...     np.add(x, x, out=y)
>>> def example(rng, dtype, n):
...     return rng.random(n, dtype), np.empty(n, dtype)
>>> entry = Pair(double, example=example, name="double").entry()
>>> entry.name, entry.kernel.out, entry.kernel.cost(*example(np.random.default_rng(0), "f4", 10))
('double', ('y',), (0, 80))
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from minigrad_kernels.compare.hosted import hosted
from minigrad_kernels.compare.targets import Entry
from minigrad_kernels.cuda.launch import target_of
from minigrad_kernels.example import SPREADS, Example
from minigrad_kernels.kernel import Kernel

Array = np.ndarray[Any, Any]
THREADS = 256  # of a block, where a pair states none


@dataclass(frozen=True)
class Pair:
    """A function for the CPU, and a CUDA kernel that does the same.

    cpu: `f(inputs..., scalars..., outputs...)`; or, without the outputs among its parameters,
        returns them, and the copy into place counts.
    example: `(rng, dtype, *sizes) -> args`, outputs among them; shape: what the sizes are.
    cuda: what `cuda.jit` returned; or a host function, which takes device arrays as numba.cuda has
        them, makes temporaries and launches kernels itself.  None: there is none yet.
    grid, block, shared: of the launch of a kernel; grid and block as numba.cuda takes them, or
        functions of the arguments; grid None: so many blocks that there is a thread for each
        element of the largest array.
    out, inout: names of the arguments that are written; empty: the last one is.
    reference: the same in NumPy, with float64 inside; None: `cpu` on float64 arrays, which cannot
        show what is wrong in `cpu` itself.
    cost: `(*args) -> (flops, bytes)`; None: no flops, each array once (those of `inout` twice).
    ulps: how far a result may be from the reference.  cancels: count that in units of the array's
        root mean square, for sums that may cancel.

    Raises: ValueError for a shape that there is not.
    """

    cpu: Callable[..., Any]
    cuda: Any = None
    example: Callable[..., tuple[Any, ...]] = field(kw_only=True)
    shape: str = field(default="N", kw_only=True)
    grid: Any = field(default=None, kw_only=True)
    block: Any = field(default=THREADS, kw_only=True)
    shared: int = field(default=0, kw_only=True)
    out: tuple[str, ...] = field(default=(), kw_only=True)
    inout: tuple[str, ...] = field(default=(), kw_only=True)
    reference: Callable[..., Any] | None = field(default=None, kw_only=True)
    cost: Callable[..., tuple[int, int]] | None = field(default=None, kw_only=True)
    ulps: float = field(default=256.0, kw_only=True)
    cancels: bool = field(default=False, kw_only=True)
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if self.shape not in SPREADS:
            known = ", ".join(SPREADS)
            raise ValueError(f"Pair: no shape {self.shape!r}; expected one of {known}")

    def entry(self) -> Entry:
        """Return the pair as what `compare` compares."""
        args = self.example(np.random.default_rng(0), np.dtype(np.float32), *self.few())
        names = self.names(len(args))
        out = self.out or (() if self.inout else (names[-1],))
        for label in (*out, *self.inout):
            if label not in names:
                raise ValueError(
                    f"Pair {self.name}: it writes {label!r}, but its arguments are "
                    f"{', '.join(names)}"
                )
        places = [names.index(n) for n in (*out, *self.inout)]
        cpu = named(writing(self.cpu, len(args), places), names)
        oracle = named(
            kept(self.reference or widened(self.cpu), len(args), places, len(out)), names
        )
        changed = [names.index(label) for label in self.inout]
        kernel = Kernel(
            oracle,
            cpu,
            self.cost or functools.partial(moved, changed),
            out,
            self.inout,
            example=Example(self.example, self.shape, self.cancels),
            rounding=(self.ulps, 0.0),
        )
        assert kernel.example is not None
        return Entry(
            self.name or getattr(self.cpu, "__name__", "pair"),
            kernel,
            kernel.example,
            self.launcher(),
            own=True,
            oracle=self.reference is not None,
            counted=self.cost is not None,
        )

    def few(self) -> tuple[int, ...]:
        """Return small sizes."""
        return SPREADS[self.shape](16)

    def names(self, count: int) -> list[str]:
        """Return the names of the arguments: those of the function that has as many."""
        for function in (self.cpu, self.reference, self.cuda):
            plain: Any = getattr(function, "py_func", function)
            try:
                found = list(inspect.signature(plain).parameters)
            except (TypeError, ValueError):
                continue
            if len(found) == count:
                return found
        return [*(f"a{i}" for i in range(count - 1)), "out"]

    def launcher(self) -> Callable[..., None] | None:
        """Return the CUDA kernel as a function that launches it, None without one."""
        if self.cuda is None:
            return None
        if not hasattr(self.cuda, "py_func"):
            return functools.partial(hosted, self.cuda)

        def run(*args: Any) -> None:
            grid, block = self.geometry(args)
            target_of(args).run(self.cuda, grid, block, args, self.shared)

        return run

    def geometry(self, args: Sequence[Any]) -> tuple[Any, Any]:
        """Return grid and block of a launch on these arguments."""
        block = self.block(*args) if callable(self.block) else self.block
        if self.grid is not None:
            return (self.grid(*args) if callable(self.grid) else self.grid), block
        largest = max((a.size for a in args if hasattr(a, "shape") and a.shape), default=1)
        threads = int(np.prod(block))
        return max(1, -(-largest // threads)), block


# ---------------------------------------------------------------- functions in one form
def named(function: Callable[..., Any], names: Sequence[str]) -> Callable[..., None]:
    """Return a function with these names of its arguments to read off."""
    run: Any = functools.partial(function)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    run.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    found: Callable[..., None] = run
    return found


def writing(function: Callable[..., Any], count: int, places: Sequence[int]) -> Callable[..., Any]:
    """Return a function that writes its results, one that returns them made so.

    places: which arguments are written.
    """
    plain = getattr(function, "py_func", function)
    try:
        parameters = inspect.signature(plain).parameters.values()
    except (TypeError, ValueError):  # a ufunc, which takes its outputs too
        return function
    kinds = {p.kind for p in parameters}
    if len(parameters) == count or inspect.Parameter.VAR_POSITIONAL in kinds:
        return function
    if len(parameters) != count - len(places):
        raise ValueError(
            f"Pair: {getattr(plain, '__name__', plain)} takes {len(parameters)} arguments, but the "
            f"example makes {count}, of which {len(places)} are written: expected all of them, or "
            f"the {count - len(places)} that are not"
        )

    def run(*args: Any) -> None:
        found = function(*(a for i, a in enumerate(args) if i not in places))
        results = found if isinstance(found, tuple) else (found,)
        for i, result in zip(places, results, strict=True):
            np.copyto(args[i], result, casting="same_kind")

    return run


def kept(
    function: Callable[..., Any], count: int, places: Sequence[int], written: int
) -> Callable[..., Any]:
    """Return a reference that writes its results, whether it takes the outputs, returns, or both.

    written: how many of the places are written and not read.
    Raises, when it runs: ValueError where it leaves all of these as they were.

    >>> x, y = np.ones(2), np.zeros(2)
    >>> kept(lambda x, y: 3 * x, 2, [1], 1)(x, y)
    >>> y.tolist()
    [3.0, 3.0]
    """
    run = writing(function, count, places)
    if run is not function:
        return run

    def both(*args: Any) -> None:
        outputs = [args[i] for i in places[:written] if args[i].size and args[i].dtype != bool]
        for output in outputs:
            output[...] = unlikely(output.dtype)
        found = function(*args)
        results = found if isinstance(found, tuple) else (found,)
        for i, result in zip(places, results, strict=False):
            if result is not None and result is not args[i] and np.shape(result) == args[i].shape:
                np.copyto(args[i], result, casting="same_kind")
        if outputs and all((output == unlikely(output.dtype)).all() for output in outputs):
            raise ValueError(
                "Pair: the reference neither wrote its outputs nor returned arrays of their shapes"
            )

    return both


def unlikely(dtype: np.dtype[Any]) -> Any:
    """Return a number that no kernel fills its outputs with.

    >>> unlikely(np.dtype(np.int8)), unlikely(np.dtype(np.uint8))
    (-43, 170)
    """
    if dtype.kind == "i":
        return np.iinfo(dtype).min + 85
    return np.iinfo(dtype).max - 85 if dtype.kind == "u" else -8584.0


def widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function on float64 copies of its float32 arrays and numbers; it writes through.

    >>> y = np.zeros(1)
    >>> _ = widened(lambda x, y: np.divide(1, x, out=y))(np.float32([3.0]), y)
    >>> float(y[0])
    0.3333333333333333
    """

    def wide(a: Any) -> Any:
        if isinstance(a, np.ndarray) and a.dtype == np.float32:
            return a.astype(np.float64)
        return np.float64(a) if isinstance(a, np.float32) else a

    plain = getattr(function, "py_func", function)

    @functools.wraps(plain)
    def run(*args: Any) -> Any:
        given = [wide(a) for a in args]
        try:
            return function(*given)
        except TypeError:
            if plain is function:
                raise
            return plain(*given)  # compiled for float32 alone

    return run


def moved(changed: Sequence[int], *args: Any) -> tuple[int, int]:
    """Return no flops, and the bytes of all arrays, of those that are changed twice."""
    sizes = [a.nbytes if isinstance(a, np.ndarray) else 0 for a in args]
    return 0, sum(sizes) + sum(sizes[i] for i in changed)


# ---------------------------------------------------------------- in a file
def is_place(text: str) -> bool:
    """Tell whether what is asked for is a place in a file, not a kernel of the table.

    >>> is_place("gemm"), is_place("my.py:pair"), is_place("my.py")
    (False, True, True)
    """
    return text.endswith(".py") or ".py:" in text


def load(place: str) -> list[Entry]:
    """Return the pairs at "FILE.py:NAME"; without a name, all of the file.

    Raises: ValueError where there is no such file or pair; what the file itself raises.
    """
    file, _, name = place.rpartition(":") if ".py:" in place else (place, "", "")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"compare: there is no file {file}")
    module = module_of(path)
    there = {
        label: value
        for label, value in vars(module).items()
        if isinstance(value, Pair) and not label.startswith("_")
    }
    known = f"it has {', '.join(there)}" if there else "it has none: write name = Pair(...)"
    if name and name not in there:
        raise ValueError(f"compare: {file} has no Pair {name!r}; {known}")
    if not there:
        raise ValueError(f"compare: {file} has no Pair; {known}")
    return [
        replace(replace(pair, name=pair.name or label).entry(), place=f"{path.resolve()}:{label}")
        for label, pair in there.items()
        if name in ("", label)
    ]


def module_of(path: Path) -> Any:
    """Import a file of Python; what stands beside it can be imported by it."""
    label = path.stem
    if label in sys.modules and getattr(sys.modules[label], "__file__", None) != str(path):
        label = f"compared_{label}"
    spec = importlib.util.spec_from_file_location(label, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(label)
    sys.modules[label] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if before is None:
            del sys.modules[label]
        else:
            sys.modules[label] = before
        raise
    finally:
        sys.path.pop(0)
    return module
