"""The mutation score of the samples: each rule's source is changed in one place, and the check is
to see it.

A mutant has another sign, factor, operand, term, mask or index; one that passes every check at all
samples survives, and says that the samples, or the check, are too weak.  Lines that no sample
reaches are not changed.  No mutants, and counted apart, are those that change nothing but gradients
that are zero wherever they are evaluated, before the change and after it; and those of an
expression that may be any number without a gradient changing, as what stands under a mask.
"""

from __future__ import annotations

import ast
import copy
import inspect
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.checking.gradcheck import check, check_second
from minigrad.checking.report import Tolerance
from minigrad.checking.samples import OP_SAMPLES, Constant
from minigrad.engine.op import Op
from minigrad.ops.registry import OPS
from minigrad.tensors.tensor import Tensor
from minigrad.tensors.transforms import grad

TOLERANCE = Tolerance(1e-6, 1e-5, 1e-3)
COSTLY = 3
Change = tuple[str, int, Callable[[ast.AST], ast.AST]]


@dataclass(frozen=True)
class Mutant:
    """A rule with one change.

    words: "line n: what was changed".  op: the op with it.  poisoned: the op with NaN in the place
        of what was changed, which shows what depends on it.  others: with some other numbers there.
    """

    words: str
    op: type[Op]
    poisoned: type[Op] | None
    others: tuple[type[Op], ...]


@dataclass
class Score:
    """How many mutants of the rules were seen; `survivors` are "Op line n: what was changed".

    equivalent: those that only change gradients that are zero, and stay so; not in the total.
    """

    killed: int = 0
    survivors: list[str] = field(default_factory=list)
    equivalent: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.killed + len(self.survivors)

    @property
    def share(self) -> float:
        return self.killed / self.total if self.total else 1.0


def mutation_score(names: Sequence[str], most: int | None = None, seed: int = 0) -> Score:
    """Return the score of some ops; at most `most` mutants of each, drawn at random.

    >>> mutation_score(["Mul"], most=2).share
    1.0
    """
    score = Score()
    for name in names:
        mutants = list(mutants_of(OPS[name]))
        if most is not None and len(mutants) > most:
            chosen = np.random.default_rng(seed).permutation(len(mutants))[:most]
            mutants = [mutants[k] for k in sorted(chosen)]
        for mutant in mutants:
            if seen(mutant.op, name):
                score.killed += 1
            elif changes_only_zeros(mutant, OPS[name]) or changes_nothing(mutant, OPS[name]):
                score.equivalent.append(f"{name} {mutant.words}")
            else:
                score.survivors.append(f"{name} {mutant.words}")
    return score


def mutants_of(op: type[Op]) -> Iterator[Mutant]:
    """Yield each way in which one place of an op's rule may be wrong, and the op with it."""
    rule = op.__dict__.get("backward") or op.backward
    try:
        source = textwrap.dedent(inspect.getsource(rule))
    except (OSError, TypeError):
        return
    tree = ast.parse(source)
    if "super()" in source or not isinstance(tree.body[0], ast.FunctionDef):
        return
    lines = lines_reached(op, rule)
    for k in range(len(list(ast.walk(tree)))):
        node = list(ast.walk(tree))[k]
        place = getattr(node, "lineno", 0)
        if place not in lines:
            continue
        for words, change in changes_of(node, op):
            found = changed_rule(tree, k, change, rule)
            if found is None:
                continue
            spoilt = [
                changed_rule(tree, k, after(change, in_place(words, v)), rule)
                for v in ("nan", "1e3", "-0.37")
            ]
            poisoned, *others = (
                None if r is None else type(op.__name__, (op,), {"backward": r}) for r in spoilt
            )
            yield Mutant(
                f"line {place}: {words}",
                type(op.__name__, (op,), {"backward": found}),
                poisoned,
                tuple(o for o in others if o is not None),
            )


def changed_rule(tree: ast.Module, k: int, change: Callable[[Any], ast.AST], rule: Any) -> Any:
    """Return the rule with its k-th node changed; None where that is no program."""
    changed = copy.deepcopy(tree)
    target = list(ast.walk(changed))[k]
    return compiled(Replace(target, change(target)).visit(changed), rule)


