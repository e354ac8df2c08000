"""Warm-up: signatures.txt is complete, and afterwards nothing is left to compile."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad_kernels import warmup
from minigrad_kernels.jit.compile import JITTED
from minigrad_kernels.table import KERNELS

ROOT = Path(__file__).parents[2]
ANEW = "run `python -m tests.golden.make_signatures`"

# A process of its own: in this one, other tests may have compiled what a line is missing for.
AFTERWARDS = """
import numpy as np
from minigrad_kernels.jit.compile import JITTED
from minigrad_kernels.table import KERNELS
from minigrad_kernels.warmup import compile_job, jobs
from tests.kernels.test_table import SAMPLES

for line in jobs():
    compile_job(line)
known = {name: set(function.signatures) for name, function in JITTED.items()}
for name, kernel in KERNELS.items():
    for dtype in (np.float32, np.float64):
        for args in SAMPLES[name](np.random.default_rng(0), np.dtype(dtype)):
            with np.errstate(all="ignore"):
                kernel.cpu(*args)
    for function, before in known.items():
        for signature in set(JITTED[function].signatures) - before:
            before.add(signature)
            print(name, function, signature)
"""


def python(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT), str(ROOT / "kernels")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **settings}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, cwd=ROOT
    )


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "minigrad_kernels", "warmup", *arguments, MINIGRAD_CACHE_DIR=str(folder))


@pytest.mark.slow
def test_after_warming_up_nothing_is_compiled() -> None:
    done = python("-c", AFTERWARDS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", f"not in {warmup.SIGNATURES.name}: {ANEW}"


def test_the_file_names_kernels_and_functions_that_exist() -> None:
    found = warmup.read_signatures()
    assert sorted(found) == sorted(KERNELS), ANEW
    functions = {line.partition("(")[0] for line in warmup.jobs()}
    assert functions <= JITTED.keys(), ANEW


def test_jobs_of_a_kernel_and_a_dtype() -> None:
    (line,) = warmup.jobs(["dropout"], ["float64"])[:1]
    assert "float64[::1]" in line
    assert "float32" not in line
    shared = warmup.jobs(["grad_scale", "grad_clamp"])
    assert len(shared) == len(set(shared)) > 0, "what two kernels share is compiled once"
    assert set(warmup.jobs(dtypes=["float32"])) < set(warmup.jobs())


def test_a_line_of_one_dtype() -> None:
    assert warmup.of_dtype("float32: f(float32)", "float32") == "f(float32)"
    assert warmup.of_dtype("float32: f(float32)", "float64") is None
    assert (
        warmup.of_dtype("T.f(int64, T[:, ::1])", "float64") == "float64.f(int64, float64[:, ::1])"
    )


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_command_compiles_once(tmp_path: Path, processes: str) -> None:
    arguments = ("random_bits", "batch_norm_running", "--dtype", "float32", "--jobs", processes)
    expected = len(warmup.jobs(arguments[:2], ["float32"]))
    first = command(tmp_path, *arguments, "--times")
    assert first.returncode == 0, first.stderr
    *times, last = first.stdout.splitlines()
    assert re.fullmatch(rf"compiled {expected} signatures in .* s, 0 were cached; in .*", last)
    assert str(tmp_path) in last
    assert all(re.fullmatch(r" +\d+\.\d\d s  [\w.]+", line) for line in times)
    again = command(tmp_path, *arguments).stdout
    assert re.match(rf"compiled 0 signatures in .* s, {expected} were cached;", again)


def test_an_unknown_kernel_is_refused(tmp_path: Path) -> None:
    done = command(tmp_path, "gem", "relu")
    assert done.returncode == 2
    assert done.stderr == (
        "minigrad_kernels warmup: error: no kernel gem; expected names such as gemm and adam_step\n"
    )
