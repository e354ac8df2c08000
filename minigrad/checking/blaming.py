"""Blame: which op of a whole model has the wrong rule.

A function runs once, and each op that it records is kept with the values that it had.  Then every
rule is held, in the order of the ops, to differences of its own op at those values, along random
directions: seconds for a model whose Jacobian would take an hour.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.checking.comparison import compare_all, jacobians
from minigrad.checking.problem import Array, Problem, gradients, live, steps_for
from minigrad.checking.report import GradcheckError, Tolerance
from minigrad.engine import random
from minigrad.engine.grad_mode import enable_grad, mode
from minigrad.engine.op import Op
from minigrad.engine.trace import user_line
from minigrad.tensors.tensor import Tensor

TOLERANCE = Tolerance(1e-6, 1e-5, 1e-3)
SMALL = 40_000  # elements of a node's Jacobians up to which its mistake is looked at in full
TIMES = 2


@dataclass(frozen=True)
class Suspect:
    """One op of a run, with the values that it had."""

    op: type[Op]
    inputs: tuple[Array, ...]
    moving: tuple[bool, ...]
    meta: dict[str, Any]
    where: str


@dataclass(frozen=True)
class Verdict:
    """What `blame` found.

    op, where: the first op whose rule is wrong and the line that called it; None and "" where all
        are right.  index: its place among the ops.  kind, words: the mistake.  checked, skipped:
        how many ops were held to differences, how many could not be.
    """

    op: str | None
    where: str
    index: int
    kind: str
    words: str
    checked: int
    skipped: int

    @property
    def ok(self) -> bool:
        return self.op is None

    def __str__(self) -> str:
        if self.op is None:
            return f"all rules of {self.checked} ops are right at the values that they had"
        return (
            f"the rule of {self.op}, op {self.index} of this run, called at {self.where}, is the"
            f" first that is wrong\n{self.words}"
        )


class Listener:
    """Stands for a tape while a function runs, and keeps each op with the values that it had."""

    def __init__(self, before: Any, heard: Callable[[Suspect], None]) -> None:
        self.before, self.heard = before, heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self.before, name)

    def add(self, op: Any, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """Keep an op that was recorded."""
        if self.before is not None:
            self.before.add(op, inputs, outputs)
        if op.edges is None or not all(isinstance(t.array, np.ndarray) for t in inputs):
            return
        arrays = tuple(np.array(t.array) for t in inputs)
        moving = tuple(t.requires_grad and t.array.dtype.kind == "f" for t in inputs)
        self.heard(Suspect(type(op), arrays, moving, dict(op.meta), user_line()))


def blame(fn: Callable[..., Any], *inputs: Any, tol: Tolerance = TOLERANCE) -> Verdict:
    """Run `fn(*inputs)` once and hold the rule of each op that it records to differences of that
    op, at the values that it had; return the first that is wrong.

    fn: a module, or any function over tensors; what it writes to modules is set back.

    >>> import minigrad as mg
    >>> w = mg.ones(3, requires_grad=True)
    >>> print(blame(lambda: (w * w).exp().sum()))
    all rules of 3 ops are right at the values that they had
    """
    suspects: list[Suspect] = []
    watch(fn, inputs, suspects.append)
    skipped = 0
    for k, suspect in enumerate(suspects):
        try:
            found = accused(suspect, tol)
        except GradcheckError as error:
            return Verdict(
                suspect.op.__name__,
                suspect.where,
                k,
                error.kind,
                str(error),
                k + 1 - skipped,
                skipped,
            )
        skipped += not found
    return Verdict(None, "", -1, "", "", len(suspects) - skipped, skipped)


def watch(fn: Callable[..., Any], inputs: Sequence[Any], heard: Callable[[Suspect], None]) -> None:
    """Run a function once with a listener, and leave no trace in modules and random streams."""
    try:
        problem: Problem | None = Problem("blame", fn, inputs)
    except ValueError:
        problem = None
    rewind = random.snapshot()
    kept = problem.held_by_modules() if problem else []
    was = mode.tape
    try:
        with enable_grad():
            mode.tape = Listener(was, heard)
            mode.recording = mode.level(True)
            fn(*inputs)
    finally:
        mode.tape = was
        mode.recording = mode.level(bool(mode.recording))
        rewind()
        for t, array, value in kept:
            array[...] = value
            t.array = array


def accused(suspect: Suspect, tol: Tolerance) -> bool:
    """Hold one op's rule to differences; return whether that could be done.

    Raises: GradcheckError where the rule is wrong, with the kind of mistake where it is small.
    """
    leaves = [
        Tensor(a.astype(np.float64) if a.dtype.kind == "f" else a, requires_grad=moves)
        for a, moves in zip(suspect.inputs, suspect.moving, strict=True)
    ]
    if not any(suspect.moving) or not any(t.array.size for t in leaves):
        return False
    meta = suspect.meta

    def again(*xs: Any) -> Any:
        return suspect.op.apply(*xs, **meta)

    name = f"blame: the rule of {suspect.op.__name__} (called at {suspect.where})"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            problem = Problem(name, again, tuple(leaves), beside=[])
            with problem:
                problem.first = problem.run()
                found = live(problem, problem.first)
                problem.values = [np.array(y.array) for y in problem.first]
                if not all(np.isfinite(problem.values[k]).all() for k in found):
                    return False
                if agrees_along(problem, found, tol):
                    return True
                elements = sum(problem.values[k].size for k in found)
                if elements * sum(t.array.size for t in problem.checked) <= SMALL:
                    compare_all(problem, jacobians(problem, found, found, tol), tol, True)
                    return True
        except GradcheckError:
            raise
        except Exception:
            return False
    raise GradcheckError(f"{name} gives another derivative along a random direction")


def agrees_along(problem: Problem, found: list[int], tol: Tolerance) -> bool:
    """Say whether gradients agree with differences along random directions, or lie at a kink."""
    rng = np.random.default_rng(0)
    outputs = [problem.first[k] for k in found]
    for _ in range(TIMES):
        seeds = [np.asarray(rng.standard_normal(y.shape)) for y in outputs]
        grads = gradients(problem, outputs, [Tensor(u) for u in seeds])
        here = sum(float((u * problem.values[k]).sum()) for k, u in zip(found, seeds, strict=True))
        size = sum(
            float(np.abs(u * problem.values[k]).sum()) for k, u in zip(found, seeds, strict=True)
        )
        for i, g in enumerate(grads):
            at = problem.points()[i]
            step = np.asarray(rng.standard_normal(at.shape)) * steps_for(at, tol.eps)
            ends = []
            for sign in (1, -1):
                moved = problem.perturbed(i, sign * step)
                pairs = zip(found, seeds, strict=True)
                ends.append(sum(float((u * moved[k]).sum()) for k, u in pairs))
            a, n = float((g * step).sum()), (ends[0] - ends[1]) / 2
            noise = 8 * tol.noise * size
            if abs(a - n) <= 1e-5 * abs(n) + 1e-3 * tol.atol * float(np.abs(step).max()) + noise:
                continue
            lo, hi = sorted((here - ends[1], ends[0] - here))
            if not (hi - lo > 0.1 * abs(a - n) and lo - noise <= a <= hi + noise):
                return False
    return True
