"""The smallest inputs that a failing check still fails on, and a script of five lines with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
Fails = Callable[[list[Tensor]], bool]
LONG = 5.0  # seconds of this processor that shrinking may take
DECIMALS = (0, 1, 2)


def shrunk(fails: Fails, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return inputs with as few elements, and numbers of as few digits, as `fails` still holds for.

    Axes of one length are cut together, as a function of several inputs needs them.

    >>> x = Tensor(np.arange(6.0).reshape(2, 3) + 0.123)
    >>> shrunk(lambda xs: xs[0].array.max() > 4, [x])[0].array.tolist()
    [[5.0]]
    """
    start, held = time.process_time(), list(inputs)
    progress = True
    while progress:
        progress = False
        for smaller in (*cuts(held), *rounded(held)):
            if time.process_time() - start > LONG:
                return held
            if fails(smaller):
                held, progress = smaller, True
                break
    return held


def like(t: Tensor, a: Array) -> Tensor:
    """Return an array as an input of the kind that another is."""
    return Tensor(np.array(a), requires_grad=t.requires_grad)


def cuts(inputs: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the inputs with all axes of some length shorter: the first or the last elements."""
    for n in sorted({n for t in inputs for n in t.shape if n > 1}, reverse=True):
        for m in sorted({1, n // 2, n - 1}):
            for part in (slice(0, m), slice(n - m, n)):
                yield [
                    like(t, t.array[tuple(part if k == n else slice(None) for k in t.shape)])
                    for t in inputs
                ]


def rounded(inputs: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the inputs with one of them rounded."""
    for k, t in enumerate(inputs):
        for digits in DECIMALS if t.array.dtype.kind == "f" else ():
            made = np.round(t.array, digits)
            if not np.array_equal(made, t.array, equal_nan=True):
                yield [like(t, made) if i == k else s for i, s in enumerate(inputs)]
                break


def write_check(path: str | Path, name: str, fn: Any, inputs: Sequence[Tensor]) -> str:
    """Write inputs to `path.npz` and a script that checks the function on them to `path.py`."""
    data, script = Path(path).with_suffix(".npz"), Path(path).with_suffix(".py")
    kinds = ["moving" if t.requires_grad else "held" for t in inputs]
    arrays = {f"{kind}{k}": t.array for k, (kind, t) in enumerate(zip(kinds, inputs, strict=True))}
    np.savez(data, allow_pickle=False, **arrays)
    lines = [
        "import numpy as np",
        "import minigrad as mg",
        source_of(fn),
        f"with np.load({str(data)!r}) as file: held = list(file.items())",
        f"mg.{name}(fn, [mg.Tensor(a, requires_grad=k.startswith('moving')) for k, a in held])",
    ]
    script.write_text("\n".join(lines) + "\n")
    return str(script)


def source_of(fn: Any) -> str:
    """Return a line that makes `fn` known: an import, or where to copy it from.

    >>> source_of(np.linalg.norm)
    'from numpy.linalg import norm as fn'
    """
    owner = getattr(fn, "__self__", None)
    named = owner if isinstance(owner, type) else fn
    module, name = getattr(named, "__module__", None), getattr(named, "__qualname__", "")
    if module not in (None, "__main__", "builtins") and name.isidentifier():
        if named is fn:
            return f"from {module} import {name} as fn"
        return f"from {module} import {name}; fn = {name}.{fn.__name__}"
    code = getattr(fn, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}" if code else repr(fn)
    return f"fn = ...  # put here the function of {where}"
