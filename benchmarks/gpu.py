"""`python -m benchmarks.gpu`: all that a machine with a GPU can say of the CUDA kernels, as JSON.

Every kernel against its reference; times beside cuBLAS, cuDNN and PyTorch and below the measured
limits; TF32 and bfloat16 products; the routes of a launch; the demo trained on both devices;
compute-sanitizer, where it is installed.  Without a GPU it says so and exits with 2.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import minigrad as mg
from benchmarks.gpu_launches import launch_routes
from benchmarks.report import RESULTS
from minigrad.nn import functional as F
from minigrad_kernels.compare import api as compare
from minigrad_kernels.compare.gpu_limits import LEAST, limits, seconds_of
from minigrad_kernels.compare.report import machine_of, show
from minigrad_kernels.cuda.precision import PRECISIONS, set_precision
from minigrad_kernels.cuda.targets import driver, gpu, upload
from minigrad_kernels.cuda_table import CUDA_KERNELS
from minigrad_kernels.table import KERNELS

NO_GPU = 2
CHECKED_SIZES = (1, 33, 4_097, 262_144)
MEGABYTES = 256  # of the largest array where bandwidth is measured
MEMORY_BOUND = (
    *("copy", "add", "relu", "gelu", "exp", "softmax", "layer_norm_forward", "layer_norm_backward"),
    *("batch_norm_forward", "batch_norm_backward", "dropout", "sum", "cross_entropy_forward"),
)
IMAGES = ("conv", "conv_backward_input", "conv_backward_weight", "max_pool", "avg_pool")
OPTIMIZERS = ("adam_step", "sgd_momentum_step")
SQUARES = (512, 1_024, 2_048, 4_096, 8_192)
QUICK_SQUARES = (256,)
STEPS = 20  # of the demo on both devices
SANITIZED = ("memcheck", "racecheck", "initcheck", "synccheck")
SANITIZED_SIZES = (33, 4_097)
Result = dict[str, Any]


# ---------------------------------------------------------------- the sections
def checked(quick: bool) -> Result:
    """Every kernel beside its reference, both dtypes, twice, and in a grid of one block."""
    sizes = CHECKED_SIZES[:2] if quick else CHECKED_SIZES
    targets, dtypes = ["cuda"], ["float32", "float64"]
    report = compare.run("all", sizes, dtypes, targets, quick=True, statistics=False)
    lacking = sorted(set(KERNELS) - {row.kernel for row in report.rows})
    return {"ok": report.ok and not lacking, "without_cuda_kernel": lacking, **report.as_json()}


def timed(quick: bool) -> Result:
    """Kernels beside PyTorch's (cuDNN's, cuBLAS's) and the limits, from small to MEGABYTES."""
    largest = 4_096 if quick else MEGABYTES * 2**20 // 4
    sizes = [largest // 4_096, largest // 64, largest] if not quick else [largest]
    found = compare.run(
        (*MEMORY_BOUND, *IMAGES, *OPTIMIZERS),
        sizes,
        targets=["cpu", "cuda", "torch-cuda", "cupy"],
        quick=quick,
        statistics=False,
    )
    show(found, Console())
    return {"ok": found.ok, **found.as_json()}


def products(quick: bool) -> Result:
    """Square products: float32, TF32 and bfloat16, each beside cuBLAS's where torch is there."""
    target, rows = gpu(), []
    cuda_kernel = CUDA_KERNELS["gemm"]
    rng = np.random.default_rng(0)
    for n in QUICK_SQUARES if quick else SQUARES:
        host = [rng.standard_normal((n, n), np.float32) for _ in range(2)]
        a, b = (upload(target, x) for x in host)
        c = target.empty((n, n), np.float32)
        exact = host[0][:64].astype(np.float64) @ host[1]
        for name in PRECISIONS:
            set_precision(name)
            spent = seconds_of(lambda a=a, b=b, c=c: cuda_kernel(a, b, c), target, LEAST)
            error = np.abs(target.read(c)[:64] - exact).max() / np.abs(exact).max()
            row = {"n": n, "precision": name, "tflops": 2e-12 * n**3 / spent, "error": float(error)}
            rows.append({**row, **vendors(n, name, row["tflops"])})
    set_precision("highest")
    return {"ok": all(row["error"] < 0.05 for row in rows), "rows": rows}


def vendors(n: int, precision: str, ours: float) -> Result:
    """Return cuBLAS's TFLOP/s through torch at that precision, and our share of it."""
    try:
        torch = importlib.import_module("torch")
    except ModuleNotFoundError:
        return {}
    if not torch.cuda.is_available():
        return {}
    torch.backends.cuda.matmul.allow_tf32 = precision == "high"
    dtype = torch.bfloat16 if precision == "medium" else torch.float32
    a, b, c = (torch.ones(n, n, dtype=dtype, device="cuda") for _ in range(3))

    class Torch:
        synchronize = staticmethod(torch.cuda.synchronize)

    spent = seconds_of(lambda: torch.mm(a, b, out=c), Torch(), LEAST)  # type: ignore[arg-type]
    theirs = 2e-12 * n**3 / spent
    return {"cublas_tflops": theirs, "of_cublas": ours / theirs}


def trained(quick: bool) -> Result:
    """The recipe on the digits, STEPS steps on both devices: losses and seconds a step."""
    steps = 3 if quick else STEPS
    (cpu, cpu_step), (cuda, cuda_step) = (losses(device, steps) for device in ("cpu", "cuda"))
    apart = max(abs(a - b) / abs(a) for a, b in zip(cpu, cuda, strict=True))
    return {
        "ok": apart < 1e-4,
        "largest_relative_difference": apart,
        "cpu": {"losses": cpu, "seconds_a_step": cpu_step},
        "cuda": {"losses": cuda, "seconds_a_step": cuda_step},
    }


def losses(device: str, steps: int, rows: int = 256) -> tuple[list[float], float]:
    """Train the demo's model on one batch; return the losses and the median seconds of a step."""
    mg.manual_seed(0)
    split = mg.data.load_digits().split(seed=0)
    built = mg.recipe(64, 10, hidden=(256, 128))
    inputs, targets = (t[:rows] for t in split.train[:])
    if device != "cpu":
        built.model.to(device)
        inputs, targets = inputs.to(device), targets.to(device)
    found, spent = [], []
    for _ in range(steps):
        start = time.perf_counter()
        loss = F.cross_entropy(built.model(inputs), targets)
        loss.backward()
        built.optimizer.step()
        built.optimizer.zero_grad()
        found.append(float(loss.item()))
        spent.append(time.perf_counter() - start)
    return found, float(np.median(spent))


def launched(quick: bool) -> Result:
    """What a launch costs the host, by six routes."""
    return {"ok": True, "routes": launch_routes(100 if quick else 2_000)}


def limited(quick: bool) -> Result:
    """The GPU's own limits: multiply-adds and copies."""
    return {"ok": True, **limits(gpu()).as_json()}


def sanitized(quick: bool) -> Result:
    """Every kernel on small arrays under the tools of compute-sanitizer, if that is installed."""
    program = shutil.which("compute-sanitizer")
    if program is None:
        return {"ok": True, "note": "compute-sanitizer is not installed"}
    found: Result = {}
    for tool in SANITIZED[:1] if quick else SANITIZED:
        command = [program, "--tool", tool, "--error-exitcode", "1", sys.executable]
        done = subprocess.run(
            [*command, "-m", "benchmarks.gpu", "--sanitize"], capture_output=True, text=True
        )
        lines = done.stdout.strip().splitlines() + done.stderr.strip().splitlines()
        found[tool] = {"clean": done.returncode == 0, "last_lines": lines[-5:]}
    return {"ok": all(result["clean"] for result in found.values()), **found}


def under_sanitizer() -> int:
    """Launch every CUDA kernel once on small arrays, below compute-sanitizer."""
    entries, target = compare.entries("all"), compare.TARGETS["cuda"]
    for entry in entries:
        for size in SANITIZED_SIZES:
            sizes = entry.example.sizes((size,))
            args = entry.example.make(np.random.default_rng(0), np.dtype(np.float32), *sizes)
            prepared = target.prepare(entry, args)
            if prepared is not None:
                prepared.call()
    return 0


SECTIONS: dict[str, Callable[[bool], Result]] = {
    "limits": limited,
    "check": checked,
    "kernels": timed,
    "gemm": products,
    "launches": launched,
    "train": trained,
    "sanitizer": sanitized,
}


# ---------------------------------------------------------------- the command
def main(argv: Sequence[str] | None = None) -> int:
    """Run all sections; return 2 without a GPU, 1 where a section failed or was wrong."""
    arguments = parser().parse_args(argv)
    try:
        driver()
    except RuntimeError as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        return NO_GPU
    if arguments.sanitize:
        return under_sanitizer()
    result = {"machine": {**machine_of(), **card()}, "quick": arguments.quick, "sections": {}}
    for name in arguments.only or SECTIONS:
        print(f"{name} ...", flush=True)
        result["sections"][name] = section(SECTIONS[name], arguments.quick)
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    path = arguments.out or RESULTS / "gpu" / f"{date}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}")
    wrong = [name for name, found in result["sections"].items() if not found["ok"]]
    for name in wrong:
        print(f"{name}: {result['sections'][name].get('failed', 'wrong results')}")
    return 1 if wrong else 0


