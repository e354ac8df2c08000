"""Gradients held against central differences: `gradcheck` and, one order up, `gradgradcheck`.

The Jacobian is compared element by element, in float64, with every random stream set back before
each evaluation, so that dropout draws one mask throughout.  A disagreement is reported with its
worst element, and with the slopes on both sides of the point: where those differ, the point is a
kink.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.checking.blaming import blame
from minigrad.checking.comparison import Jacobians, compare_all, fail, jacobians
from minigrad.checking.oracle import check_digits
from minigrad.checking.probes import (
    check_additive,
    check_layouts,
    check_linear,
    check_seed_layouts,
    check_sweeps,
    seeds_of,
)
from minigrad.checking.problem import (
    Problem,
    gradients,
    live,
    tensors_in,
    tensors_within,
)
from minigrad.checking.projections import check_projections, is_large
from minigrad.checking.reach import distinct
from minigrad.checking.report import GradcheckError as GradcheckError
from minigrad.checking.report import Tolerance
from minigrad.checking.rules import nodes_of, watched
from minigrad.checking.scenarios import check_points_again
from minigrad.checking.shrinking import shrunk, write_check
from minigrad.checking.sizes import check_all
from minigrad.tensors.tensor import Tensor
from minigrad.tensors.transforms import grad

SYMMETRIC = 1e-8  # how far a Hessian may lie from its transpose, of its largest element


# ---------------------------------------------------------------- the comparisons
def check_values(problem: Problem, again: list[Any]) -> None:
    """Refuse a function whose values change from call to call."""
    for k, (y, z) in enumerate(zip(problem.values, again, strict=True)):
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
            "state",
        )


def check_constants(problem: Problem, outputs: list[Any], tol: Tolerance) -> float:
    """Hold outputs that do not require grad, where none does, to a derivative of zero."""
    floats = [k for k, y in enumerate(outputs) if isinstance(y, Tensor) and y.is_floating_point()]
    return compare_all(problem, jacobians(problem, floats, [], tol), tol)


def check(
    name: str,
    fn: Callable[..., Any],
    inputs: Any,
    tol: Tolerance,
    undefined: bool,
    fast: bool,
    costly: bool = True,
) -> float:
    """Run all comparisons; raise GradcheckError at the first that fails.

    costly: probe at larger sizes and in float32 too.
    Returns the largest difference as a share of the allowed one, 0 where `fast` was enough.
    """
    worst = 0.0
    with Problem(name, fn, inputs) as problem:
        found = begun(problem)
        if not found:
            return check_constants(problem, problem.first, tol)
        problem.first = problem.run()
        outputs = [problem.first[k] for k in found]
        base = check_sweeps(problem, outputs, undefined)
        check_linear(problem, outputs, base)
        check_seed_layouts(problem, outputs, base)
        large = fast or is_large(problem, found)
        if not (large and check_projections(problem, found, tol)):
            held = jacobians(problem, found, found, tol)
            worst = compare_all(problem, held, tol)
            check_digits(problem, found, held)
            problem.elementwise = is_elementwise(problem, held)
            exact = {k: [held.exact[k, i] for i in range(len(problem.checked))] for k in found}
            check_additive(problem, base, exact, seeds_of(outputs))
        check_all(problem, found, base, tol, costly)
        check_values(problem, problem.run())
    return worst


def is_elementwise(problem: Problem, held: Jacobians) -> bool:
    """Say whether all Jacobians are diagonal, of outputs and inputs of one shape."""
    for (k, i), n in held.numeric.items():
        if problem.values[k].shape != problem.checked[i].shape or n.size < 2:
            return False
        off = ~np.eye(len(n), dtype=bool)
        if n[off].any() or held.exact[k, i][off].any():
            return False
    return True


def begun(problem: Problem) -> list[int]:
    """Run the function twice, keep what it gave, and return which outputs have gradients."""
    problem.first = problem.run()
    found = live(problem, problem.first)
    problem.values = [np.array(y.array) for y in problem.first]
    check_values(problem, problem.run())
    return found


def check_second(
    fn: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any,
    tol: Tolerance,
    undefined: bool,
    fast: bool,
    costly: bool = True,
    order: int = 2,
) -> float:
    """Run all comparisons of second derivatives; return and raise as `check` does.

    A gradient that does not require grad is held to a second derivative of zero.
    order: 3 for the third derivatives.
    """
    name = "gradgradcheck" if order == 2 else "third order"
    with Problem(name, fn, inputs) as problem:
        outputs = problem.run()
        outputs = [outputs[k] for k in live(problem, outputs)]
        seeds = weights(outputs, grad_outputs)
        if outputs:
            check_recorded(problem, outputs, seeds)
    if not outputs:
        return 0.0
    gradient = gradient_of(problem, fn)
    args, moving = problem.args, problem.checked
    if order > 2:
        return check_second(gradient, (*args, *seeds), None, tol, undefined, fast, False, order - 1)
    worst = 0.0
    try:
        with Problem(name, gradient, (*args, *seeds), fn, problem.beside) as problem:
            problem.weights = len(seeds)
            found = begun(problem)
            if not found:
                return check_constants(problem, problem.first, tol)
            problem.first = problem.run()
            outputs = [problem.first[k] for k in found]
            base = check_sweeps(problem, outputs, undefined, first_order=False)
            check_linear(problem, outputs, base)
            large = fast or is_large(problem, found)
            if not (large and check_projections(problem, found, tol)):
                held = jacobians(problem, list(range(len(problem.first))), found, tol)
                worst = compare_all(problem, held, tol)
                if len(problem.first) == len(moving):
                    check_symmetric(problem, held, moving)
            check_layouts(problem, found, base, False)
            check_points_again(problem, found, tol, costly)
    except GradcheckError as error:
        raise GradcheckError(explained(str(error), len(args)), error.mismatch, error.kind) from None
    return worst


# ---------------------------------------------------------------- the public face
def gradcheck(
    fn: Callable[..., Any],
    inputs: Any = (),
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    check_undefined_grad: bool = True,
    fast_mode: bool = False,
    save: str | Path | None = None,
) -> bool:
    """Compare the gradients of `fn(*inputs)` with central differences, every element of every
    Jacobian.

    (f(x + eps e_j) - f(x - eps e_j)) / (2 eps), to within atol + rtol |numeric| and rounding.
    Also, each named in words where it fails: every rule of the graph returns one gradient an input,
    of its dtype and shape, and writes to nothing it was given; the sweep is linear, gives the same
    bits twice and counts a missing gradient as zero; the gradient does not depend on the memory
    layout of inputs and gradients, on what else was evaluated, on which inputs require grad or are
    the same tensor; nor is it wrong at points nearby, of the other sign or with zeros (where
    the function is smooth there), for thousands of rows (where it takes rows), or in float32.

    inputs: a tensor or a tuple of anything; tensors that require grad are checked, float32 ones as
    float64 for the time of the check.  Outputs that do not require grad are skipped.  A module's
    parameters may be passed as inputs while `fn` reaches them through the module.
    check_undefined_grad: sweep from each output alone too.  fast_mode: compare one random
    projection an output and input, all elements only where that fails.  raise_exception: else
    return False where the check fails.  save: the path of a repro where it fails, `path.npz` with
    the smallest inputs that fail in the same way and `path.py`, a script of five lines.

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
    except GradcheckError as error:
        if save is not None:
            error = with_repro(error, save, "gradcheck", fn, inputs, tol)
        if raise_exception:
            raise blamed(error, fn, inputs) from None
        return False
    return True


