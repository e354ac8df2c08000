"""`minigrad run`: a PyTorch program on minigrad, as it stands."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

PYTHON = re.compile(r"^```\{?\.?(?:python|py)\b[^\n]*\n(.*?)^```", re.M | re.S)
TAB = re.compile(r"^\s*(?:%%|#@)tab ([^\n]*)\n?")  # of a page in several frameworks
MAGIC = re.compile(r"^(\s*)(%[A-Za-z_].*|!(?!=).*)$", re.M)


def add_options(command: Any) -> None:
    """Add the script and its arguments."""
    command.add_argument(
        "script", type=Path, help="a .py file, a notebook (.ipynb), or a page with code (.md)"
    )
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on to the script")


def run(arguments: argparse.Namespace) -> int:
    """Run a program as `python script.py arguments` would, with `import torch` being minigrad.

    Errors are shown as Python shows them, for they are the program's.
    Raises: ValueError where there is no such file.
    """
    path: Path = arguments.script
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    as_pytorch()
    cells = [compile(text, name, "exec", dont_inherit=True) for text, name in parts(path)]
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(path), __builtins__=__builtins__)
    sys.modules["__main__"] = main
    sys.argv = [str(path), *arguments.arguments]
    sys.path[0] = str(path.resolve().parent)
    execute(cells, main)
    return 0


def as_pytorch() -> None:
    """Have `import torch` give minigrad from here on."""
    importlib.import_module("minigrad.as_torch")


def execute(cells: list[CodeType], main: ModuleType) -> None:
    """Run the parts of a program one after the other."""
    for cell in cells:
        exec(cell, main.__dict__)


def parts(path: Path) -> list[tuple[str, str]]:
    """Return the pieces of Python in a file, with the names that tracebacks show.

    Of a notebook the code cells, of a page of Markdown the blocks marked as Python; lines for the
    notebook's shell (`%matplotlib inline`, `!pip ...`) are left out.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
        pieces = ["".join(cell["source"]) for cell in cells]
    elif path.suffix == ".md":
        pieces = [block for block in PYTHON.findall(text) if ours(block)]
    else:
        return [(text, str(path))]
    pieces = [TAB.sub("", piece) for piece in pieces]
    kept = ["" if p.lstrip().startswith("%%") else p for p in pieces]
    return [(without_shell(p), f"{path}[{i}]") for i, p in enumerate(kept, 1)]


def without_shell(piece: str) -> str:
    """Return a piece of a notebook without its lines for the notebook's shell, if it has any."""
    try:
        compile(piece, "piece", "exec", dont_inherit=True)
    except SyntaxError:
        return MAGIC.sub(r"\1pass  # \2", piece)
    return piece


def ours(block: str) -> bool:
    """Return whether a block is for PyTorch, of a page that has tabs for several frameworks."""
    tab = TAB.match(block)
    return tab is None or any(word in tab[1] for word in ("pytorch", "all"))
