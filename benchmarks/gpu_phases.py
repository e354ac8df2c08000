"""The phases of `python -m benchmarks.gpu`, in order of worth: each says its rows as they come.

A phase runs in a process of its own, or shares of it in several; see gpu_rows.py for how its rows
are kept, and a second process goes on where the first was ended.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.gpu_launches import ROUTES, time_route
from benchmarks.gpu_losses import losses
from benchmarks.gpu_rows import NotMeasured, Part, Row
from minigrad import nn, optim
from minigrad.engine.device import cuda_kernels
from minigrad.nn import functional as F
from minigrad_kernels.compare import api as compare
from minigrad_kernels.compare import measure
from minigrad_kernels.compare.gpu_limits import bandwidth, peak
from minigrad_kernels.cuda import memory, numba_compiler
from minigrad_kernels.cuda.precision import PRECISIONS, set_precision
from minigrad_kernels.cuda.targets import gpu, upload
from minigrad_kernels.jit.arguments import bind

PACKAGES = ("numpy", *numba_compiler.PACKAGES, "cuda-bindings", "cuda-pathfinder", "torch")
TOOLS = ("nvidia-smi", "compute-sanitizer", "ncu", "cuobjdump")
CHECKED_SIZES = (1, 33, 4_097, 262_144)
MOST_ULP = 2_000  # of a result that is right, whose sums come in another order
SANITIZED_SIZES = (33, 4_097)
SQUARES = (1_024, 2_048, 4_096, 8_192)
STEPS = ((64, 30, 64, 2), (256, 784, 512, 10))  # batch, inputs, width, classes
FLOAT = np.dtype(np.float32)
LEAST = 0.05  # seconds of GPU time that one measurement takes


def seconds_of(call: Callable[[], Any]) -> float:
    """Return the seconds of a call by events of the driver around many."""
    for _ in range(3):
        call()
    mg.cuda.synchronize()
    count = 1
    while True:
        start, end = (mg.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(count):
            call()
        end.record()
        spent = start.elapsed_time(end) * 1e-3
        if spent >= LEAST or count >= 4_096:
            return spent / count
        count *= 2


def environment(part: Part) -> None:
    """Say what is installed, what the GPU is, and how many kernels need no compiler."""
    found: Row = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    python = f"{sys.version.split()[0]}, {sys.executable}"
    tools = {name: shutil.which(name) for name in TOOLS}
    part.attempt({"what": "software"}, lambda: {"python": python, "packages": found, **tools})
    part.attempt({"what": "nvidia-smi"}, smi)
    part.attempt({"what": "GPU"}, the_gpu)
    part.attempt({"what": "stored kernels"}, stored)


def smi() -> Row:
    """Return what nvidia-smi says; the driver needs it not."""
    if shutil.which("nvidia-smi") is None:
        raise NotMeasured("nvidia-smi is not installed")
    asked = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit,mig.mode.current"
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return {"said": (said.stdout or said.stderr).strip()}


def the_gpu() -> Row:
    """Return what the GPU is."""
    device = gpu()
    capability = list(device.capability)
    found = {"capability": capability, "processors": device.processors}
    return {"gpu": device.device_name, **found, "driver": device.driver.version()}


def stored() -> Row:
    """Return how many of the kernels that `warmup --cuda` compiles are stored, and where."""
    capability = gpu().capability
    checks = importlib.import_module("minigrad_kernels.cuda_table").CHECKS.values()
    paths = [numba_compiler.path_of(c.kernel, c.signature, capability) for c in checks]
    held = sum(path.exists() for path in paths)
    return {"stored": held, "of": len(paths), "folder": str(numba_compiler.folder_of(capability))}


def smoke(part: Part) -> None:
    """Try one thing of each kind: whatever else is asked for rests on these."""
    target, table = gpu(), cuda_kernels()
    x = np.random.default_rng(0).standard_normal((300, 700)).astype(np.float32)
    e = np.exp(x)

    def right(name: str, want: Any, *args: Any) -> bool:
        y = target.empty(want.shape, np.float32)
        table[name](*[upload(target, a) for a in args], y)
        return bool(np.abs(target.read(y) - want).max() < 1e-3 * np.abs(want).max())

    def streams() -> bool:
        side, v = mg.cuda.Stream(), mg.ones(1 << 20).cuda()
        for _ in range(50):
            side.wait_stream(mg.cuda.current_stream())
            with mg.cuda.stream(side):
                w = v * 2
            mg.cuda.current_stream().wait_stream(side)
            v = w - 1
        return bool(v.min().item() == v.max().item() == 1)

    def graphs() -> bool:
        step = mg.cuda.graph(lambda a: a * 2 + 1)
        inputs = [mg.full((1_000,), float(i)).cuda() for i in range(4)]
        return [step(a).max().item() for a in inputs] == [1.0, 3.0, 5.0, 7.0]

    tried: dict[str, Callable[[], Any]] = {
        "a copy there and back": lambda: (target.read(upload(target, x)) == x).all(),
        "relu: 128-bit accesses": lambda: right("relu", np.maximum(x, 0), x),
        "softmax: shuffles": lambda: right("softmax", e / e.sum(1, keepdims=True), x),
        "gemm: cp.async": lambda: right("gemm", x @ x.T, x, np.ascontiguousarray(x.T)),
        "argmax": lambda: mg.tensor(x).cuda().argmax(1).tolist() == x.argmax(1).tolist(),
        "streams and events": streams,
        "a graph": graphs,
        "empty_cache": lambda: mg.cuda.empty_cache() is None,
    }
    for name, attempt in tried.items():
        part.attempt({"what": name}, lambda attempt=attempt: {"wrong": not attempt()})


def check(part: Part) -> None:
    """Hold every kernel to its reference: both dtypes, four sizes, twice and in one block."""
    target = compare.TARGETS["cuda"]
    for entry in compare.entries("all")[part.number :: part.parts]:
        for dtype in ("float32", "float64"):
            for size in CHECKED_SIZES:

                def attempt(entry: Any = entry, dtype: str = dtype, size: int = size) -> Row:
                    sizes = entry.example.sizes((size,))
                    rng = np.random.default_rng(0)
                    args = entry.example.make(rng, np.dtype(dtype), *sizes)
                    with np.errstate(all="ignore"):
                        wide = not entry.example.own_dtype
                        exact = bind(entry.kernel, args, np.copy, wide=wide)
                        entry.kernel.reference(*exact.args)
                        row = measure.Row(entry.name, dtype, (size,), size, "cuda")
                        found = measure.checked(target, entry, args, exact.written, row)
                    assert found is not None, "there is no CUDA kernel"
                    near = found.max_ulp is None or found.max_ulp <= MOST_ULP
                    same = found.repeats is not False and found.any_threads is not False
                    return {"max_ulp": found.max_ulp, "wrong": not (near and same)}

                part.attempt({"kernel": entry.name, "dtype": dtype, "size": size}, attempt)
    gpu().most = None


def under_sanitizer(part: Part) -> None:
    """Launch every CUDA kernel on small arrays: compute-sanitizer watches.

    Memory is of the size that is asked for, and handed on to nobody: else the tool would see
    neither an array's end nor what is read before it is written.
    """
    target, exact = compare.TARGETS["cuda"], memory.rounded
    memory.rounded = lambda size: max(1, size)
    try:
        for entry in compare.entries("all"):
            for size in SANITIZED_SIZES:

                def attempt(entry: Any = entry, size: int = size) -> Row:
                    rng, sizes = np.random.default_rng(0), entry.example.sizes((size,))
                    prepared = target.prepare(entry, entry.example.make(rng, FLOAT, *sizes))
                    assert prepared is not None, "there is no CUDA kernel"
                    prepared.call()
                    gpu().empty_cache()
                    return {}

                part.attempt({"kernel": entry.name, "size": size}, attempt)
    finally:
        memory.rounded = exact


def launches(part: Part) -> None:
    """Time a launch by four routes."""
    for name in ROUTES:
        part.attempt({"route": name}, lambda name=name: time_route(name))


def network(kind: Any, normalise: Any, linear: Any, shape: tuple[int, ...]) -> Any:
    """Return three blocks of Linear, BatchNorm, ReLU, Dropout and a head, of either library."""
    _, inputs, width, classes = shape
    layers: list[Any] = []
    for n in (inputs, width, width):
        layers += [linear(n, width, bias=False), normalise(width), kind.ReLU(), kind.Dropout(0.2)]
    return kind.Sequential(*layers, linear(width, classes))


def wall(call: Callable[[], Any], wait: Callable[[], Any], count: int = 60) -> float:
    """Return the milliseconds of a call, of many in a row until all have run."""
    for _ in range(10):
        call()
    wait()
    start = time.perf_counter()
    for _ in range(count):
        call()
    wait()
    return round(1e3 * (time.perf_counter() - start) / count, 4)


def step(part: Part) -> None:
    """Time a training step: eager and as a graph, beside PyTorch's two."""
    for shape in STEPS:
        rng = np.random.default_rng(0)
        batch, inputs, _, classes = shape
        xs = rng.standard_normal((batch, inputs)).astype(np.float32)
        ts = rng.integers(0, classes, batch)
        part.attempt(
            {"shape": list(shape), "library": "minigrad"},
            lambda xs=xs, ts=ts, shape=shape: ours(xs, ts, shape),
        )
        part.attempt(
            {"shape": list(shape), "library": "torch"},
            lambda xs=xs, ts=ts, shape=shape: theirs(xs, ts, shape),
        )


