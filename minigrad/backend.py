"""The one door: `launch` is the only way to a kernel, `empty` the only way to memory."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np

from minigrad.memory import empty as empty
from minigrad_kernels.gpu import precision as matmul_precision
from minigrad_kernels.launch import PARALLEL as PARALLEL
from minigrad_kernels.notice import redirect_notices as redirect_notices
from minigrad_kernels.table import KERNELS

Array = np.ndarray[Any, Any]

CPU: dict[str, Callable[..., None]] = {name: kernel.cpu for name, kernel in KERNELS.items()}


class Door(threading.local):
    """This thread's tables of launches: name -> callable(inputs, scalars, outputs).

    kernels: every row.  small: the elementwise rows that are one NumPy ufunc below PARALLEL
    elements, as that ufunc, with no Python frame before it (0.2 us where `launch` takes 0.4): for
    the hot path of small tensors alone.

    Each call runs in a context in which NumPy's floating-point warnings are off, for log(0) is -inf
    here as everywhere in this field: entering a prepared context costs 0.03 us, `np.errstate` 0.9,
    and the user's own setting stays.
    """

    def __init__(self) -> None:
        context = contextvars.copy_context()
        context.run(np.seterr, all="ignore")
        self.kernels = {name: partial(context.run, cpu) for name, cpu in CPU.items()}
        self.small = {
            name: partial(context.run, row.small or row.cpu) for name, row in KERNELS.items()
        }


door = Door()


def launch(name: str, *args: Any) -> None:
    """Run the kernel `name` on `args`: inputs, scalars, outputs, as its row of the table says.

    >>> y = empty(2, np.float32)
    >>> launch("add", np.ones(2, np.float32), np.ones(2, np.float32), y)
    >>> y.tolist()
    [2.0, 2.0]
    """
    door.kernels[name](*args)


class Device:
    """Where a buffer lives.  There is one so far: the CPU.

    >>> Device("cpu")
    device(type='cpu')
    """

    __slots__ = ("type",)

    def __init__(self, type: str = "cpu") -> None:
        if str(type) != "cpu":
            raise ValueError(
                f"device: expected 'cpu', got {str(type)!r}; this version computes on the CPU only"
            )
        self.type = "cpu"

    def __repr__(self) -> str:
        return f"device(type={self.type!r})"

    def __str__(self) -> str:
        return self.type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) or other == self.type

    def __hash__(self) -> int:
        return hash(self.type)


device = Device
CPU_DEVICE = Device()


def set_num_threads(n: int) -> None:
    """Set how many threads the jitted kernels use; results do not depend on it.

    n: 1 to the number of cores.  Raises: ValueError outside that range.
    """
    numba.set_num_threads(n)


def get_num_threads() -> int:
    """Return how many threads the jitted kernels use.

    >>> get_num_threads() >= 1
    True
    """
    return int(numba.get_num_threads())


def set_float32_matmul_precision(precision: str) -> None:
    """Set how exactly a GPU multiplies float32 matrices; the CPU always does so in float32.

    precision: "highest", float32, the default; "high", operands rounded to TF32's 10 bits of
        mantissa, on tensor cores; "medium", to bfloat16's 7.  Sums are float32 in all three.

    Raises: ValueError for any other word.
    """
    matmul_precision.set_precision(precision)


def get_float32_matmul_precision() -> str:
    """Return how exactly a GPU multiplies float32 matrices.

    >>> get_float32_matmul_precision()
    'highest'
    """
    return matmul_precision.get_precision()
