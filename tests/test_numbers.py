"""Numbers of every type where a Python number is taken: NumPy's, 0-d arrays, 0-d tensors."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from tests.number_calls import CALLS
from tests.peers.test_op_db import IN_NUMPY, PAIRS

LINES = [line for line in CALLS.splitlines() if line]
rng = np.random.default_rng(0)


def wave(*shape: int) -> mg.Tensor:
    return mg.Tensor(rng.normal(size=shape).astype(np.float32))


def parameters() -> list[mg.Tensor]:
    found = [mg.tensor([1.0, -2.0], requires_grad=True), mg.tensor([[3.0]], requires_grad=True)]
    for p in found:
        p.grad = p.detach() * 0.5
    return found


def stepped(optimizer: Any) -> Any:
    for _ in range(3):
        optimizer.step()
    return [p.detach() for group in optimizer.param_groups for p in group["params"]]


def minimised(optimizer: Any) -> Any:
    params = [p for group in optimizer.param_groups for p in group["params"]]

    def closure() -> Any:
        optimizer.zero_grad()
        loss = sum((p * p * p * p).sum() for p in params)
        loss.backward()
        return loss

    optimizer.step(closure)
    return [p.detach() for p in params]


def regrouped(optimizer: Any, name: str, value: Any) -> Any:
    optimizer.param_groups[0][name] = value
    return stepped(optimizer)


def trained(rows: Any, epochs: Any) -> Any:
    model = nn.Linear(6, 3)
    fitted = mg.train.Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))
    fitted.fit(mg.data.DataLoader(DATA, rows), epochs=epochs)
    return fitted


X, Y = wave(4, 6), wave(4, 6)
K = mg.tensor([0, 2, 1, 2])
DATA = mg.data.TensorDataset(X.array, K.array)
NAMES: dict[str, Any] = {
    "mg": mg,
    "nn": nn,
    "F": F,
    "X": X,
    "Y": Y,
    "K": K,
    "L": wave(2, 4, 8),
    "I": wave(2, 4, 6, 6),
    "W1": wave(6, 2, 3),
    "W2": wave(6, 2, 3, 3),
    "X64": mg.Tensor(rng.normal(size=3), requires_grad=True),
    "G": mg.Generator,
    "P": parameters,
    "DATA": DATA,
    "DATA_LOADER": mg.data.DataLoader(DATA, 4),
    "stepped": stepped,
    "minimised": minimised,
    "regrouped": regrouped,
    "trained": trained,
    "decays": lambda groups: [group["weight_decay"] for group in groups],
    "np": np,
}

WHOLE = ("np.int64({})", "np.int32({})", "np.uint8({})", "np.array({})", "mg.tensor({})")
REAL = ("np.float64({})", "np.float32({})", "np.array({})", "mg.tensor({})")
BOOLS = ("np.bool_({})",)


def numbers_of(line: str) -> Iterator[tuple[ast.expr, tuple[str, ...]]]:
    """Yield the numbers of an expression, signs included, and the types they are tried as."""
    tree = ast.parse(line, mode="eval")
    signed = {id(n.operand) for n in ast.walk(tree) if isinstance(n, ast.UnaryOp)}
    for node in ast.walk(tree):
        if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
            value = node.operand.value
            forms = WHOLE if isinstance(value, int) else REAL
            yield node, tuple(form for form in forms if "uint" not in form)
        elif isinstance(node, ast.Constant) and id(node) not in signed:
            if isinstance(node.value, bool):
                yield node, BOOLS
            elif isinstance(node.value, int | float):
                yield node, WHOLE if isinstance(node.value, int) else REAL


def variants(line: str) -> Iterator[str]:
    """Yield an expression with one of its numbers in another type, each in turn."""
    for node, forms in numbers_of(line):
        text = line[node.col_offset : node.end_col_offset]
        for form in forms:
            yield line[: node.col_offset] + form.format(text) + line[node.end_col_offset :]


# What these mean by a tensor or an array is not the number in it.
OTHERWISE = re.compile(
    r"(max|min)\(X, mg.tensor|X.(max|min)\(mg.tensor"  # the larger of two, as in PyTorch
    r"|mg.tensor\(\[(0.5, )?np.(float64|array)"  # keeps the dtype of what it is made of
)


def result(line: str) -> Any:
    mg.manual_seed(0)
    return plain(eval(line, dict(NAMES)))


def plain(value: Any) -> Any:
    """Return a result in a form that can be compared."""
    if isinstance(value, mg.Tensor):
        return value.detach().numpy().copy()
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, nn.Module):
        return {"repr": repr(value), **{k: plain(v) for k, v in value.state_dict().items()}}
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic | int | float | bool | str | None):
        return value
    if isinstance(value, mg.Trainer):
        return plain(value.model)
    return repr(value)


def alike(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.allclose(a, b, 1e-6, 1e-7)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    return bool(a == b)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = mg.get_num_threads()
    yield
    mg.set_num_threads(before)


@pytest.mark.parametrize("line", LINES)
def test_a_number_may_come_in_any_type(line: str) -> None:
    wanted = result(line)
    wrong = []
    for variant in variants(line):
        if OTHERWISE.search(variant):
            continue
        try:
            found = result(variant)
        except Exception as error:
            wrong.append(f"{variant}: {type(error).__name__}: {error}")
            continue
        if not alike(wanted, found):
            wrong.append(f"{variant}: {found!r:.80} for {wanted!r:.80}")
    assert not wrong, "\n".join(wrong)


# ---------------------------------------------------------------- nothing is left out
NUMERIC = re.compile(r"\b(int|float|bool|Sizes|Dim)\b")
OWNERS: dict[str, Any] = {
    "mg": mg,
    "F": F,
    "nn": nn,
    "nn.init": nn.init,
    "mg.Tensor": mg.Tensor,
    "mg.optim": mg.optim,
    "mg.data": mg.data,
    "mg.train": mg.train,
}
# Numbers that are tried elsewhere, or are none of the user's.
ELSEWHERE = {
    "mg.set_grad_enabled": "tests/engine: the modes",
    "mg.grad": "flags of the tape",
    "mg.Tensor.backward": "flags of the tape",
    "mg.Tensor.to": "flags",
    "mg.data.DataLoader": "tests/data: its options, and flags",
    "mg.set_printoptions": "tests/as_torch: printing",
    "mg.Tensor.cuda": "needs a GPU",
    "mg.data.load_csv": "a flag",
    "mg.compare": "a command",
    "mg.capture": "flags and a limit",
    "mg.train.Trainer": "the same as mg.Trainer",
    "mg.doctor": "tests/doctor: steps of a trial",
    "mg.verify_resume": "tests/train: it trains three times",
    "mg.checked": "a flag",
    "mg.detect_anomaly": "a flag",
    "nn.RNNBase": "what RNN, LSTM and GRU are made of",
    "nn.RNNCellBase": "what their cells are made of",
}
FLAGS = {"requires_grad", "non_blocking", "copy", "capture"}


def callables() -> Iterator[tuple[str, Any, set[str]]]:
    """Yield what is public and takes numbers, with the parameters that say so."""
    for owner, holder in OWNERS.items():
        for name in dir(holder):
            value = getattr(holder, name)
            inner = str(getattr(value, "__module__", "")).startswith("minigrad")
            if name.startswith("_") or not callable(value) or not inner:
                continue
            if inspect.isclass(value) and owner != "mg" and value in (mg.Generator, mg.Tensor):
                continue
            try:
                parameters = inspect.signature(value).parameters.values()
            except (TypeError, ValueError):
                continue
            wanted = {
                p.name
                for p in parameters
                if NUMERIC.search(str(p.annotation)) and p.name not in FLAGS
            }
            if wanted:
                yield f"{owner}.{name}", value, wanted


def covered() -> dict[str, set[str]]:
    """Return which parameters get a number in some expression, by callable."""
    found: dict[str, set[str]] = {}
    for line in LINES:
        for node in ast.walk(ast.parse(line, mode="eval")):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            text = ast.unparse(node.func)
            holder = eval(ast.unparse(node.func.value), dict(NAMES))
            if isinstance(holder, mg.Tensor):
                text = f"mg.Tensor.{node.func.attr}"
            try:
                signature = inspect.signature(getattr(holder, node.func.attr))
                options = {k.arg: k.value for k in node.keywords if k.arg}
                bound = signature.bind(*node.args, **options).arguments
            except TypeError:
                continue
            for name, given in bound.items():
                nodes = given if isinstance(given, tuple) else (given,)
                nodes = tuple(given.values()) if isinstance(given, dict) else nodes
                constants = [c for n in nodes for c in ast.walk(n) if isinstance(c, ast.Constant)]
                if any(isinstance(c.value, bool | int | float) for c in constants):
                    found.setdefault(text, set()).add(name)
    return found


def with_samples() -> set[str]:
    """Return the functions that PyTorch's own samples are tried on, with NumPy's numbers too."""
    names = {call.name for pairs in PAIRS.values() for call, _ in pairs}
    places = {"": ("mg.", "mg.Tensor."), "nn.functional.": ("F.",)}
    found = {
        place + name.removeprefix(start)
        for name in names
        for start, owners in places.items()
        for place in owners
        if name.startswith(start)
    }
    same = {id(value): name for name, value, _ in callables() if name in found}
    return found | {name for name, value, _ in callables() if id(value) in same}


def test_every_number_of_everything_public_is_tried() -> None:
    tried = covered()
    known = list(callables())
    assert len(known) > 150
    assert IN_NUMPY
    elsewhere = ELSEWHERE.keys() | with_samples()
    missing = {
        name: sorted(wanted - tried.get(name, set()))
        for name, _, wanted in known
        if name not in elsewhere and wanted - tried.get(name, set())
    }
    assert not missing
