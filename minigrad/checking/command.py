"""`minigrad check`: gradients of first to third order of every op, or of your own function."""

from __future__ import annotations

import argparse
import difflib
import importlib
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from minigrad.checking.gradcheck import check, check_second
from minigrad.checking.mutation import mutation_score
from minigrad.checking.page import page
from minigrad.checking.report import GradcheckError, Tolerance
from minigrad.checking.samples import OP_SAMPLES, Constant
from minigrad.checking.versions import too_far, versions_of
from minigrad.engine.dispatch import write_whole
from minigrad.ops.registry import OPS
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
ABOUT = (
    "Hold the gradients of every op, or of your own function, against finite differences, "
    "in float64, up to third derivatives."
)
TOLERANCE = Tolerance(1e-6, 1e-5, 1e-3)
SHAPE = (2, 3)  # of each argument of a function, where none is given
TINY = 13  # elements of inputs up to which third derivatives are checked
COSTLY = 3  # points of an op that are checked at larger sizes and in float32 too
WIDTH = 120  # of a table that goes to no terminal


@dataclass(frozen=True)
class Checked:
    """The result of one op or function.

    samples: how many points it was checked at.
    first, second, third: the largest difference between a derivative and its finite difference, as
        a share of what is allowed; None where that order was not reached.
    failure: the report of the first check that failed.  kind: of mistake, a word.
    versions: distances between ways to the same numbers, see checking/versions.py.
    """

    name: str
    samples: int
    first: float | None
    second: float | None
    seconds: float
    failure: str | None = None
    kind: str = ""
    third: float | None = None
    versions: dict[str, float] | None = None

    @property
    def ok(self) -> bool:
        return self.failure is None


# ---------------------------------------------------------------- checking
def checked(
    name: str,
    points: Iterable[tuple[Callable[..., Any], Sequence[Tensor]]],
    tol: Tolerance = TOLERANCE,
    orders: int = 2,
) -> Checked:
    """Check first and second derivatives of functions at points, up to the first that is wrong.

    orders: 1 for the first derivatives alone, 3 for the third at the first small points too.

    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> found = checked("cube", [(lambda x: x**3, [x])])
    >>> found.ok, found.samples, found.first < 1, found.second < 1
    (True, 1, True, True)
    """
    start = time.perf_counter()
    worst: list[float | None] = [None, None, None]
    failure, count, kind = None, 0, ""
    try:
        for fn, inputs in points:
            count += 1
            costly = count <= COSTLY
            for order in range(orders):
                if order == 2 and (not costly or sum(t.array.size for t in inputs) > TINY):
                    continue
                found = (
                    check_second(fn, inputs, None, tol, True, False, costly, order + 1)
                    if order
                    else check("gradcheck", fn, inputs, tol, True, False, costly)
                )
                worst[order] = max(found, worst[order] or 0.0)
    except GradcheckError as error:
        failure, kind = str(error), error.kind
    took = time.perf_counter() - start
    return Checked(name, count, worst[0], worst[1], took, failure, kind, worst[2])


