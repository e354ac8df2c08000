"""The syntax of a function that is being simulated, as its source has it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from types import CodeType, FunctionType

PARSED: dict[CodeType, ast.FunctionDef] = {}  # what is run for all lanes at once


def definition_of(function: FunctionType) -> ast.FunctionDef | None:
    """Return the syntax of a function, its lines counted from 1 at its first."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    first = tree.body[0] if tree.body else None
    return first if isinstance(first, ast.FunctionDef) else None


def same_as_source(function: FunctionType, definition: ast.FunctionDef) -> bool:
    """Tell whether a function is what its source says, as far as names and literals tell."""
    code = function.__code__
    plain = ast.FunctionDef(**{**vars(definition), "decorator_list": [], "returns": None})
    module = ast.fix_missing_locations(ast.Module([plain], []))
    compiled = compile(module, code.co_filename, "exec", dont_inherit=True)
    own = next(c for c in compiled.co_consts if isinstance(c, CodeType))
    same = own.co_varnames == code.co_varnames and constants(own) == constants(code)
    return same and (bool(code.co_freevars) or own.co_names == code.co_names)


def constants(code: CodeType) -> list[str]:
    """Return the literals of a function, whether promoted or not."""
    return [str(c) for c in code.co_consts if not isinstance(c, CodeType)]
