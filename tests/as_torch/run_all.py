"""Run all programs with minigrad for torch in one process; print what each printed, as JSON."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
import warnings
from types import ModuleType

import minigrad.as_torch
from tests.as_torch.make_expected import PROGRAMS


def outputs() -> dict[str, str]:
    """Return what each program prints, with its traceback where it stops."""
    found = {}
    for program in PROGRAMS:
        main = ModuleType("__main__")
        sys.modules["__main__"] = main  # whole modules are found by the name of their class
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                exec(compile(program.read_text(), str(program), "exec"), main.__dict__)
            except Exception:
                printed.write(traceback.format_exc())
        found[program.stem] = printed.getvalue()
    return found


if __name__ == "__main__":
    minigrad.as_torch.install()
    print(json.dumps(outputs()))
