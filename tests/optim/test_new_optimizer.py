"""A new optimizer is two files: the step beside the kernels, the class beside the optimizers.

A copy of both packages is given them; all else follows: the table, the CUDA kernel, the samples,
the example of `compare`, the public name, and what test_every_optimizer.py holds each one to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

KERNEL = '''
"""Signed momentum over all parameters at once: p = p - lr sign(beta1 m + (1 - beta1) g)."""

from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import device_function, stepped
from minigrad_kernels.optim.multi_tensor import (
    case, decayed, decayed_reference, numbers, prepare_decay, step,
)

H = numbers("maximize", "beta2", "lr", "weight_decay", "beta1")


def signed_reference(table: Any, hyper: Any, like: Any, steps: Any) -> None:
    for (p, g, m), h, _ in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(p, g, h[H.lr], h[H.weight_decay], 1.0, h[H.maximize])
        p[...] = weight - h[H.lr] * np.sign(h[H.beta1] * m + (1 - h[H.beta1]) * grad)
        m[...] = h[H.beta2] * m + (1 - h[H.beta2]) * grad


@device_function()
def signed_prepare(row: Any, h: Any, t: int, c: Any) -> None:
    prepare_decay(h[H.lr], h[H.weight_decay], 1.0, h[H.maximize], c)
    c[3] = h[H.beta1]
    c[4] = 1.0 - h[H.beta1]
    c[5] = h[H.beta2]
    c[6] = 1.0 - h[H.beta2]
    c[7] = h[H.lr]


@device_function()
def signed_rule(c: Any, p: float, g: float, m: float) -> tuple[float, float]:
    p, g = decayed(c, p, g)
    u = c[3] * m + c[4] * g
    if u > 0:
        p = p - c[7]
    elif u < 0:
        p = p + c[7]
    return p, c[5] * m + c[6] * g


CASES = (
    case(lr=1e-2, beta1=0.9, beta2=0.99),
    case(lr=3e-2, beta1=0.5, beta2=0.75, weight_decay=0.1, maximize=1.0),
)
KERNELS = {
    "signed_step": step(
        "signed", signed_reference, signed_prepare, signed_rule, H, CASES, ("exp_avg",), flops=9
    )
}
'''

CLASS = '''
"""Signed."""

from typing import Any

from minigrad.optim.optimizer import Optimizer


class Signed(Optimizer):
    """Signed: steps of lr in the direction of a momentum's sign."""

    steps = ("signed_step",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)
'''

CHECK = """
import numpy as np
import minigrad as mg
from minigrad_kernels.compare.examples import example_of
from minigrad_kernels.table import KERNELS
from tests.kernels import tables, test_table
from tests.optim import test_every_optimizer as battery

assert "Signed" in mg.optim.__all__ and mg.optim.OPTIMIZERS["Signed"] is mg.optim.Signed
cases = [case for case in battery.CASES if case[0] == "Signed"]
assert cases == [("Signed", "signed_step", 0), ("Signed", "signed_step", 1)]
for case in cases:
    battery.test_an_optimizer_equals_its_kernels_reference(case)
    battery.test_a_loaded_optimizer_goes_on(case)
assert "signed_step" in test_table.SAMPLES and example_of("signed_step").shape == "N"
tables.check_steps(KERNELS["signed_step"], np.float64)
try:
    import greenlet
except ImportError:
    print("done without a device")
else:
    from minigrad_kernels.cuda_table import CHECKS

    assert {"signed_step/float32", "signed_step.numbers/float32"} <= set(CHECKS)
    for case in cases:
        battery.test_an_optimizer_on_the_simulated_gpu(case)
    print("done")
"""


def test_a_new_optimizer_is_two_files(tmp_path: Path) -> None:
    for package in ("minigrad", "kernels/minigrad_kernels", "kernels/minigrad_cudasim"):
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=without)
    (tmp_path / "kernels/minigrad_kernels/optim/signed.py").write_text(KERNEL)
    (tmp_path / "minigrad/optim/signed.py").write_text(CLASS)
    paths = [tmp_path, tmp_path / "kernels", ROOT]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run(
        [sys.executable, "-c", CHECK], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done")
