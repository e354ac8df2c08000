"""Making tensors: from values, filled, counted, random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import random
from minigrad.backend import Device, moved, targets
from minigrad.dtypes import DType, bool_, float32, int64, numpy_dtype
from minigrad.ops.common import sizes_of
from minigrad.tensors import Tensor

GPU = 2  # DLPack's number for CUDA

Array = np.ndarray[Any, Any]


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Copy numbers, nested lists, an array or another tensor into a tensor.

    device: where it is to lie, "cpu" by default, or where `data` does if that is a tensor.
    Python floats make float32, ints int64, bools bool; NumPy arrays keep their dtype.

    Raises: ValueError for ragged lists, TypeError for what has no numeric dtype.

    >>> tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    >>> tensor(3).dtype
    minigrad.int64
    """
    if isinstance(data, Tensor):
        device = data.device if device is None else device
        held: Any = data.array
        array = held.read() if data.is_cuda else held.copy()
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.array(data)
    else:
        array = _from_values(data, dtype)
    wanted = array.dtype if dtype is None else numpy_dtype(dtype)
    made = np.ascontiguousarray(array.astype(numpy_dtype(wanted), copy=False))
    return _made(made.reshape(array.shape), requires_grad, device)


def _from_values(data: Any, dtype: Any = None) -> Array:
    """Return an array of nested Python values, in full precision for `dtype`, else in PyTorch's
    defaults.
    """
    if isinstance(data, (list, tuple)) and any(isinstance(x, Tensor) for x in data):
        data = [x.tolist() if isinstance(x, Tensor) else x for x in data]
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"tensor: the nested lists are ragged: {error}") from None
    if dtype is not None and array.dtype.kind in "fiub":
        return array
    if (array.size == 0 and array.dtype == np.float64) or array.dtype.kind == "f":
        typed = _holds_numpy_floats(data)
        return array if typed and array.dtype == np.float64 else array.astype(np.float32)
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind == "b":
        return array
    raise TypeError(
        f"tensor: expected numbers, bools or nested lists of them, got {type(data).__name__}: "
        f"{data!r:.60}"
    )


def _holds_numpy_floats(data: Any) -> bool:
    """Say whether the leaves are NumPy float64 values rather than Python floats."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic)) and data.dtype == np.float64


def from_numpy(array: Array) -> Tensor:
    """Wrap an array without a copy: both share memory.

    >>> import numpy as np
    >>> a = np.zeros(2)
    >>> t = from_numpy(a)
    >>> a[0] = 5
    >>> t
    tensor([5., 0.], dtype=minigrad.float64)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"from_numpy: expected a NumPy array, got {type(array).__name__}; use "
            "minigrad.tensor(...)"
        )
    return Tensor(array)


def from_dlpack(source: Any) -> Tensor:
    """Wrap the memory of any object that speaks DLPack (PyTorch, JAX, CuPy), without a copy: on the
    CPU, or on a GPU that minigrad can use.

    >>> from_dlpack(np.ones(2))
    tensor([1., 1.], dtype=minigrad.float64)
    """
    number = gpu_of(source)
    if number is None:
        return Tensor(np.from_dlpack(source))
    Device("cuda", number).target()
    return Tensor(targets().imported(source, number))


def gpu_of(source: Any) -> int | None:
    """Return the number of the GPU where an object says, to DLPack, that it lies; else None."""
    if not hasattr(source, "__dlpack_device__"):
        return None
    kind, number = source.__dlpack_device__()
    return int(number) if kind == GPU else None


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Return `data` as a tensor, without a copy where it can be: the memory of a NumPy array, or of
    what lies on a GPU and has a `__cuda_array_interface__` (PyTorch, CuPy, Numba).
    """
    if not isinstance(data, (Tensor, np.ndarray)):
        if not hasattr(data, "__cuda_array_interface__"):
            return tensor(data, dtype, device=device)
        shared = targets().shared(data.__cuda_array_interface__, data)
        Device(shared.target.name).target()  # from here on ops ask where they run
        data = Tensor(shared)
    t = data if isinstance(data, Tensor) else from_numpy(data)
    return t.to(dtype=dtype, device=device)


def _made(array: Array, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Return a tensor of a new array, on a device."""
    return Tensor(array if device is None else moved(array, Device(device)), requires_grad)


def _filled(
    sizes: Sequence[Any], value: Any, dtype: Any, requires_grad: bool, device: Any
) -> Tensor:
    return _made(np.full(sizes_of(sizes), value, numpy_dtype(dtype)), requires_grad, device)


