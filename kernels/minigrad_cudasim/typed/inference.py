"""The types of all expressions of a function, found by going through its source as Numba does.

A name has, after each statement, the type of what it was last given.  Where ways meet (after a
branch, at the head of a loop) it has the type in which Numba unites those of the ways, and on each
way its value is cast to it; a loop is gone through until nothing changes.  What is not known has no
type, and nothing follows from it.
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

from minigrad_cudasim.cuda import Atomic, Cuda, LocalMemory, Place, SharedMemory
from minigrad_cudasim.memory import as_dtype
from minigrad_cudasim.numbers import BUILTINS, Integer, Real, whole_range
from minigrad_cudasim.thread import Dim3
from minigrad_cudasim.typed.rules import (
    CASTS,
    PREFIX,
    Kind,
    name_of,
    plan,
    signature,
    unified,
    whole,
)
from minigrad_cudasim.typed.shapes import (
    FULL,
    PLACES,
    Arr,
    Const,
    Each,
    Num,
    Rec,
    Shape,
    Tup,
    element,
    joined,
    number,
    of_size,
    of_value,
    widened,
)

Env = dict[str, Shape] | None  # what names hold; None where nothing comes to
TURNS = 12  # of a loop, after which what still changes is not known
INT = types.int64
COUNTS: dict[str, Any] = {  # what functions of `cuda` return whatever they are given
    "syncthreads_count": (types.int32, 11),
    "popc": (types.int32, 7),
    "clz": (types.int32, 7),
    "ffs": (types.int32, 7),
}
SHUFFLES = ("shfl_sync", "shfl_up_sync", "shfl_down_sync", "shfl_xor_sync")
RETURNED = ("add", "sub", "max", "min", "nanmax", "nanmin", "exch", "cas", "inc", "dec", "and_")


class Untyped(Exception):
    """A function with something in its source whose types are not followed."""


class Turns:
    """One loop while it is gone through: what names hold where it is left, or goes on early."""

    def __init__(self) -> None:
        self.breaks: list[tuple[ast.stmt, Env]] = []
        self.continues: list[tuple[ast.stmt, Env]] = []


class Inference:
    """The types in one function for arguments of some types.

    look: what a global name stands for.  called: what a function returns for arguments' types.
    shapes: what is known of each expression, and of each name that is given a value.  casts: names
    to be cast, with the types from and to which, by where: before a statement, at the end of a
    branch, of a loop's body, or of a loop that was not broken off.
    """

    def __init__(
        self,
        definition: ast.FunctionDef,
        args: dict[str, Shape],
        look: Callable[[str], Shape],
        called: Callable[[Any, tuple[Shape, ...]], Shape],
    ):
        self.look = look
        self.called = called
        self.shapes: dict[ast.AST, Shape] = {}
        self.stored: dict[ast.AST, Shape] = {}  # what `x += y` gives x
        self.casts: dict[tuple[str, ast.AST], dict[str, tuple[Kind, Kind]]] = {}
        self.args = args
        self.bound = set(args)
        for node in ast.walk(definition):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.bound.add(node.id)
        self.returned: list[Shape] = []
        self.loops: list[Turns] = []
        rest = self.block(definition.body, dict(args))
        if rest is not None:
            self.returned.append(Const(None))
        self.result: Shape = self.returned[0]
        for shape in self.returned[1:]:
            self.result = joined(self.result, shape)

    # ------------------------------------------------------------ statements
    def block(self, body: list[ast.stmt], env: Env) -> Env:
        """Go through statements; return what names hold at their end."""
        for statement in body:
            if env is None:
                break
            method = getattr(self, "do_" + name_of(statement), None)
            if method is None:
                raise Untyped(name_of(statement))
            env = method(statement, env)
        return env

    def do_Pass(self, node: Any, env: Env) -> Env:
        return env

    def do_Assign(self, node: Any, env: Any) -> Env:
        value = self.see(node.value, env)
        for target in node.targets:
            self.give(target, value, env)
        return env

    def do_AnnAssign(self, node: Any, env: Any) -> Env:
        if node.value is not None:
            self.give(node.target, self.see(node.value, env), env)
        return env

    def do_AugAssign(self, node: Any, env: Any) -> Env:
        load = self.see_target(node.target, env)
        made = self.infix(node, name_of(node.op), load, self.see(node.value, env))
        if isinstance(node.target, ast.Name):
            env[node.target.id] = self.stored[node.target] = made
        return env

    def see_target(self, node: Any, env: Any) -> Shape:
        """Return what an element or a name holds before it is changed."""
        if isinstance(node, ast.Name):
            self.shapes[node] = env.get(node.id)
        elif isinstance(node, ast.Subscript):
            held = self.see(node.value, env)
            self.shapes[node] = self.item(held, node.slice, self.see(node.slice, env))
        else:
            self.shapes[node] = self.member(self.see(node.value, env), node.attr)
        return self.shapes[node]

    def give(self, target: Any, value: Shape, env: Any) -> None:
        """Let a target hold a value."""
        if isinstance(target, ast.Name):
            env[target.id] = self.shapes[target] = value
        elif isinstance(target, ast.Tuple | ast.List):
            parts = value.items if isinstance(value, Tup) else ()
            for i, part in enumerate(target.elts):
                if isinstance(part, ast.Starred):
                    raise Untyped("Starred")
                self.give(part, parts[i] if i < len(parts) else None, env)
        elif isinstance(target, ast.Subscript):
            self.see(target.value, env)
            self.see(target.slice, env)
        elif isinstance(target, ast.Attribute):
            self.see(target.value, env)
        else:
            raise Untyped(name_of(target))

    def do_Expr(self, node: Any, env: Any) -> Env:
        self.see(node.value, env)
        return env

    def do_Assert(self, node: Any, env: Any) -> Env:
        self.see(node.test, env)
        return env

    def do_Raise(self, node: Any, env: Any) -> Env:
        return None

    def do_Return(self, node: Any, env: Any) -> Env:
        self.returned.append(Const(None) if node.value is None else self.see(node.value, env))
        return None

    def do_Break(self, node: Any, env: Any) -> Env:
        self.loops[-1].breaks.append((node, env))
        return None

    def do_Continue(self, node: Any, env: Any) -> Env:
        self.loops[-1].continues.append((node, env))
        return None

    def do_If(self, node: Any, env: Any) -> Env:
        self.see(node.test, env)
        yes = self.block(node.body, dict(env))
        no = self.block(node.orelse, dict(env))
        met = self.meeting([yes, no])
        self.cast("body", node, yes, met)
        self.cast("orelse", node, no, met)
        return met

    def do_For(self, node: Any, env: Any) -> Env:
        over = self.see(node.iter, env)
        if isinstance(over, Each):
            item = over.item
        elif isinstance(over, Arr):
            item = element(over.dtype) if over.ndim == 1 else Arr(over.dtype, over.ndim - 1)
        elif isinstance(over, Tup) and len(set(over.items)) == 1:
            item = over.items[0]
        else:
            item = None
        return self.loop(node, env, lambda head: self.give(node.target, item, head), False)

    def do_While(self, node: Any, env: Any) -> Env:
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        return self.loop(node, env, lambda head: self.see(node.test, head), endless)

    def loop(self, node: Any, entry: Any, begin: Callable[[Any], Any], endless: bool) -> Env:
        """Go through a loop until what names hold at its head stays as it is."""
        head = dict(entry)
        for turn in range(TURNS):
            self.loops.append(Turns())
            env = dict(head)
            begin(env)
            out = self.block(node.body, env)
            turns = self.loops.pop()
            ways = [entry, out, *(held for _, held in turns.continues)]
            met = self.meeting(ways)
            assert met is not None
            met = {n: widened(head[n], s, turn > 2) if n in head else s for n, s in met.items()}
            if met == head:
                break
            if turn == TURNS - 2:
                met = {n: s if n in head and head[n] == s else None for n, s in met.items()}
            head = met
        self.cast("before", node, entry, head)
        self.cast("end", node, out, head)
        for statement, held in turns.continues:
            self.cast("before", statement, held, head)
        ended: Env = None if endless else dict(head)
        if ended is not None and isinstance(node, ast.While):
            self.see(node.test, ended)
        if ended is not None and node.orelse:
            ended = self.block(node.orelse, ended)
        met = self.meeting([ended, *(held for _, held in turns.breaks)])
        self.cast("orelse", node, ended, met)
        for statement, held in turns.breaks:
            self.cast("before", statement, held, met)
        return met

    def meeting(self, ways: list[Env]) -> Env:
        """Return what names hold where ways meet."""
        live = [way for way in ways if way is not None]
        if not live:
            return None
        met = dict(live[0])
        for way in live[1:]:
            for name, shape in way.items():
                met[name] = joined(met[name], shape) if name in met else shape
        return met

    def cast(self, where: str, node: ast.AST, way: Env, met: Env) -> None:
        """Note which names change their type at the end of a way."""
        self.casts[where, node] = {} if way is None or met is None else differing(way, met)

    # ------------------------------------------------------------ expressions
    def see(self, node: ast.expr, env: Any) -> Shape:
        """Return what is known of an expression."""
        method = getattr(self, "see_" + name_of(node), None)
        if method is None:
            raise Untyped(name_of(node))
        found = method(node, env)
        self.shapes[node] = found
        return found

    def see_Constant(self, node: Any, env: Any) -> Shape:
        value = np.float64(node.value) if type(node.value) is float else node.value
        return of_value(value) if isinstance(value, bool | int | float | complex) else Const(value)

    def see_Name(self, node: Any, env: Any) -> Shape:
        if node.id in self.bound:
            return env.get(node.id)
        return self.look(node.id)

    def see_NamedExpr(self, node: Any, env: Any) -> Shape:
        raise Untyped("NamedExpr")

    def see_Tuple(self, node: Any, env: Any) -> Shape:
        if any(isinstance(item, ast.Starred) for item in node.elts):
            raise Untyped("Starred")
        return Tup(tuple(self.see(item, env) for item in node.elts))

    def see_List(self, node: Any, env: Any) -> Shape:
        for item in node.elts:
            self.see(item, env)
        return None

    def see_JoinedStr(self, node: Any, env: Any) -> Shape:
        return None

    def see_Slice(self, node: Any, env: Any) -> Shape:
        for part in (node.lower, node.upper, node.step):
            if part is not None:
                self.see(part, env)
        return Const(slice)

    def see_Attribute(self, node: Any, env: Any) -> Shape:
        return self.member(self.see(node.value, env), node.attr)

    def see_Subscript(self, node: Any, env: Any) -> Shape:
        return self.item(self.see(node.value, env), node.slice, self.see(node.slice, env))

    def see_UnaryOp(self, node: Any, env: Any) -> Shape:
        name, held = name_of(node.op), self.see(node.operand, env)
        if name == "Not":
            return Num(types.boolean, 1)
        if not isinstance(held, Num):
            return None
        found = signature(PREFIX[name], (held.kind,))
        if found is None or found.result not in CASTS:
            return None
        return number(found.result, held.bits + 1)

    def see_BinOp(self, node: Any, env: Any) -> Shape:
        left, right = self.see(node.left, env), self.see(node.right, env)
        return self.infix(node, name_of(node.op), left, right)

    def see_Compare(self, node: Any, env: Any) -> Shape:
        for item in (node.left, *node.comparators):
            self.see(item, env)
        return Num(types.boolean, 1)

    def see_BoolOp(self, node: Any, env: Any) -> Shape:
        found, *rest = [self.see(item, env) for item in node.values]
        for shape in rest:
            found = joined(found, shape)
        return found

    def see_IfExp(self, node: Any, env: Any) -> Shape:
        self.see(node.test, env)
        return joined(self.see(node.body, env), self.see(node.orelse, env))

    def infix(self, node: Any, name: str, a: Shape, b: Shape) -> Shape:
        """Return what an operation of two values gives."""
        if not isinstance(a, Num) or not isinstance(b, Num):
            if isinstance(a, Tup) and isinstance(b, Tup) and name == "Add":
                return Tup(a.items + b.items)
            return None
        found = plan(name, a.kind, b.kind)
        if found is None:
            return None
        if not whole(found.result):
            return number(found.result)
        right = node.right if isinstance(node, ast.BinOp) else node.value
        return number(found.result, grown(name, a, b, right))

    def member(self, held: Shape, name: str) -> Shape:
        """Return what an attribute is."""
        if isinstance(held, Arr):
            if name in ("shape", "strides"):
                return Tup((number(INT, PLACES),) * held.ndim)
            if name in ("size", "ndim", "itemsize", "nbytes"):
                return number(INT, PLACES)
            if name == "T":
                return held
            if name == "dtype":
                return Const(held.dtype)
            if held.dtype.names and name in held.dtype.names:
                inner = held.dtype[name]
                if inner.subdtype is not None:
                    return Arr(inner.subdtype[0], held.ndim + len(inner.subdtype[1]))
                return Arr(inner, held.ndim)
            return None
        if isinstance(held, Rec) and name in (held.dtype.names or ()):
            return element(held.dtype[name])
        if isinstance(held, Num):
            halves = {types.complex64: types.float32, types.complex128: types.float64}
            if name in ("real", "imag"):
                return number(halves.get(held.kind, held.kind), held.bits)
            return None
        if not isinstance(held, Const):
            return None
        if isinstance(held.value, Place | Dim3):
            return number(types.int32, PLACES - 1)
        if isinstance(held.value, Cuda) and name in ("laneid", "warpsize"):
            return number(types.int32, 6)
        return known(held, name)

    def item(self, held: Shape, node: ast.AST, index: Shape) -> Shape:
        """Return what an element, a field, a part or a view is."""
        if isinstance(held, Rec):
            name = index.value if isinstance(index, Const) else None
            if isinstance(name, str) and name in (held.dtype.names or ()):
                return element(held.dtype[name])
            return None
        if isinstance(held, Tup):
            place = literal(node)
            if place is not None:
                return held.items[place] if -len(held.items) <= place < len(held.items) else None
            return held.items[0] if len(set(held.items)) == 1 else None
        if not isinstance(held, Arr):
            return None
        if isinstance(index, Const) and isinstance(index.value, str):
            return self.member(held, index.value)
        parts = index.items if isinstance(index, Tup) else (index,)
        named = sum(isinstance(part, Num) for part in parts)
        sliced = sum(part == Const(slice) for part in parts)
        if named + sliced != len(parts) or len(parts) > held.ndim:
            return None
        return element(held.dtype) if named == held.ndim else Arr(held.dtype, held.ndim - named)

    # ------------------------------------------------------------ calls
    def see_Call(self, node: Any, env: Any) -> Shape:
        function = self.see(node.func, env)
        plain = [a.value if isinstance(a, ast.Starred) else a for a in node.args]
        args = [self.see(a, env) for a in plain]
        named = {k.arg: self.see(k.value, env) for k in node.keywords}
        if isinstance(function, Const) and not spread(node):
            return self.call(node, function, args, named)
        return None

    def call(self, node: Any, function: Const, args: list[Shape], named: dict[Any, Shape]) -> Shape:
        """Return what a call of a known function gives."""
        value, origin = function.value, function.origin
        owner = getattr(value, "__self__", None)
        name = getattr(value, "__name__", "")
        if isinstance(value, FunctionType) and "__simulated__" in value.__globals__:
            return None if named else self.called(value, tuple(args))
        if isinstance(owner, SharedMemory | LocalMemory):
            return made_array(args, named)
        if isinstance(owner, Atomic):
            held = args[0] if args else None
            return element(held.dtype) if isinstance(held, Arr) and name in RETURNED else None
        if isinstance(value, Integer | type) and cast_kind(value) is not None:
            bits = (
                args[0].bits if args and isinstance(args[0], Num) and whole(args[0].kind) else None
            )
            return number(cast_kind(value), bits)
        if value is range or value is whole_range:
            return ranged(args)
        if value is builtins.len:
            return number(INT, PLACES)
        if value is enumerate and len(args) == 1:
            return Each(Tup((number(INT, PLACES), item_of(args[0]))))
        if value is BUILTINS["zip"]:
            return Each(Tup(tuple(map(item_of, args))))
        if isinstance(owner, Cuda) or value in (Cuda.popc, Cuda.clz, Cuda.ffs):
            return of_cuda(name, args, literal(node.args[0]) if args else None)
        kinds = tuple(a.kind for a in args if isinstance(a, Num))
        if len(kinds) < len(args) or not kinds or named:
            return None
        if value in (BUILTINS["min"], BUILTINS["max"]):
            kind = kinds[0]
            for other in kinds[1:]:
                kind = kind and unified(kind, other)
            return None if kind not in CASTS else number(kind, max(a.bits for a in args))
        if value is builtins.int:
            return number(INT) if not whole(kinds[0]) else self.result_of(int, kinds)
        if isinstance(value, Real):
            return self.result_of(float, kinds)
        if value is BUILTINS["round"]:
            return self.result_of(round, kinds)
        if value in (builtins.abs, builtins.bool):
            return self.result_of(value, kinds)
        if getattr(math, getattr(origin, "__name__", ""), None) is origin:
            return self.result_of(origin, kinds)
        if isinstance(origin, np.ufunc):
            found = self.result_of(origin, kinds)
            return found if isinstance(found, Num) and found.kind in types.real_domain else None
        return None

    def result_of(self, function: Any, kinds: tuple[Kind, ...]) -> Shape:
        """Return what Numba types a call of numbers with."""
        found = signature(function, kinds)
        return None if found is None or found.result not in CASTS else number(found.result)


def differing(way: Env, met: Env) -> dict[str, tuple[Kind, Kind]]:
    """Return which numbers of a way have another type where it meets others, and both types."""
    assert met is not None
    return {
        name: (shape.kind, met[name].kind)
        for name, shape in (way or {}).items()
        if isinstance(shape, Num) and isinstance(met[name], Num) and shape.kind != met[name].kind
    }


def grown(name: str, a: Num, b: Num, right: ast.expr) -> int:
    """Return the bits of what an operation of whole numbers gives."""
    if name == "Mult":
        return min(a.bits + b.bits, FULL)
    if name in ("Add", "Sub"):
        return min(max(a.bits, b.bits) + 1, FULL)
    if name == "LShift":
        by = literal(right)
        return FULL if by is None else min(a.bits + max(by, 0), FULL)
    if name == "BitAnd":
        least = [of_size(v) for v in (literal(right),) if v is not None and v >= 0]
        return min([*least, max(a.bits, b.bits)])
    if name == "Pow":
        return FULL
    return max(a.bits, b.bits) if name != "RShift" else a.bits


def literal(node: Any) -> int | None:
    """Return the whole number that is written out, None for other expressions."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = literal(node.operand)
        return None if inner is None else -inner
    return None


