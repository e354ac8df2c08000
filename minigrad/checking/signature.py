"""The kind of mistake that explains a wrong Jacobian: each hypothesis is fitted to the numbers.

A hypothesis makes a Jacobian of the right one; the first that equals the wrong one names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from minigrad.checking.differing import elements_in_words, masks_of
from minigrad.checking.problem import Array, Problem, numeric, steps_for
from minigrad.checking.report import Tolerance

FIT = 2e-5  # how far a fitted Jacobian may lie from the wrong one, of the largest element
LARGE = 50.0  # elements beyond which intermediates overflow
BIG = 400_000  # elements of a Jacobian beyond which permutations are not looked for


@dataclass(frozen=True)
class Kind:
    """A kind of mistake in a word, and in words for the report; empty where none explains it."""

    name: str = ""
    words: str = ""


@dataclass(frozen=True)
class Case:
    """One wrong Jacobian among all of a function at a point."""

    problem: Problem
    exact: dict[tuple[int, int], Array]
    numeric: dict[tuple[int, int], Array]
    output: int
    input: int
    tol: Tolerance

    @property
    def a(self) -> Array:
        return self.exact[self.output, self.input]

    @property
    def n(self) -> Array:
        return self.numeric[self.output, self.input]

    @property
    def x(self) -> Array:
        return self.problem.points()[self.input]

    @property
    def y(self) -> Array:
        found: Array = self.problem.values[self.output]
        return found

    @property
    def slack(self) -> float:
        """How far two Jacobians may lie apart and be the same."""
        finite = np.abs(self.n[np.isfinite(self.n)])
        values = np.abs(self.y[np.isfinite(self.y)]).max(initial=0.0)
        step = float(steps_for(self.x, self.tol.eps).min(initial=self.tol.eps))
        return float(FIT * finite.max(initial=0.0) + 20 * values * self.tol.noise / step) + 1e-9

    def same(self, a: Array, b: Array) -> bool:
        """Say whether two Jacobians are the same up to the error of differences."""
        if a.shape != b.shape:
            return False
        with np.errstate(all="ignore"):
            return bool((np.abs(a - b) <= self.slack).all())

    @property
    def wrong(self) -> Array:
        """Which elements differ."""
        with np.errstate(all="ignore"):
            return ~(np.abs(self.a - self.n) <= self.slack)


Hypothesis = Callable[[Case], "Kind | None"]


def explain(case: Case) -> Kind:
    """Return the kind of mistake that explains a wrong Jacobian.

    A function that cannot be evaluated where a hypothesis asks for it explains nothing.
    """
    if not case.a.size or not np.isfinite(case.n).all():
        return Kind()
    for hypothesis in HYPOTHESES:
        try:
            with np.errstate(all="ignore"):
                found = hypothesis(case)
        except Exception:
            continue
        finally:
            case.problem.reset()
        if found is not None:
            return found
    return Kind()


# ---------------------------------------------------------------- the whole Jacobian
def zero(case: Case) -> Kind | None:
    """Nothing reaches the input."""
    if case.a.any():
        return None
    inputs = range(len(case.problem.checked))
    dead = [j for j in inputs if not any(m.any() for (_, i), m in case.exact.items() if i == j)]
    name = case.problem.named(case.input)
    if len(dead) == len(inputs) and len(inputs) > 1:
        return Kind("cut", "zero for every input: the tape is cut")
    if case.input in dead and len(inputs) == 1:
        return Kind("zero", f"zero for {name}: the tape is cut")
    if case.input in dead:
        return Kind("zero", f"zero for {name}, which the function depends on")
    return Kind("zero", f"zero for {name} from output {case.output}, which depends on it")


def multiple(case: Case) -> Kind | None:
    """A number times the right one: negated, 2, 1/2, n, 1/n."""
    factor = ratio_of(case.a, case.n)
    if factor is None or not case.same(case.a, factor * case.n):
        return None
    return Kind("negated" if abs(factor + 1) < 1e-4 else "factor", factor_in_words(case, factor))


def ratio_of(a: Array, n: Array) -> float | None:
    """Return by what number `a` is `n` times too large, in the least squares."""
    square = float((n * n).sum())
    if square == 0 or not np.isfinite(a).all():
        return None
    factor = float((a * n).sum()) / square
    return factor if abs(factor) > 1e-9 and abs(factor - 1) > 1e-6 else None


def factor_in_words(case: Case, factor: float) -> str:
    """Return what a factor may come from: sizes of inputs, outputs and their axes."""
    if abs(factor + 1) < 1e-4:
        return "negated: the sign is wrong"
    size = abs(factor)
    sign = "negated and " if factor < 0 else ""
    if size > 1:
        number = nice(size)
        words = f"{sign}{number} times too large: the derivative is {number} times too large"
    else:
        number = nice(1 / size)
        words = (
            f"{sign}{number} times too small (1/{number} of the right one): the derivative is"
            f" {number} times too small"
        )
    whole = size if size > 1 else 1 / size
    sizes = sizes_of(case)
    near = next((what for m, what in sizes if m > 1 and abs(whole - m) < 1e-4 * m), "")
    if not near:
        return words
    mean = "a mean taken for a sum" if size < 1 else "a sum taken for a mean"
    return f"{words}; {number} is {near}: {mean}?"


def nice(x: float) -> str:
    """Return a number, whole where it is one."""
    return str(round(x)) if abs(x - round(x)) < 1e-4 * x else f"{x:.6g}"


def sizes_of(case: Case) -> list[tuple[int, str]]:
    """Return sizes that a factor may be, and what they are of."""
    found = [(case.x.size, f"the size of {case.problem.named(case.input)}")]
    found.append((case.y.size, f"the size of output {case.output}"))
    for what, shape in (("the input's", case.x.shape), ("the output's", case.y.shape)):
        found += [(m, f"the length of {what} axis {k}") for k, m in enumerate(shape)]
    shape = case.x.shape
    for k in range(len(shape)):
        rest = case.x.size // shape[k] if shape[k] else 0
        found.append((rest, f"the size of the input's axes without axis {k}"))
    return found


def swapped(case: Case) -> Kind | None:
    """The gradient of another input."""
    i = case.input
    for j, t in enumerate(case.problem.checked):
        if j == i or t.shape != case.problem.checked[i].shape:
            continue
        other = case.numeric.get((case.output, j))
        if other is None or not case.same(case.a, other) or case.same(case.n, other):
            continue
        names = f"{case.problem.named(i)} and {case.problem.named(j)}"
        if case.same(case.exact[case.output, j], case.n):
            return Kind("swapped", f"swapped: the gradients of {names} are exchanged")
        words = f"swapped: {case.problem.named(i)} gets the gradient of {case.problem.named(j)}"
        return Kind("swapped", words)
    return None


# ---------------------------------------------------------------- evaluated elsewhere
def jacobian_at(case: Case, arrays: list[Array]) -> Array:
    """Return d(output)/d(input) by differences with other values for the inputs."""
    problem = case.problem
    with problem.elsewhere(arrays, problem.when):
        outputs = problem.run()
        problem.first = outputs
        problem.values = [np.array(y.array) for y in outputs]
        return numeric(problem, case.input, [case.output], case.tol.eps)[0]


def at_the_output(case: Case) -> Kind | None:
    """The derivative at y instead of x."""
    if case.x.shape != case.y.shape:
        return None
    arrays = case.problem.points()
    arrays[case.input] = case.y.copy()
    if not case.same(case.a, jacobian_at(case, arrays)):
        return None
    return Kind(
        "output",
        f"evaluated at the output: the derivative is taken at y where"
        f" {case.problem.named(case.input)} belongs",
    )


def at_the_first_point(case: Case) -> Kind | None:
    """The derivative at the point where the function was evaluated before."""
    problem = case.problem
    if not problem.when or not problem.origin:
        return None
    if not case.same(case.a, jacobian_at(case, [p.copy() for p in problem.origin])):
        return None
    return Kind("before", "of the call before: the derivative is that of a point evaluated earlier")


def of_evaluation(case: Case) -> Kind | None:
    """The derivative of the eval mode: running statistics, no mask."""
    return modules_in_eval(case) or no_mask(case) or statistics_taken_for_constants(case)


EVAL = "of eval mode: the derivative of the function in evaluation, not in training"


def modules_in_eval(case: Case) -> Kind | None:
    """Compare with the function after the modules that it reaches were switched."""
    problem = case.problem
    modes = problem.was_training
    if not any(training for _, training in modes):
        return None
    problem.was_training = [(m, False) for m, _ in modes]
    try:
        same = case.same(case.a, jacobian_at(case, problem.points()))
    finally:
        problem.was_training = modes
    return Kind("eval", f"{EVAL} (running statistics, no dropout)") if same else None


def no_mask(case: Case) -> Kind | None:
    """An identity where the right one has a mask of zeros and one other number."""
    if case.x.shape != case.y.shape or case.x.size < 2:
        return None
    d = np.diagonal(case.n)
    kept = d[np.abs(d) > case.slack]
    if kept.size in (0, d.size) or np.ptp(kept) > case.slack or abs(kept[0] - 1) <= case.slack:
        return None
    if case.same(case.a, np.eye(d.size)) and case.same(case.n, np.diag(d)):
        return Kind("eval", f"{EVAL} (no mask, no scale)")
    return None


def statistics_taken_for_constants(case: Case) -> Kind | None:
    """A diagonal that is y's slope on x across a batch: its mean and variance were constants."""
    x, y = case.x, case.y
    if x.shape != y.shape or x.size < 3 or case.same(case.n, np.diag(np.diagonal(case.n))):
        return None
    if not case.same(case.a, np.diag(np.diagonal(case.a))):
        return None
    for axes in axes_to_average(x.ndim):
        dx = x - x.mean(axis=axes, keepdims=True)
        square = (dx * dx).sum(axis=axes, keepdims=True)
        if (square == 0).any():
            continue
        together = projected(x, dx, square, axes)
        near = 1e-3 * float(np.abs(case.n).max())
        if np.allclose(np.diagonal(case.a)[:, None] * together, case.n, rtol=0, atol=near):
            return Kind(
                "eval",
                f"{EVAL} (the mean and variance of the batch are taken for constants: the terms by"
                " which each element moves them are missing)",
            )
    return None


