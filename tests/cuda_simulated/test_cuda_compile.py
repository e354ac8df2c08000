"""The compiler without a GPU: what the intrinsics become, and that the checks can fail.

In CI, where MINIGRAD_REQUIRE_CUDA_TOOLS is 1, a missing compiler fails instead of skipping.
"""

from __future__ import annotations

from typing import Any

import pytest
from numba import cuda, float32, float64, uint32

from minigrad_kernels.cuda import compile as cuda_compile
from minigrad_kernels.cuda import ptx
from tests.cuda_simulated.extras import REQUIRED
from tests.cuda_simulated.probes import PROBES

MISSING = cuda_compile.missing()
compiles = pytest.mark.skipif(bool(MISSING) and not REQUIRED, reason=f"needs {', '.join(MISSING)}")
VECTOR = float32[::1]


# ---------------------------------------------------------------- the intrinsics, one by one
@cuda.jit
def vectors(x, y):
    at = uint32(uint32(cuda.threadIdx.x) * uint32(4))
    ptx.store128(y, at, ptx.load128(x, at))


@cuda.jit
def double_vectors(x, y):
    at = uint32(uint32(cuda.threadIdx.x) * uint32(2))
    ptx.store128(y, at, ptx.load128(x, at))


@cuda.jit
def tile(x, y):
    at = uint32(uint32(cuda.threadIdx.x) * uint32(4))
    p = ptx.load128(x, at)
    held = ptx.outer_fma(ptx.zeros(16), p, p)
    held = ptx.outer_fma(held, p, (held[0], held[5], held[10], held[15]))
    ptx.store128(y, at, (held[0], held[5], held[10], held[15]))


@cuda.jit
def bits(x, y):
    t = uint32(cuda.threadIdx.x)
    y[t] = ptx.bits_float(uint32(ptx.float_bits(x[t]) ^ uint32(0x80000000)))


@cuda.jit
def tensor_bf16(x, y):
    t = uint32(cuda.threadIdx.x)
    w = ptx.pack_bf16(x[t], x[t + uint32(32)])
    ptx.store128(y, t * uint32(4), ptx.mma_bf16((w, w, w, w), (w, w), ptx.zeros(4)))


@cuda.jit
def tensor_tf32(x, y):
    t = uint32(cuda.threadIdx.x)
    w = ptx.to_tf32(x[t])
    ptx.store128(y, t * uint32(4), ptx.mma_tf32((w, w, w, w), (w, w), ptx.zeros(4)))


@cuda.jit
def copies(x, y):
    held = cuda.shared.array(128, float32, alignment=16)
    at = uint32(uint32(cuda.threadIdx.x) * uint32(4))
    ptx.copy_async(held, at, x, at)
    ptx.commit_copies()
    ptx.wait_copies(0)
    cuda.syncthreads()
    ptx.store128(y, at, ptx.load128(held, uint32(124) - at))


INTRINSICS: dict[str, tuple[Any, Any, dict[str, int]]] = {
    "vectors": (vectors, VECTOR, {"LDG.E.128": 1, "STG.E.128": 1}),
    "words": (vectors, uint32[::1], {"LDG.E.128": 1, "STG.E.128": 1}),
    "double_vectors": (double_vectors, float64[::1], {"LDG.E.128": 1, "STG.E.128": 1}),
    "tile": (tile, VECTOR, {"LDG.E.128": 1, "FFMA": 8}),
    "bits": (bits, VECTOR, {"LDG.E": 1, "STG.E": 1}),
    "tensor_bf16": (tensor_bf16, VECTOR, {"HMMA.16816.F32.BF16": 1, "STG.E.128": 1}),
    "tensor_tf32": (tensor_tf32, VECTOR, {"HMMA.1688.F32.TF32": 1, "STG.E.128": 1}),
    "copies": (copies, VECTOR, {"LDGSTS.E.BYPASS.128": 1, "LDGDEPBAR": 1, "LDS.128": 1}),
}


@compiles
@pytest.mark.parametrize("target", cuda_compile.TARGETS)
@pytest.mark.parametrize("name", INTRINSICS)
def test_intrinsics_give_their_instructions(name: str, target: str) -> None:
    kernel, array, expected = INTRINSICS[name]
    made = cuda_compile.examine(kernel, (array, array), target)
    assert {opcode: made.count(opcode) for opcode in expected} == expected
    assert made.stack == made.spills == made.doubles == 0


# ---------------------------------------------------------------- the checks can fail
@cuda.jit
def doubled(x, y):
    t = uint32(cuda.threadIdx.x)
    y[t] = x[t] * 2.1 + 0.1


@cuda.jit
def spilled(x, y):
    held = cuda.local.array(64, float32)
    t = uint32(cuda.threadIdx.x)
    for i in range(64):
        held[i] = x[i]
    for i in range(64):
        y[i] = held[(i * i + t) % 64]


@compiles
def test_double_precision_is_counted() -> None:
    assert cuda_compile.examine(doubled, (VECTOR, VECTOR)).doubles >= 2


@compiles
def test_local_memory_is_counted() -> None:
    made = cuda_compile.examine(spilled, (VECTOR, VECTOR))
    assert made.stack >= 256 and made.spills >= 16


@compiles
def test_options_of_the_dispatcher_hold() -> None:
    probe = PROBES["gemm_registers"]
    made = cuda_compile.examine(cuda.jit(max_registers=32)(probe.kernel.py_func), probe.signature)
    assert made.registers <= 32 < cuda_compile.examine(probe.kernel, probe.signature).registers


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_compile, "tool", lambda name: None)
    with pytest.raises(ImportError, match=r"nvdisasm \(pip install minigrad\[cuda-check\]\)"):
        cuda_compile.examine(doubled, (VECTOR, VECTOR))


def test_reports_that_say_nothing_raise() -> None:
    with pytest.raises(ValueError, match="reports no resources: 'nothing'"):
        cuda_compile.reading("nothing", "")
