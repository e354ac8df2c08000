"""Print tensors in PyTorch's layout: four digits, summarised beyond a thousand elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.engine.dtypes import DType
from minigrad.engine.values import default_dtype

Array = np.ndarray[Any, Any]


@dataclass
class Options:
    """How tensors are printed, see `set_printoptions`."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


OPTIONS = Options()
PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": float("inf"), "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed; what is left out stays as it is.

    precision: digits behind the point.  threshold: elements beyond which the middle is left out,
        but for `edgeitems` at each end.  linewidth: columns.  profile: "default", "short" or
        "full".  sci_mode: True or False for powers of ten always or never; None, the default, where
        they are shorter.

    >>> import minigrad as mg
    >>> set_printoptions(precision=2)
    >>> mg.tensor([1.2345])
    tensor([1.23])
    >>> set_printoptions(profile="default")
    """
    for name, value in PROFILES[profile].items() if profile else ():
        setattr(OPTIONS, name, value)
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    for name, value in given.items():
        if value is not None:
            setattr(OPTIONS, name, value)
    OPTIONS.sci_mode = sci_mode


def shown(a: Array) -> Array:
    """Return the elements that will be printed, flat."""
    if a.size <= OPTIONS.threshold:
        return a.reshape(-1)
    for axis, n in enumerate(a.shape):
        if n > 2 * OPTIONS.edgeitems:
            a = np.take(a, [*range(OPTIONS.edgeitems), *range(n - OPTIONS.edgeitems, n)], axis=axis)
    return a.reshape(-1)


def float_format(values: Array) -> Any:
    """Return how to write each element, so that all have one width."""
    finite = np.abs(values[np.isfinite(values) & (values != 0)].astype(np.float64))
    whole = bool((finite == np.floor(finite)).all())
    top, low = (finite.max(), finite.min()) if finite.size else (0.0, 0.0)
    scientific = finite.size > 0 and bool(
        top > 1e8 or top / low > 1000 or (not whole and low < 1e-4)
    )

    if OPTIONS.sci_mode is not None:
        scientific = OPTIONS.sci_mode

    def write(v: Any) -> str:
        if scientific:
            return f"{v:.{OPTIONS.precision}e}"
        if not np.isfinite(v):
            return str(v)
        return f"{v:.0f}." if whole else f"{v:.{OPTIONS.precision}f}"

    return write


def writer(a: Array) -> Any:
    """Return how to write each element of `a`, right-aligned in one width.

    As in PyTorch the width is that of the finite elements other than 0: a NaN may stick out.
    """
    values = shown(a)
    if a.dtype.kind != "f":
        width = max(len(str(v)) for v in values.tolist())
        return lambda v: str(v).rjust(width)
    write = float_format(values)
    counted = values[np.isfinite(values) & (values != 0)]
    width = max((len(write(v)) for v in counted), default=1)
    return lambda v: write(v).rjust(width)


def body(a: Array, write: Any, indent: int, summarise: bool) -> str:
    """Return the nested brackets of `a`, later lines indented below the first."""
    if a.ndim == 0:
        return str(write(a.item() if a.dtype.kind != "f" else a[()])).strip()
    cut = summarise and len(a) > 2 * OPTIONS.edgeitems
    rows = [*a[: OPTIONS.edgeitems], None, *a[-OPTIONS.edgeitems :]] if cut else list(a)
    if a.ndim == 1:
        words = [" ..." if v is None else write(v) for v in rows]
        words_a_line = max(1, (OPTIONS.linewidth - indent) // (len(write(a[0])) + 2))
        starts = range(0, len(words), words_a_line)
        lines = [", ".join(words[i : i + words_a_line]) for i in starts]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = ["..." if r is None else body(r, write, indent + 1, summarise) for r in rows]
    return "[" + ("," + "\n" * (a.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def describe(t: Any, prefix: str = "tensor(") -> str:
    """Return the repr of a tensor."""
    a = t.array.read() if t.is_cuda else t.array
    text = body(a, writer(a), len(prefix), a.size > OPTIONS.threshold) if a.size else "[]"
    notes = []
    if not a.size and a.shape != (0,):
        notes.append(f"size={tuple(a.shape)}")
    default = default_dtype()
    plain = a.dtype in (default, np.int64, np.bool_) and (a.size or a.dtype == default)
    if not plain:
        notes.append(f"dtype={DType.package}.{a.dtype}")
    if t.is_cuda:
        notes.append(f"device='{t.device}'")
    if t.node is not None:
        op = getattr(t.node, "op", t.node)
        suffix = "Backward0" if DType.package == "torch" else ""
        notes.append(f"grad_fn=<{type(op).__name__}{suffix}>")
    elif t.requires_grad:
        notes.append("requires_grad=True")
    text = prefix + text
    for note in notes:
        fits = len(text) - text.rfind("\n") + len(note) + 2 <= OPTIONS.linewidth
        text += f", {note}" if fits else ",\n" + " " * len(prefix) + note
    return text + ")"
