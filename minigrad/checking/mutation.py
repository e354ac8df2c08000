"""The mutation score of the samples: each rule's source is changed in one place, and the check is
to see it.

A mutant has another sign, factor, operand, term, mask or index; one that passes every check at all
samples survives, and says that the samples, or the check, are too weak.  Lines that no sample
reaches are not changed.
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

TOLERANCE = Tolerance(1e-6, 1e-5, 1e-3)
COSTLY = 3
Change = tuple[str, int, Callable[[ast.AST], ast.AST]]


@dataclass
class Score:
    """How many mutants of the rules were seen; `survivors` are "Op line n: what was changed"."""

    killed: int = 0
    survivors: list[str] = field(default_factory=list)

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
        for words, mutant in mutants:
            if seen(mutant, name):
                score.killed += 1
            else:
                score.survivors.append(f"{name} {words}")
    return score


def mutants_of(op: type[Op]) -> Iterator[tuple[str, type[Op]]]:
    """Yield each way in which one place of an op's rule may be wrong, and the op with it."""
    rule = op.__dict__.get("backward") or op.backward
    try:
        source = textwrap.dedent(inspect.getsource(rule))
    except (OSError, TypeError):
        return
    tree = ast.parse(source)
    if "super()" in source or not isinstance(tree.body[0], ast.FunctionDef):
        return
    lines, nothing = lines_reached(op, rule), always_zero(op)
    for k in range(len(list(ast.walk(tree)))):
        node = list(ast.walk(tree))[k]
        place = getattr(node, "lineno", 0)
        if place not in lines:
            continue
        for words, change in changes_of(node, op):
            if words.startswith("gradient") and int(words.split()[1]) in nothing:
                continue
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[k]
            made = Replace(target, change(target)).visit(changed)
            found = compiled(made, rule)
            if found is not None:
                yield f"line {place}: {words}", type(op.__name__, (op,), {"backward": found})


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


def always_zero(op: type[Op]) -> set[int]:
    """Return which gradients are zero at all samples: changed, they are the same."""
    zero: dict[int, bool] = {}
    for arrays, meta in OP_SAMPLES.get(op.__name__, []):
        found = op.apply(*(leaf(a) for a in arrays), **meta)
        first = found[0] if isinstance(found, tuple) else found
        if first.node is None:
            continue
        node = first.node.op if op.several else first.node
        outputs = found if isinstance(found, tuple) else (found,)
        seeds = [Tensor(np.ones(y.shape)) if y.requires_grad else None for y in outputs]
        with np.errstate(all="ignore"):
            parts = node.backward(*seeds)
        for k, part in enumerate(parts):
            nothing = part is None or not np.asarray(part.array).any()
            zero[k] = zero.get(k, True) and nothing
    return {k for k, nothing in zero.items() if nothing}


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
        if other != first.value:
            words = f"saved({first.value}) is saved({other})"
            yield words, lambda n: ast.Call(n.func, [ast.Constant(other)], [])
    elif name == "where" and len(node.args) == 3:
        yield "the mask is missing: always the first", lambda n: n.args[1]
        yield "the mask is missing: always the second", lambda n: n.args[2]
    elif name in ("flip", "neg", "sign", "abs", "sum") and isinstance(node.func, ast.Attribute):
        yield f"{name}() is dropped", lambda n: n.func.value


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