def check_op(
    name: str, tol: Tolerance = TOLERANCE, orders: int = 2, device: str | None = None
) -> Checked:
    """Check an op of the registry at all its samples, and its versions beside each other.

    >>> check_op("Mul").ok
    True
    """
    try:
        found = checked(name, points_of(name), tol, orders)
    except (GradcheckError, ArithmeticError, RuntimeError, TypeError) as error:
        return Checked(name, 0, None, None, 0.0, f"{type(error).__name__}: {error}")
    beside = versions_of(OPS[name], device)
    far = too_far(beside)
    if found.ok and far:
        words = ", ".join(f"{k} by {beside[k]:.2g}" for k in far)
        return replace(found, failure=f"versions differ: {words}", kind=far[0], versions=beside)
    return replace(found, versions=beside)


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
    path: str,
    shapes: Sequence[Any] = (),
    seed: int = 0,
    tol: Tolerance = TOLERANCE,
    orders: int = 2,
) -> Checked:
    """Check "module:function" or "file.py:function" at random normals.

    shapes: of its arguments, or words for them, see `drawn_input`; by default 2x3 for each that has
        no default.

    Raises: ValueError where there is no such function, or it takes no arguments.
    """
    fn = imported(path)
    rng = np.random.default_rng(seed)
    inputs = [drawn_input(text, rng) for text in shapes or [SHAPE] * required(fn, path)]
    return checked(path, [(fn, inputs)], tol, orders)


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
    add(
        "names",
        nargs="*",
        metavar="NAME",
        help="op, module:function, or file.py:function (default: all)",
    )
    add(
        "--inputs",
        nargs="+",
        metavar="NxC",
        help="a function's arguments: 2x3 (normals), 2x3:0.1..1 (uniform), 4:int:0..9 (integers)",
    )
    add("--seed", type=int, default=0, metavar="N", help="of a function's inputs (default: 0)")
    add(
        "--eps",
        type=float,
        default=TOLERANCE.eps,
        metavar="X",
        help="step of the differences (default: 1e-6)",
    )
    add(
        "--atol",
        type=float,
        default=TOLERANCE.atol,
        metavar="X",
        help="error that is allowed (default: 1e-5)",
    )
    add(
        "--rtol",
        type=float,
        default=TOLERANCE.rtol,
        metavar="X",
        help="and a share of the value (default: 1e-3)",
    )
    add(
        "--order",
        type=int,
        default=3,
        choices=(1, 2, 3),
        help="up to which derivative (default: 3)",
    )
    add("--device", metavar="D", help="run it there too: cuda-sim or cuda")
    add("--mutate", type=int, metavar="N", help="spoil each rule N times; count what is seen")
    add("--jobs", type=int, metavar="N", help="processes (default: all cores for all ops)")
    add("--json", type=Path, metavar="FILE", help="write the results as JSON")
    add("--html", type=Path, metavar="FILE", help="write a page with the results")


def run(arguments: argparse.Namespace) -> int:
    """Check, print, write; return 1 where a gradient is wrong.

    Raises: ValueError for names and shapes that are none.
    """
    names = [known_name(name) for name in arguments.names] or list(OPS)
    tol = Tolerance(arguments.eps, arguments.atol, arguments.rtol)
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    if arguments.mutate is not None:
        return mutated([n for n in names if ":" not in n], arguments.mutate, console)
    jobs = arguments.jobs or (1 if arguments.names else os.cpu_count() or 1)
    results = in_processes(names, jobs, arguments) if jobs > 1 else None
    if results is None:
        results = []
        given = arguments.inputs or ()
        with console.status("") as status:
            for name in names:
                if console.is_terminal:
                    status.update(name)
                results.append(
                    check_function(name, given, arguments.seed, tol, arguments.order)
                    if ":" in name
                    else check_op(name, tol, arguments.order, arguments.device)
                )
    show(results, console)
    if arguments.json is not None:
        found = {"format": 1, "tolerance": asdict(tol), "checked": [asdict(r) for r in results]}
        write_whole(arguments.json, json.dumps(found, indent=1) + "\n")
        console.print(f"wrote {arguments.json}")
    if arguments.html is not None:
        rows = [(cells(r), r.ok, r.failure) for r in results]
        write_whole(arguments.html, page(COLUMNS, rows, "minigrad check"))
        console.print(f"wrote {arguments.html}")
    return 0 if all(result.ok for result in results) else 1


