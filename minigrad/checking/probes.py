"""Probe a function whose Jacobian agrees for what a right gradient does not depend on.

Each asks for the same gradient in another way, analytically, and says in words what it depends on:
the gradient that is given, the layout of the memory, what else was evaluated, which inputs are to
have a gradient, the point, the size, the dtype.
"""

from __future__ import annotations

import random as python_random
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.checking.comparison import fail
from minigrad.checking.problem import Array, Problem, gradients, swept
from minigrad.checking.report import GradcheckError
from minigrad.checking.rules import watched
from minigrad.tensors.tensor import Tensor
from minigrad.tensors.transforms import grad

SCALE = -16384.0  # a power of two: no digit of a right gradient changes
EXACT = 1e-9  # how far two ways to the same gradient may lie apart, of its largest element


def same(a: Array, b: Array, rtol: float = EXACT) -> bool:
    """Say whether two gradients agree, relative to the largest element."""
    if a.shape != b.shape:
        return False
    if (a == b).all():
        return True
    finite = np.isfinite(a) & np.isfinite(b)
    size = max(float(np.abs(b[finite]).max(initial=0.0)), 1e-3)
    with np.errstate(invalid="ignore"):
        near = (np.abs(a - b) <= rtol * size) | (a == b) | ((a != a) & (b != b))
    return bool(near.all())


def differing(a: Array, b: Array) -> str:
    """Return where two gradients differ most, with both values."""
    if a.shape != b.shape:
        return f"shape {a.shape} instead of {b.shape}"
    with np.errstate(invalid="ignore"):
        gap = np.where((a == b) | ((a != a) & (b != b)), 0.0, np.abs(a - b))
    gap[gap != gap] = np.inf
    at = tuple(int(k) for k in np.unravel_index(int(np.argmax(gap)), gap.shape))
    return f"{a[at]:.9g} instead of {b[at]:.9g} at {list(at)}"


def expect(
    problem: Problem,
    found: Sequence[Array],
    want: Sequence[Array],
    what: str,
    kind: str,
    rtol: float = EXACT,
) -> None:
    """Hold gradients to those that another way gave."""
    for i, (g, h) in enumerate(zip(found, want, strict=True)):
        if not same(g, h, rtol):
            fail(problem, f"{what}: {problem.named(i)} gets {differing(g, h)} as gradient", kind)


def seeds_of(outputs: Sequence[Any], seed: int = 0) -> list[Array]:
    """Return a random gradient for each output."""
    return [a.copy() for a in drawn(seed, tuple(y.shape for y in outputs))]


@lru_cache(maxsize=64)
def drawn(seed: int, shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    """Return standard normals of some shapes."""
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape)) for shape in shapes]


def tensors(arrays: Sequence[Array]) -> list[Tensor]:
    """Return a tensor of each array."""
    return [Tensor(np.asarray(a)) for a in arrays]


def problem_outputs(problem: Problem, found: list[int]) -> list[Any]:
    """Return the differentiable outputs at the point."""
    return [problem.first[k] for k in found]


