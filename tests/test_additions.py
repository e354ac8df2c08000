"""An addition states itself in one place: a package of a user's own adds an elementwise op and a
fused kernel, and all that walks the registries takes them up.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad as mg
from minigrad.engine.op import Op
from minigrad.nn import functional as F
from minigrad.ops.registry import OPS, function_name
from minigrad.tensors import functions, registry

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
HAS_GREENLET = importlib.util.find_spec("greenlet") is not None

# An elementwise op: the row of its rule, and its class.
RULES = '''
"""squash: a / (1 + |a|)."""

import numpy as np

from minigrad_kernels.elementwise.kernels import lift
from minigrad_kernels.kernel import Rule
from minigrad_kernels.math.scalar import like, rule


@rule
def squash(a):
    return a / (like(a, 1) + abs(a))


KERNELS = {"squash": lift("squash", Rule(squash, 1, lambda a: a / (1 + np.abs(a))))}
'''
SOFTSIGN = '''
from minigrad.ops.common import op
from minigrad.ops.unary import Unary


@op
class Squash(Unary):
    """y = a / (1 + |a|)"""

    kernel = "squash"

    def backward(self, g):
        d = self.saved(0).abs() + 1.0
        return (g / (d * d),)
'''
# A fused kernel: its family, its CUDA kernels beside it, and its op with the composite.
FAMILY = '''
"""RMS norm of rows: y[i, j] = x[i, j] / sqrt(mean_j x[i, j]^2 + eps) * w[j]."""

import numpy as np
from numba import prange

from minigrad_kernels.example import Example, normal, positive, unwritten
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import Kernel


def reference(x, w, eps, y):
    x = x.astype(np.float64)
    y[...] = x / np.sqrt(np.square(x).mean(1, keepdims=True) + eps) * w


@jit(parallel=True)
def rows(x, w, eps, y):
    for i in prange(x.shape[0]):
        total = np.float64(0)
        for j in range(x.shape[1]):
            total += np.float64(x[i, j]) * np.float64(x[i, j])
        scale = 1 / np.sqrt(total / x.shape[1] + eps)
        for j in range(x.shape[1]):
            y[i, j] = x[i, j] * scale * w[j]


def cpu(x, w, eps, y):
    rows(x, w, eps, y)


def cost(x, w, eps, y):
    return 4 * x.size, x.nbytes + w.nbytes + y.nbytes


def example(rng, dtype, n, c):
    return normal(rng, dtype, n, c), positive(rng, dtype, c), 1e-3, unwritten(dtype, n, c)


KERNELS = {"rms_rows": Kernel(reference, cpu, cost, example=Example(example, "NxC"))}
'''
CUDA = '''
import math

from numba import cuda, uint32

from minigrad_kernels.cuda.launch import THREADS, blocks, number, run


@cuda.jit
def rows(x, w, eps, count, y):
    """Take a row a thread; count: its elements, in x's dtype."""
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    columns = uint32(x.shape[1])
    while i < uint32(x.shape[0]):
        total = eps - eps
        j = uint32(0)
        while j < columns:
            total += x[i, j] * x[i, j]
            j = uint32(j + uint32(1))
        scale = math.sqrt(total / count + eps)
        j = uint32(0)
        while j < columns:
            y[i, j] = x[i, j] / scale * w[j]
            j = uint32(j + uint32(1))
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


def cuda_rows(x, w, eps, y):
    if x.size:
        run(rows, blocks(x.shape[0]), THREADS, x, w, number(eps, x), number(x.shape[1], x), y)


CUDA_KERNELS, CHECKS = {"rms_rows": cuda_rows}, ()
'''
RMS = '''
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.op import Op
from minigrad.ops.common import contiguous, op


@op
class RmsRows(Op):
    """y = x w / sqrt(mean of x^2 over the last dimension + eps)

    Shapes: x: (N, C), weight: (C,), y: (N, C).
    """

    public = "tensor"

    @staticmethod
    def samples(draw):
        options = {"eps": 1e-3}
        return [
            ((draw.normal(3, 4), draw.positive(4)), options),
            ((draw.normal(4, 3).T, draw.positive(8)[::2]), options),
        ]

    def forward(self, x, weight, eps=1e-5):
        y = empty(x.shape, x.dtype, x)
        launch("rms_rows", contiguous(x), contiguous(weight), eps, y)
        return y

    def backward(self, g):
        x, weight = self.saved(0), self.saved(1)
        root = ((x * x).mean(1, keepdim=True) + self.meta["eps"]).sqrt()
        n, d = x / root, g * weight
        return (d - n * (d * n).mean(1, keepdim=True)) / root, (g * n).sum(0)

    @staticmethod
    def composite(x, weight, eps=1e-5):
        return x / ((x * x).mean(1, keepdim=True) + eps).sqrt() * weight
