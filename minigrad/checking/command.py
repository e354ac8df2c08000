"""`minigrad check`: gradients of first and second order of every op, or of your own function."""

from __future__ import annotations

import argparse
import difflib
import importlib
import importlib.util
import inspect
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from minigrad.checking.gradcheck import check, check_second
from minigrad.checking.report import GradcheckError, Tolerance
from minigrad.checking.samples import OP_SAMPLES, Constant
from minigrad.engine.dispatch import write_whole
from minigrad.ops.registry import OPS
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
HELP = "hold the gradients of every op, or of your own function, against finite differences"
TOLERANCE = Tolerance(1e-6, 1e-5, 1e-3)
SHAPE = (2, 3)  # of each argument of a function, where none is given
COSTLY = 3  # points of an op that are checked at larger sizes and in float32 too
WIDTH = 120  # of a table that goes to no terminal


@dataclass(frozen=True)
class Checked:
    """The result of one op or function.

    samples: how many points it was checked at.  first, second: the largest difference between a
        derivative and its finite difference, as a share of what is allowed; None where that order
        was not reached.  failure: the report of the first check that failed.  kind: of mistake, a
        word.
    """

    name: str
    samples: int
    first: float | None
    second: float | None
    seconds: float
    failure: str | None = None
    kind: str = ""

    @property
    def ok(self) -> bool:
        return self.failure is None


# ---------------------------------------------------------------- checking
def checked(
    name: str,
    points: Iterable[tuple[Callable[..., Any], Sequence[Tensor]]],
    tol: Tolerance = TOLERANCE,
) -> Checked:
    """Check first and second derivatives of functions at points, up to the first that is wrong.

    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> found = checked("cube", [(lambda x: x**3, [x])])
    >>> found.ok, found.samples, found.first < 1, found.second < 1
    (True, 1, True, True)
    """
    start = time.perf_counter()
    worst: list[float | None] = [None, None]
    failure, count, kind = None, 0, ""
    try:
        for fn, inputs in points:
            count += 1
            for order, found in enumerate(
                (
                    check("gradcheck", fn, inputs, tol, True, False, count <= COSTLY),
                    check_second(fn, inputs, None, tol, True, False),
                )
            ):
                worst[order] = max(found, worst[order] or 0.0)
    except GradcheckError as error:
        failure, kind = str(error), error.kind
    return Checked(name, count, worst[0], worst[1], time.perf_counter() - start, failure, kind)


def check_op(name: str, tol: Tolerance = TOLERANCE) -> Checked:
    """Check an op of the registry at all its samples.

    >>> check_op("Mul").ok
    True
    """
    try:
        return checked(name, points_of(name), tol)
    except (GradcheckError, ArithmeticError, RuntimeError, TypeError) as error:
        return Checked(name, 0, None, None, 0.0, f"{type(error).__name__}: {error}")


def points_of(name: str) -> Iterator[tuple[Callable[..., Any], list[Tensor]]]:
    """Yield an op with its options, and the inputs of a sample, in their layout."""
    op = OPS[name]
    if name not in OP_SAMPLES:
        raise ValueError(
            f"op {name} has no samples: state `samples` in its class, see checking/samples.py"
        )
    for arrays, options in OP_SAMPLES[name]:

        def fn(*inputs: Tensor, options: dict[str, Any] = options) -> Any:
            return op.apply(*inputs, **options)

        yield fn, leaves(arrays)


def leaves(arrays: Iterable[Array], dtype: Any = np.float64) -> list[Tensor]:
    """Return the inputs of a sample as leaves of the same layout.

    Constants and integers require no gradient.
    """
    found = []
    for a in arrays:
        moves = a.dtype.kind == "f" and not isinstance(a, Constant)
        plain = a.view(np.ndarray)
        if a.dtype.kind == "f" and plain.dtype != dtype:
            plain = plain.astype(dtype, order="K")
        found.append(Tensor(plain, requires_grad=moves))
    return found


def check_function(
    path: str, shapes: Sequence[tuple[int, ...]] = (), seed: int = 0, tol: Tolerance = TOLERANCE
) -> Checked:
    """Check "module:function" or "file.py:function" at random normals.

    shapes: of its arguments; by default 2x3 for each that has no default.

    Raises: ValueError where there is no such function, or it takes no arguments.
    """
    fn = imported(path)
    rng = np.random.default_rng(seed)
    inputs = [
        Tensor(np.asarray(rng.standard_normal(shape)), requires_grad=True)
        for shape in shapes or [SHAPE] * required(fn, path)
    ]
    return checked(path, [(fn, inputs)], tol)