def projected(x: Array, dx: Array, square: Array, axes: tuple[int, ...]) -> Array:
    """Return what is left of a change of `x` once its mean and its size over axes are taken out."""
    free = [k for k in range(x.ndim) if k not in axes]
    labels = np.zeros(x.shape, np.int64)
    for k in free:
        shape = [1] * x.ndim
        shape[k] = x.shape[k]
        labels = labels * x.shape[k] + np.arange(x.shape[k]).reshape(shape)
    flat = labels.reshape(-1)
    group = flat[:, None] == flat[None, :]
    count = x.size // max(int(np.prod([x.shape[k] for k in free])), 1)
    unit = (dx / np.sqrt(square)).reshape(-1)
    return np.asarray(np.eye(x.size) - group * (1 / count + np.outer(unit, unit)))


def axes_to_average(ndim: int) -> list[tuple[int, ...]]:
    """Return sets of axes over which norms take statistics."""
    every = tuple(range(ndim))
    found = [every] if every else []
    found += [every[:1] + every[2:]] if ndim > 1 else []
    found += [every[k:] for k in range(1, ndim)]
    return found


# ---------------------------------------------------------------- in another order
def permutations(shape: tuple[int, ...]) -> Iterator[tuple[str, str, Array]]:
    """Yield orders in which a gradient of a shape may be mistaken: (kind, words, flat places)."""
    size = int(np.prod(shape))
    at = np.arange(size).reshape(shape)
    ndim = len(shape)
    for k in range(ndim):
        for j in range(k + 1, ndim):
            words = f"transposed: axes {k} and {j} are exchanged"
            yield "transposed", words, at.swapaxes(k, j).reshape(-1)
            if shape[k] != shape[j]:
                lay = at.reshape(swap(shape, k, j)).swapaxes(k, j)
                yield "transposed", words + " by a reshape", lay.reshape(-1)
    if ndim > 2:
        yield "transposed", "transposed: the axes are in reverse order", at.T.reshape(-1)
    for k in range(ndim):
        if shape[k] > 1:
            yield "permuted", f"permuted: reversed along axis {k}", np.flip(at, k).reshape(-1)
            for by in (1, -1):
                words = f"permuted: shifted by one along axis {k}"
                yield "permuted", words, np.roll(at, by, k).reshape(-1)
    if ndim > 1:
        yield "permuted", "permuted: all elements reversed", at.reshape(-1)[::-1]


