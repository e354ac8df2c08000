"""Where values come from that are not finite: the first op that made one, not those that pass it
on.

Beside the heart: under `detect_anomaly` each op that is computed goes by `Origins.add`, as to a
`Tape`, and each node of a sweep by `Origins.swept`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.engine.device import host_copy
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.op import Op, name_of
from minigrad.engine.trace import user_line

Array = np.ndarray[Any, Any]
KEPT = 4096  # tensors that are not finite, whose origins are remembered

ADVICE = {
    "Log": "clamp the input above 0, or use log1p, log_softmax or a loss that takes logits",
    "Exp": "subtract the largest first, or use softmax, logsumexp or softplus",
    "Div": "add a small number to the divisor, or bring 0 out of it with where before dividing",
    "Sqrt": "add a small number under the root, or clamp its input",
    "Pow": "bring the base into range first: 0 has no negative power and no slope for one below 1",
    "Norm": "add a small number under the root",
    "Deviation": "add a small number to the variance before the root",
}
ADVICE |= {"Log2": ADVICE["Log"], "Log10": ADVICE["Log"], "Expm1": ADVICE["Exp"]}
ADVICE |= {"Exp2": ADVICE["Exp"], "Rsqrt": ADVICE["Sqrt"], "Reciprocal": ADVICE["Div"]}


@dataclass(frozen=True)
class Origin:
    """What first made a value that is not finite.  op: "" for what came from outside."""

    op: str
    where: str
    made: str
    words: str
    arrays: tuple[Any, ...] = field(repr=False, default=())
    meta: dict[str, Any] = field(repr=False, default_factory=dict)


class Origins:
    """What under one `detect_anomaly` is not finite, and where it came from.

    before: the tape that was open, which hears of every op too.  save: where a repro is written.
    """

    def __init__(
        self, before: Any = None, save: str | Path | None = None, check_nan: bool = True
    ) -> None:
        self.before, self.save, self.check_nan = before, save, check_nan
        self.of: dict[int, tuple[Any, Origin]] = {}  # by id of tensors and nodes
        self.last: Origin | None = None  # of the value computed last, where it is not finite

    def __getattr__(self, name: str) -> Any:
        return getattr(self.before, name)

    def add(self, op: Any, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """Look at what an op gave.

        Raises: RuntimeError where it made a NaN.
        """
        if self.before is not None:
            self.before.add(op, inputs, outputs)
        self.last = None
        kinds = [lacking(t.array) for t in outputs]
        if not any(kinds):
            return
        before = [lacking(t.array) for t in inputs]
        made = ", ".join(dict.fromkeys(" and ".join(k) for k in kinds if k))
        if "NaN" in made and not any("NaN" in k for k in before):
            self.fail(self.nan_made(op, inputs, before, kinds, outputs))
        origin = self.passed_on(inputs, before) or self.new(op, inputs, outputs, made)
        if not any(before) and infinite_option(op):
            return
        for t in outputs:
            self.keep(t, origin)
        if op is not None and op.edges is not None:
            self.keep(op, origin)
        self.last = origin

    def keep(self, x: Any, origin: Origin) -> None:
        """Remember where something that is not finite came from."""
        if len(self.of) < KEPT:
            self.of[id(x)] = x, origin

    def origin_of(self, t: Any) -> Origin | None:
        """Return where a tensor's value came from, by itself or by its place on the tape."""
        for key in (t, getattr(t, "node", None)):
            found = self.of.get(id(key))
            if key is not None and found is not None:
                return found[1]
        return None

    def passed_on(self, inputs: Sequence[Any], before: Sequence[Sequence[str]]) -> Origin | None:
        """Return the origin of the inputs that are not finite; None where all are finite."""
        for i, (t, kinds) in enumerate(zip(inputs, before, strict=True)):
            if kinds:
                known = self.origin_of(t)
                made = " and ".join(kinds)
                outside = (
                    f"{made} came from outside, in input {i} of shape {tuple(t.array.shape)}: data,"
                    " a constant, or a parameter that an update has spoiled"
                )
                return known or Origin("", user_line(), made, outside)
        return None

    def new(self, op: Any, inputs: Any, outputs: Any, made: str) -> Origin:
        """Return the origin that an op is, which was given finite numbers alone."""
        name, where = type(op).__name__, op.where or user_line()
        y = outputs[0].array
        count = sum(int((~np.isfinite(host_copy(t.array))).sum()) for t in outputs if floats(t))
        words = (
            f"{name} (recorded at {where}) made {made}: {count} of {y.size} elements, output of"
            f" shape {tuple(y.shape)}; {in_words(inputs)}{advice(name)}"
        )
        arrays = tuple(host_copy(t.array) for t in inputs)
        return Origin(name, where, made, words, arrays, dict(op.meta))

    def nan_made(
        self, op: Any, inputs: Any, before: Any, kinds: Any, outputs: Any
    ) -> tuple[str, Origin]:
        """Return the message about an op that gave NaN for inputs without one."""
        cause = self.passed_on(inputs, before)
        own = self.new(op, inputs, outputs, "NaN")
        if cause is None:
            return own.words, own
        if not cause.op:
            return f"{own.words}; {cause.words}", own
        return (
            f"{cause.words}\n  {own.op} (recorded at {own.where}) then made NaN of it; "
            f"{in_words(inputs)}",
            cause,
        )

    def fail(self, found: tuple[str, Origin]) -> None:
        """Raise about a value that is not finite, with a repro where one is asked for."""
        words, origin = found
        saved = ""
        if self.save is not None and origin.arrays:
            saved = f"\n  a repro is in {write_repro(self.save, origin)}"
        raise RuntimeError(words + saved)

    def swept(self, node: Op, parts: Iterable[Any]) -> None:
        """Look at what a rule gave: the first that is not finite, for what it was given was.

        Raises: RuntimeError.
        """
        of_node = self.of.get(id(node))
        if of_node is not None and of_node[0] is node and node.shape == () and of_node[1].op:
            self.fail((f"backward begins from {of_node[1].made}: {of_node[1].words}", of_node[1]))
        for i, g in enumerate(parts):
            kinds = () if g is None else lacking(g.array)
            if not kinds:
                continue
            bad = int((~np.isfinite(host_copy(g.array))).sum())
            what = "NaN" if "NaN" in kinds else "infinite"
            inputs = node.inputs or ()
            words = (
                f"the gradient of {name_of(node)} is {what} for its input {i}, shape"
                f" {g.array.shape} ({bad} of {g.array.size} elements)"
            )
            if inputs:
                words += f"; {in_words(inputs)}"
            cause = next((c for c in map(self.origin_of, inputs) if c is not None), None)
            if cause is None and of_node is not None:
                cause = of_node[1]
            if cause is not None:
                words += f"\n  of what came before: {cause.words}"
            arrays = tuple(host_copy(t.array) for t in inputs)
            made = Origin(type(node).__name__, "", what, words, arrays, dict(node.meta))
            self.fail((words + ("" if cause else advice(made.op)), made))

    def finish(self) -> None:
        """Warn where what was computed last is not finite by an op's doing."""
        if self.last is not None and self.last.op:
            warnings.warn(
                f"the value computed last holds {self.last.made}: {self.last.words}",
                RuntimeWarning,
                stacklevel=3,
            )


