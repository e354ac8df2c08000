"""Write scalar.json: what micrograd computes (`pip install micrograd`), for tests/scalar."""

from __future__ import annotations

import json
from pathlib import Path

from micrograd.engine import Value

from benchmarks.moons import train
from tests.scalar.expressions import EXPRESSIONS


def results() -> dict[str, object]:
    """Return values and gradients of the shared expressions, and the losses of the moons demo."""
    expressions = {}
    for name, expression in EXPRESSIONS.items():
        a, b = Value(-4.0), Value(2.0)
        y = expression(a, b)
        y.backward()
        expressions[name] = [y.data, a.grad, b.grad]
    return {"expressions": expressions, "moons": train(Value, 12)}


if __name__ == "__main__":
    Path(__file__).with_name("scalar.json").write_text(json.dumps(results(), indent=1) + "\n")