def swap(shape: tuple[int, ...], k: int, j: int) -> tuple[int, ...]:
    """Return a shape with two axes exchanged."""
    found = list(shape)
    found[k], found[j] = found[j], found[k]
    return tuple(found)


def reordered(case: Case) -> Kind | None:
    """The right numbers at other elements of the input, or by the gradient of other outputs."""
    if case.a.size > BIG:
        return None
    if case.same(case.a, case.n.T):
        words = "transposed: the Jacobian itself, as if the rule were that of forward mode"
        return Kind("transposed", words)
    for name, words, at in permutations(case.x.shape):
        if case.same(case.a, case.n[:, at]):
            return Kind(name, words)
    for name, words, at in permutations(case.y.shape):
        if case.same(case.a, case.n[at]):
            return Kind(name, f"{words} in the gradient that is given")
    if matched(case, case.a, case.n):
        return Kind("permuted", "permuted: the right columns, for other elements of the input")
    if matched(case, case.a.T, case.n.T):
        return Kind("permuted", "permuted: the right rows, for other elements of the output")
    return None


def matched(case: Case, a: Array, n: Array) -> bool:
    """Say whether the columns of one are those of the other in another order."""
    free = list(range(n.shape[1]))
    moved = False
    for c in range(a.shape[1]):
        gaps = np.abs(n[:, free] - a[:, c : c + 1]).max(axis=0, initial=0.0)
        k = int(np.argmin(gaps))
        if gaps[k] > case.slack:
            return False
        if c in free and np.abs(n[:, c] - a[:, c]).max(initial=0.0) <= case.slack:
            k = free.index(c)
        moved = moved or free[k] != c
        free.pop(k)
    return moved


