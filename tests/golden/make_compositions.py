"""Write compositions.json.gz, PyTorch's values, gradients and gradients of those of
tests/ops/composition_calls.py: `python -m tests.golden.make_compositions`.
"""

from __future__ import annotations

import warnings

import torch

from tests.ops.composition_calls import CALLS, evaluate, write_recorded


def main() -> None:
    """Evaluate every call in float64 and write the arrays."""
    warnings.simplefilter("ignore")
    calls = [call for family in CALLS.values() for call in family]
    found = {call: evaluate(torch, torch.nn.functional, call) for call in calls}
    write_recorded(found)
    print(f"{len(found)} calls by torch {torch.__version__}")


if __name__ == "__main__":
    main()