def after(
    first: Callable[[Any], ast.AST], then: Callable[[Any], ast.AST]
) -> Callable[[Any], ast.AST]:
    """Return one change after another."""
    return lambda node: then(first(node))


def in_place(words: str, factor: str) -> Callable[[Any], ast.AST]:
    """Return what multiplies a changed expression by a number; of a changed return statement, its
    gradient.
    """

    def multiplied(e: Any) -> ast.expr:
        number = ast.Call(ast.Name("float", ast.Load()), [ast.Constant(factor)], [])
        return ast.BinOp(e, ast.Mult(), number)

    def of_return(statement: Any) -> ast.AST:
        parts = list(statement.value.elts)
        k = int(words.split()[1])
        if not isinstance(parts[k], ast.Constant):
            parts[k] = multiplied(parts[k])
        return ast.Return(ast.Tuple(parts, ast.Load()))

    return of_return if words.startswith("gradient") else multiplied


class Replace(ast.NodeTransformer):
    """Puts one node in another's place."""

    def __init__(self, target: ast.AST, by: ast.AST) -> None:
        self.target, self.by = target, by

    def visit(self, node: ast.AST) -> Any:
        return self.by if node is self.target else self.generic_visit(node)


def compiled(tree: ast.AST, rule: Any) -> Any:
    """Return a changed rule as a function in the scope of the right one."""
    ast.fix_missing_locations(tree)
    scope = dict(rule.__globals__)
    try:
        exec(compile(tree, "<mutant>", "exec"), scope)  # type: ignore[call-overload]
    except SyntaxError:
        return None
    return scope["backward"]