# ---------------------------------------------------------------- one axis
def one_axis(case: Case) -> Kind | None:
    """The gradient of one place along an axis where the sum over it belongs."""
    x, y = case.x.shape, case.y.shape
    lead = len(y) - len(x)
    rows = np.arange(case.y.size).reshape(y)
    for k, m in enumerate(y):
        broadcast = m > 1 and (k < lead or x[k - lead] == 1)
        if lead < 0 or not broadcast:
            continue
        for place, words in ((0, "first"), (m - 1, "last")):
            held = np.zeros_like(case.n)
            kept = np.take(rows, place, axis=k).reshape(-1)
            held[kept] = case.n[kept]
            if case.same(case.a, held):
                return Kind(
                    "axis",
                    f"one axis: the {words} along axis {k} of the output is taken where the sum"
                    f" over it belongs (an unbroadcast is missing)",
                )
    columns = np.arange(case.x.size).reshape(x)
    for k, m in enumerate(x):
        alike = np.take(columns, [0] * m, axis=k).reshape(-1) if m > 2 else columns[:0]
        if m < 3 or not case.same(case.n, case.n[:, alike]):
            continue  # not summed over
        for place, words in ((0, "first"), (m - 1, "last")):
            held = np.zeros_like(case.n)
            kept = np.take(columns, place, axis=k).reshape(-1)
            held[:, kept] = case.n[:, kept]
            if case.same(case.a, held):
                return Kind(
                    "axis",
                    f"one axis: only the {words} along axis {k} of"
                    f" {case.problem.named(case.input)} gets its gradient",
                )
    return None


