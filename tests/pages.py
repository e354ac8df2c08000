"""The pages for people: their code blocks, run as a reader would run them, their links and words.

`python -m tests.pages docs/new_op.md` runs the Python blocks of a page, one after another, as one
program.  A block whose fence says what it needs is left out where that is not to be had:

    ```python needs-simulator
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from minigrad_kernels.jit import plain

ROOT = Path(__file__).resolve().parent.parent
RUN = ("README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in sorted(ROOT.glob("docs/*.md"))))
READ = (*RUN, "benchmarks/results/README.md", "examples/results/README.md")
NEEDS: dict[str, Callable[[], bool]] = {
    "needs-numba": lambda: not plain.ON,
    "needs-sklearn": lambda: importlib.util.find_spec("sklearn") is not None,
    "needs-onnx": lambda: importlib.util.find_spec("onnx") is not None,
    "needs-gpu": lambda: importlib.import_module("minigrad").cuda.is_available(),
    "needs-simulator": lambda: not plain.ON and importlib.util.find_spec("greenlet") is not None,
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    line: of the page, where the code begins.  needs: keys of `NEEDS`.
    """

    language: str
    needs: tuple[str, ...]
    code: str
    line: int

    @property
    def here(self) -> bool:
        """Whether all that the block needs is to be had."""
        return all(NEEDS[need]() for need in self.needs)


def text(page: str) -> str:
    """Return the page as it is written."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the fenced blocks of some languages, of all if none is named."""
    written = text(page)
    found = []
    for match in re.finditer(r"^```(\w+)([^\n]*)\n(.*?)^```", written, flags=re.DOTALL | re.M):
        if match[1] in languages or not languages:
            line = written.count("\n", 0, match.start(3)) + 1
            found.append(Block(match[1], tuple(match[2].split()), match[3], line))
    return found


def prose(page: str) -> str:
    """Return the page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text(page), flags=re.DOTALL | re.MULTILINE)


def run(page: str) -> int:
    """Run the Python blocks of a page as one module, `page`; return how many ran.

    Tracebacks, and `inspect.getsource`, find the page's own lines.
    """
    module = sys.modules["page"] = ModuleType("page")
    ran = 0
    for block in blocks(page, "python"):
        if block.here:
            lines = "\n" * (block.line - 1) + block.code
            exec(compile(lines, str(ROOT / page), "exec"), vars(module))
            ran += 1
    return ran


if __name__ == "__main__":
    print(f"\n{run(sys.argv[1])} blocks ran")
