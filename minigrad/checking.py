"""Gradients held against central differences: `gradcheck` and, one order up, `gradgradcheck`.

The Jacobian is compared element by element, in float64, with every random stream set back before
each evaluation, so that dropout draws one mask throughout.  A disagreement is reported with its
worst element, and with the slopes on both sides of the point: where those differ, the point is a
kink.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minigrad.autodiff import grad
from minigrad.checking_problem import Array, Problem, analytic, gradients, live, numeric, unit
from minigrad.checking_report import GradcheckError as GradcheckError
from minigrad.checking_report import Mismatch, Tolerance
from minigrad.tensors import Tensor


# ---------------------------------------------------------------- the comparisons
def fail(problem: Problem, message: str) -> NoReturn:
    """Raise the failure of a check that concerns no single element."""
    raise GradcheckError(f"{problem.name}: {message}")


def compare(problem: Problem, output: int, i: int, a: Array, n: Array, tol: Tolerance) -> float:
    """Hold one analytic Jacobian against the numeric one; a NaN agrees with nothing.

    Returns the largest difference as a share of the allowed one.
    """
    allowed = tol.allowed(n)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(a - n) <= allowed)
    if not wrong.any():
        return float((np.abs(a - n) / allowed).max(initial=0.0))
    with np.errstate(invalid="ignore"):
        excess = np.where(wrong, np.abs(a - n) / allowed, -1.0)
    excess[wrong & ~np.isfinite(excess)] = np.inf
    row, column = np.unravel_index(int(np.argmax(excess)), excess.shape)
    left, right, kink = slopes(problem, output, int(row), i, int(column), tol)
    mismatch = Mismatch(
        output,
        problem.position(i),
        tuple(int(k) for k in np.unravel_index(row, problem.first[output].shape)),
        tuple(int(k) for k in np.unravel_index(column, problem.checked[i].shape)),
        float(a[row, column]),
        float(n[row, column]),
        float(allowed[row, column]),
        left,
        right,
        kink,
        int(wrong.sum()),
        int(wrong.size),
    )
    raise GradcheckError(f"{problem.name}: {mismatch}", mismatch)


def slopes(
    problem: Problem, output: int, row: int, i: int, column: int, tol: Tolerance
) -> tuple[float, float, bool]:
    """Return the slopes to the left and right, and whether they differ at any distance: a kink.

    Those of a curved function differ too, but a quarter of the distance leaves a quarter of it.
    """
    shape = problem.checked[i].shape
    here = float(problem.values[output].reshape(-1)[row])
    found = []
    for eps in (tol.eps, tol.eps / 4):
        up, down = (
            float(problem.moved(i, unit(shape, column, s))[output].reshape(-1)[row])
            for s in (eps, -eps)
        )
        found.append(((here - down) / eps, (up - here) / eps))
    (left, right), (near_left, near_right) = found
    jump, near = abs(right - left), abs(near_right - near_left)
    kink = near > tol.atol + tol.rtol * max(abs(near_left), abs(near_right)) and near > jump / 2
    step = max(abs(near_left), abs(near_right)) > 3 * max(abs(left), abs(right)) + tol.atol
    return left, right, kink or step


def check_values(problem: Problem, again: list[Any]) -> None:
    """Refuse a function whose values change from call to call."""
    for k, (y, z) in enumerate(zip(problem.values, again, strict=True)):
        if not isinstance(y, np.ndarray):
            continue
        now = z.array
        if y.shape != now.shape:
            found = f"shape {y.shape}, then {now.shape}"
        else:
            same = np.equal(y, now) | ((y != y) & (now != now))
            if same.all():
                continue
            at = tuple(map(int, np.argwhere(~same)[0]))
            found = f"at {list(at)} {y[at]!s}, then {now[at]!s}; {np.sum(~same)} of {y.size} differ"
        fail(
            problem,
            f"output {k} differs between two calls with the same inputs and random numbers: the"
            " function keeps state or draws from a source that minigrad does not know"
            f" ({found})",
        )


def check_sweeps(problem: Problem, outputs: list[Any], undefined: bool) -> None:
    """Sweep twice with random seeds: the same bits, nothing written to; None counts as zero."""
    rng = np.random.default_rng(0)
    seeds = [Tensor(rng.standard_normal(y.shape)) for y in outputs]
    values = [s.array.copy() for s in seeds]
    first = gradients(problem, outputs, seeds)
    second = gradients(problem, outputs, seeds)
    for i, (g, h) in enumerate(zip(first, second, strict=True)):
        if not np.array_equal(g, h, equal_nan=True):
            fail(
                problem, f"two backward sweeps give input {problem.position(i)} different gradients"
            )
    for k, (seed, value) in enumerate(zip(seeds, values, strict=True)):
        if not np.array_equal(seed.array, value):
            fail(problem, f"backward writes to the gradient of output {k} that it was given")
    for k, (y, seed) in enumerate(zip(outputs, seeds, strict=True)):
        if not undefined or len(outputs) == 1:
            break
        alone = gradients(problem, [y], [seed])
        zeros = [s if s is seed else Tensor(np.zeros(s.shape)) for s in seeds]
        for i, (g, h) in enumerate(zip(alone, gradients(problem, outputs, zeros), strict=True)):
            if not np.allclose(g, h, rtol=1e-9, atol=1e-12, equal_nan=True):
                fail(
                    problem,
                    f"with a gradient for output {k} alone, input {problem.position(i)} gets "
                    "another"
                    " one than with zeros for the other outputs: a missing gradient must count as "
                    "zero",
                )


def check_constants(problem: Problem, outputs: list[Any], tol: Tolerance) -> float:
    """Hold outputs that do not require grad, where none does, to a derivative of zero."""
    worst = 0.0
    floats = [k for k, y in enumerate(outputs) if isinstance(y, Tensor) and y.is_floating_point()]
    for i, t in enumerate(problem.checked):
        for k, n in zip(floats, numeric(problem, i, floats, tol.eps), strict=True):
            zero = np.zeros((outputs[k].array.size, t.array.size))
            worst = max(worst, compare(problem, k, i, zero, n, tol))
    return worst


def check_projections(problem: Problem, outputs: list[int], tol: Tolerance) -> bool:
    """Compare u'Jv for one random u and v an output and input; say whether all agree."""
    rng = np.random.default_rng(0)
    for k in outputs:
        u = rng.standard_normal(problem.first[k].shape)
        found = gradients(problem, [problem.first[k]], [Tensor(u)])
        for i, g in enumerate(found):
            v = np.asarray(rng.standard_normal(g.shape))
            step = v * (tol.eps / max(float(np.abs(v).max(initial=0.0)), 1e-300))
            up, down = (problem.moved(i, np.asarray(s))[k] for s in (step, -step))
            n = float((u * (up - down)).sum()) / 2
            a = float((g * step).sum())
            spread = float(np.abs(u).sum() * np.abs(step).sum())
            if not abs(a - n) <= tol.atol * spread + tol.rtol * abs(n):
                return False
    return True