# ---------------------------------------------------------------- right but for some elements
def some_elements(case: Case) -> Kind | None:
    """Right but for ties, zeros, the diagonal, the tail block, one place along an axis."""
    wrong = case.wrong
    square = case.a.shape[0] == case.a.shape[1] > 1
    eye: Array = np.eye(*case.a.shape) == 1
    if square and not case.same(case.n, np.diag(np.diagonal(case.n))):
        if (wrong == eye).all():
            words = "the diagonal: right but for what each element does to its own output"
            return Kind("diagonal", words + in_part(case, eye))
        if case.same(case.a * eye, case.n * eye) and case.same(case.a, case.a * eye):
            return Kind(
                "off-diagonal",
                "only the diagonal: what each element does to the outputs of others is missing",
            )
    if not np.isfinite(case.a).all() and np.abs(case.x).max() > LARGE:
        large = np.abs(case.x).reshape(-1) > LARGE
        if large[wrong.any(axis=0)].all():
            words = "not finite for large elements: something overflows on the way, as exp does"
            return Kind("overflow", words)
    for mask, name, words in sets_of_elements(case):
        spread = np.broadcast_to(mask, wrong.shape)
        return Kind(name, f"right but for {words}{in_part(case, spread & wrong)}")
    return None


def branch(case: Case) -> Kind | None:
    """Right but for the elements beyond some number, where a branch ends."""
    wrong = np.asarray(case.wrong.any(axis=0))
    matters = np.abs(case.n).max(axis=0) + np.nan_to_num(np.abs(case.a)).max(axis=0) > case.slack
    x, name = case.x.reshape(-1), case.problem.named(case.input)
    right = matters & ~wrong
    if wrong.sum() < 2 or right.sum() < 2:
        return None
    for values, word in ((x, ""), (np.abs(x), " in magnitude")):
        for sign, beyond in ((1, "above"), (-1, "below")):
            v = sign * values
            if v[right].max() < v[wrong].min():
                ends = sorted((sign * v[right].max(), sign * v[wrong].min()))
                where = f"a number between {ends[0]:.4g} and {ends[1]:.4g}{word}"
                words = (
                    f"right but for elements of {name} {beyond} {where}: a branch ends elsewhere"
                )
                return Kind("branch", words + in_part(case, case.wrong))
    return None


def sets_of_elements(case: Case) -> Iterator[tuple[Array, str, str]]:
    """Yield what the wrong columns, or the wrong rows, have in common."""
    columns, rows = np.asarray(case.wrong.any(axis=0)), np.asarray(case.wrong.any(axis=1))
    size = np.abs(case.n) + np.nan_to_num(np.abs(case.a))
    if not np.isfinite(case.a).all():
        size = np.full_like(size, np.inf)  # a zero that is no NaN is right
    matters = size.max(axis=0) > case.slack
    others = [p for j, p in enumerate(case.problem.points()) if j != case.input]
    inputs = list(masks_of(case.x, others))
    found = elements_in_words(columns, matters, inputs, case.x.shape)
    if found is not None:
        name, words = found
        yield columns[None, :], name, f"{words} of {case.problem.named(case.input)}"
    matters = size.max(axis=1) > case.slack
    outputs = list(masks_of(case.y, []))
    found = elements_in_words(rows, matters, outputs, case.y.shape)
    if found is not None:
        name, words = found
        yield rows[:, None], name, f"{words} of output {case.output}"


