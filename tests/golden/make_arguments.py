"""Write arguments.json, what PyTorch makes of the calls of tests/nn/argument_cases.py, null where
it refuses: `python tests/golden/make_arguments.py`.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch

from tests.nn.argument_cases import KINDS
from tests.nn.argument_outcomes import outcome

PATH = Path(__file__).with_name("arguments.json")


def main() -> None:
    """Make all calls with PyTorch and save what came."""
    warnings.simplefilter("ignore")
    found = {}
    for kind, cases in KINDS.items():
        for case in cases():
            what = outcome(torch, kind, case)
            found[case] = None if isinstance(what, Exception) else what
    lines = (f"{json.dumps(case)}:{json.dumps(what)}" for case, what in found.items())
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(found)} calls by torch {torch.__version__} in {PATH.name}")


if __name__ == "__main__":
    main()