def with_repro(
    error: GradcheckError,
    path: str | Path,
    name: str,
    fn: Callable[..., Any],
    inputs: Any,
    tol: Tolerance,
) -> GradcheckError:
    """Write the smallest inputs that fail in the same way, or of which an element is wrong as of
    these; return the error with where they are.
    """
    given = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    if not all(isinstance(x, Tensor) for x in given):
        return error

    def fails(xs: list[Tensor]) -> bool:
        try:
            if name == "gradcheck":
                check(name, fn, xs, tol, True, False)
            else:
                check_second(fn, xs, None, tol, True, False)
        except GradcheckError as found:
            both = found.mismatch is not None and error.mismatch is not None
            return both or found.kind == error.kind
        except Exception:
            return False
        return False

    with np.errstate(all="ignore"):
        script = write_check(path, name, fn, shrunk(fails, given))
    words = f"{error}\n  run it again: {script}"
    return GradcheckError(words, error.mismatch, error.kind)


def blamed(error: GradcheckError, fn: Callable[..., Any], inputs: Any) -> GradcheckError:
    """Return the error about a function of several ops with the first whose rule is wrong."""
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    try:
        found = blame(fn, *given)
    except Exception:
        return error
    if found.op is None or found.checked + found.skipped < 2:
        return error
    words = (
        f"{error}\n  blame: the rule of {found.op}, op {found.index} of this run, called at"
        f" {found.where}, is the first that is wrong" + (f": {found.kind}" if found.kind else "")
    )
    return GradcheckError(words, error.mismatch, error.kind)


