"""The command line: `minigrad train`, `predict`, `check`, `compare` and `run`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from minigrad import compare
from minigrad.checking import command as checking_command
from minigrad.cli import predict as predicting
from minigrad.cli import run as running
from minigrad.cli import train as training
from minigrad.cli.options import INTERRUPTED, UsageError


class Parser(argparse.ArgumentParser):
    """argparse with one line for an error, where it prints the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


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
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in (training, predicting):
        added = commands.add_parser(command.NAME, help=command.HELP, description=command.ABOUT)
        command.add_options(added)
        added.set_defaults(run=command.run)
    check_parser(commands)
    compare_parser(commands)
    run_parser(commands)
    return top


def check_parser(commands: Any) -> None:
    """Add `minigrad check` with its options."""
    description = f"{checking_command.HELP.capitalize()}, in float64, to second order."
    command = commands.add_parser("check", help=checking_command.HELP, description=description)
    checking_command.add_options(command)
    command.set_defaults(run=checking_command.run)


def compare_parser(commands: Any) -> None:
    """Add `minigrad compare` with its options."""
    command = commands.add_parser("compare", help=compare.HELP, description=compare.HELP)
    compare.options(command)
    command.set_defaults(run=compare.run_command)


def run_parser(commands: Any) -> None:
    """Add `minigrad run` with its options."""
    command = commands.add_parser("run", help=running.HELP, description=running.HELP)
    running.add_options(command)
    command.set_defaults(run=running.run)


def _one_line(error: BaseException) -> str:
    """Return an error's message as one line."""
    return " ".join(str(error).split())


def _version() -> str:
    """Return the version of the installed package."""
    try:
        return version("minigrad")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "(not installed)"
