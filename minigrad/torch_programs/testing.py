"""`torch.testing`: `assert_close`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.tensors.creation import tensor
from minigrad.tensors.tensor import Tensor

TOLERANCES = {"float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    check_device: bool = True,
    check_stride: bool = False,
    msg: Any = None,
) -> None:
    """Raise an AssertionError unless two tensors, numbers, or containers of them are close.

    rtol, atol: by default those of the dtype, 1.3e-6 and 1e-5 for float32, 1e-7 for float64.
    """
    options: dict[str, Any] = {
        "rtol": rtol,
        "atol": atol,
        "equal_nan": equal_nan,
        "check_dtype": check_dtype,
    }
    if isinstance(actual, Mapping):
        assert actual.keys() == expected.keys(), f"other keys: {actual.keys()}, {expected.keys()}"
        for key in actual:
            assert_close(actual[key], expected[key], msg=msg, **options)
        return
    if isinstance(actual, Sequence) and not isinstance(actual, str):
        assert len(actual) == len(expected), f"{len(actual)} elements, expected {len(expected)}"
        for one, other in zip(actual, expected, strict=True):
            assert_close(one, other, msg=msg, **options)
        return
    one, other = (x if isinstance(x, Tensor) else tensor(x) for x in (actual, expected))
    if one.shape != other.shape:
        raise AssertionError(f"The shapes differ: {tuple(one.shape)} and {tuple(other.shape)}")
    if check_dtype and one.dtype is not other.dtype:
        raise AssertionError(f"The dtypes differ: {one.dtype} and {other.dtype}")
    found = one.detach().cpu().numpy(), other.detach().cpu().numpy()
    loosest = max(TOLERANCES.get(a.dtype.name, (0.0, 0.0)) for a in found)
    r, a = (
        default if given is None else given
        for given, default in zip((rtol, atol), loosest, strict=True)
    )
    close = np.isclose(*found, rtol=r, atol=a, equal_nan=equal_nan)
    if not close.all():
        worst = float(np.nanmax(np.abs(found[0].astype(np.float64) - found[1])))
        text = f"{int((~close).sum())} of {close.size} elements differ, by {worst:.3g} at most"
        raise AssertionError(
            (msg(text) if callable(msg) else msg) or f"Tensor-likes are not close: {text}"
        )
