"""`minigrad doctor`: run a program, and say what is wrong with how it trains."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path
from types import ModuleType

from minigrad.cli.run import as_pytorch, execute, parts
from minigrad.diagnosis.findings import ignored
from minigrad.diagnosis.watching import Program, watched

FOUND = 1  # what is returned where something was found

ABOUT = """Run a program as `python script.py` would and look at how it trains: hand-written loops,
Trainers, and programs for PyTorch.  Exit code: 0 where nothing was found, 1 where something was."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the script, its arguments and the doctor's options."""
    command.add_argument(
        "--ignore", metavar="CODES", default="", help="codes not to look for: MG101,MG205"
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write the findings as JSON")
    command.add_argument(
        "script", type=Path, help="a .py file, a notebook (.ipynb), or a page with code (.md)"
    )
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on to the script")


def run(arguments: argparse.Namespace) -> int:
    """Run a program and print what was found; an error of the program's is shown before that.

    Raises: ValueError where there is no such file, or for an unknown code.
    """
    path: Path = arguments.script
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    ignore = ignored([c for c in arguments.ignore.split(",") if c], "minigrad doctor")
    program = Program(ignore)
    pieces = parts(path)
    if any("torch" in text for text, _ in pieces):
        as_pytorch()
    cells = [compile(text, name, "exec", dont_inherit=True) for text, name in pieces]
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(path), __builtins__=__builtins__)
    before = sys.modules["__main__"], sys.argv, sys.path[0]
    sys.modules["__main__"] = main
    sys.argv = [str(path), *arguments.arguments]
    sys.path[0] = str(path.resolve().parent)
    try:
        with watched(program):
            execute(cells, main)
    except (Exception, SystemExit) as error:
        stopped = isinstance(error, SystemExit) and not error.code
        if not stopped:
            traceback.print_exc()
            program.error = error
    finally:
        sys.modules["__main__"], sys.argv, sys.path[0] = before
    report = program.report()
    report.print()
    if arguments.json:
        arguments.json.write_text(report.to_json() + "\n", encoding="utf-8")
    return FOUND if len(report) or program.error else 0