def floats(t: Any) -> bool:
    """Say whether a tensor holds floating numbers."""
    return bool(t.array.dtype.kind == "f")


def lacking(a: Any) -> tuple[str, ...]:
    """Return what an array holds that is not finite: "NaN", "inf", "-inf".

    >>> lacking(np.array([1.0, np.inf])), lacking(np.array([1, 2]))
    (('inf',), ())
    """
    if a.dtype.kind != "f" or not a.size:
        return ()
    if not isinstance(a, np.ndarray):
        a = finite_or_host(a)
        if a is None:
            return ()
    total = float(np.sum(a)) if a.size < 100 else np.nan
    if np.isfinite(total) or np.isfinite(a).all():
        return ()
    found = ["NaN"] if np.isnan(a).any() else []
    found += ["inf"] if np.isposinf(a).any() else []
    found += ["-inf"] if np.isneginf(a).any() else []
    return tuple(found)


def finite_or_host(a: Any) -> Array | None:
    """Return a device's array on the host, None where one number read says that it is finite."""
    found, held = empty((a.size,), np.bool_, a), empty((), np.bool_, a)
    launch("isfinite", a, found.reshape(a.shape))
    launch("min", found, (0,), held)
    return None if held.item() else np.asarray(host_copy(a))


def infinite_option(op: Any) -> bool:
    """Say whether an op was given an infinity as an option, as masked_fill is."""
    values = getattr(op, "meta", {}).values()
    return any(isinstance(v, float) and np.isinf(v) for v in values)


def in_words(inputs: Sequence[Any]) -> str:
    """Return shapes and ranges of inputs."""
    return "; ".join(f"input {i}, {range_of(t.array)}" for i, t in enumerate(inputs))


def range_of(a: Any) -> str:
    """Return an array's dtype, shape and range, with what in it is special.

    >>> range_of(np.array([0.0, 2.0]))
    'float64 (2,), from 0 to 2 (1 zero)'
    """
    host = np.asarray(host_copy(a))
    words = f"{host.dtype} {tuple(host.shape)}"
    if host.dtype.kind not in "fiu" or not host.size:
        return words
    finite = host[np.isfinite(host)]
    if finite.size:
        words += f", from {finite.min():.6g} to {finite.max():.6g}"
    counts = [
        (int((host == 0).sum()), "zero", "zeros"),
        (int(np.isnan(host).sum()), "NaN", "NaN"),
        (int(np.isinf(host).sum()), "infinity", "infinities"),
    ]
    special = [f"{n} {one if n == 1 else many}" for n, one, many in counts if n]
    return words + (f" ({', '.join(special)})" if special else "")


def advice(name: str) -> str:
    """Return what to do about an op's NaN, if that is known."""
    found = ADVICE.get(name)
    return f"; {found}" if found else ""


def write_repro(path: str | Path, origin: Origin) -> str:
    """Write an op's inputs to `path.npz` and a script that runs it on them to `path.py`."""
    target = Path(path)
    held = {f"input{i}": a for i, a in enumerate(origin.arrays)}
    data, script = target.with_suffix(".npz"), target.with_suffix(".py")
    np.savez(data, **held)
    simple = {
        k: v for k, v in origin.meta.items() if isinstance(v, (int, float, str, tuple, type(None)))
    }
    lines = [
        "import numpy as np",
        "import minigrad as mg",
        "from minigrad.ops.registry import OPS",
        f"held = np.load({str(data)!r})",
        f"inputs = [mg.Tensor(held[f'input{{i}}'], requires_grad=held[f'input{{i}}'].dtype.kind"
        f" == 'f') for i in range({len(held)})]",
        "with mg.detect_anomaly():",
        f"    OPS[{origin.op!r}].apply(*inputs, **{simple!r}).sum().backward()",
    ]
    script.write_text("\n".join(lines) + "\n")
    return str(script)
