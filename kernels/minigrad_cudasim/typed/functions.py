"""Functions rewritten for arguments of some types, and kept for later launches."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from minigrad_cudasim.syntax import PARSED, definition_of, same_as_source
from minigrad_cudasim.typed.inference import Inference, Untyped, constant
from minigrad_cudasim.typed.rewriting import Rewriting
from minigrad_cudasim.typed.shapes import FULL, PLACES, Num, Shape, Tup, number, of_value

KEPT = 4096  # rewritten functions that are kept


@dataclass(frozen=True)
class Rewritten:
    """A function for arguments of some types.

    helpers: what is put into its globals.  calls: names of functions that it calls, with the
    function, what is known of its arguments and what was known of its result.
    """

    code: CodeType
    helpers: dict[str, Any]
    calls: tuple[tuple[str, FunctionType, tuple[Shape, ...], Shape], ...]
    result: Shape
    held: tuple[Any, ...]  # what the key names by its identity


KNOWN: dict[Any, Rewritten | None] = {}


class Typed:
    """The rewritten functions of one launch.

    rebuild: a function of the program as plain Python.  originals: the functions of the program by
    the identities of those that were made of them.
    """

    def __init__(
        self, rebuild: Callable[[FunctionType], FunctionType], originals: dict[int, FunctionType]
    ):
        self.rebuild = rebuild
        self.originals = originals
        self.made: dict[Any, FunctionType] = {}
        self.found: dict[Any, Rewritten | None] = {}
        self.looked: set[Any] = set()

    def function(self, original: FunctionType, shapes: tuple[Shape, ...]) -> FunctionType:
        """Return a function for arguments of some types, as it is where they are not followed."""
        key = (id(original), shapes)
        if key in self.made:
            return self.made[key]
        plain = self.rebuild(original)
        found = self.rewritten(original, shapes)
        if found is None:
            return plain
        space = {**plain.__globals__, **cells(plain), **found.helpers}
        built = FunctionType(found.code, space, plain.__name__, plain.__defaults__)
        self.made[key] = built
        for name, called, given, _ in found.calls:
            space[name] = self.function(called, given)
        return built

    def result(self, original: FunctionType, shapes: tuple[Shape, ...]) -> Shape:
        """Return what is known of what a function returns; nothing while that is looked for."""
        if (id(original), shapes) in self.looked:
            return None
        found = self.rewritten(original, shapes)
        return None if found is None else found.result

    def rewritten(self, original: FunctionType, shapes: tuple[Shape, ...]) -> Rewritten | None:
        """Return a function's source rewritten, None where its types are not followed."""
        key = (id(original), shapes)
        if key in self.found:
            return self.found[key]
        self.looked.add(key)
        held: list[Any] = []
        place = (original.__code__, shapes, surroundings(original, held))
        kept = KNOWN.get(place)
        if place not in KNOWN or not self.still(kept):
            kept = self.rewrite(original, shapes, tuple(held))
            if len(KNOWN) >= KEPT:
                KNOWN.clear()
            KNOWN[place] = kept
        self.looked.discard(key)
        self.found[key] = kept
        return kept

    def still(self, kept: Rewritten | None) -> bool:
        """Tell whether the functions that a function calls return what they did."""
        calls = () if kept is None else kept.calls
        return all(self.result(called, given) == result for _, called, given, result in calls)

    def rewrite(
        self, original: FunctionType, shapes: tuple[Shape, ...], held: tuple[Any, ...]
    ) -> Rewritten | None:
        """Rewrite a function."""
        definition = definition_of(original)
        if definition is None or not same_as_source(original, definition):
            return None
        given = definition.args
        if given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs:
            return None
        plain = self.rebuild(original)
        names = [a.arg for a in given.args]
        rest = len(names) - len(shapes)
        defaults = tuple(map(of_value, plain.__defaults__ or ()))
        if rest > len(defaults):
            return None
        args = dict(zip(names, (*shapes, *(defaults[len(defaults) - rest :] if rest else ()))))
        placed(definition, original)
        try:
            inference = Inference(definition, args, self.look(original, plain), self.called)
        except Untyped:
            return None
        names_of: dict[Any, tuple[str, FunctionType, tuple[Shape, ...]]] = {}

        def callee(value: Any, arguments: tuple[Shape, ...] | None) -> str | None:
            function = self.originals.get(id(value))
            if function is None:
                return None
            count = function.__code__.co_argcount
            some = (None,) * count if arguments is None else tuple(map(rough, arguments))
            key = (id(function), some)
            name = f"__{function.__name__}_{len(names_of)}__"
            return names_of.setdefault(key, (name, function, some))[0]

        rewriting = Rewriting(inference, callee)
        definition.body = rewriting.body(definition.body)
        code = compiled(definition, original)
        calls = tuple((n, f, s, self.result(f, s)) for n, f, s in names_of.values())
        PARSED[code] = definition
        return Rewritten(code, rewriting.helpers, calls, inference.result, held)

    def called(self, value: Any, shapes: tuple[Shape, ...]) -> Shape:
        """Return what is known of what a call returns."""
        function = self.originals.get(id(value))
        return None if function is None else self.result(function, tuple(map(rough, shapes)))

    def look(self, original: FunctionType, plain: FunctionType) -> Callable[[str], Shape]:
        """Return what tells what a global name of a function stands for."""
        inner, outer = cells(plain), cells(original)

        def find(name: str) -> Shape:
            if name in inner:
                return constant(inner[name], outer.get(name))
            if name in plain.__globals__:
                return constant(plain.__globals__[name], original.__globals__.get(name))
            found = plain.__globals__["__builtins__"].get(name)
            return None if found is None else constant(found, found)

        return find


