"""Rows held in registers: every form right at its bounds, each sector asked for once."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import minigrad_cudasim as simulate
from minigrad_cudasim.traffic import Line
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.row_registers import FORMS, Form, form_of
from minigrad_kernels.cuda.targets import Simulator, upload
from minigrad_kernels.cuda_table import CUDA_KERNELS
from minigrad_kernels.elementwise.cuda_kernels import divisor
from minigrad_kernels.table import KERNELS
from tests.cuda_simulated import cuda_kernels
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()

sums = importlib.import_module("minigrad_kernels.reduce.cuda_sums")
softmax = importlib.import_module("minigrad_kernels.softmax.cuda_softmax")
NAMES = ("softmax", "log_softmax", "logsumexp", "softmax_backward", "log_softmax_backward")
ROWS = 3  # fewer than the warps of a block


def shortest(form: Form) -> int:
    """Return the shortest row that comes to a form, but for the first of its kind."""
    before = [f.capacity for f in FORMS if (f.kind, f.vector) == (form.kind, form.vector)]
    return max((c for c in before if c < form.capacity), default=0) + form.width


def arguments(name: str, rows: int, c: int, dtype: Any) -> list[Any]:
    rng = np.random.default_rng(c)
    y = rng.normal(size=(rows, c))
    if name.endswith("backward"):
        y = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
        y = np.log(y) if name.startswith("log") else y
        return [rng.normal(size=(rows, c)).astype(dtype), y.astype(dtype)]
    return [y.astype(dtype)]


def launched(name: str, ins: list[Any], seed: int, aligned: bool = True, **grid: Any) -> Any:
    target = Simulator(seed=seed, **grid)
    rows, c = ins[0].shape
    out = target.empty(rows if name == "logsumexp" else (rows, c), ins[0].dtype)
    args = [upload(target, a) if aligned else misaligned(target, a) for a in ins]
    CUDA_KERNELS[name](*args, out)
    return target.read(out)


def misaligned(target: Simulator, host: Any) -> DeviceArray:
    """Return a contiguous device copy that begins one element behind where its memory does."""
    return upload(target, np.concatenate([host.ravel()[:1], host.ravel()]))[1:].reshape(host.shape)


def held_to_reference(name: str, ins: list[Any], got: Any) -> None:
    args = (*ins, np.full_like(got, np.nan))
    want = cuda_kernels.expected(name, KERNELS[name], args)
    cuda_kernels.agree(name, [got], want, f"{name} of {ins[0].shape}", ins[0].dtype)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form_at_its_bounds(form: Form, pytestconfig: pytest.Config) -> None:
    everything = pytestconfig.getoption("--all-trials")
    dtype = np.dtype(form.kind.name)
    for k, c in enumerate((form.capacity, shortest(form))):
        assert form_of(dtype.name, form.vector, c) == form
        for name in NAMES if everything or form.capacity <= 512 else NAMES[k::2]:
            ins = arguments(name, ROWS if form.warps == 1 else 1, c, dtype)
            held_to_reference(name, ins, launched(name, ins, seed=c, processors=1))


@pytest.mark.parametrize("name", NAMES)
def test_a_misaligned_view_of_rows_that_vectors_would_fit(name: str) -> None:
    ins = arguments(name, 5, 36, np.float32)
    held_to_reference(name, ins, launched(name, ins, 3, aligned=False, most=1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("c", [1028, 1027])
def test_longer_rows_are_walked(name: str, c: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad_kernels.cuda.row_registers.FORMS", ())
    ins = arguments(name, 1, c, np.float32)
    held_to_reference(name, ins, launched(name, ins, 5, processors=1))


def asked(rows: Any, form: Any, ins: list[Any], few: tuple[Any, ...]) -> dict[str, list[Line]]:
    """Return what the kernel of a form asks of global memory, by kind of access."""
    n, c = ins[0].shape
    *lines, out = [a.copy().ravel() for a in (*ins, ins[0])]
    report = simulate.check(
        rows.forms[form], 1, 128, *lines, *few, np.uint32(n), np.uint32(c), out, traffic=True
    )
    assert not report.faults
    held = [line for line in report.traffic.lines() if line.space == "global"]
    return {kind: [line for line in held if line.action == kind] for kind in ("read", "write")}


@pytest.mark.parametrize("form", [f for f in FORMS if f.capacity in (128, 512, 1024)], ids=str)
def test_each_sector_is_asked_for_once(form: Form) -> None:
    size = form.kind.bitwidth // 8
    for rows, count in ((softmax.FORWARD, 1), (softmax.BACKWARD, 2)):
        ins = arguments("softmax_backward", 2, form.capacity, form.kind.name)[:count]
        found = asked(rows, form, ins, (np.int32(0),))
        sectors = 2 * form.capacity * size // 32
        assert sum(line.units for line in found["read"]) == count * sectors
        assert sum(line.units for line in found["write"]) == sectors
        requests = sectors // (16 if form.vector else size)
        assert sum(line.requests for line in found["write"]) == requests


# ---------------------------------------------------------------- rows folded by 128 bits
@pytest.mark.parametrize("name", ["sum", "max", "mean", "argmax"])
def test_a_misaligned_view_is_folded_singly(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(5, 36)).astype(np.float32)
    target = Simulator(seed=1, most=1)
    y = target.empty(5, np.int64 if name == "argmax" else np.float32)
    where = 1 if name == "argmax" else (1,)
    CUDA_KERNELS[name](misaligned(target, x), where, y)
    got = target.read(y)
    args = (x, where, np.zeros_like(got))
    cuda_kernels.agree(name, [got], cuda_kernels.expected(name, KERNELS[name], args), name, x.dtype)


def test_a_fold_by_128_bits_asks_for_each_sector_once() -> None:
    x, y = np.ones(2 * 512, np.float32), np.zeros(2)
    shape = (2, *divisor(1), 512, 2_048, *divisor(1))
    fold = sums.FOLDS["sum"].rows_vectors
    few = x, x, np.float32(0), tuple(np.array(shape, np.uint32))
    report = simulate.check(fold, 1, 64, *few, y, y, traffic=True)
    assert not report.faults and y.tolist() == [512, 512]
    (read,) = [line for line in report.traffic.lines() if line.action == "read"]
    assert (read.requests, read.units) == (8, 128)
