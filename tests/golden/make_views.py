"""Write views.json.gz and writes.json.gz, what PyTorch makes of the programs in tests/engine:
`python tests/golden/make_views.py`.
"""

from __future__ import annotations

import gzip
import json
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from tests.engine import write_programs
from tests.engine.view_programs import AS_SLICES, VIEWS, Program, programs, run

PATH = Path(__file__).with_name("views.json.gz")
WRITES = PATH.with_name("writes.json.gz")
SEEDS = 600
TORCH = SimpleNamespace(
    tensor=torch.tensor,
    ones=torch.ones,
    float64=torch.float64,
    no_grad=torch.no_grad,
    grad=torch.autograd.grad,
)


def expected(p: Program) -> Any:
    """Return PyTorch's outcome, or that of the program which says what ours must give.

    A view made under `no_grad` whose base is changed under `no_grad` too is a constant here, as a
    detached one is; PyTorch refuses its use.  A change under `no_grad` leaves the tape as it is,
    and with it the hooks; PyTorch loses those of a view.
    """
    if p.hook == "v before" and p.write.endswith("unrecorded"):
        p = replace(p, hook="v after")
    if p.mode == "no_grad" and p.write.endswith("unrecorded"):
        found = run(TORCH, replace(p, mode="detached"), VIEWS | AS_SLICES)
        if found != "raises":
            found = {**found, "kept": found["kept"][:1], "flags": found["flags"][:1]}
        return found
    return run(TORCH, p, VIEWS | AS_SLICES)


def save(path: Path, values: Any) -> None:
    """Write values as compressed JSON, the same bytes in every run."""
    text = json.dumps(values, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def main() -> None:
    """Run every program on PyTorch and save the outcomes, each distinct one once."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    distinct: dict[str, int] = {}
    order = []
    for p in programs():
        text = json.dumps(expected(p), separators=(",", ":"))
        order.append(distinct.setdefault(text, len(distinct)))
    saved = {"outcomes": [json.loads(text) for text in distinct], "programs": order}
    save(PATH, saved)
    save(WRITES, [write_programs.run(TORCH, seed) for seed in range(SEEDS)])
    print(f"{len(order)} programs, {len(distinct)} outcomes by torch {torch.__version__}")


if __name__ == "__main__":
    main()