def section(run: Callable[[bool], Result], quick: bool) -> Result:
    """Run one section; an error is its result, so that the others are run all the same."""
    start = time.perf_counter()
    try:
        found = run(quick)
    except Exception as error:  # the run on a rented machine must not end with the first error
        found = {"ok": False, "failed": f"{type(error).__name__}: {error}"}
    return {**found, "seconds": round(time.perf_counter() - start, 1)}


def card() -> Result:
    """Return what the driver says of the GPU."""
    device = gpu()
    found: Result = {
        "gpu": device.device_name,
        "compute_capability": list(device.capability),
        "multiprocessors": device.processors,
        "cuda_driver": driver().version(),
    }
    if shutil.which("nvidia-smi"):
        query = "driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit"
        command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True)
        found["nvidia_smi"] = dict(
            zip(query.split(","), done.stdout.strip().split(", "), strict=False)
        )
    return found


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    add = top.add_argument
    add("--quick", action="store_true", help="small sizes, short blocks")
    add("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=" ".join(SECTIONS))
    add("--out", type=Path, metavar="FILE", help="JSON (benchmarks/results/gpu/DATE.json)")
    add("--sanitize", action="store_true", help="launch every kernel once, for compute-sanitizer")
    return top


if __name__ == "__main__":
    sys.exit(main())