def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Any = (),
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    check_undefined_grad: bool = True,
    fast_mode: bool = False,
    save: str | Path | None = None,
) -> bool:
    """Compare second derivatives with central differences of the first: `gradcheck` of the
    gradient.

    Also: the gradient recorded by `create_graph=True` equals the one of a plain sweep, so that a
    fused op agrees with its composite; and every rule stays on the tape: a gradient that does not
    require grad is held to a second derivative of zero.

    grad_outputs: what the outputs that require grad are weighted by, random by default; checked as
    inputs too. Other arguments and errors as in `gradcheck`.

    >>> import minigrad as mg
    >>> gradgradcheck(lambda x: x**3, mg.tensor([1.0, 2.0], requires_grad=True))
    True
    """
    try:
        tol = Tolerance(float(eps), float(atol), float(rtol))
        check_second(fn, inputs, grad_outputs, tol, check_undefined_grad, fast_mode)
    except GradcheckError as error:
        if save is not None:
            error = with_repro(error, save, "gradgradcheck", fn, inputs, tol)
        if raise_exception:
            raise error from None
        return False
    return True


def check_symmetric(problem: Problem, held: Jacobians, moving: list[Tensor]) -> None:
    """Hold the Hessian to its transpose, which needs no differences: to more digits than they have.

    moving: what each output is the gradient of, in their order.  A point with a kink is passed by.
    """
    places = [next((i for i, t in enumerate(problem.checked) if t is m), None) for m in moving]
    for k, i in enumerate(places):
        for j, other in enumerate(places[: k + 1]):
            if i is None or other is None:
                return
            h, transposed = held.exact[k, other], held.exact[j, i].T
            size = float(np.abs(h).max(initial=0.0))
            bends = max(float(held.bends[pair].max(initial=0.0)) for pair in ((k, other), (j, i)))
            if not np.isfinite(size) or bends > 1e-3 * max(size, 1e-2):
                continue
            gap = np.abs(h - transposed)
            if gap.max(initial=0.0) > SYMMETRIC * max(size, 1e-3):
                row, column = (int(n) for n in np.unravel_index(np.argmax(gap), gap.shape))
                fail(
                    problem,
                    f"the Hessian is not symmetric: the derivative of the gradient of"
                    f" {problem.named(i)} by {problem.named(other)} is {h[row, column]:.12g} at"
                    f" [{row}, {column}], and the other way round {transposed[row, column]:.12g}:"
                    " one of the two second derivatives is wrong in its last digits",
                    "symmetry",
                )


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


def gradient_of(problem: Problem, fn: Callable[..., Any]) -> Callable[..., tuple[Tensor, ...]]:
    """Return the gradient of `fn` as a function of its arguments and of the weights."""
    count = len(problem.args)

    def gradient(*args: Any) -> tuple[Tensor, ...]:
        found = fn(*args[:count])
        outputs = [y for y in tensors_in(problem.name, found) if y.requires_grad]
        given = [t for _, t in tensors_within(tuple(args[:count])) if t.requires_grad]
        moving = distinct([*given, *(t for _, t in problem.beside if t.requires_grad)])
        parts = grad(outputs, moving, args[count:], create_graph=True, allow_unused=True)
        return tuple(g for g in parts if g is not None)

    return gradient


def check_recorded(problem: Problem, outputs: list[Any], seeds: list[Tensor]) -> None:
    """Hold the gradient of a recorded sweep, which goes through composites, to the plain one, and
    every rule to the tape.
    """
    plain = gradients(problem, outputs, seeds)
    with watched(problem.name, outputs, "with create_graph=True", recorded=True):
        recorded = grad(outputs, problem.checked, seeds, create_graph=True, allow_unused=True)
    for i, (g, h) in enumerate(zip(plain, recorded, strict=True)):
        value = np.zeros(g.shape) if h is None else h.array
        scale = max(1.0, float(np.abs(g[np.isfinite(g)]).max(initial=0.0)))
        if not np.allclose(value, g, rtol=1e-7, atol=1e-9 * scale, equal_nan=True):
            at = np.unravel_index(int(np.argmax(np.abs(value - g))), g.shape)
            fail(
                problem,
                f"with create_graph=True the gradient of {problem.named(i)} at"
                f" {[int(k) for k in at]} is {value[at]:.9g}, without it {g[at]:.9g}: a composite"
                " or a recorded rule differs from the plain one, or depends on the mode"
                f"{fused(outputs)}",
            )
        if g.any() and not (h is not None and h.requires_grad):
            fail(
                problem,
                f"the gradient of {problem.named(i)} leaves the tape: under"
                " create_graph=True it does not require grad, so that its derivative is lost"
                f"{fused(outputs)}",
            )


def fused(outputs: list[Any]) -> str:
    """Return which ops of the graph have composites, in words."""
    names = sorted({type(n).__name__ for n in nodes_of(outputs) if n.composite is not None})
    return f"; ops with a composite: {', '.join(names)}" if names else ""


def explained(message: str, count: int) -> str:
    """Say what outputs and inputs are in the report of a second-order check."""
    if "d(output" not in message:
        return message
    return (
        f"{message}\n  (each output here is the gradient of an input that requires grad; inputs "
        "from"
        f" {count} on are grad_outputs)"
    )
