"""Making tensors: from values, filled, counted, random."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from minigrad.engine import arguments, random, values
from minigrad.engine.device import USED, Device, moved, targets
from minigrad.engine.dtypes import bool_, int64, numpy_dtype
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.recording import constant, refuse_recording
from minigrad.engine.values import default_dtype
from minigrad.ops.common import sizes_of
from minigrad.tensors.tensor import Tensor

GPU = 2  # DLPack's number for CUDA

Array = np.ndarray[Any, Any]
KEPT = 1 << 16  # bytes of a count that a GPU keeps, to be copied there
F = TypeVar("F", bound=Callable[..., Any])
# Options of PyTorch's that say what is so anyway: where and how the memory lies.
WITHOUT_EFFECT = frozenset(("layout", "memory_format", "non_blocking", "pin_memory"))


class Default:
    """Where new tensors lie, see `set_default_device`."""

    device: Device | None = None


def set_default_device(device: Any) -> None:
    """Let new tensors lie on a device unless said otherwise; None is the CPU."""
    Default.device = None if device is None else Device(device)


def get_default_device() -> Device:
    """Return the device on which new tensors lie.

    >>> get_default_device()
    device(type='cpu')
    """
    return Default.device or Device("cpu")


def sized(function: F) -> F:
    """Let a function of sizes take them as `size=`, too, and leave `WITHOUT_EFFECT` aside."""
    kinds = {p.kind for p in inspect.signature(function).parameters.values()}
    by_position = inspect.Parameter.VAR_POSITIONAL in kinds

    @functools.wraps(function)
    def made(*args: Any, **options: Any) -> Any:
        if options:
            for name in WITHOUT_EFFECT & options.keys():
                del options[name]
            if by_position and not args and "size" in options:
                args = (options.pop("size"),)
        return function(*args, **options)

    return cast(F, made)


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Copy numbers, nested lists, an array or another tensor into a tensor.

    device: where it is to lie, "cpu" by default, or where `data` does if that is a tensor.
    Python floats make float32, ints int64, bools bool; NumPy's numbers and arrays keep their
    dtype, and so do the arrays and tensors of other libraries.

    Raises: ValueError for ragged lists, TypeError for what has no numeric dtype, OverflowError
        for numbers that the dtype does not hold (PyTorch wraps some of them).

    >>> tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    >>> tensor(3).dtype
    minigrad.int64
    """
    wanted = None if dtype is None else numpy_dtype(dtype)
    if USED and isinstance(data, Tensor | np.ndarray):
        refuse_recording("tensor(array) copies numbers outside of the kernels; use clone()")
    if isinstance(data, Tensor):
        device = data.device if device is None else device
        held: Any = data.array
        array = held.read() if data.is_cuda else held
    elif isinstance(data, np.ndarray):
        array = values.unmasked(data)
    else:
        array = values.from_values(data, wanted)
    if wanted is None:
        wanted = numpy_dtype(array.dtype)
    with np.errstate(all="ignore"):
        made = np.array(array, wanted, order="C")
    return _made(made, requires_grad, device)


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
        raise ArgumentTypeError(
            f"from_numpy: expected a NumPy array, got {type(array).__name__}; use "
            "minigrad.tensor(...)"
        )
    if USED:
        refuse_recording("from_numpy() takes memory that nobody watches: pass the tensor")
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
    if USED:
        constant(array)
    device = Default.device if device is None else device
    return Tensor(array if device is None else moved(array, Device(device)), requires_grad)


def floating(dtype: Any) -> np.dtype[Any]:
    """Return NumPy's dtype; for None the default one."""
    return numpy_dtype(default_dtype() if dtype is None else dtype)


def _filled(
    sizes: Sequence[Any], value: Any, dtype: Any, requires_grad: bool, device: Any
) -> Tensor:
    """Return a tensor of sizes filled with a value."""
    there = gpu_named(Default.device if device is None else device)
    if there is not None:
        kind = floating(dtype)
        y = there.empty(sizes_of(sizes), kind)
        y.fill(_one_value(value, np.empty(0, kind)))
        return Tensor(y, requires_grad)
    made = np.empty(sizes_of(sizes), floating(dtype))
    made.fill(value if value.__class__ is int and 0 <= value <= 1 else _one_value(value, made))
    return _made(made, requires_grad, device)


def gpu_named(device: Any) -> Any:
    """Return the GPU that a device names; None for the CPU and the simulator."""
    target = None if device is None else Device(device).target()
    return target if getattr(target, "plans", False) else None