def imported(path: str) -> Callable[..., Any]:
    """Return the function that "module:function" or "file.py:function" names."""
    where, _, name = path.partition(":")
    if where.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(where).stem, where)
        if spec is None or spec.loader is None or not Path(where).is_file():
            raise ValueError(f"no file {where!r}")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, "")  # as `python -m` has it
        try:
            module = importlib.import_module(where)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"no module {where!r} ({error}); expected module:function or file.py:function"
            ) from error
        finally:
            sys.path.remove("")
    found = getattr(module, name, None)
    if not callable(found):
        names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise ValueError(f"{where} has no function {name!r}{nearest(name, names)}")
    return found


def required(fn: Callable[..., Any], path: str) -> int:
    """Return how many arguments a function cannot do without."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    count = sum(
        p.kind in kinds and p.default is inspect.Parameter.empty
        for p in inspect.signature(fn).parameters.values()
    )
    if not count:
        raise ValueError(f"{path} takes no argument that it needs: give their shapes, --inputs 2x3")
    return count


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest names, if any is near."""
    folded = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(name.casefold(), folded, 3, 0.5)
    return f"; did you mean {' or '.join(folded[k] for k in near)}?" if near else ""


# ---------------------------------------------------------------- the command
def add_options(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = command.add_argument
    add("names", nargs="*", metavar="NAME", help="ops, module:function, file.py:function (all ops)")
    add("--inputs", nargs="+", metavar="NxC", help="shapes of a function's arguments (2x3 each)")
    add("--seed", type=int, default=0, metavar="N", help="of a function's inputs (0)")
    add("--eps", type=float, default=TOLERANCE.eps, metavar="X", help="step (1e-6)")
    add("--atol", type=float, default=TOLERANCE.atol, metavar="X", help="allowed (1e-5) +")
    add("--rtol", type=float, default=TOLERANCE.rtol, metavar="X", help="this |derivative| (1e-3)")
    add("--json", type=Path, metavar="FILE", help="write the results")


def run(arguments: argparse.Namespace) -> int:
    """Check, print, write; return 1 where a gradient is wrong.

    Raises: ValueError for names and shapes that are none.
    """
    names = [known_name(name) for name in arguments.names] or list(OPS)
    shapes = [shape_of(text) for text in arguments.inputs or ()]
    tol = Tolerance(arguments.eps, arguments.atol, arguments.rtol)
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    results = []
    with console.status("") as status:
        for name in names:
            if console.is_terminal:
                status.update(name)
            function = ":" in name
            results.append(
                check_function(name, shapes, arguments.seed, tol)
                if function
                else check_op(name, tol)
            )
    show(results, console)
    if arguments.json is not None:
        found = {"format": 1, "tolerance": asdict(tol), "checked": [asdict(r) for r in results]}
        write_whole(arguments.json, json.dumps(found, indent=1) + "\n")
        console.print(f"wrote {arguments.json}")
    return 0 if all(result.ok for result in results) else 1


def known_name(name: str) -> str:
    """Return the op of a name in any case; a function's path as it is."""
    if ":" in name:
        return name
    folded = {op.casefold(): op for op in OPS}
    found = folded.get(name.replace("_", "").casefold())
    if found is None:
        hint = nearest(name, OPS) or "; functions of your own are given as module:function"
        raise ValueError(f"no op {name!r}{hint}")
    return found


def shape_of(text: str) -> tuple[int, ...]:
    """Return the sizes of a shape such as 2x3."""
    parts = text.split("x")
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"expected shapes such as 2x3, got {text!r}")
    return tuple(map(int, parts))


def show(results: Sequence[Checked], console: Console) -> None:
    """Print one line an op, then the reports of what failed."""
    table = Table(box=box.SIMPLE_HEAD, title="gradients beside central differences, float64")
    table.title_justify = "left"
    for name in ("op", "points", "first order", "second order", "seconds", ""):
        table.add_column(name, justify="left" if name in ("op", "") else "right")
    for r in results:
        table.add_row(
            r.name,
            str(r.samples),
            share(r.first),
            share(r.second),
            f"{r.seconds:.2f}",
            "ok" if r.ok else "WRONG",
            style=None if r.ok else "red",
        )
    console.print(table)
    wrong = [r for r in results if not r.ok]
    for r in wrong:
        console.print(f"{r.name}: {r.failure}", style="red", markup=False)
    points = sum(r.samples for r in results)
    console.print(
        f"{len(results) - len(wrong)} of {len(results)} are right at {points} points; the numbers "
        "are the largest difference over the allowed one"
    )


def share(value: float | None) -> str:
    """Return a number in two digits."""
    return "" if value is None else f"{value:.2g}"