def check(
    name: str,
    fn: Callable[..., Any],
    inputs: Any,
    tol: Tolerance,
    undefined: bool,
    fast: bool,
) -> float:
    """Run all comparisons; raise GradcheckError at the first that fails.

    Returns the largest difference as a share of the allowed one, 0 where `fast` was enough.
    """
    worst = 0.0
    with Problem(name, fn, inputs) as problem:
        problem.first = problem.run()
        found = live(problem, problem.first)
        problem.values = [np.array(y.array) if isinstance(y, Tensor) else y for y in problem.first]
        check_values(problem, problem.run())
        if not found:
            return check_constants(problem, problem.first, tol)
        problem.first = problem.run()
        check_sweeps(problem, [problem.first[k] for k in found], undefined)
        if fast and check_projections(problem, found, tol):
            return worst
        exact = {k: analytic(problem, problem.first[k]) for k in found}
        for i in range(len(problem.checked)):
            for k, n in zip(found, numeric(problem, i, found, tol.eps), strict=True):
                worst = max(worst, compare(problem, k, i, exact[k][i], n, tol))
    return worst


def check_second(
    fn: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any,
    tol: Tolerance,
    undefined: bool,
    fast: bool,
) -> float:
    """Run all comparisons of second derivatives; return and raise as `check` does."""
    with Problem("gradgradcheck", fn, inputs) as problem:
        outputs = problem.run()
        outputs = [outputs[k] for k in live(problem, outputs)]
        seeds = weights(outputs, grad_outputs)
        if outputs:
            check_recorded(problem, outputs, seeds)
    if not outputs:
        return 0.0
    args = problem.args
    gradient = gradient_of(fn, len(args))
    try:
        return check("gradgradcheck", gradient, (*args, *seeds), tol, undefined, fast)
    except GradcheckError as error:
        raise GradcheckError(explained(str(error), len(args)), error.mismatch) from None


