"""What a library makes of the calls of argument_cases.py: a digest of values, or an error."""

from __future__ import annotations

import dis
from typing import Any

import numpy as np


def names(api: Any) -> dict[str, Any]:
    """Return what the calls name: a library's modules, and operands in float64."""

    def operand(*shape: int) -> Any:
        count = int(np.prod(shape))
        return api.tensor((np.arange(1.0, 1.0 + count) / max(count, 10) % 1.0).reshape(shape))

    def parameter(*shape: int) -> Any:
        made = operand(*shape)
        made.requires_grad = True
        return made

    return {
        "nn": api.nn,
        "F": api.nn.functional,
        "optim": api.optim,
        "S": api.optim.lr_scheduler,
        "x": operand,
        "p": parameter,
        "i": lambda *values: api.tensor(np.array(values, np.int64)),
        "n": lambda *shape: api.tensor(np.zeros(shape, np.int64)),
        "o": lambda: api.optim.SGD([parameter(3)], lr=0.8, momentum=0.9),
    }


def values(api: Any, kind: str, case: str) -> Any:
    """Return what a call gives, raising what it raises."""
    known = names(api)
    if kind == "loss":
        return eval(case, known)
    if kind == "layer":
        layer, given = (eval(part, known) for part in case.split("|"))
        for parameter in layer.parameters():
            whole = np.arange(1.0, 1.0 + np.prod(tuple(parameter.shape))).reshape(parameter.shape)
            parameter.data = api.tensor(whole / 8)
        for name, buffer in layer.named_buffers():
            if "running" in name:
                buffer.data = api.tensor(buffer.numpy().astype(np.float64))
        return layer(given)
    made = eval(case, known)
    if kind == "optimizer":
        return _steps(api, made)
    return _rates(made)


def _steps(api: Any, made: Any) -> Any:
    held = [q for group in made.param_groups for q in group["params"]]
    for _ in range(2):
        for q in held:
            q.grad = api.tensor(np.linspace(-1, 1, int(np.prod(tuple(q.shape)))).reshape(q.shape))
        made.step()
    return [q.detach() for q in held]


def _rates(made: Any) -> list[float]:
    held = getattr(made, "optimizer", None) or made._schedulers[0].optimizer
    rates = []
    for _ in range(6):
        rates.append(float(held.param_groups[0]["lr"]))
        held.step()
        made.step(*([1.0] if "Plateau" in type(made).__name__ else []))
    return rates


def digest(found: Any) -> list[Any]:
    """Return the shape of a result and its elements' weighted sum, of several ones' each."""
    if isinstance(found, list | tuple):
        if found and isinstance(found[0], float):
            return [[round(rate, 9) for rate in found]]
        return [part for one in found for part in digest(one)]
    array = np.asarray(found.detach().numpy(), np.float64)
    total = float(np.sum(array * np.cos(np.arange(array.size)).reshape(array.shape)))
    return [list(array.shape), round(total, 7) if np.isfinite(total) else str(total)]


def outcome(api: Any, kind: str, case: str) -> Any:
    """Return a call's digest, or what it raised."""
    try:
        return digest(values(api, kind, case))
    except Exception as error:
        return error


def meant(error: BaseException, package: str) -> bool:
    """Say whether an error came from a `raise` of the library, with words, not by chance."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not str(error):
        return False
    code = trace.tb_frame.f_code
    raised = dis.opname[code.co_code[trace.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")
    return raised and f"/{package}/" in code.co_filename.replace("\\", "/")
