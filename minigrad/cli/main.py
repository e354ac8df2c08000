"""The command line: `minigrad train`, `predict`, `check`, and what else COMMANDS lists."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from minigrad.cli.options import INTERRUPTED, UsageError
from minigrad.distributed import group

PATIENCE = 2.0  # seconds

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
    (
        "search",
        "minigrad.cli.search",
        "try a recipe with many options, on as many processes as there are",
    ),
    (
        "scale",
        "minigrad.cli.scale",
        "predict how a training step goes on more machines",
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
        if arguments.command != "run":  # programs join when they ask for it, and all of them print
            join()
        return int(arguments.run(arguments))
    except (UsageError, ValueError, OSError, FloatingPointError, ModuleNotFoundError) as error:
        return ended(f"minigrad {arguments.command}: error: {_one_line(error)}", 2)
    except KeyboardInterrupt:
        return ended("interrupted", INTERRUPTED)


def join() -> None:
    """Join the processes that `mpiexec` has started; only the first one prints."""
    if group.launched():
        group.init()
    if not group.is_first():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  until the end


def ended(message: str, status: int) -> int:
    """Say why a command ends, and return its status; of several processes, end all."""
    if group.world_size() > 1:
        if not group.is_first():
            time.sleep(PATIENCE)  # what all ranks have met, the first one says for them
        group.abort(message, status)
    print(message, file=sys.stderr)
    return status


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