def _one_value(value: Any, made: Array) -> Any:
    """Return a number, or a tensor of one, as the elements of `made` take it."""
    if isinstance(value, Tensor):
        value = value.item()
    found = values.written_value(value, made.dtype)
    if found.ndim:
        raise ArgumentTypeError(
            f"full: expected a single number, got an array of shape {found.shape}"
        )
    return found


def _unpacked(value: Any) -> Any:
    """Return the number in a 0-d array, anything else itself."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


@sized
def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Return a tensor of zeros.

    >>> zeros(2, 1)
    tensor([[0.],
            [0.]])
    """
    return _filled(size, 0, dtype, requires_grad, device)


@sized
def ones(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Return a tensor of ones."""
    return _filled(size, 1, dtype, requires_grad, device)


@sized
def full(
    size: Sequence[int],
    fill_value: Any,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return a tensor of one value, by default in that value's dtype.

    Raises: OverflowError for a number that the dtype does not hold.
    """
    return _filled(
        (tuple(size),),
        fill_value,
        _value_dtype(fill_value) if dtype is None else dtype,
        requires_grad,
        device,
    )


def _value_dtype(*given: Any) -> Any:
    """Return the dtype that numbers are created in: float32 if one is a float, else int64."""
    kinds = {type(values.plain_number(_unpacked(v))) for v in given}
    if float in kinds:
        return default_dtype()
    if kinds == {bool}:
        return bool_
    return given[0].dtype if isinstance(given[0], Tensor) else int64


@sized
def empty(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Return a tensor whose elements are not set."""
    return _made(np.empty(sizes_of(size), floating(dtype)), requires_grad, device)


@sized
def zeros_like(
    input: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Return zeros in the shape and dtype of `input`."""
    device = input.device if device is None else device
    return _filled(
        (input.shape,), 0, input.dtype if dtype is None else dtype, requires_grad, device
    )


@sized
def ones_like(
    input: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Return ones in the shape and dtype of `input`."""
    device = input.device if device is None else device
    return _filled(
        (input.shape,), 1, input.dtype if dtype is None else dtype, requires_grad, device
    )


@sized
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


@sized
def empty_like(
    input: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Return a tensor in the shape and dtype of `input` whose elements are not set."""
    device = input.device if device is None else device
    dtype = input.dtype if dtype is None else dtype
    return empty(*input.shape, dtype=dtype, requires_grad=requires_grad, device=device)


@sized
def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return start, start + step, ... below `end`; one argument counts from 0.

    Raises: OverflowError where the dtype does not hold them, TypeError for bool, ValueError for a
        step that leads away from `end` or, among integers, has a fraction.

    >>> arange(3)
    tensor([0, 1, 2])
    """
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ArgumentError("arange: step must not be 0")
    numbers = [values.plain_number(v) for v in (start, end, step)]
    if None in numbers:  # tensors of one element, say
        numbers = [_unpacked(v) for v in (start, end, step)]
        numbers = [v.item() if isinstance(v, Tensor) else v for v in numbers]
    whole = all(isinstance(v, int) for v in numbers)  # bools count as such
    wanted = (int64 if whole else default_dtype()) if dtype is None else dtype
    if dtype is not None and not whole and numpy_dtype(wanted) == np.int64:
        numbers, whole = [int(v) for v in numbers], True  # as PyTorch counts in int64
        if numbers[2] == 0:
            raise ArgumentError(f"arange: step {step} is 0 in int64")
    first, last, each = numbers
    if (last - first) * each < 0:
        raise ArgumentError(f"arange: a step of {each} does not lead from {first} to {last}")
    if not whole and numpy_dtype(wanted).kind != "f" and each != int(each):
        raise ArgumentError(
            f"arange: a step of {each} does not count in {numpy_dtype(wanted)}; use a floating "
            "dtype, and convert the result with .to()"
        )
    found = _counted(np.arange(*numbers), wanted)
    there = gpu_named(Default.device if device is None else device)
    if there is None or not 0 < found.nbytes <= KEPT:
        return _made(found, requires_grad, device)
    y = there.empty(found.shape, found.dtype)
    y[...] = there.constant(found)  # sent once: positions of a sequence come in every step
    return Tensor(y, requires_grad)


def _end(name: str, value: Any) -> Any:
    """Return an end given as a number or as a 0-d array or tensor; refuse a longer one."""
    if getattr(value, "ndim", 0):
        raise ArgumentError(f"{name}: expected ends of one number, got shape {tuple(value.shape)}")
    return value.item() if isinstance(value, Tensor) else _unpacked(value)


def _counted(array: Array, dtype: Any) -> Array:
    """Return numbers that were counted out in a dtype, which is to hold them; not bool."""
    wanted = numpy_dtype(dtype)
    if wanted.kind == "b":
        raise ArgumentTypeError(
            "arange and linspace count in numbers, not in bool: compare, x != 0"
        )
    return values.fitted(array, wanted)


@sized
def linspace(
    start: float,
    end: float,
    steps: int,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return `steps` numbers evenly spaced from `start` to `end`, both included."""
    start, end = _end("linspace", start), _end("linspace", end)
    return _made(_counted(np.linspace(start, end, steps), floating(dtype)), requires_grad, device)


@sized
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return `steps` powers of `base`, their exponents evenly spaced from `start` to `end`; of an
    integer dtype both are integers too, without what stands behind their points.

    >>> logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    >>> logspace(0, 2.7, 3, dtype=int)
    tensor([  1,  10, 100])
    """
    made = floating(dtype)
    first, last = _end("logspace", start), _end("logspace", end)
    if made.kind != "f":
        first, last = float(np.trunc(first)), float(np.trunc(last))
    drawn = np.logspace(first, last, steps, base=base)
    return _made(_counted(drawn, made), requires_grad, device)


@sized
def eye(
    n: int,
    m: int | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return ones on the diagonal, zeros elsewhere: (n, m)."""
    return _made(np.eye(n, m, dtype=floating(dtype)), requires_grad, device)


# ---------------------------------------------------------------- random
@sized
def rand(
    *size: Any,
    dtype: Any = None,
    generator: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return numbers uniform in [0, 1)."""
    drawn = random.source(generator).uniform(sizes_of(size), floating(dtype))
    return _made(drawn, requires_grad, device)


@sized
def randn(
    *size: Any,
    dtype: Any = None,
    generator: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return standard normal numbers."""
    drawn = random.source(generator).normal(sizes_of(size), floating(dtype))
    return _made(drawn, requires_grad, device)


@sized
def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    dtype: Any = int64,
    generator: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return integers uniform in [low, high); `randint(high, size)` draws from 0 on.

    Raises: OverflowError where the dtype does not hold them.

    >>> randint(1, (2,)), randint(3, 4, (2,))
    (tensor([0, 0]), tensor([3, 3]))
    """
    if size is None or high is None:
        low, high, size = 0, low, high if size is None else size
    if size is None:
        raise ArgumentTypeError("randint: expected size=, or (low, high, size)")
    wanted = numpy_dtype(int64 if dtype is None else dtype)
    low, high = (arguments.whole("randint", "its bounds", bound) for bound in (low, high))
    for bound in (low, high - 1):
        values.stored(bound, wanted)
    drawn = random.source(generator).integers(low, high, sizes_of((tuple(size),)))
    return _made(drawn.astype(wanted, copy=False), requires_grad, device)


@sized
def randint_like(
    input: Tensor, low: int, high: Any = None, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Return integers uniform in [low, high), or in [0, low), in the shape and dtype of `input`."""
    low, high = (0, low) if high is None else (low, high)
    drawn = randint(low, high, input.shape, device=input.device if device is None else device)
    return drawn.to(dtype=input.dtype if dtype is None else dtype)


@sized
def randperm(
    n: int,
    *,
    generator: Any = None,
    dtype: Any = int64,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return 0 ... n-1 in random order."""
    n = arguments.whole("randperm", "n", n)
    drawn = random.source(generator).permutation(n)
    return _made(drawn.astype(numpy_dtype(dtype), copy=False), requires_grad, device)


@sized
def rand_like(
    input: Tensor,
    *,
    dtype: Any = None,
    generator: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return numbers uniform in [0, 1) in the shape and dtype of `input`."""
    device = input.device if device is None else device
    dtype = input.dtype if dtype is None else dtype
    made: Tensor = rand(*input.shape, dtype=dtype, generator=generator, device=device)
    return made.requires_grad_(requires_grad)


@sized
def randn_like(
    input: Tensor,
    *,
    dtype: Any = None,
    generator: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Return standard normal numbers in the shape and dtype of `input`."""
    device = input.device if device is None else device
    dtype = input.dtype if dtype is None else dtype
    made: Tensor = randn(*input.shape, dtype=dtype, generator=generator, device=device)
    return made.requires_grad_(requires_grad)
