"""The command line: `minigrad train`, `predict`, `check`, `compare`, `doctor` and `run`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from minigrad.cli.options import INTERRUPTED, UsageError

# Name, module with `add_options`, `run` and, where there is more to say, ABOUT; one line of help.
COMMANDS = (
    (
        "train",
        "minigrad.cli.train",
        "train the production recipe on a table or a built-in data set, up to its test score",
    ),
    (
        "predict",
        "minigrad.cli.predict",
        "predict the rows of a table by a model that `minigrad train` wrote",
    ),
    (
        "check",
        "minigrad.checking.command",
        "hold the gradients of every op, or of your own function, against finite differences",
    ),
    (
        "compare",
        "minigrad_kernels.compare.command",
        "compare kernels: reference, CPU, GPU, other libraries, the machine's limit",
    ),
    (
        "doctor",
        "minigrad.cli.doctor",
        "run a program, and say what is wrong with how it trains",
    ),
    ("run", "minigrad.cli.run", "run a PyTorch program on minigrad, as it stands"),
)


class Parser(argparse.ArgumentParser):
    """argparse with one line for an error, where it prints the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


class CommandParser(Parser):
    """The parser of one command; what the command needs is imported when it is used."""

    module: str | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, with the options that the command's module adds."""
        if self.module is not None:
            module = importlib.import_module(self.module)
            self.module = None
            self.description = getattr(module, "ABOUT", self.description)
            module.add_options(self)
            self.set_defaults(run=module.run)
        return super().parse_known_args(args, namespace)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0, 2 for a mistake in the arguments or the data.

    >>> main(["train", "--data", "nothing.csv"])
    2
    """
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (UsageError, ValueError, OSError, FloatingPointError, ModuleNotFoundError) as error:
        print(f"minigrad {arguments.command}: error: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def parser() -> Parser:
    """Return the parser of all commands."""
    top = Parser(prog="minigrad", description="A small deep-learning framework.")
    top.add_argument("--version", action="version", version=f"minigrad {_version()}")
    commands = top.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=CommandParser
    )
    for name, module, text in COMMANDS:
        commands.add_parser(name, help=text, description=text).module = module
    return top


def _one_line(error: BaseException) -> str:
    """Return an error's message as one line."""
    return " ".join(str(error).split())


def _version() -> str:
    """Return the version of the installed package."""
    try:
        return version("minigrad")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "(not installed)"