'''
ADD = """
import inspect

import numpy as np

import minigrad as mg
from minigrad_kernels import table
import extra.rms
import extra.rules

table.add(extra.rules)
table.add(extra.rms)
import extra.rms_op
import extra.squash

x = mg.Tensor(np.array([[-1.0, 3.0], [0.25, -0.5]]), requires_grad=True)
w = mg.Tensor(np.array([2.0, 0.5]), requires_grad=True)
"""
PARTS = {
    "method, function, documentation": """
assert np.allclose(x.squash().detach().numpy(), [[-0.5, 0.75], [0.2, -1 / 3]])
assert mg.squash(x).tolist() == x.squash().tolist() == mg.tensors.functions.squash(x).tolist()
assert mg.rms_rows(x, w, 1e-3).tolist() == x.rms_rows(w, eps=1e-3).tolist()
for function in (mg.squash, mg.Tensor.squash):
    assert function.__doc__ == "Compute y = a / (1 + |a|)" and function.__name__ == "squash"
assert list(inspect.signature(mg.squash).parameters) == ["input"]
assert str(inspect.signature(mg.rms_rows)) == "(x, weight, eps=1e-05)"
assert "Shapes: x: (N, C)" in mg.rms_rows.__doc__
assert {"squash", "rms_rows"} <= set(mg.tensors.functions.__all__) & set(dir(mg))
assert mg.squash(mg.tensor([1, -3])).tolist() == [0.5, -0.75]
""",
    "gradients": """
from minigrad.cli.main import main
from tests.ops import test_ops

assert mg.gradcheck(mg.squash, x) and mg.gradgradcheck(mg.squash, x)
assert main(["check", "squash", "rms_rows"]) == 0
names = "Squash", "RmsRows"
cases = [case.values for case in test_ops.CASES if case.values[0].__name__ in names]
assert len(cases) == 8 + 2
for case in cases:
    test_ops.test_float32_stays_near_float64(*case)
    test_ops.test_layout_and_inputs_do_not_matter(*case)
for case in (case.values for case in test_ops.FUSED if case.values[0].__name__ == "RmsRows"):
    test_ops.test_composite_equals_the_fused_op(*case)
""",
    "kernels": """
from tests.kernels import test_table

for name in ("squash", "rms_rows"):
    for dtype in test_table.DTYPES:
        test_table.test_kernel(name, dtype, np.random.default_rng(0))
with mg.check_launches():
    mg.rms_rows(mg.squash(x), w).sum().backward()
""",
    "comparison": """
from minigrad.cli.main import main

report = mg.compare.run(
    ["squash", "rms_rows"], sizes=[300], targets=["reference", "cpu"], quick=True,
    statistics=False,
)
assert report.ok and [row.kernel for row in report.rows] == ["squash"] * 2 + ["rms_rows"] * 2
assert all(row.max_ulp < 3 and row.repeats for row in report.rows)
assert main(["compare", "--list"]) == 0
""",
    "simulated device": """
from tests.cuda_simulated import test_cuda_kernels

for name in ("squash", "rms_rows"):
    test_cuda_kernels.test_cuda_kernel(name, np.dtype(np.float32))
found = []
for device in ("cpu", "cuda-sim"):
    a, b = (t.detach().to(device).requires_grad_() for t in (x, w))
    y = mg.rms_rows(a.squash(), b, eps=1e-3)
    y.sum().backward()
    found.append([t.to("cpu").detach().numpy() for t in (y, a.grad, b.grad)])
for here, there in zip(*found):
    np.testing.assert_allclose(there, here, rtol=1e-12)
""",
}


@pytest.fixture(scope="module")
def extra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a package with the additions."""
    package = tmp_path_factory.mktemp("additions") / "extra"
    package.mkdir()
    files = {"rules": RULES, "squash": SOFTSIGN, "rms": FAMILY, "cuda_rms": CUDA, "rms_op": RMS}
    for name, text in {"__init__": "", **files}.items():
        (package / f"{name}.py").write_text(text.lstrip())
    return package.parent


@pytest.mark.parametrize("part", PARTS)
def test_additions_are_taken_up_everywhere(part: str, extra: Path) -> None:
    if part == "simulated device" and not HAS_GREENLET:
        pytest.skip("needs greenlet")
    path = os.pathsep.join([str(extra), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ADD + PARTS[part]],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    if part == "comparison":
        assert "squash" in done.stdout and "rms_rows" in done.stdout


# ---------------------------------------------------------------- what the registry derives
@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.public])
def test_every_public_op_has_its_function(name: str) -> None:
    op, label = OPS[name], function_name(OPS[name])
    if op.public == "tensor":
        assert label in functions.__all__ and callable(getattr(mg, label))
        assert callable(getattr(mg.Tensor, label))
    else:
        place = F if op.public == "functional" else getattr(mg, op.public)
        assert callable(getattr(place, label)) and getattr(place, label).__doc__
    for owner in (mg, mg.Tensor) if op.public == "tensor" else ():
        assert getattr(owner, label).__doc__


def test_functions_of_the_registry_do_what_those_written_out_do() -> None:
    x, w = mg.tensor([0.5, -2.0]), mg.tensor([2.0, 3.0])
    derived = registry.FUNCTIONS
    assert derived["tensor"]["tanh"](x).tolist() == x.tanh().tolist()
    assert derived["tensor"]["mul"](x, w).tolist() == (x * w).tolist()
    assert derived["tensor"]["sub"](1.0, w).tolist() == (1.0 - w).tolist()
    assert derived["functional"]["elu"](x, alpha=2.0).tolist() == F.elu(x, 2.0).tolist()
    with pytest.raises(TypeError, match="missing a required argument: 'alpha'"):
        derived["functional"]["elu"](x)


def test_names_that_are_taken_stay_and_places_that_are_none_are_refused() -> None:
    class Tanh(Op):
        """y = tanh a, again"""

        public = "tensor"

    held = mg.Tensor.tanh, mg.tanh
    registry.publish(Tanh)
    registry.FUNCTIONS["tensor"]["tanh"] = registry.made(OPS["Tanh"])
    assert (mg.Tensor.tanh, mg.tanh) == held
    Tanh.public = "everywhere"
    with pytest.raises(ValueError, match="op Tanh: public must be one of tensor, .*, or empty"):
        registry.publish(Tanh)