# ---------------------------------------------------------------- the gradient that is given
def check_sweeps(
    problem: Problem, outputs: list[Any], undefined: bool, first_order: bool = True
) -> list[Array]:
    """Sweep twice with random seeds: the same bits, no random number drawn.

    first_order: watch every rule.  undefined: sweep from each output alone too, where None must
    count as zero.  Returns the gradients of `seeds_of(outputs)`.
    """
    seeds = tensors(seeds_of(outputs))
    given = [s.array.copy() for s in seeds]
    kept = np.random.get_state()  # noqa: NPY002
    np.random.seed(20077)  # noqa: NPY002  # a rule that seeds it leaves another state
    before = drawn_so_far() if first_order else None
    with watched(problem.name, outputs) if first_order else nullcontext():
        first = gradients(problem, outputs, seeds)
    changed = first_order and drawn_so_far() != before
    np.random.set_state(kept)  # noqa: NPY002
    if changed:
        fail(
            problem,
            "the backward sweep draws from a global random generator (numpy.random or random);"
            " draw in forward, and keep what was drawn for the gradient",
            "state",
        )
    try:
        second = gradients(problem, outputs, seeds)
    except Exception as error:
        fail(
            problem,
            f"a second sweep over the same graph raises {type(error).__name__}: {error}",
            "state",
        )
    for i, (g, h) in enumerate(zip(first, second, strict=True)):
        if not np.array_equal(g, h, equal_nan=True):
            fail(
                problem,
                f"two backward sweeps give {problem.named(i)} different gradients"
                f" ({differing(h, g)}): a rule keeps state, draws random numbers or asks the time",
                "state",
            )
    for k, (seed, value) in enumerate(zip(seeds, given, strict=True)):
        if not np.array_equal(seed.array, value):
            fail(
                problem,
                f"backward writes to the gradient of output {k} that it was given",
                "writes",
            )
    for k, (y, seed) in enumerate(zip(outputs, seeds, strict=True)):
        if not undefined or len(outputs) == 1:
            break
        alone = gradients(problem, [y], [seed])
        zeros = [s if s is seed else Tensor(np.zeros(s.shape)) for s in seeds]
        expect(
            problem,
            alone,
            gradients(problem, outputs, zeros),
            f"with a gradient for output {k} alone, not with zeros for the other outputs: a missing"
            " gradient must count as zero",
            "contract",
        )
    return first


def drawn_so_far() -> tuple[Any, ...]:
    """Return the state of the random generators that everybody shares."""
    state: Any = np.random.get_state()  # noqa: NPY002
    return state[1].tobytes(), state[2], python_random.getstate()


def check_linear(problem: Problem, outputs: list[Any], base: list[Array]) -> None:
    """Hold the sweep to what is linear: SCALE times the gradient gives SCALE times the result."""
    found = gradients(problem, outputs, tensors([SCALE * u for u in seeds_of(outputs)]))
    for i, (g, h) in enumerate(zip(found, base, strict=True)):
        if not same(g, SCALE * h):
            ignored = " (the same: the rule ignores the gradient it is given)" * same(g, h)
            fail(
                problem,
                f"the backward sweep is not linear in the gradient it is given: with {SCALE:g}"
                f" times the gradient {problem.named(i)} gets"
                f" {differing(g, SCALE * h)}{ignored}",
                "linear",
            )


def check_seed_layouts(problem: Problem, outputs: list[Any], base: list[Array]) -> None:
    """Give the same gradients in other layouts: transposed and reversed in memory, stride 0."""
    plain = seeds_of(outputs)
    expect(
        problem,
        gradients(problem, outputs, tensors([reordered(u) for u in plain])),
        base,
        "the backward sweep depends on the memory layout of the gradient it is given (the same"
        " numbers, transposed or with gaps in memory)",
        "layout",
    )
    if any(u.ndim > 1 for u in plain):
        expect(
            problem,
            gradients(problem, outputs, tensors([fortran(u) for u in plain])),
            base,
            "the backward sweep depends on the memory layout of the gradient it is given (the same"
            " numbers, transposed: in Fortran's order)",
            "layout",
        )
    flat = [np.full(u.shape, 1.25) for u in plain]
    strides = [
        np.lib.stride_tricks.as_strided(np.array(1.25), u.shape, (0,) * u.ndim) for u in flat
    ]
    ways = [("one number", strides, flat)]
    if any(u.ndim > 1 for u in plain):
        rows = [repeated_row(u) for u in plain]
        ways.append(("one row", rows, [u.copy() for u in rows]))
        last = [repeated_column(u) for u in plain]
        ways.append(("one column", last, [u.copy() for u in last]))
    for what, expanded, full in ways:
        expect(
            problem,
            gradients(problem, outputs, tensors(expanded)),
            gradients(problem, outputs, tensors(full)),
            "the backward sweep depends on the memory layout of the gradient it is given"
            f" ({what} expanded with stride 0, as sum() gives it, beside the same numbers in full)",
            "layout",
        )