def in_processes(
    names: Sequence[str], jobs: int, arguments: argparse.Namespace
) -> list[Checked] | None:
    """Check shares of the names in processes of their own; None where one of them fails."""
    shares = [names[k::jobs] for k in range(min(jobs, len(names)))]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{k}.json" for k in range(len(shares))]
        options = ["--jobs", "1", "--order", str(arguments.order)]
        for key in ("eps", "atol", "rtol", "seed"):
            options += [f"--{key}", str(getattr(arguments, key))]
        options += ["--device", arguments.device] if arguments.device else []
        inputs = ["--inputs", *arguments.inputs] if arguments.inputs else []
        command = [sys.executable, "-m", "minigrad", "check"]
        running = [
            subprocess.Popen(
                [*command, *some, *options, "--json", str(file), *inputs],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for some, file in zip(shares, files, strict=True)
        ]
        for process in running:
            process.wait()
        if not all(file.is_file() for file in files):
            return None
        found = {
            row["name"]: Checked(**row)
            for file in files
            for row in json.loads(file.read_text())["checked"]
        }
    return [found[name] for name in names]


def mutated(names: Sequence[str], most: int, console: Console) -> int:
    """Print the mutation score of ops; return 1 where it is below 95 %."""
    score = mutation_score(names, most)
    for survivor in score.survivors:
        console.print(f"survives: {survivor}", markup=False)
    apart = len(score.equivalent)
    beside = f"; {apart} more change gradients that are always zero" if apart else ""
    console.print(f"{score.killed} of {score.total} mutants are seen: {score.share:.1%}{beside}")
    return 0 if score.share >= 0.95 else 1


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


def drawn_input(text: Any, rng: np.random.Generator) -> Tensor:
    """Return an input as the command line states it: "2x3", "2x3:0.1..1", "4:int:0..9".

    >>> drawn_input("3:int:0..1", np.random.default_rng(0)).shape
    (3,)
    """
    if not isinstance(text, str):
        return Tensor(np.asarray(rng.standard_normal(tuple(text))), requires_grad=True)
    size, *kinds = text.split(":")
    shape = shape_of(size)
    whole = "int" in kinds
    low, high = (0.0, 9.0) if whole else (np.nan, np.nan)
    for kind in kinds:
        ends = kind.split("..")
        if len(ends) == 2:
            try:
                low, high = map(float, ends)
            except ValueError:
                raise ValueError(f"expected a range such as 0.1..1, got {kind!r}") from None
        elif kind != "int":
            raise ValueError(f"expected int or a range such as 0.1..1, got {kind!r}")
    if whole:
        return Tensor(rng.integers(int(low), int(high) + 1, shape))
    ranged = not np.isnan(low)
    a = rng.uniform(low, high, shape) if ranged else rng.standard_normal(shape)
    return Tensor(np.asarray(a), requires_grad=True)


def shape_of(text: str) -> tuple[int, ...]:
    """Return the sizes of a shape such as 2x3."""
    parts = text.split("x")
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"expected shapes such as 2x3, got {text!r}")
    return tuple(map(int, parts))


COLUMNS = (
    *("op", "points", "first", "second", "third order"),
    *("float32", "fused", "device", "seconds", ""),
)


def cells(r: Checked) -> list[str]:
    """Return one line of the table."""
    beside = r.versions or {}
    return [
        r.name,
        str(r.samples),
        *map(share, (r.first, r.second, r.third)),
        *(share(beside.get(k)) for k in ("float32", "fused", "device")),
        f"{r.seconds:.2f}",
        "ok" if r.ok else f"WRONG {r.kind}".strip(),
    ]


def show(results: Sequence[Checked], console: Console) -> None:
    """Print one line an op, then the reports of what failed."""
    title = "gradients beside central differences, and versions beside each other"
    table = Table(box=box.SIMPLE_HEAD, title=title)
    table.title_justify = "left"
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("op", "") else "right")
    for r in results:
        table.add_row(*cells(r), style=None if r.ok else "red")
    console.print(table)
    wrong = [r for r in results if not r.ok]
    for r in wrong:
        console.print(f"{r.name}: {r.failure}", style="red", markup=False)
    points = sum(r.samples for r in results)
    console.print(
        f"{len(results) - len(wrong)} of {len(results)} are right at {points} points; the numbers "
        "are the largest difference over the allowed one, of versions over the largest number"
    )


def share(value: float | None) -> str:
    """Return a number in two digits."""
    return "" if value is None else f"{value:.2g}"
