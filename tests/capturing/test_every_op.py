"""Every op and every function: captured, on new numbers each call, it does what it does eagerly, to
the bit, gradients too, whether it could be recorded or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.checking.command import leaves
from minigrad.checking.samples import OP_SAMPLES
from minigrad.engine.op import Op
from minigrad.ops.registry import OPS
from tests.conftest import spread
from tests.ops.function_samples import FUNCTION_SAMPLES

Array = np.ndarray[Any, Any]
CALLS = 5  # one as ever, two recorded, two replayed
MOST = 4  # samples of each
HOW: Counter[str] = Counter()


def other(x: Array, k: int) -> Array:
    """Return other numbers of the same domain: floats a little smaller, rows rolled along."""
    rolled = np.roll(x, k) if x.ndim == 1 else x
    return rolled * (1 - k / 1024) if x.dtype.kind == "f" else rolled


def run(function: Callable[..., Any], inputs: list[Any], capture: bool) -> list[Any]:
    """Call a function of tensors some times; return all results and gradients."""
    firsts = [t.array.copy() if isinstance(t, mg.Tensor) else t for t in inputs]

    def step() -> Any:
        for t in inputs:
            if isinstance(t, mg.Tensor):
                t.grad = None
        found = function(*inputs)
        several = found if isinstance(found, tuple | list) else (found,)
        seeds = [y for y in several if isinstance(y, mg.Tensor) and y.requires_grad]
        if seeds:
            sum((y * y).sum() if y.ndim else y * y for y in seeds).backward()
        return [y.detach() if isinstance(y, mg.Tensor) else y for y in several]

    call = mg.capture(step) if capture else step
    results = []
    _ = mg.manual_seed(1)
    for k in range(CALLS):
        for t, first in zip(inputs, firsts, strict=True):
            if isinstance(t, mg.Tensor) and t.array.flags.writeable:
                t.array[...] = other(first, k)
        results.append(frozen(call()))
        results.append([frozen(t.grad) for t in inputs if isinstance(t, mg.Tensor)])
    for t, first in zip(inputs, firsts, strict=True):
        if isinstance(t, mg.Tensor) and t.array.flags.writeable:
            t.array[...] = first
    if capture:
        HOW["replayed" if call.calls["replayed"] else call.explain().split("call: ")[-1]] += 1
    return results


def frozen(x: Any) -> Any:
    """Return the bits of tensors."""
    if isinstance(x, mg.Tensor):
        return x.dtype, x.shape, x.array.tobytes()
    return [frozen(v) for v in x] if isinstance(x, list | tuple) else x


@pytest.mark.parametrize("name", [name for name in OP_SAMPLES if name in OPS])
def test_ops(name: str) -> None:
    op: type[Op] = OPS[name]
    for arrays, meta in spread(OP_SAMPLES[name], MOST):
        found = [
            run(lambda *xs, meta=meta: op.apply(*xs, **meta), leaves(arrays), capture)
            for capture in (False, True)
        ]
        assert found[0] == found[1], (name, [a.shape for a in arrays], meta)


@pytest.mark.parametrize("name", FUNCTION_SAMPLES)
def test_functions(name: str) -> None:
    function = getattr(mg, name)
    for args, options, _ in spread(FUNCTION_SAMPLES[name], MOST):
        found = []
        for capture in (False, True):
            inputs = [
                mg.Tensor(x.copy(), requires_grad=x.dtype.kind == "f")
                if isinstance(x, np.ndarray)
                else x
                for x in args
            ]
            if any(isinstance(x, list | tuple) for x in inputs):
                break
            found.append(run(lambda *xs, o=options: function(*xs, **o), inputs, capture))
        assert not found or found[0] == found[1], (name, args, options)


def test_most_of_them_replay() -> None:
    """What is not recorded says why: a kernel that is none, or a number that Python reads."""
    replayed, total = HOW["replayed"], sum(HOW.values())
    assert not total or replayed > 0.8 * total, HOW.most_common(40)
