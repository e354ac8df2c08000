"""Every combination of views, detach, hooks, `retain_grad` and writes in place, held to PyTorch."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from tests.engine import write_programs
from tests.engine.view_programs import SOURCES, VIEWS, programs, run

GOLDEN = Path(__file__).parents[1] / "golden"


def opened(name: str) -> Any:
    return json.loads(gzip.decompress((GOLDEN / name).read_bytes()))


@pytest.fixture(scope="module")
def golden() -> Any:
    return opened("views.json.gz")


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_every_program_does_what_it_does_on_pytorch(golden: Any, source: str) -> None:
    outcomes = golden["outcomes"]
    wrong = []
    for p, number in zip(programs(), golden["programs"], strict=True):
        if p.source == source:
            found = json.loads(json.dumps(run(mg, p, VIEWS)))
            if found != outcomes[number]:
                wrong.append(f"{p}\n  ours: {found}\n  PyTorch: {outcomes[number]}")
    assert not wrong, f"{len(wrong)} programs differ, the first:\n" + "\n".join(wrong[:3])


# ---------------------------------------------------------------- random programs
def agree(a: Any, b: Any) -> bool:
    """Whether two outcomes are the same, numbers to the rounding of float64."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(agree(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(agree, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True))
    return bool(a == b)


def check(seed: int, theirs: Any) -> None:
    ours = json.loads(json.dumps(write_programs.run(mg, seed)))
    steps = "; ".join(str(step) for step in write_programs.program(seed))
    assert agree(ours, theirs), f"program {seed}: {steps}\n  ours {ours}\n  PyTorch {theirs}"


def test_random_programs_do_what_they_do_on_pytorch() -> None:
    for seed, theirs in enumerate(opened("writes.json.gz")):
        check(seed, theirs)


def test_other_random_programs_beside_pytorch() -> None:
    torch = pytest.importorskip("torch")
    lib = SimpleNamespace(**{name: getattr(torch, name) for name in ("tensor", "ones", "float64")})
    lib.no_grad, lib.grad = torch.no_grad, torch.autograd.grad
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of cycles under create_graph
        for seed in range(10_000, 10_300):
            check(seed, json.loads(json.dumps(write_programs.run(lib, seed))))


# ---------------------------------------------------------------- what is a view
ALIASES: dict[str, tuple[bool, Any]] = {  # whether the result lies in the memory of the input
    "reshape": (True, lambda t: t.reshape(3, 2)),
    "view": (True, lambda t: t.view(6)),
    "flatten": (True, lambda t: t.flatten()),
    "reshape that copies": (False, lambda t: t.T.reshape(6)),
    "permute": (True, lambda t: t.permute(1, 0)),
    "transpose": (True, lambda t: t.transpose(0, 1)),
    "T": (True, lambda t: t.T),
    "mT": (True, lambda t: t.mT),
    "t": (True, lambda t: t.t()),
    "squeeze": (True, lambda t: t.squeeze()),
    "unsqueeze": (True, lambda t: t.unsqueeze(1)),
    "expand": (True, lambda t: t.expand(4, 2, 3)),
    "expand to itself": (True, lambda t: t.expand(2, 3)),
    "flip": (False, lambda t: t.flip(0)),
    "split": (True, lambda t: t.split(1)[1]),
    "chunk": (True, lambda t: t.chunk(2)[1]),
    "unbind": (True, lambda t: t.unbind()[1]),
    "slice": (True, lambda t: t[:, 1:]),
    "row": (True, lambda t: t[1]),
    "element": (True, lambda t: t[1, 2]),
    "all": (True, lambda t: t[...]),
    "new axis": (True, lambda t: t[None]),
    "list": (False, lambda t: t[[0, 1]]),
    "mask": (False, lambda t: t[t > -9]),
    "integer and list": (False, lambda t: t[0, [1, 2]]),
    "iterated": (True, lambda t: next(iter(t))),
    "contiguous": (True, lambda t: t.contiguous()),
    "contiguous that copies": (False, lambda t: t.T.contiguous()),
    "clone": (False, lambda t: t.clone()),
    "detach": (True, lambda t: t.detach()),
    "data": (True, lambda t: t.data),
    "float": (True, lambda t: t.float()),
    "double": (False, lambda t: t.double()),
    "to": (True, lambda t: t.to("cpu")),
    "to, copied": (False, lambda t: t.to("cpu", copy=True)),
    "masked_fill": (False, lambda t: t.masked_fill(t > 99, 0.0)),
    "clamp": (False, lambda t: t.clamp(-99, 99)),
    "relu": (False, lambda t: t.relu()),
    "abs": (False, lambda t: t.abs()),
    "sum over nothing": (False, lambda t: t.unsqueeze(0).sum(0)),
    "max over one": (False, lambda t: t.unsqueeze(0).max(0)[0]),
    "plus 0": (False, lambda t: t + 0),
    "power 1": (False, lambda t: t**1),
    "power 0": (False, lambda t: t**0),
    "cumsum": (False, lambda t: t.unsqueeze(0).cumsum(0)),
    "prod": (False, lambda t: t.unsqueeze(0).prod(0)),
}


@pytest.mark.parametrize("name", ALIASES)
def test_what_shares_memory_and_what_does_not(name: str) -> None:
    shares, make = ALIASES[name]
    for requires_grad in (False, True):
        t = mg.arange(6.0).reshape(2, 3).clone()
        t.requires_grad = requires_grad
        with mg.no_grad():
            made = make(t)
            before = t.tolist()
            if made.array.flags.writeable:
                made.mul_(3)
                made.add_(1)
            else:
                t.mul_(3)
                t.add_(1)
            changed = t.tolist() != before if made.array.flags.writeable else True
        assert changed == shares
        if shares and name not in ("data",):
            assert t._version == made._version != 0


@pytest.mark.parametrize("name", ALIASES)
def test_what_shares_memory_on_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    shares, make = ALIASES[name]
    t = torch.arange(6.0).reshape(2, 3)
    assert (make(t).untyped_storage().data_ptr() == t.untyped_storage().data_ptr()) == shares