def lines_reached(op: type[Op], rule: Any) -> set[int]:
    """Return which lines of a rule's source the samples reach, the first being 1."""
    code, found = rule.__code__, set()

    def trace(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code is not code:
            return None
        if event == "line":
            found.add(frame.f_lineno - code.co_firstlineno + 1)
        return trace

    was = sys.gettrace()
    sys.settrace(trace)
    try:
        for arrays, meta in OP_SAMPLES.get(op.__name__, []):
            checks_of(op, arrays, meta, False)
    finally:
        sys.settrace(was)
    return grown_over_statements(found, rule)


SPREADS = (0.0, 0.01, 1.0)  # of what is added to a sample, where a gradient is asked to be zero


def changes_only_zeros(mutant: Mutant, op: type[Op]) -> bool:
    """Say whether whatever depends on the change is a gradient that is zero without and with it, at
    all samples and beside them.

    What depends on it is NaN where the change is.  What gives no gradient at all is zero too.
    """
    if mutant.poisoned is None:
        return False
    asked = False
    for right, wrong, poisoned in evaluated((op, mutant.op, mutant.poisoned), op):
        for g, h, p in zip(right, wrong, poisoned, strict=True):
            if p is None or np.isnan(p).any():
                asked = True
                if (g is not None and g.any()) or (h is not None and h.any()):
                    return False
            elif not same_part(g, h):
                return False
    return asked


def changes_nothing(mutant: Mutant, op: type[Op]) -> bool:
    """Say whether no gradient, of first order or second, depends on the number that was changed."""
    if len(mutant.others) < 2:
        return False
    asked = False
    for order in (1, 2):
        for right, *others in evaluated((op, mutant.op, *mutant.others), op, order):
            asked = True
            for parts in others:
                if not all(same_part(g, h) for g, h in zip(right, parts, strict=True)):
                    return False
    return asked


def evaluated(
    rules: Sequence[type[Op]], op: type[Op], order: int = 1
) -> Iterator[tuple[list[Any], ...]]:
    """Yield what rules give at each sample of an op and beside it, at each point where all do; one
    that gives nothing at a sample itself differs from all.
    """
    for number, (arrays, meta) in enumerate(OP_SAMPLES.get(op.__name__, [])):
        for spread in SPREADS:
            rng = np.random.default_rng(number)
            there = [beside(a, spread, rng) for a in arrays]
            for alone in range(-1, 2 if op.several else 0):
                try:
                    yield tuple(parts_of(rule, there, meta, alone, order) for rule in rules)
                except Exception:
                    if not spread and alone < 0:
                        yield tuple([k] for k in range(len(rules)))


def same_part(g: Any, h: Any) -> bool:
    """Say whether two gradients are the same; none at all is zero."""
    if g is None or h is None:
        other = h if g is None else g
        return other is None or not np.any(other)
    return bool(np.array_equal(g, h, equal_nan=True))


def beside(a: Any, spread: float, rng: np.random.Generator) -> Any:
    """Return an input of a sample moved at random; what has no gradient stays."""
    if not spread or a.dtype.kind != "f" or isinstance(a, Constant):
        return a
    return np.asarray(a + spread * rng.standard_normal(a.shape)).astype(a.dtype)


def parts_of(
    op: type[Op], arrays: Sequence[Any], meta: dict[str, Any], alone: int = -1, order: int = 1
) -> list[Any]:
    """Return what a rule gives for each input, None for what gets nothing.

    alone: which output alone has a gradient, -1 for all.  order: 2 for the gradient of a weighted
    sum of what it gives.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        inputs = [leaf(a) for a in arrays]
        found = op.apply(*inputs, **meta)
        outputs = found if isinstance(found, tuple) else (found,)
        if outputs[0].node is None:
            return []
        node = outputs[0].node.op if op.several else outputs[0].node
        rng = np.random.default_rng(5)

        def drawn(y: Tensor) -> Tensor:
            return Tensor(np.asarray(rng.standard_normal(y.shape)).astype(y.array.dtype))

        seeds = [drawn(y) if y.requires_grad and alone in (-1, k) else None
                 for k, y in enumerate(outputs)]  # fmt: skip
        parts = node.backward(*seeds)
        if order > 1:
            moving = [t for t in inputs if t.requires_grad]
            tops = [p for p in parts if p is not None and p.requires_grad]
            parts = grad(tops, moving, [drawn(p) for p in tops], allow_unused=True) if tops else ()
        return [None if part is None else np.array(part.array) for part in parts]


def leaf(a: Any) -> Tensor:
    """Return an array of a sample as a leaf."""
    moves = a.dtype.kind == "f" and not isinstance(a, Constant)
    return Tensor(a.view(np.ndarray), requires_grad=moves)


def grown_over_statements(lines: set[int], rule: Any) -> set[int]:
    """Return the lines of every statement that one of the lines is of."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(rule)))
    found = set(lines)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Return, ast.Assign, ast.AugAssign, ast.Expr)):
            span = set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            if span & lines:
                found |= span
    return found