def spread(node: ast.Call) -> bool:
    """Tell whether a call has arguments of any number."""
    return any(isinstance(a, ast.Starred) for a in node.args) or any(
        k.arg is None for k in node.keywords
    )


def known(held: Const, name: str) -> Shape:
    """Return an attribute of a known value."""
    try:
        value = getattr(held.value, name)
    except Exception:  # whatever a module says of a name that it has not
        return None
    origin = getattr(getattr(held.value, "_module", None), name, value)
    return constant(value, origin)


def constant(value: Any, origin: Any) -> Shape:
    """Return what is known of a value that a name stands for."""
    shape = of_value(value)
    if shape is None or (isinstance(shape, Tup) and isinstance(value, Dim3)):
        return Const(value, origin)
    return shape


def made_array(args: list[Shape], named: dict[Any, Shape]) -> Shape:
    """Return the array that `cuda.shared.array` or `cuda.local.array` makes."""
    shape = named.get("shape", args[0] if args else None)
    kind = named.get("dtype", args[1] if len(args) > 1 else None)
    if not isinstance(kind, Const):
        return None
    try:
        dtype = as_dtype(kind.value)
    except TypeError:
        return None
    return Arr(dtype, len(shape.items) if isinstance(shape, Tup) else 1)


def cast_kind(value: Any) -> Kind | None:
    """Return the type that a cast casts to."""
    if isinstance(value, Integer):
        return getattr(types, value.name)
    found = {
        np.float32: types.float32,
        np.float64: types.float64,
        np.complex64: types.complex64,
        np.complex128: types.complex128,
    }
    return found.get(value)


