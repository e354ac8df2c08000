"""PyTorch's own samples of its operations (its op_db), run here and there.

`python -m tests.peers.op_db [NAME...]` prints a line an operation: how many of its calls agree in
values, gradients, dtypes and refusals, and the first that does not.  It needs torch and expecttest.

Options: -v prints every call that differs, -m lists what is missing, -s prints the sum only,
-n NUMBER takes at most so many samples of a dtype (40), -c PyTorch's core samples of float32 and
float64 and what it refuses, and none of its other layouts, dtypes, methods and reference samples.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

import minigrad as mg
from tests.peers.calls import Array, Call, Library, Name, Outcome, difference, leaves_of, mapped
from tests.peers.differences import (
    KEEPS_NAN,
    PEERS_FLOAT32,
    WITHIN_SIMPLEX,
    stricter,
    undefined,
    within_simplex,
)

HELD = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
OURS = Library(mg, mg.Tensor, lambda a: mg.Tensor(np.asarray(a)))
LIMIT = 40
LARGEST = 200_000  # elements of an argument
CAUGHT = {"RuntimeError", "ValueError", "IndexError", "TypeError"}  # what programs catch


class Unheld(Exception):
    """An argument that we do not have: a complex number, another dtype, another layout."""


def torch_library() -> Library:
    """Return PyTorch as a library of calls."""
    import torch  # noqa: PLC0415

    return Library(torch, torch.Tensor, lambda a: torch.from_numpy(np.asarray(a)))


def argument(leaf: Any) -> Any:
    """Return an argument of a sample as a call has it."""
    import torch  # noqa: PLC0415

    if isinstance(leaf, torch.Tensor):
        name = str(leaf.dtype).removeprefix("torch.")
        many = leaf.ndim > 64 or leaf.numel() > LARGEST
        elsewhere = leaf.layout is not torch.strided or leaf.device.type != "cpu"
        if name not in HELD or elsewhere or many:
            raise Unheld(name)
        return Array(leaf.detach().numpy(), leaf.requires_grad)
    if isinstance(leaf, torch.dtype):
        name = str(leaf).removeprefix("torch.")
        if name not in HELD:
            raise Unheld(name)
        return Name(name)
    if isinstance(
        leaf, complex | torch.layout | torch.memory_format | torch.device | torch.Generator
    ):
        raise Unheld(str(leaf))
    return leaf


# Samples that have the second argument first.
TURNED = {
    "einsum",
    "polygamma",
    "special.polygamma",
    "where",
    "nn.functional.embedding",
    "nn.functional.embedding_bag",
}
# Compositions around an operation, in place of it.
AROUND = {"linalg.lstsq/grad_oriented", "linalg.pinv/singular"}
DROPPED = ("device", "layout", "memory_format", "pin_memory")


def call_of(name: str, sample: Any, way: str = "function") -> Call | None:
    """Return the call that a sample describes, None where it has what we do not have."""
    import torch  # noqa: PLC0415

    given = {k: v for k, v in sample.kwargs.items() if k not in DROPPED}
    other = {k: v for k, v in sample.kwargs.items() if k in DROPPED}
    if "out" in given or any(
        v not in (None, False, "cpu", torch.strided, torch.device("cpu")) for v in other.values()
    ):
        return None
    try:
        args = [mapped(a, argument) for a in (sample.input, *sample.args)]
        if name in TURNED and way == "function":
            args[:2] = args[1::-1]
        return Call(name, args, mapped(given, argument), way)
    except Unheld:
        return None


def spread(samples: list[Any], limit: int) -> list[Any]:
    """Return at most so many samples, evenly spread over all."""
    if len(samples) <= limit:
        return samples
    return [samples[i] for i in np.linspace(0, len(samples) - 1, limit).astype(int)]


# What PyTorch's list has as functions, and is a method in place alone.
IN_PLACE = {"cauchy", "exponential", "geometric", "log_normal", "uniform"}


def core_calls(op: Any) -> Iterator[Call]:
    """Yield the calls of PyTorch's core samples in float32 and float64, which it takes."""
    import torch  # noqa: PLC0415

    torch.manual_seed(0)
    way = way_of(op)
    for dtype in (torch.float64, torch.float32):
        if dtype not in op.supported_dtypes("cpu"):
            continue
        for sample in op.sample_inputs("cpu", dtype, requires_grad=op.supports_autograd):
            call = call_of(op.name, sample, way)
            if call is not None:
                yield call


