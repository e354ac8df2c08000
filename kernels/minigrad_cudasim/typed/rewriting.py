"""A function rewritten so that Python and NumPy compute what Numba would have.

Where types already agree nothing is changed.  Elsewhere numbers are cast to the type in which Numba
computes, names to the type that they have where ways meet, products and sums that may be beyond
int64 are wrapped, and operations on what has no known type look at the numbers as they come.
"""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from numba.core import types

from minigrad_cudasim.cuda import Atomic
from minigrad_cudasim.numbers import (
    BUILTINS,
    INTEGERS,
    Real,
    brev,
    clz,
    ffs,
    fma,
    popc,
    power,
    quotient,
    wrapped,
)
from minigrad_cudasim.typed.inference import Inference, literal, spread
from minigrad_cudasim.typed.rules import (
    CASTS,
    OPERATORS,
    ORDER,
    Kind,
    Right,
    cast_between,
    held_int,
    name_of,
    plan,
    unified,
    whole,
)
from minigrad_cudasim.typed.shapes import FULL, Arr, Const, Num, Shape, element

MODULAR = ("Add", "Sub", "Mult", "BitAnd", "BitOr", "BitXor")  # of what int64 has wrapped, or not
COUNTED = (popc, clz, ffs, brev)


class Rewriting(ast.NodeTransformer):
    """Rewrites one function whose types are known as far as they are.

    A name that has several types becomes one name for each, so that all threads at once, of which
    some have been given another type than others, are done too.

    helpers: what the names stand for that are put into its source.
    callee: the name of a function for arguments of some types, None for one that has none.
    """

    def __init__(self, types_of: Inference, callee: Callable[[Any, Any], str | None]):
        self.types_of = types_of
        self.shapes = types_of.shapes
        self.callee = callee
        self.helpers: dict[str, Any] = {}
        self.modular: set[ast.AST] = set()
        self.kinds: dict[str, list[Any]] = {}  # of each name
        given = [(name, shape) for name, shape in types_of.args.items()]
        given += [(n.id, s) for n, s in self.shapes.items() if isinstance(n, ast.Name)]
        given += [(n.id, s) for n, s in types_of.stored.items() if isinstance(n, ast.Name)]
        for name, shape in given:
            held = self.kinds.setdefault(name, [])
            kind = shape.kind if isinstance(shape, Num) else None
            if kind not in held:
                held.append(kind)

    def shape(self, node: ast.AST) -> Shape:
        """Return what is known of an expression."""
        return self.shapes.get(node)

    def kind(self, node: ast.AST) -> Kind | None:
        """Return the type of a number, None for what is none or is not known."""
        shape = self.shape(node)
        return shape.kind if isinstance(shape, Num) else None

    def named(self, name: str, kind: Kind | None) -> str:
        """Return the name for a name's values of one type."""
        kinds = self.kinds.get(name, [])
        if len(kinds) < 2 or None in kinds or kind == kinds[0] or kind not in kinds:
            return name
        return f"__{name}_{kind}__"

    # ------------------------------------------------------------ what is put in
    def helper(self, value: Any, name: str, at: ast.AST) -> ast.Name:
        """Return a name for a value that the source does not name."""
        key = f"__{name}__"
        self.helpers[key] = value
        return ast.copy_location(ast.Name(key, ast.Load()), at)

    def called(self, value: Any, name: str, args: list[Any], at: ast.AST) -> ast.Call:
        """Return a call of a helper."""
        return ast.copy_location(ast.Call(self.helper(value, name, at), args, []), at)

    def cast(self, node: Any, source: Kind | None, target: Kind | None) -> Any:
        """Return an expression of one type as one of another.

        source: None where it is not known.  target: None to leave it.
        """
        if target is None or source == target:
            return node
        made = CASTS[target] if source is None else cast_between(source, target)
        if made is None:
            return node
        value = literal(node)
        if value is not None and target == types.float64 and abs(value) < 1 << 53:
            return ast.copy_location(ast.Constant(float(value)), node)
        return self.called(made, "to_" + (str(target) if made is not int else "int"), [node], node)

    def casts(self, where: str, node: Any) -> list[ast.stmt]:
        """Return the statements that cast names at a place."""
        made: list[ast.stmt] = []
        for name, (source, kind) in self.types_of.casts.get((where, node), {}).items():
            load = ast.copy_location(ast.Name(self.named(name, source), ast.Load()), node)
            store = ast.copy_location(ast.Name(self.named(name, kind), ast.Store()), node)
            value = self.cast(load, source, kind)
            if value is not load or load.id != store.id:
                made.append(ast.copy_location(ast.Assign([store], value), node))
        return made

    # ------------------------------------------------------------ statements
    def body(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Rewrite statements, with casts before them."""
        made: list[ast.stmt] = []
        for statement in statements:
            made += [*self.casts("before", statement), self.visit(statement)]
        return made

    def visit_If(self, node: ast.If) -> Any:
        node.test = self.visit(node.test)
        node.body = self.body(node.body) + self.casts("body", node)
        node.orelse = self.body(node.orelse) + self.casts("orelse", node)
        return node

    def visit_For(self, node: ast.For) -> Any:
        item = getattr(self.shape(node.iter), "item", None)
        node.iter = self.visit(node.iter)
        body = self.body(node.body)
        node.target = self.visit(node.target)
        if isinstance(item, Num) and isinstance(node.target, ast.Name) and not held_int(item.kind):
            turn = f"__{node.target.id}_turn__"
            load = ast.copy_location(ast.Name(turn, ast.Load()), node.target)
            value = self.cast(load, types.int64, item.kind)
            body.insert(0, ast.copy_location(ast.Assign([node.target], value), node.target))
            node.target = ast.copy_location(ast.Name(turn, ast.Store()), node.target)
        node.body = body + self.casts("end", node)
        node.orelse = self.body(node.orelse) + self.casts("orelse", node)
        return node

    def visit_While(self, node: ast.While) -> Any:
        node.test = self.visit(node.test)
        node.body = self.body(node.body) + self.casts("end", node)
        node.orelse = self.body(node.orelse) + self.casts("orelse", node)
        return node

    def visit_Return(self, node: ast.Return) -> Any:
        if node.value is not None:
            kind = self.kind(node.value)
            node.value = self.visit(node.value)
            result = self.types_of.result
            if isinstance(result, Num) and kind is not None:
                node.value = self.cast(node.value, kind, result.kind)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is not None:
            node.value = self.visit(node.value)
        node.target = self.visit(node.target)
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        if all(isinstance(target, ast.Subscript) for target in node.targets):
            self.modular.add(node.value)  # an array wraps what it is given
        return self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        name = name_of(node.op)
        held, value = self.shape(node.target), self.shape(node.value)
        if isinstance(node.target, ast.Name):
            load = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
            operation = ast.copy_location(ast.BinOp(load, node.op, node.value), node)
            self.shapes[load] = held
            self.shapes[operation] = self.types_of.infix(operation, name, held, value)
            made = self.visit(operation)
            stored = self.types_of.stored.get(node.target)
            kind = stored.kind if isinstance(stored, Num) else None
            target = ast.Name(self.named(node.target.id, kind), ast.Store())
            target = ast.copy_location(target, node.target)
            if made is operation and operation.left is load and load.id == target.id:
                node.target, node.value = target, operation.right
                return node
            return ast.copy_location(ast.Assign([target], made), node)
        found = self.planned(name, held, value)
        node.target = self.visit(node.target)
        if found is None and (isinstance(held, Arr) or isinstance(value, Arr)):
            node.value = self.visit(node.value)
            return node
        if found is not None and found.left is None and not found.powers:
            if name in MODULAR and found.result == types.int64:
                self.modular.add(node.value)
            kind = self.kind(node.value)
            node.value = self.cast(self.visit(node.value), kind, found.right)
            return node
        if found is not None and found.result == types.float64 and not found.powers:
            # NumPy computes in float64 where the right side is one.
            kind = self.kind(node.value)
            node.value = self.cast(self.visit(node.value), kind, types.float64)
            if cast_between(held.kind, types.float32) is None or kind != types.float64:
                return node
        node.value = self.called(Right, "right", [self.visit(node.value)], node.value)
        return node

    # ------------------------------------------------------------ expressions
    def planned(self, name: str, a: Shape, b: Shape) -> Any:
        """Return how an operation is computed, None where types are not known."""
        if not isinstance(a, Num) or not isinstance(b, Num):
            return None
        return plan(name, a.kind, b.kind)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        name = name_of(node.op)
        a, b = self.shape(node.left), self.shape(node.right)
        found = self.planned(name, a, b)
        if found is not None and found.result == types.int64:
            if name in MODULAR:
                self.modular |= {node.left, node.right}
            elif name == "LShift":
                self.modular.add(node.left)
        exponent = literal(node.right)
        left_kind, right_kind = self.kind(node.left), self.kind(node.right)
        left, right = self.visit(node.left), self.visit(node.right)
        node.left, node.right = left, right
        if found is None:
            if numeric(a) and numeric(b):
                return self.called(OPERATORS[name], name.lower(), [left, right], node)
            return node
        node.left = self.cast(left, left_kind, found.left)
        if not natural(found.right, b, right, found.left):
            node.right = self.cast(right, right_kind, found.right)
        if found.powers:
            if exponent == 2 and not whole(found.result):
                return node
            return self.called(power, "power", [node.left, node.right], node)
        if found.divides:
            return self.called(quotient, "quotient", [node.left, node.right], node)
        shape = self.shape(node)
        if found.wraps and node not in self.modular and shape.bits >= FULL:
            return self.called(wrapped, "wrapped", [node], node)
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        name, kind, shape = name_of(node.op), self.kind(node.operand), self.shape(node)
        node.operand = self.visit(node.operand)
        if name == "Not" or not isinstance(shape, Num):
            return node
        if kind == types.boolean and name == "Invert":
            return ast.copy_location(ast.UnaryOp(ast.Not(), node.operand), node)
        if (
            kind is not None
            and whole(kind)
            and kind.bitwidth < FULL
            and kind != types.uint32
            and name != "UAdd"
        ):
            if not kind.signed or (name == "USub" and shape.bits >= kind.bitwidth):
                # Numba negates in the type that the number has.
                narrow = self.called(CASTS[kind], f"to_{kind}", [node], node)
                return self.cast(narrow, kind, shape.kind)
            return node
        node.operand = self.cast(node.operand, kind, shape.kind)
        if shape.kind == types.int64 and shape.bits >= FULL and node not in self.modular:
            return self.called(wrapped, "wrapped", [node], node)
        return node

    def visit_Compare(self, node: ast.Compare) -> Any:
        items = [node.left, *node.comparators]
        shapes = [self.shape(item) for item in items]
        visited = [self.visit(item) for item in items]
        if len(visited) == 2:
            return self.compared(node, name_of(node.ops[0]), shapes, visited)
        node.left, *node.comparators = visited
        if not all(
            isinstance(item, ast.Name | ast.Constant | ast.Attribute) for item in visited[1:-1]
        ):
            return node
        pairs: list[Any] = []
        for i, op in enumerate(node.ops):
            pair = ast.copy_location(ast.Compare(visited[i], [op], [visited[i + 1]]), node)
            pairs.append(self.compared(pair, name_of(op), shapes[i : i + 2], visited[i : i + 2]))
        changed = any(
            not isinstance(p, ast.Compare) or p.left is not v or p.comparators[0] is not w
            for p, v, w in zip(pairs, visited, visited[1:])
        )
        return ast.copy_location(ast.BoolOp(ast.And(), pairs), node) if changed else node

    def compared(self, node: Any, name: str, shapes: list[Shape], items: list[Any]) -> Any:
        """Return a comparison of two values."""
        node.left, node.comparators = items[0], [items[1]]
        if name not in ORDER:
            return node
        found = self.planned(name, *shapes)
        if found is None:
            if numeric(shapes[0]) and numeric(shapes[1]):
                return self.called(OPERATORS[name], name.lower(), items, node)
            return node
        left, right = shapes
        node.left = self.cast(items[0], left.kind, found.left)
        node.comparators = [self.cast(items[1], right.kind, found.right)]
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        shape = self.shape(node)
        kinds = [self.kind(item) for item in node.values]
        node.values = [self.visit(item) for item in node.values]
        if isinstance(shape, Num):
            pairs = zip(node.values, kinds, strict=True)
            node.values = [self.cast(item, kind, shape.kind) for item, kind in pairs]
        return node

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        shape, yes, no = self.shape(node), self.kind(node.body), self.kind(node.orelse)
        node.test = self.visit(node.test)
        node.body, node.orelse = self.visit(node.body), self.visit(node.orelse)
        if isinstance(shape, Num):
            node.body = self.cast(node.body, yes, shape.kind)
            node.orelse = self.cast(node.orelse, no, shape.kind)
        return node

    def visit_Name(self, node: ast.Name) -> Any:
        if self.is_function(node):
            return self.function(node)
        node.id = self.named(node.id, self.kind(node))
        return node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        if self.is_function(node):
            return self.function(node)
        return self.generic_visit(node)

    def is_function(self, node: ast.AST) -> bool:
        """Tell whether an expression is a function of the program."""
        shape = self.shape(node)
        return (
            isinstance(shape, Const)
            and isinstance(shape.value, FunctionType)
            and "__simulated__" in shape.value.__globals__
        )

    def function(self, node: Any) -> Any:
        """Return a function of the program for arguments of any type."""
        if not self.is_function(node):
            return node
        name = self.callee(self.shape(node).value, None)
        return node if name is None else ast.copy_location(ast.Name(name, ast.Load()), node)

    def visit_Call(self, node: ast.Call) -> Any:
        if spread(node):
            return self.generic_visit(node)
        function = self.shape(node.func)
        shapes = [self.shape(a) for a in node.args]
        if self.is_function(node.func) and not node.keywords:
            name = self.callee(function.value, tuple(shapes))
            node.args = [self.visit(a) for a in node.args]
            if name is not None:
                node.func = ast.copy_location(ast.Name(name, ast.Load()), node.func)
            return node
        if isinstance(function, Const) and isinstance(function.value, type(INTEGERS["int64"])):
            self.modular |= set(node.args[:1])  # a cast wraps
        node.func = self.visit(node.func)
        node.args = [self.visit(a) for a in node.args]
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
        if not isinstance(function, Const):
            return node
        return self.cast_args(node, function, shapes)

    def cast_args(self, node: ast.Call, function: Const, shapes: list[Shape]) -> Any:
        """Cast the arguments of a call to the types that Numba takes them in."""
        value, origin, shape = function.value, function.origin, self.shape(node)
        kinds = [s.kind if isinstance(s, Num) else None for s in shapes]
        if isinstance(getattr(value, "__self__", None), Atomic) and isinstance(shapes[0], Arr):
            self.atomic(node, shapes)
            return node
        if not kinds or None in kinds:
            return node
        if value in COUNTED:
            kind = counted(kinds[0])
            node.args = [self.called(CASTS[kind], f"to_{kind}", node.args, node)]
            return node
        if value is fma or getattr(value, "__name__", "") == "selp":
            self.cast_all(node, kinds, 1 if value is not fma else 0)
            return node
        if not isinstance(shape, Num):
            return node
        result = shape.kind
        if value in (BUILTINS["min"], BUILTINS["max"]):
            pairs = zip(node.args, kinds, strict=True)
            node.args = [self.cast(a, k, result) for a, k in pairs]
            return node
        if value is builtins.abs and whole(result) and result.signed:
            return self.cast(node, types.uint64, result)  # of the least number, itself
        if isinstance(value, Real):
            return node.args[0] if kinds[0] == result else self.cast(node.args[0], kinds[0], result)
        if value is builtins.int and not held_int(result):
            return self.cast(node.args[0], kinds[0], result)
        mathematical = getattr(math, getattr(origin, "__name__", ""), None) is origin
        if (mathematical or isinstance(origin, np.ufunc)) and result in types.real_domain:
            at = range(1) if origin is math.ldexp else range(len(kinds))
            for i in at:
                node.args[i] = self.cast(node.args[i], kinds[i], result)
        return node

    def atomic(self, node: ast.Call, shapes: list[Shape]) -> None:
        """Cast the numbers of an atomic operation to the array's type."""
        first = element(shapes[0].dtype)
        if not isinstance(first, Num):
            return
        for i in range(2, len(node.args)):
            shape = shapes[i]
            if isinstance(shape, Num) and (not whole(shape.kind) or shape.bits > first.bits):
                node.args[i] = self.cast(node.args[i], shape.kind, first.kind)
            elif isinstance(shape, Num) and not whole(first.kind):
                node.args[i] = self.cast(node.args[i], shape.kind, first.kind)

    def cast_all(self, node: ast.Call, kinds: list[Any], start: int) -> None:
        """Cast all arguments to the type that unites them."""
        kind = kinds[start]
        for other in kinds[start + 1 :]:
            kind = kind and unified(kind, other)
        if kind in CASTS:
            for i in range(start, len(node.args)):
                node.args[i] = self.cast(node.args[i], kinds[i], kind)


def numeric(shape: Shape) -> bool:
    """Tell whether a value may be a number."""
    return shape is None or isinstance(shape, Num)


def natural(target: Kind | None, shape: Shape, node: Any, left: Kind | None) -> bool:
    """Tell whether NumPy takes a written-out number as one of the type that it is to be."""
    value = literal(node)
    return value is not None and value >= 0 and target == types.uint64 and left is None


def counted(kind: Kind) -> Kind:
    """Return the type in which the bits of a number are counted."""
    if not whole(kind):
        return types.int64
    wide = kind.bitwidth > 32
    return (
        (types.int64 if wide else types.int32)
        if kind.signed
        else (types.uint64 if wide else types.uint32)
    )