def repeated_row(a: Array) -> Array:
    """Return the first row for all rows, in its own memory with stride 0."""
    if a.ndim < 2 or not a.size:
        return a
    row = a[:1].copy()
    return np.lib.stride_tricks.as_strided(row, a.shape, (0, *row.strides[1:]))


def repeated_column(a: Array) -> Array:
    """Return the first place along the last axis for all of it, with stride 0 there."""
    if a.ndim < 2 or not a.size:
        return a
    column = a[..., :1].copy()
    return np.lib.stride_tricks.as_strided(column, a.shape, (*column.strides[:-1], 0))


def check_additive(
    problem: Problem, base: list[Array], exact: dict[int, list[Array]], seeds: list[Array]
) -> None:
    """Hold the gradient of random seeds to the sum of those of unit seeds."""
    for i, g in enumerate(base):
        total = sum(
            (
                (u.reshape(-1, 1) * rows[i]).sum(axis=0)
                for u, rows in zip(seeds, exact.values(), strict=True)
            ),
            np.zeros(g.size),
        )
        if not same(g, np.reshape(total, g.shape), 1e-7):
            fail(
                problem,
                "the backward sweep is not additive in the gradient it is given: a random gradient"
                f" gives {problem.named(i)} {differing(g, np.reshape(total, g.shape))},"
                " the sum over its elements one by one",
                "linear",
            )


# ---------------------------------------------------------------- what else was evaluated
def check_state(problem: Problem, outputs: list[Any], found: list[int], base: list[Array]) -> None:
    """Evaluate elsewhere and sweep there, then hold the first graph and its results to what they
    were.
    """
    seeds = tensors(seeds_of(outputs))
    handed = swept(problem, outputs, seeds)
    for i, g in enumerate(handed):
        for k, t in enumerate(problem.args):
            if (
                g is not None
                and isinstance(t, Tensor)
                and t.array.size
                and np.may_share_memory(g.array, t.array)
                and np.shares_memory(g.array, t.array)
            ):
                fail(
                    problem,
                    f"the gradient of {problem.named(i)} is a view of the memory of input"
                    f" {k}: whoever changes .grad in place changes the input; return a copy",
                    "writes",
                )
    others = problem.at([generic(a, 7 + n) for n, a in enumerate(problem.points())])
    there = [others[k] for k in found]
    if all(y.requires_grad and y.shape == u.shape for y, u in zip(there, seeds, strict=True)):
        swept(problem, there, tensors(seeds_of(there, 3)))
    problem.reset()
    held = [np.zeros(b.shape) if g is None else g.array for g, b in zip(handed, base, strict=True)]
    expect(
        problem,
        held,
        base,
        "the backward sweep hands out memory that a later sweep writes to (a buffer kept on the"
        " class or a global): the gradient that was given has changed; return memory of its own",
        "state",
    )
    expect(
        problem,
        gradients(problem, outputs, seeds),
        base,
        "the gradient of a graph changes when the function is evaluated elsewhere in between: a"
        " rule uses state kept on the class or a global instead of on self; keep what backward"
        " needs on self",
        "state",
    )


def check_before(problem: Problem, found: list[int], base: list[Array]) -> None:
    """Hold the gradient after a call elsewhere to the one after a call at the same point."""
    elsewhere = problem.at([generic(a, 17 + n) for n, a in enumerate(problem.points())])
    there = [elsewhere[k] for k in found]
    wrong = None
    if all(y.requires_grad for y in there):
        wrong = gradients(problem, there, tensors(seeds_of(there)))
    every = problem.run()
    outputs = [every[k] for k in found]
    now = gradients(problem, outputs, tensors(seeds_of(outputs)))
    for i, (g, h) in enumerate(zip(now, base, strict=True)):
        if not same(g, h):
            stale = wrong is not None and same(g, wrong[i])
            words = "is that" if stale else "depends on that"
            fail(
                problem,
                f"after a call at another point {problem.named(i)} gets {differing(g, h)}: the"
                f" gradient {words} of the call before: a rule keeps a buffer from one call to the"
                " next; keep what backward needs on self",
                "before",
            )