def way_of(op: Any) -> str:
    """Return how an operation is called: as a function, or in place where it has no other way."""
    return "inplace" if op.name in IN_PLACE or op.variant_test_name == "in_place" else "function"


def right_calls(op: Any, limit: int = LIMIT) -> Iterator[Call]:
    """Yield calls that PyTorch takes."""
    import torch  # noqa: PLC0415

    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (what the samples are drawn with)
    for dtype in (torch.float64, torch.float32, torch.int64, torch.bool):
        if dtype not in op.supported_dtypes("cpu"):
            continue
        graded = dtype.is_floating_point and op.supports_autograd
        try:
            samples = list(op.sample_inputs("cpu", dtype, requires_grad=graded))
            more = list(op.reference_inputs("cpu", dtype, requires_grad=graded))
        except Exception:  # a few generators fail without a GPU or with our choice of dtype
            continue
        samples += more[len(samples) :]
        chosen = spread(samples, limit)
        odd = [s.noncontiguous() for s in spread(samples, limit // 3)]
        for sample in (*chosen, *odd):
            call = call_of(op.name, sample, way_of(op))
            if call is not None:
                yield call
        for way, there in (("method", op.get_method()), ("inplace", op.get_inplace())):
            if there is None:
                continue
            fits = [s for s in samples if not (way == "inplace" and s.broadcasts_input)]
            for sample in spread(fits, 3):
                call = call_of(op.name, sample, way)
                if call is not None and isinstance(call.args[0], Array):
                    yield call


def refused_calls(op: Any) -> Iterator[Call]:
    """Yield calls that PyTorch refuses."""
    if op.error_inputs_func is None:
        return
    for error in op.error_inputs("cpu"):
        call = call_of(op.name, error.sample_input)
        if call is not None:
            yield call


def peer_outcome(library: Library, call: Call) -> Outcome | None:
    """Return what PyTorch does with a call, the random ones marked; None where it has no such."""
    import torch  # noqa: PLC0415

    try:
        torch.manual_seed(1)
        first = library.run(call, torch.autograd.grad)
        torch.manual_seed(2)
        again = library.run(call, torch.autograd.grad)
    except AttributeError:
        return None
    except Exception as e:  # whatever it raises is a refusal
        if re.search(r"derivative for .* is not implemented", str(e)):
            return None  # a gradient that we have
        return Outcome(type(e).__name__, str(e))
    if any(str(getattr(x, "dtype", "bool")) not in HELD for x in first.leaves):
        return None
    first.random = undefined(call) or bool(difference(again, first))
    return first


def numbers_among(call: Call) -> bool:
    """Say whether one of the two operands of a call is a number."""
    return any(isinstance(x, int | float) for x in call.args[:2])


def our_outcome(call: Call) -> Outcome:
    """Return what we do with a call."""
    try:
        return OURS.run(call, mg.grad)
    except Exception as e:
        kinds = tuple(each.__name__ for each in type(e).__mro__)
        return Outcome(type(e).__name__, str(e), kinds=kinds)


def fault(call: Call, peer: Outcome, of_float64: tuple[float, float] | None = None) -> str:
    """Say what is wrong with our outcome of a call; "" where nothing is.

    of_float64: see `difference`.
    """
    ours = our_outcome(call)
    if peer.error:
        if not any(isinstance(x, Array) for x in leaves_of([call.args, call.options])):
            return ""  # of numbers alone, where we take some that PyTorch does not
        if peer.error == "TypeError" and numbers_among(call):
            return ""  # a number where PyTorch's signature has a tensor
        if not ours.error:
            return f"not refused, PyTorch: {peer.error}: {peer.message[:100]}"
        caught = "RuntimeError" if peer.error == "NotImplementedError" else peer.error
        if caught in CAUGHT and caught not in ours.kinds:
            return f"{ours.error} for PyTorch's {peer.error}: {ours.message[:100]}"
        return ""
    if ours.error:
        if stricter(call, ours):
            return ""
        return f"{ours.error}: {ours.message[:140]}"
    if call.name in WITHIN_SIMPLEX and peer.gradients and len(ours.gradients) == 1:
        for outcome in (ours, peer):
            outcome.gradients = [within_simplex(call.args[0].data, outcome.gradients[0])]
    if call.name in KEEPS_NAN and call.args[0].data.dtype.kind == "f" and peer.leaves:
        (leaf,) = peer.leaves
        numbers = np.broadcast_to(~np.isnan(call.args[0].data), leaf.shape)
        peer.leaves = [np.where(numbers, leaf, np.array(np.nan, leaf.dtype))]
    return difference(ours, peer, of_float64, PEERS_FLOAT32.get(call.name))


def describe(call: Call) -> str:
    """Return a call on one line."""

    def leaf(x: Any) -> Any:
        if isinstance(x, Array):
            how = "" if x.data.flags.c_contiguous else "'"
            return Text(f"{x.data.dtype}{list(x.data.shape)}{how}")
        return Text(x.name) if isinstance(x, Name) else x

    args = ", ".join(repr(a) for a in mapped(call.args, leaf))
    options = "".join(f", {k}={v!r}" for k, v in mapped(call.options, leaf).items())
    return f"{call.name}{'' if call.way == 'function' else ' ' + call.way}({args}{options})"[:220]


class Text(str):
    """A string that is shown without quotes."""

    def __repr__(self) -> str:
        return str(self)


def has(call: Call) -> bool:
    """Say whether we have the function of a call."""
    try:
        OURS.function(call)
    except AttributeError:
        return False
    return True


def entries(names: list[str]) -> list[Any]:
    """Return the operations of PyTorch's list that have these names, or all that are public."""
    from torch.testing._internal.common_methods_invocations import op_db  # noqa: PLC0415

    chosen = [
        op for op in op_db if not names or op.name in names or op.name.split(".")[-1] in names
    ]
    return [
        op
        for op in chosen
        if not op.name.startswith(("_", "native_", "ops.", "torch."))
        and f"{op.name}/{op.variant_test_name}" not in AROUND
    ]


def calls_of(op: Any, limit: int = LIMIT, core: bool = False) -> Iterator[tuple[Call, Outcome]]:
    """Yield the calls of an operation, with what PyTorch does with each.

    core: of PyTorch's core samples only.
    """
    library = torch_library()
    right = core_calls(op) if core else right_calls(op, limit)
    for call in (*right, *refused_calls(op)):
        peer = peer_outcome(library, call)
        if peer is not None:
            yield call, peer


def main(argv: list[str] | None = None) -> int:
    """Compare the operations that are named, or all; return 1 where one differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.op_db")
    parser.add_argument("names", nargs="*")
    parser.add_argument("-v", "--verbose", action="store_true", help="every call that differs")
    parser.add_argument("-m", "--missing", action="store_true", help="list what is missing")
    parser.add_argument("-s", "--sum", action="store_true", help="the sum only")
    parser.add_argument("-n", "--limit", type=int, default=LIMIT, help="samples of a dtype")
    parser.add_argument("-c", "--core", action="store_true", help="the core samples only")
    given = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    np.seterr(all="ignore")
    right, total, missing, faulty = 0, 0, [], 0
    for op in entries(given.names):
        name = f"{op.name}{'/' + op.variant_test_name if op.variant_test_name else ''}"
        if not has(Call(op.name, [], {}, way_of(op))):
            missing.append(name)
            if given.names:
                print(f"{name}: missing")
            continue
        if given.missing:
            continue
        found: Counter[str] = Counter()
        lines, absent = [], 0
        for call, peer in calls_of(op, given.limit, given.core):
            if not has(call):
                absent += 1
                lines.append(f"    {call.name}: no {call.way}")
                continue
            what = fault(call, peer)
            found["wrong" if what else "right"] += 1
            if what:
                lines.append(f"    {describe(call)}: {what}")
        right, total = right + found["right"], total + found.total()
        faulty += bool(found["wrong"])
        if not given.sum and (given.names or lines):
            print(f"{name}: {found['right']} of {found.total()}", flush=True)
            lines = list(dict.fromkeys(lines))
            print("\n".join(lines if given.verbose else lines[:1]), end="\n" if lines else "")
    if not given.names or given.missing:
        print(f"missing ({len(missing)}): {' '.join(missing)}")
    print(f"{right} of {total} calls agree; {faulty} operations differ; {len(missing)} missing")
    return int(right < total)


__all__ = ["calls_of", "entries", "fault", "leaves_of", "main"]

if __name__ == "__main__":
    sys.exit(main())