def ours(xs: Any, ts: Any, shape: tuple[int, ...]) -> Row:
    """Return the milliseconds of a step, eager and as a graph, and whether it became one."""
    model = network(nn, nn.BatchNorm1d, nn.Linear, shape).to("cuda")
    chosen = optim.AdamW(model.parameters(), lr=1e-3)
    x, t = mg.tensor(xs).cuda(), mg.tensor(ts).cuda()

    def one() -> Any:
        loss = F.cross_entropy(model(x), t)
        loss.backward()
        chosen.step()
        chosen.zero_grad()
        return loss.detach()

    found: Row = {"eager_ms": wall(one, mg.cuda.synchronize)}
    made = mg.cuda.graph(one)
    found["graph_ms"] = wall(made, mg.cuda.synchronize)
    return {**found, "graph": made.explain(), "wrong": not made.calls["replayed"]}


def cuda_torch() -> Any:
    """Return PyTorch.

    Raises: NotMeasured where it is not installed or has no CUDA.
    """
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise NotMeasured(f"PyTorch cannot be imported: {error}") from error
    if not torch.cuda.is_available():
        raise NotMeasured(f"PyTorch {torch.__version__} finds no CUDA")
    return torch


def theirs(xs: Any, ts: Any, shape: tuple[int, ...]) -> Row:
    """Return the milliseconds of PyTorch's step, eager and as a graph."""
    torch = cuda_torch()
    model = network(torch.nn, torch.nn.BatchNorm1d, torch.nn.Linear, shape).cuda()
    chosen = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True, capturable=True)
    x, t = torch.from_numpy(xs).cuda(), torch.from_numpy(ts).cuda()

    def one() -> None:
        chosen.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), t).backward()
        chosen.step()

    found = {"torch_eager_ms": wall(one, torch.cuda.synchronize)}
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            one()
    torch.cuda.current_stream().wait_stream(side)
    made = torch.cuda.CUDAGraph()
    with torch.cuda.graph(made):
        one()
    return {**found, "torch_graph_ms": wall(made.replay, torch.cuda.synchronize)}


