"""One row through the recipe's model in evaluation, as a service computes it.

Three blocks of Linear, BatchNorm, ReLU, Dropout, and a linear head; minigrad eager and captured,
PyTorch eager in its inference mode, and ONNX Runtime on the same graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.harness import Benchmark, agree, ours, with_torch
from benchmarks.mlp import NORM_EPS, Problem, blocks, problem
from benchmarks.train_step import UNTIL_REPLAYED
from minigrad_kernels.compare.timing import Candidate, Case, installed

SIZES = ((30, 64, 2), (784, 512, 10))
QUICK_SIZES = ((8, 12, 3),)
ROWS = 16  # that come in turns


def model_of(framework: Any, given: Problem) -> Any:
    """Return the model in evaluation, of minigrad or of torch."""
    nn = framework.nn
    layers: list[Any] = []
    for i in range(blocks(given.parameters)):
        hidden, wide = given.parameters[f"{4 * i}.weight"].shape
        layers += [nn.Linear(wide, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(0.2)]
    classes, hidden = given.parameters[f"{4 * blocks(given.parameters)}.weight"].shape
    model = nn.Sequential(*layers, nn.Linear(hidden, classes))
    initial = {name: framework.from_numpy(value) for name, value in given.parameters.items()}
    model.load_state_dict({**model.state_dict(), **initial})
    return model.eval()


def minigrad_rows(given: Problem, captured: bool) -> Callable[[], Any]:
    """Return minigrad's call, on the next row each time."""
    model = model_of(mg, given)
    run = mg.capture(model) if captured else model
    batch = given.batches(mg.from_numpy)

    def call() -> Any:
        with mg.no_grad():
            return run(batch()[0])

    for _ in range(UNTIL_REPLAYED * ROWS if captured else 0):
        call()
    return call


def torch_rows(given: Problem) -> Callable[[], Any]:
    """Return PyTorch's call."""
    import torch

    model = model_of(torch, given)
    batch = given.batches(torch.from_numpy)

    def call() -> Any:
        with torch.inference_mode():
            return model(batch()[0])

    return call


def onnx_rows(given: Problem) -> Callable[[], Any]:
    """Return ONNX Runtime's call, on one thread: more make it slower here."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    p = dict(given.parameters)
    nodes, names, here = [], dict(p), "x"
    depth = blocks(p)
    for i in range(depth + 1):
        inputs = [here, f"{4 * i}.weight", f"{4 * i}.bias"]
        nodes.append(helper.make_node("Gemm", inputs, [f"z{i}"], transB=1))
        here = f"z{i}"
        if i < depth:
            names |= {f"mean{i}": np.zeros_like(p[f"{4 * i}.bias"])}
            names |= {f"var{i}": np.ones_like(p[f"{4 * i}.bias"])}
            rest = [f"{4 * i + 1}.weight", f"{4 * i + 1}.bias", f"mean{i}", f"var{i}"]
            norm = helper.make_node(
                "BatchNormalization", [here, *rest], [f"n{i}"], epsilon=NORM_EPS
            )
            nodes += [norm, helper.make_node("Relu", [f"n{i}"], [f"h{i}"])]
            here = f"h{i}"
    wide, classes = given.x.shape[1], len(p[f"{4 * depth}.bias"])
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, wide])],
        [helper.make_tensor_value_info(here, TensorProto.FLOAT, [1, classes])],
        [numpy_helper.from_array(value, name) for name, value in names.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(made.SerializeToString(), options)
    batch = given.batches(lambda a: a)
    return lambda: session.run(None, {"x": batch()[0]})[0]


def cases(peers: Sequence[str], quick: bool) -> Iterator[Case]:
    """Check all against minigrad's eager result, then yield each size."""
    for wide, hidden, classes in QUICK_SIZES if quick else SIZES:
        given = problem(1, wide, hidden, classes)
        rng = np.random.default_rng(1)
        more = [(rng.standard_normal((1, wide), np.float32), given.target) for _ in range(ROWS - 1)]
        given = replace(given, more=tuple(more))
        candidates = ours(partial(minigrad_rows, given, False))
        candidates += ours(partial(minigrad_rows, given, True), "captured")
        if "torch" in peers:
            candidates += with_torch(partial(torch_rows, given))
        if installed("onnxruntime") and installed("onnx") and peers:
            candidates.append(Candidate("onnxruntime", partial(onnx_rows, given), "", 1))
        first = minigrad_rows(given, False)
        wanted = [np.array(first().numpy()) for _ in range(ROWS)]
        for candidate in candidates:
            call = candidate.make()
            got = [np.array(call()) for _ in range(ROWS)]
            agree(f"{candidate.name}, rows", got, wanted, rtol=1e-4, atol=1e-5)
        yield Case(f"1, {wide}, {hidden}, {classes}", candidates)


BENCHMARK = Benchmark(
    "single_row",
    "One row through the MLP in evaluation (rows, in, hidden, classes)",
    ("torch",),
    cases,
)