def generic(a: Array, seed: int) -> Array:
    """Return a point near `a`, of the same signs, without its symmetries."""
    (spread,) = drawn(seed, (a.shape,))
    return np.asarray(a * (1 + 0.07 * np.tanh(spread)))


# ---------------------------------------------------------------- which inputs, and twice
def check_alone(problem: Problem, found: list[int], base: list[Array]) -> None:
    """Hold the gradient of each input to the one that it gets where it alone requires grad."""
    if len(problem.checked) < 2:
        return
    for i, t in enumerate(problem.checked):
        problem.reset()
        others = [s for s in problem.checked if s is not t]
        for s in others:
            s.requires_grad = False
        try:
            try:
                every = problem.evaluate()
            except Exception:
                continue  # a function that differentiates by an input itself needs that one's grad
            pairs = zip(found, seeds_of([problem.first[k] for k in found]), strict=True)
            kept = [(every[k], u) for k, u in pairs if every[k].requires_grad]
            g: Any = None
            if kept:
                ys = [y for y, _ in kept]
                with watched(problem.name, ys, words_alone(problem, i)):
                    (g,) = grad(ys, t, tensors([u for _, u in kept]), allow_unused=True)
        finally:
            for s in others:
                s.requires_grad = True
        value = np.zeros(t.shape) if g is None else g.array
        if not same(value, base[i]):
            fail(
                problem,
                f"{words_alone(problem, i)}, its gradient is {differing(value, base[i])}: a rule is"
                " wrong where only some of its inputs need a gradient (self.needs(i))",
                "contract",
            )


def words_alone(problem: Problem, i: int) -> str:
    """Return what `check_alone` does, for a message."""
    return f"where {problem.named(i)} alone requires grad"


def check_twice(problem: Problem, found: list[int]) -> None:
    """Pass one tensor as two inputs: its gradient is the sum of what two equal ones get."""
    places = [k for k, x in enumerate(problem.args) if any(x is t for t in problem.checked)]
    pairs = [
        (p, q)
        for n, p in enumerate(places)
        for q in places[n + 1 :]
        if problem.args[p] is not problem.args[q]
        and problem.args[p].shape == problem.args[q].shape
        and problem.args[p].array.size
    ]
    for p, q in pairs[:3]:
        problem.reset()
        x = problem.args[p]
        other = Tensor(x.array.copy(), requires_grad=True)
        results: list[Array] = []
        for second in (other, x):
            args = [second if k == q else a for k, a in enumerate(problem.args)]
            problem.reset()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    every = problem.evaluate(args)
                except Exception:
                    results = []
                    break
            outputs = [every[k] for k in found if k < len(every) and every[k].requires_grad]
            if not outputs:
                results = []
                break
            what = f"with one tensor as inputs {p} and {q}" if second is x else ""
            with watched(problem.name, outputs, what):
                parts = grad(outputs, [x, other], tensors(seeds_of(outputs)), allow_unused=True)
            results.append(sum((g.array for g in parts if g is not None), np.zeros(x.shape)))
        if len(results) == 2 and not same(results[1], results[0]):
            fail(
                problem,
                f"the same tensor used twice, as inputs {p} and {q}, gets"
                f" {differing(results[1], results[0])}: its gradient must be the sum of those of"
                " two tensors of the same values",
                "contract",
            )


# ---------------------------------------------------------------- layouts
def reordered(a: Array) -> Array:
    """Return the same elements in another layout: axes in reverse order in memory, with gaps.

    >>> reordered(np.zeros((2, 3))).strides, reordered(np.zeros(3)).strides
    ((16, 32), (-16,))
    """
    if a.ndim == 1:
        memory = np.full(2 * a.size + 1, np.nan, a.dtype)
        view = memory[-2::-2] if a.size else memory[:0]
    else:
        memory = np.full((*a.shape[::-1][:-1], 2 * a.shape[0]) if a.ndim else (), np.nan, a.dtype)
        view = memory[..., ::2].T if a.ndim else memory
    view[...] = a
    return np.asarray(view)


