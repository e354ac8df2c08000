"""Write minigrad/published/*.pyi, for type checkers: functions and methods that no list names.

`python -m tests.golden.make_stubs`.  They are made from the registries, whose functions have their
names when minigrad is imported; a checker that reads files alone would not see them.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.ops.registry import PLACES
from minigrad.tensors import registry

FOLDER = Path(mg.__file__).parent / "published"
HEAD = """# Written by tests/golden/make_stubs.py from the registries of ops and functions.
import builtins
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.tensors.tensor import Tensor
"""
KNOWN = {"Any", "Callable", "None", "Sequence", "Tensor", "list"}
RENAMED = {"bool", "float", "int", "str", "tuple"}


def annotation(text: Any) -> str:
    """Return an annotation in names that a stub has, else Any."""
    if not isinstance(text, str) or any(c in text for c in "'\""):
        return "Any"
    words = set(re.findall(r"[A-Za-z_][\w.]*", text))
    if words - KNOWN - RENAMED:
        return "Any"
    return re.sub(r"\b(bool|float|int|str|tuple)\b", r"builtins.\1", text)


def default(value: Any) -> str:
    """Return a default value as a stub shows it."""
    plain = isinstance(value, bool | int | str | type(None))
    return repr(value) if plain else "..."


def signature(name: str, function: Callable[..., Any], method: bool) -> str:
    """Return `def name(...) -> ...: ...`."""
    parts: list[str] = []
    starred = False
    for i, p in enumerate(inspect.signature(function).parameters.values()):
        if p.kind is p.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred = starred or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        if method and i == 0 and not stars:
            parts.append("self")
            continue
        if method and i == 0:
            parts.append("self")
        text = f"{stars}{p.name}: {annotation(p.annotation)}"
        if p.default is not p.empty:
            text += f" = {default(p.default)}"
        parts.append(text)
    returned = annotation(inspect.signature(function).return_annotation)
    return f"def {name}({', '.join(parts)}) -> {returned}: ..."


def written(place: str) -> str:
    """Return the stub of the functions of a place."""
    places = ("tensor", "function") if place == "tensor" else (place,)
    module: Any = F if place == "functional" else mg if place == "tensor" else None
    lines = []
    for each in places:
        for name, function in registry.FUNCTIONS[each].items():
            chosen = getattr(module, name, None) if module else function
            if chosen is function and not keyword.iskeyword(name):
                lines.append(signature(name, function, method=False))
    return HEAD + "\n" + "\n".join(sorted(lines)) + "\n"


def methods() -> str:
    """Return the stub of the methods."""
    lines = []
    for name in sorted(registry.GIVEN):
        function = vars(mg.Tensor).get(name)
        if function is registry.GIVEN[name] and not keyword.iskeyword(name):
            lines.append("    " + signature(name, function, method=True))
    return HEAD + "\nclass Methods:\n" + "\n".join(lines) + "\n"


def stubs() -> dict[str, str]:
    """Return the text of every stub by its file's name."""
    found = {"__init__.pyi": "", "methods.pyi": methods(), "functions.pyi": written("tensor")}
    for place in PLACES:
        if place not in ("tensor", "function", "method"):
            found[f"{place}.pyi"] = written(place)
    return found


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in stubs().items():
        (FOLDER / name).write_text(text)
    print(f"{sum(text.count('def ') for text in stubs().values())} signatures in {FOLDER.name}")