def zeros(
    *size: Any, dtype: Any = float32, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Return a tensor of zeros.

    >>> zeros(2, 1)
    tensor([[0.],
            [0.]])
    """
    return _filled(size, 0, dtype, requires_grad, device)


def ones(
    *size: Any, dtype: Any = float32, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Return a tensor of ones."""
    return _filled(size, 1, dtype, requires_grad, device)


def full(
    size: Sequence[int],
    fill_value: Any,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return a tensor of one value, by default in that value's dtype."""
    return _filled(
        (tuple(size),),
        fill_value,
        _value_dtype(fill_value) if dtype is None else dtype,
        requires_grad,
        device,
    )


def _value_dtype(*values: Any) -> DType:
    if any(isinstance(v, (float, np.floating)) for v in values):
        return float32
    return bool_ if all(isinstance(v, bool) for v in values) else int64


def empty(
    *size: Any, dtype: Any = float32, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Return a tensor whose elements are not set."""
    return _made(np.empty(sizes_of(size), numpy_dtype(dtype)), requires_grad, device)


def zeros_like(
    input: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Return zeros in the shape and dtype of `input`."""
    device = input.device if device is None else device
    return _filled(
        (input.shape,), 0, input.dtype if dtype is None else dtype, requires_grad, device
    )


def ones_like(
    input: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Return ones in the shape and dtype of `input`."""
    device = input.device if device is None else device
    return _filled(
        (input.shape,), 1, input.dtype if dtype is None else dtype, requires_grad, device
    )


def full_like(
    input: Tensor,
    fill_value: Any,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return one value in the shape and dtype of `input`."""
    device = input.device if device is None else device
    return _filled(
        (input.shape,), fill_value, input.dtype if dtype is None else dtype, requires_grad, device
    )


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return start, start + step, ... below `end`; one argument counts from 0.

    >>> arange(3)
    tensor([0, 1, 2])
    """
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ValueError("arange: step must not be 0")
    wanted = _value_dtype(start, end, step) if dtype is None else dtype
    return _made(np.arange(start, end, step).astype(numpy_dtype(wanted)), requires_grad, device)


def linspace(
    start: float,
    end: float,
    steps: int,
    dtype: Any = float32,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return `steps` numbers evenly spaced from `start` to `end`, both included."""
    made = np.linspace(start, end, steps).astype(numpy_dtype(dtype))
    return _made(made, requires_grad, device)


def eye(
    n: int,
    m: int | None = None,
    dtype: Any = float32,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return ones on the diagonal, zeros elsewhere: (n, m)."""
    return _made(np.eye(n, m, dtype=numpy_dtype(dtype)), requires_grad, device)


# ---------------------------------------------------------------- random
def rand(
    *size: Any,
    dtype: Any = float32,
    generator: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return numbers uniform in [0, 1)."""
    drawn = (generator or random.default).uniform(sizes_of(size), numpy_dtype(dtype))
    return _made(drawn, requires_grad, device)


def randn(
    *size: Any,
    dtype: Any = float32,
    generator: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return standard normal numbers."""
    drawn = (generator or random.default).normal(sizes_of(size), numpy_dtype(dtype))
    return _made(drawn, requires_grad, device)


def randint(
    low: int,
    high: int,
    size: Sequence[int],
    dtype: Any = int64,
    generator: Any = None,
    device: Any = None,
) -> Tensor:
    """Return integers uniform in [low, high)."""
    drawn = (generator or random.default).integers(low, high, tuple(size))
    return _made(drawn.astype(numpy_dtype(dtype), copy=False), False, device)


def randperm(n: int, generator: Any = None, device: Any = None) -> Tensor:
    """Return 0 ... n-1 in random order."""
    return _made((generator or random.default).permutation(n), False, device)


def rand_like(input: Tensor, generator: Any = None, device: Any = None) -> Tensor:
    """Return numbers uniform in [0, 1) in the shape and dtype of `input`."""
    device = input.device if device is None else device
    return rand(*input.shape, dtype=input.dtype, generator=generator, device=device)


def randn_like(input: Tensor, generator: Any = None, device: Any = None) -> Tensor:
    """Return standard normal numbers in the shape and dtype of `input`."""
    device = input.device if device is None else device
    return randn(*input.shape, dtype=input.dtype, generator=generator, device=device)