def fortran(a: Array) -> Array:
    """Return a copy with the first axis the fastest in memory."""
    return np.array(a, order="F")


WAYS: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("transposed or with gaps", reordered),
    ("transposed: in Fortran's order", fortran),
    ("reversed: with negative strides", lambda a: np.flip(np.flip(a).copy())),
    ("in C order", np.array),
)


def check_layouts(problem: Problem, found: list[int], base: list[Array], all_: bool) -> None:
    """Lay the inputs out otherwise, with the same values: in C order, transposed, reversed, with
    gaps, expanded with stride 0.
    """
    points = problem.points()
    values = [problem.values[k] for k in found]
    plain = all(t.array.flags.c_contiguous for t in problem.checked)
    flat = all(a.ndim < 2 for a in points)
    for how, lay in WAYS if all_ else (WAYS[0], WAYS[-1]):
        if (lay is np.array and plain) or (lay is fortran and flat):
            continue
        got = at_point(problem, [lay(a) for a in points], found)
        hold_layout(problem, got, (values, base), how)
    for axis in (0, -1) if all_ else ():
        if any(a.ndim and a.shape[axis] > 1 and (axis == 0 or a.ndim > 1) for a in points):
            check_expanded(problem, found, points, axis)


def check_expanded(problem: Problem, found: list[int], points: list[Array], axis: int) -> None:
    """Expand inputs along an axis with stride 0, and give the same numbers in full."""

    def one(a: Array) -> Array:
        if not a.ndim or a.shape[axis] < 2:
            return a
        return a[:1] if axis == 0 else a[..., :1]

    def spread(e: Array, a: Array) -> Array:
        if e is a:
            return a
        strides = list(e.strides)
        strides[axis] = 0
        return np.lib.stride_tricks.as_strided(e, a.shape, strides)

    pairs = [(one(a), a) for a in points]
    plain = at_point(problem, [np.array(np.broadcast_to(e, a.shape)) for e, a in pairs], found)
    got = at_point(problem, [spread(e, a) for e, a in pairs], found)
    if plain is not None:
        hold_layout(problem, got, plain, "with a dimension expanded (stride 0)")


Result = tuple[list[Array], list[Array]]


def at_point(problem: Problem, arrays: list[Array], found: list[int]) -> Result | None:
    """Return values and gradients with these arrays as inputs; None where there are none."""
    try:
        outputs = attempt(problem, arrays, found)
        if outputs is None or not all(y.requires_grad for y in outputs):
            return None
        values = [np.array(y.array) for y in outputs]
        return values, gradients(problem, outputs, tensors(seeds_of(outputs)))
    except GradcheckError:
        raise
    except Exception:  # a matrix that has no inverse there
        return None
    finally:
        problem.reset()


def attempt(problem: Problem, arrays: list[Array], found: list[int]) -> list[Any] | None:
    """Evaluate at a point of the check's own choice; None where the function does not go there."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            every = problem.at(arrays)
        except Exception:
            return None
    return [every[k] for k in found] if len(every) > found[-1] else None


def hold_layout(problem: Problem, got: Result | None, want: Result, how: str) -> None:
    """Hold values and gradients of a layout to those of another."""
    if got is None:
        fail(
            problem,
            f"the function cannot be evaluated with its inputs laid out otherwise in memory ({how})"
            ", the same values: it depends on the memory layout of its inputs",
            "layout",
        )
    for k, (y, z) in enumerate(zip(got[0], want[0], strict=True)):
        if not same(y, z):
            fail(
                problem,
                f"output {k} depends on the memory layout of the inputs (the same values, {how}):"
                f" {differing(y, z)}",
                "layout",
            )
    expect(
        problem,
        got[1],
        want[1],
        f"the gradient depends on the memory layout of the inputs (the same values, {how})",
        "layout",
    )