def ranged(args: list[Shape]) -> Shape:
    """Return what a range yields."""
    if not all(isinstance(a, Num) for a in args):
        return Each(None)
    found = signature(range, tuple(a.kind for a in args))
    kind = getattr(getattr(found, "result", None), "dtype", None)
    return Each(number(kind, max(a.bits for a in args))) if kind is not None else Each(None)


def item_of(shape: Shape) -> Shape:
    """Return what a loop over a value yields."""
    if isinstance(shape, Each):
        return shape.item
    if isinstance(shape, Arr):
        return element(shape.dtype) if shape.ndim == 1 else Arr(shape.dtype, shape.ndim - 1)
    if isinstance(shape, Tup) and len(set(shape.items)) == 1:
        return shape.items[0]
    return None


def of_cuda(name: str, args: list[Shape], first: int | None) -> Shape:
    """Return what a function of `cuda` gives.

    first: its first argument, where it is written out.
    """
    if name in ("grid", "gridsize"):
        place = number(INT, PLACES)
        return place if first == 1 else Tup((place,) * first) if first in (2, 3) else None
    if name in COUNTS:
        return number(*COUNTS[name])
    if name in SHUFFLES and len(args) == 3:
        return args[1]
    if name == "selp" and len(args) == 3:
        return joined(args[1], args[2])
    return None