def gemm(part: Part) -> None:
    """Time square products of random numbers at each precision, beside cuBLAS at the same."""
    target, kernel = gpu(), cuda_kernels()["gemm"]
    rng = np.random.default_rng(0)
    for n in map(int, os.environ.get("MINIGRAD_SQUARES", "").split() or SQUARES):
        host = [rng.standard_normal((n, n), np.float32) for _ in range(2)]
        a, b = (upload(target, x) for x in host)
        c = target.empty((n, n), np.float32)
        exact = host[0][:8].astype(np.float64) @ host[1]
        for name in PRECISIONS:
            set_precision(name)

            def ours(n: int = n, a: Any = a, b: Any = b, c: Any = c, exact: Any = exact) -> Row:
                spent = seconds_of(lambda: kernel(a, b, c))
                error = float(np.abs(target.read(c)[:8] - exact).max() / np.abs(exact).max())
                tflops = round(2e-12 * n**3 / spent, 2)
                return {"tflops": tflops, "error": error, "wrong": not error < 0.05}

            part.attempt({"n": n, "precision": name, "library": "minigrad"}, ours)
            said = {"n": n, "precision": name, "library": "cublas"}
            part.attempt(said, lambda host=host, name=name: cublas(host, name))
    set_precision("highest")


def cublas(host: list[Any], precision: str) -> Row:
    """Return cuBLAS's TFLOP/s through torch: TF32 for "high", bfloat16 for "medium"."""
    torch = cuda_torch()
    torch.backends.cuda.matmul.allow_tf32 = precision == "high"
    kind = torch.bfloat16 if precision == "medium" else torch.float32
    a, b = (torch.from_numpy(x).to("cuda", kind) for x in host)
    c = torch.empty_like(a)
    for _ in range(3):
        torch.mm(a, b, out=c)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(10):
        torch.mm(a, b, out=c)
    end.record()
    end.synchronize()
    return {"tflops": round(2e-12 * len(a) ** 3 / (start.elapsed_time(end) * 1e-4), 2)}