# ---------------------------------------------------------------- the public face
def gradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    check_undefined_grad: bool = True,
    fast_mode: bool = False,
) -> bool:
    """Compare the gradients of `fn(*inputs)` with central differences, every element of every
    Jacobian.

    (f(x + eps e_j) - f(x - eps e_j)) / (2 eps), to within atol + rtol |numeric|.  Also: the sweep
    gives the same bits twice, a missing gradient counts as zero, gradients have their inputs' shape
    and dtype.

    inputs: a tensor or a tuple of anything; tensors that require grad are checked, float32 ones as
    float64 for the time of the check.  Outputs that do not require grad are skipped.  A module's
    parameters may be passed as inputs while `fn` reaches them through the module.
    check_undefined_grad: sweep from each output alone too.  fast_mode: compare one random
    projection an output and input, all elements only where that fails.  raise_exception: else
    return False where the check fails.

    Raises: GradcheckError (an AssertionError) that names output, input, element, both values, and a
    kink; ValueError where no input requires grad; TypeError for an output that is not float64.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> gradcheck(lambda x: (x * x).sum(), x)
    True
    """
    try:
        tol = Tolerance(float(eps), float(atol), float(rtol))
        check("gradcheck", fn, inputs, tol, check_undefined_grad, fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    check_undefined_grad: bool = True,
    fast_mode: bool = False,
) -> bool:
    """Compare second derivatives with central differences of the first: `gradcheck` of the
    gradient.

    Also: the gradient recorded by `create_graph=True` equals the one of a plain sweep, so that a
    fused op agrees with its composite.

    grad_outputs: what the outputs that require grad are weighted by, random by default; checked as
    inputs too. Other arguments and errors as in `gradcheck`.

    >>> import minigrad as mg
    >>> gradgradcheck(lambda x: x**3, mg.tensor([1.0, 2.0], requires_grad=True))
    True
    """
    try:
        tol = Tolerance(float(eps), float(atol), float(rtol))
        check_second(fn, inputs, grad_outputs, tol, check_undefined_grad, fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def weights(outputs: list[Any], given: Any) -> list[Tensor]:
    """Return one leaf an output to weight it by: those given, else random."""
    if given is not None:
        held = list(given) if isinstance(given, (tuple, list)) else [given]
        if len(held) != len(outputs):
            raise ValueError(
                f"gradgradcheck: {len(held)} grad_outputs for {len(outputs)} outputs that require"
                " grad: expected one each"
            )
        return [Tensor(np.array(w.array, np.float64), requires_grad=True) for w in held]
    rng = np.random.default_rng(1)
    return [Tensor(np.asarray(rng.standard_normal(y.shape)), requires_grad=True) for y in outputs]


def gradient_of(fn: Callable[..., Any], count: int) -> Callable[..., tuple[Tensor, ...]]:
    """Return the gradient of `fn` as a function of its `count` arguments and of the weights."""

    def gradient(*args: Any) -> tuple[Tensor, ...]:
        found = fn(*args[:count])
        found = found if isinstance(found, (tuple, list)) else [found]
        outputs = [y for y in found if isinstance(y, Tensor) and y.requires_grad]
        inputs = [x for x in args[:count] if isinstance(x, Tensor) and x.requires_grad]
        parts = grad(outputs, inputs, args[count:], create_graph=True, allow_unused=True)
        return tuple(g for g in parts if g is not None and g.requires_grad)

    return gradient


def check_recorded(problem: Problem, outputs: list[Any], seeds: list[Tensor]) -> None:
    """Hold the gradient of a recorded sweep, which goes through composites, against the plain
    one.
    """
    plain = gradients(problem, outputs, seeds)
    recorded = grad(outputs, problem.checked, seeds, create_graph=True, allow_unused=True)
    for i, (g, h) in enumerate(zip(plain, recorded, strict=True)):
        value = np.zeros(g.shape) if h is None else h.array
        scale = max(1.0, float(np.abs(g[np.isfinite(g)]).max(initial=0.0)))
        if not np.allclose(value, g, rtol=1e-7, atol=1e-9 * scale, equal_nan=True):
            at = np.unravel_index(int(np.argmax(np.abs(value - g))), g.shape)
            fail(
                problem,
                f"with create_graph=True the gradient of input {problem.position(i)} at"
                f" {[int(k) for k in at]} is {value[at]:.9g}, without it {g[at]:.9g}: a composite "
                "or"
                " a recorded rule differs from the plain one",
            )


def explained(message: str, count: int) -> str:
    """Say what outputs and inputs are in the report of a second-order check."""
    if "d(output" not in message:
        return message
    return (
        f"{message}\n  (each output here is the gradient of an input that requires grad; inputs "
        "from"
        f" {count} on are grad_outputs)"
    )