# ---------------------------------------------------------------- what may be wrong
def changes_of(node: ast.AST, op: type[Op]) -> Iterator[tuple[str, Callable[[Any], ast.AST]]]:
    """Yield what may be wrong in a node of a rule's source."""
    if isinstance(node, ast.BinOp):
        yield from changes_of_operator(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "the sign is dropped", lambda n: n.operand
    elif isinstance(node, ast.Constant) and type(node.value) is float and node.value:
        yield f"{node.value} is doubled", lambda n: ast.Constant(n.value * 2)
    elif isinstance(node, ast.Call):
        yield from changes_of_call(node, op)
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        yield from changes_of_return(node.value)


def changes_of_operator(node: ast.BinOp) -> Iterator[tuple[str, Callable[[Any], ast.AST]]]:
    """Yield another sign, swapped operands, a dropped term or factor."""

    def with_operator(kind: type[ast.operator]) -> Callable[[Any], ast.AST]:
        return lambda n: ast.BinOp(n.left, kind(), n.right)

    if isinstance(node.op, ast.Add):
        yield "+ is -", with_operator(ast.Sub)
        yield "the second term is dropped", lambda n: n.left
        yield "the first term is dropped", lambda n: n.right
    elif isinstance(node.op, ast.Sub):
        yield "- is +", with_operator(ast.Add)
        yield "operands of - are swapped", lambda n: ast.BinOp(n.right, n.op, n.left)
    elif isinstance(node.op, ast.Mult):
        yield "the second factor is dropped", lambda n: n.left
        yield "* is /", with_operator(ast.Div)
    elif isinstance(node.op, ast.Div):
        yield "/ is *", with_operator(ast.Mult)
        yield "the divisor is dropped", lambda n: n.left


def changes_of_call(node: ast.Call, op: type[Op]) -> Iterator[tuple[str, Callable[[Any], ast.AST]]]:
    """Yield another saved input, a missing mask, a missing method."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0] if node.args else None
    if name == "saved" and isinstance(first, ast.Constant) and type(first.value) is int:
        inputs = max(len(arrays) for arrays, _ in OP_SAMPLES.get(op.__name__, [((), {})]))
        other = (first.value + 1) % max(inputs, 1)
        if other != first.value and of_one_shape(op, first.value, other):
            words = f"saved({first.value}) is saved({other})"
            yield words, lambda n: ast.Call(n.func, [ast.Constant(other)], [])
    elif name == "where" and len(node.args) == 3:
        yield "the mask is missing: always the first", lambda n: n.args[1]
        yield "the mask is missing: always the second", lambda n: n.args[2]
    elif name in ("flip", "neg", "sign", "abs", "sum") and isinstance(node.func, ast.Attribute):
        yield f"{name}() is dropped", lambda n: n.func.value


def of_one_shape(op: type[Op], i: int, j: int) -> bool:
    """Say whether two inputs have shapes that broadcast at all samples: kernels trust the shapes
    that a rule gives them.
    """
    for arrays, _ in OP_SAMPLES.get(op.__name__, []):
        if max(i, j) < len(arrays):
            try:
                np.broadcast_shapes(arrays[i].shape, arrays[j].shape)
            except ValueError:
                return False
    return True


def changes_of_return(node: ast.Tuple) -> Iterator[tuple[str, Callable[[Any], ast.AST]]]:
    """Yield a gradient negated, doubled, dropped, exchanged with the next."""

    def element(k: int, make: Callable[[ast.expr], ast.expr]) -> Callable[[Any], ast.AST]:
        def change(statement: Any) -> ast.AST:
            parts = list(statement.value.elts)
            parts[k] = make(parts[k])
            return ast.Return(ast.Tuple(parts, ast.Load()))

        return change

    def times(factor: float) -> Callable[[ast.expr], ast.expr]:
        def make(e: ast.expr) -> ast.expr:
            if not isinstance(e, ast.IfExp):
                return ast.BinOp(e, ast.Mult(), ast.Constant(factor))
            return ast.IfExp(e.test, make(e.body), e.orelse)

        return make

    for k, part in enumerate(node.elts):
        if isinstance(part, ast.Starred) or (isinstance(part, ast.Constant) and part.value is None):
            continue
        yield f"gradient {k} is negated", element(k, times(-1.0))
        yield f"gradient {k} is doubled", element(k, times(2.0))
        yield f"gradient {k} is dropped", element(k, lambda e: ast.Constant(None))


# ---------------------------------------------------------------- what sees it
def seen(mutant: type[Op], name: str) -> bool:
    """Say whether a check at the op's samples refuses a mutant, in whatever way."""
    for count, (arrays, meta) in enumerate(OP_SAMPLES[name]):
        if checks_of(mutant, arrays, meta, count < COSTLY):
            return True
    return False


def checks_of(op: type[Op], arrays: Any, meta: dict[str, Any], costly: bool) -> bool:
    """Say whether a check of first or second order refuses an op at a sample."""

    def fn(*inputs: Tensor) -> Any:
        return op.apply(*inputs, **meta)

    inputs = [leaf(a) for a in arrays]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            check("mutant", fn, inputs, TOLERANCE, True, False, costly)
            check_second(fn, inputs, None, TOLERANCE, True, False, costly)
        except Exception:
            return True
    return False