def kernels(part: Part) -> None:
    """Time kernels that memory bounds on 64M random numbers, beside the device's own copy."""
    n = 1 << int(os.environ.get("MINIGRAD_LOG2", "26"))
    target, table = gpu(), cuda_kernels()
    m, call = n // 1_024, np.array([5])
    x, y, dy = (target.empty((m, 1_024), np.float32) for _ in range(3))
    for v in (x, dy):
        table["normal"](1, 2, call, v.reshape(-1))

    def copied() -> Row:
        gbps = 8e-9 * n / seconds_of(lambda: target.copy_same(y, x))
        return {"gbps": round(gbps), "ms": round(8e-6 * n / gbps, 3)}

    def limits() -> Row:
        gflops = round(peak(target, np.float32))
        return {"copy_gbps": round(bandwidth(target, n)), "gflops": gflops}

    part.attempt({"kernel": "the driver's copy"}, copied)
    part.attempt({"what": "limits"}, limits)
    wide = [target.empty(1_024, np.float32) for _ in range(7)]
    w, b, d1, d2, mean, var, rstd = wide
    for v in (w, b):
        table["normal"](1, 3, call, v)
    s, t = (target.empty(m, np.float32) for _ in range(2))
    x3, y3, g3 = (v.reshape(m, 1_024, 1) for v in (x, y, dy))
    batch = (mean, var, rstd, y3)
    cases: dict[str, tuple[int, tuple[Any, ...]]] = {  # passes over the numbers, arguments
        "copy": (2, (x, y)),
        "add": (3, (x, dy, y)),
        "gelu": (2, (x, y)),
        "exp": (2, (x, y)),
        "dropout": (2, (x.reshape(-1), 0.5, 2.0, 1, 2, call, y.reshape(-1))),
        "softmax": (2, (x, y)),
        "layer_norm_forward": (2, (x, w, b, 1e-5, s, t, y)),
        "layer_norm_backward": (3, (dy, x, w, s, t, y, d1, d2)),
        "batch_norm_forward": (2, (x3, w, b, 1e-5, *batch)),
        "batch_norm_backward": (3, (g3, x3, w, mean, rstd, y3, d1, d2)),
        "cumsum": (2, (x, 1, False, y)),
    }
    for name, (passes, args) in cases.items():

        def attempt(name: str = name, passes: int = passes, args: Any = args) -> Row:
            spent = seconds_of(lambda: table[name](*args))
            return {"ms": round(1e3 * spent, 3), "gbps": round(4e-9 * passes * n / spent)}

        part.attempt({"kernel": name}, attempt)


def train(part: Part) -> None:
    """Train the demo's model on the GPU, eager and as a graph, and hold it to the CPU's losses."""
    cpu = reference_losses(20)
    for name, graph in (("eager", False), ("as a graph", True)):

        def compared(graph: bool = graph) -> Row:
            cuda, seconds = losses("cuda", 20, graph=graph)
            apart = max(abs(a - b) / abs(a) for a, b in zip(cpu, cuda, strict=True))
            return {"apart": apart, "wrong": not apart < 1e-3, "cuda_s": seconds, "losses": cuda}

        part.attempt({"what": f"losses of 20 steps, {name}"}, compared)


def reference_losses(steps: int) -> list[float]:
    """Return the losses on the CPU, from NumPy's references: nothing is compiled for them."""
    command = [sys.executable, "-m", "benchmarks.gpu_losses", str(steps)]
    env = {**os.environ, "MINIGRAD_PLAIN": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(done.stderr[-300:])
    found: list[float] = json.loads(done.stdout)
    return found
