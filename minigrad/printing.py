"""How a tensor prints: PyTorch's layout, four digits, summarised beyond a thousand elements."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PRECISION = 4
THRESHOLD = 1000
EDGE = 3


def shown(a: Array) -> Array:
    """Return the elements that will be printed, flat."""
    if a.size <= THRESHOLD:
        return a.reshape(-1)
    for axis, n in enumerate(a.shape):
        if n > 2 * EDGE:
            a = np.take(a, [*range(EDGE), *range(n - EDGE, n)], axis=axis)
    return a.reshape(-1)


def float_format(values: Array) -> Any:
    """Return how to write each element, so that all have one width."""
    finite = np.abs(values[np.isfinite(values) & (values != 0)].astype(np.float64))
    whole = bool((finite == np.floor(finite)).all())
    top, low = (finite.max(), finite.min()) if finite.size else (0.0, 0.0)
    scientific = finite.size > 0 and (top > 1e8 or top / low > 1000 or (not whole and low < 1e-4))

    def write(v: Any) -> str:
        if scientific:
            return f"{v:.{PRECISION}e}"
        if not np.isfinite(v):
            return str(v)
        return f"{v:.0f}." if whole else f"{v:.{PRECISION}f}"

    return write


def body(a: Array, prefix: str) -> str:
    """Return the nested brackets of `a`, later lines indented to the width of `prefix`."""
    values = shown(a)
    if a.dtype.kind == "f":
        write = float_format(values)
    else:
        write = str
    width = max((len(write(v)) for v in values), default=0) if a.ndim else 0
    return np.array2string(
        a,
        separator=", ",
        prefix=prefix,
        threshold=THRESHOLD,
        edgeitems=EDGE,
        max_line_width=80,
        formatter={"all": lambda v: write(v).rjust(width)},
    )


def describe(t: Any, prefix: str = "tensor(") -> str:
    """Return the repr of a tensor."""
    a = t.data
    parts = [body(a, prefix) if a.size else "[]"]
    if not a.size and a.shape != (0,):
        parts.append(f"size={tuple(a.shape)}")
    plain = a.dtype in (np.float32, np.int64, np.bool_) and (a.size or a.dtype == np.float32)
    if not plain:
        parts.append(f"dtype=minigrad.{a.dtype}")
    if t.node is not None:
        op = getattr(t.node, "op", t.node)
        parts.append(f"grad_fn=<{type(op).__name__}>")
    elif t.requires_grad:
        parts.append("requires_grad=True")
    return prefix + ", ".join(parts) + ")"