def rough(shape: Shape) -> Shape:
    """Return what is known of an argument without how large it is exactly."""
    if isinstance(shape, Num):
        return number(shape.kind, PLACES if shape.bits <= PLACES else FULL)
    if isinstance(shape, Tup):
        return Tup(tuple(map(rough, shape.items)))
    return shape


def cells(function: FunctionType) -> dict[str, Any]:
    """Return what the names of a function's closure hold."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not yet given one
            continue
    return found


def surroundings(function: FunctionType, held: list[Any]) -> tuple[Any, ...]:
    """Return what the names of a function stand for, as a key; `held` keeps those alive."""
    space = function.__globals__
    named = {n: space[n] for n in sorted(function.__code__.co_names) if n in space}
    found = []
    for name, value in {**named, **cells(function)}.items():
        plain = isinstance(value, bool | int | float | complex | str | np.generic)
        if not plain:
            held.append(value)
        found.append((name, type(value), value if plain else id(value)))
    return tuple(found)


def placed(definition: ast.FunctionDef, function: FunctionType) -> None:
    """Let the syntax of a function stand where its source does."""
    source = inspect.getsource(function)
    indent = len(source) - len(source.lstrip())
    for node in ast.walk(definition):
        if isinstance(node, ast.stmt | ast.expr | ast.arg | ast.keyword):
            node.lineno += function.__code__.co_firstlineno - 1
            node.end_lineno = (node.end_lineno or 0) + function.__code__.co_firstlineno - 1
            node.col_offset += indent
            node.end_col_offset = (node.end_col_offset or 0) + indent


def compiled(definition: ast.FunctionDef, function: FunctionType) -> CodeType:
    """Return the code of a function's rewritten syntax, its literals as Numba types them."""
    plain = ast.FunctionDef(**{**vars(definition), "decorator_list": [], "returns": None})
    module = ast.fix_missing_locations(ast.Module([plain], []))
    made = compile(module, function.__code__.co_filename, "exec", dont_inherit=True)
    return promoted(next(c for c in made.co_consts if isinstance(c, CodeType)))


def promoted(code: CodeType) -> CodeType:
    """Return a code object whose literals are float64 and complex128, as Numba types them."""

    def literal(constant: Any) -> Any:
        if type(constant) in (float, complex):
            return (np.float64 if type(constant) is float else np.complex128)(constant)
        if type(constant) is tuple:
            return tuple(map(literal, constant))
        if isinstance(constant, CodeType):
            return promoted(constant)
        return constant

    return code.replace(co_consts=tuple(map(literal, code.co_consts)))
