"""Hold a kernel to its reference on its samples, and to the same bits on one thread and on all."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from minigrad_kernels.kernel import Kernel

Array = np.ndarray[Any, Any]


def written(kernel: Kernel, arguments: tuple[Any, ...]) -> list[int]:
    """Return the positions of the arguments that a kernel writes."""
    names = list(inspect.signature(kernel.reference).parameters)
    assert len(names) == len(arguments)
    return [names.index(name) for name in (*kernel.out, *kernel.inout)]


def run(function: Callable[..., None], kernel: Kernel, arguments: tuple[Any, ...]) -> list[Array]:
    """Call `function` on copies of the written arguments and return them."""
    places = written(kernel, arguments)
    mine = [a.copy() if i in places else a for i, a in enumerate(arguments)]
    with np.errstate(all="ignore"):
        function(*mine)
    return [mine[i] for i in places]


def check(kernel: Kernel, samples: list[tuple[Any, ...]], rtol: float, atol: float) -> None:
    for arguments in samples:
        shapes = [getattr(a, "shape", a) for a in arguments]
        want = run(kernel.reference, kernel, arguments)
        got = run(kernel.cpu, kernel, arguments)
        threads = numba.get_num_threads()
        numba.set_num_threads(1)
        try:
            single = run(kernel.cpu, kernel, arguments)
        finally:
            numba.set_num_threads(threads)
        for g, w, s in zip(got, want, single, strict=True):
            np.testing.assert_allclose(g, w, rtol=rtol, atol=atol, err_msg=str(shapes))
            np.testing.assert_array_equal(g, s, err_msg=f"{shapes} on one thread")


def tolerance(dtype: Any, scale: float = 1) -> tuple[float, float]:
    """Return rtol and atol: a few roundings of the type, times `scale`."""
    return (4e-6 * scale, 2e-6 * scale) if dtype == np.float32 else (1e-13 * scale, 1e-14 * scale)