def in_part(case: Case, mask: Array) -> str:
    """Return what the wrong part is of the right one, in words."""
    a, n = case.a[mask], case.n[mask]
    if not np.isfinite(a).all():
        return " (NaN or infinite there)"
    if not a.any():
        return " (zero there)"
    factor = ratio_of(a, n)
    if factor is None or np.abs(a - factor * n).max(initial=0.0) > case.slack:
        return ""
    return f" (there {factor_in_words(case, factor)})"


# ---------------------------------------------------------------- a value too many or too few
def by_a_value(case: Case) -> Kind | None:
    """A factor of an input or of the output is missing, or stands twice."""
    a, n = case.a, case.n
    held = np.abs(n) > 100 * case.slack
    if not held.any() or (np.abs(a[~held]) > 1e3 * case.slack).any():
        return None
    ratio = np.where(held, a / np.where(held, n, 1.0), 0.0)
    names = [(case.problem.named(j), p) for j, p in enumerate(case.problem.points())]
    for what, value in (*names, (f"output {case.output}", case.y)):
        for spread in spreads(value, case):
            if np.ptp(spread) == 0:
                continue
            for power, words in ((1, "too many"), (-1, "missing")):
                want = np.where(held, np.broadcast_to(spread**power, n.shape), 0.0)
                if np.isfinite(want).all() and np.allclose(ratio, want, rtol=1e-3):
                    return Kind("value", f"a factor of {what} is {words}")
                if np.isfinite(want).all() and np.allclose(ratio, -want, rtol=1e-3):
                    return Kind("value", f"a factor of {what} is {words}, and the sign is wrong")
    return None


def spreads(value: Array, case: Case) -> Iterator[Array]:
    """Yield a value as a factor of the Jacobian's columns and of its rows."""
    for shape, axis in ((case.x.shape, 0), (case.y.shape, 1)):
        try:
            full = np.broadcast_to(value, shape).reshape(-1)
        except ValueError:
            continue
        if full.size:
            yield full[None, :] if axis == 0 else full[:, None]


HYPOTHESES: tuple[Hypothesis, ...] = (
    zero,
    multiple,
    swapped,
    one_axis,
    reordered,
    at_the_output,
    at_the_first_point,
    of_evaluation,
    some_elements,
    by_a_value,
    branch,
)


KINDS = {
    "zero": "nothing reaches this input",
    "cut": "nothing reaches any input: the tape is cut",
    "negated": "the sign is wrong",
    "factor": "k times too large or too small: 2, 1/2, n, 1/n",
    "swapped": "the gradients of two inputs are exchanged",
    "transposed": "axes are exchanged",
    "permuted": "the right numbers for other elements",
    "axis": "one place along an axis where the sum over it belongs, or all but one dropped",
    "output": "evaluated at the output",
    "eval": "of eval mode",
    "before": "of the call before",
    "ties": "right but for equal elements",
    "zeros": "right but for zeros",
    "diagonal": "right but for the diagonal",
    "off-diagonal": "only the diagonal is right",
    "tail": "right but for the last elements",
    "head": "right but for the first elements",
    "place": "right but for one place along an axis",
    "sign of the input": "right but for negative or positive elements",
    "extreme": "right but for the largest or smallest element",
    "branch": "right but for elements above, or below, some number",
    "overflow": "not finite for large elements",
    "infinite": "wrong where an element is infinite and the function is not",
    "one element": "right but for one element",
    "value": "a factor of an input or output too many or missing",
    "linear": "not linear in the gradient that is given",
    "layout": "depends on how memory is laid out",
    "state": "depends on what else was evaluated",
    "float32": "wrong in float32 alone",
    "digits": "right to the digits of float32",
    "size": "wrong at some sizes alone",
    "writes": "writes to what it was given",
    "contract": "a rule returns what no rule may",
    "symmetry": "the Hessian is not its transpose",
    "tape": "the second derivative is lost",
    "projection": "wrong along a direction, in a Jacobian too large to look at",
}
