"""Run a script as it is with its CUDA kernels simulated: `python -m minigrad_cudasim train.py`.

Exits with 1 where a fault was found.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from minigrad_cudasim.startup import start, write


def main(arguments: list[str] | None = None) -> int:
    """Run the script of the command line and print what its launches showed."""
    parser = argparse.ArgumentParser(prog="python -m minigrad_cudasim", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first launch's order")
    parser.add_argument("--stop", action="store_true", help="raise at a launch with faults")
    parser.add_argument("--traffic", action="store_true", help="count sectors and bank conflicts")
    parser.add_argument("--report", metavar="FILE", help="write .json, .svg or text")
    parser.add_argument("-m", dest="module", action="store_true", help="run a module by its name")
    parser.add_argument("script", help="a file, or with -m a module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    asked = parser.parse_args(arguments)
    if not asked.module and not Path(asked.script).is_file():
        parser.error(f"{asked.script}: there is no such file; a module is run with -m")
    options = f"seed={asked.seed},raises={int(asked.stop)},traffic={int(asked.traffic)}"
    session = start(options)
    sys.argv = [asked.script, *asked.arguments]
    try:
        if asked.module:
            sys.path.insert(0, "")
            runpy.run_module(asked.script, run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(Path(asked.script).resolve().parent))
            runpy.run_path(asked.script, run_name="__main__")
    finally:
        report = session.report
        how = f"{report.at_once} of them all threads at once"
        print(f"minigrad_cudasim: {report.launches} launches, {how}", file=sys.stderr)
        print(report, file=sys.stderr)
        if asked.report:
            write(report, asked.report)
    return int(bool(report.faults))


if __name__ == "__main__":
    sys.exit(main())
