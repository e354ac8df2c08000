"""What programs ask of a tensor beside mathematics: its kind, its memory, tensors like it."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from minigrad.engine.dtypes import AbsentDType, DType, numpy_dtype, promoted
from minigrad.engine.errors import ArgumentTypeError
from minigrad.engine.values import DTYPE_OF, default_dtype, plain_number
from minigrad.ops.common import sizes_of
from minigrad.ops.memory import cast
from minigrad.ops.registry import public
from minigrad.tensors import creation
from minigrad.tensors.tensor import Tensor, new

# PyTorch's names of the kinds of tensors, by dtype.
KINDS = {
    "float32": "FloatTensor",
    "float64": "DoubleTensor",
    "int64": "LongTensor",
    "int32": "IntTensor",
    "int16": "ShortTensor",
    "int8": "CharTensor",
    "uint8": "ByteTensor",
    "bool": "BoolTensor",
}


# ---------------------------------------------------------------- kinds
@public("method")
def type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """Return x in a dtype, given as one or as a kind ("torch.LongTensor"); without one, its kind.

    >>> import minigrad as mg
    >>> mg.ones(1).type(), mg.ones(1).type(mg.int64)
    ('minigrad.FloatTensor', tensor([1]))
    """
    if dtype is None:
        package = f"{DType.package}.cuda" if self.is_cuda else DType.package
        return f"{package}.{KINDS[self.dtype.name]}"
    return cast(self, dtype_of_kind(dtype))


def dtype_of_kind(kind: Any) -> Any:
    """Return the dtype that a kind names: "torch.LongTensor", or a class that has a `dtype`."""
    if isinstance(kind, str) and kind.endswith("Tensor"):
        names = {name: dtype for dtype, name in KINDS.items()}
        found = names.get(kind.rpartition(".")[2])
        if found is None:
            raise ArgumentTypeError(
                f"type: there is no {kind!r}; there are {', '.join(map(str, names))}"
            )
        return found
    own = getattr(kind, "dtype", kind)
    return own if isinstance(own, DType | AbsentDType) else kind


@public("method")
def half(self: Tensor) -> Tensor:
    """Refuse float16: tensors are float32 and float64."""
    raise ArgumentTypeError("half: float16 is not supported; leave it out, or use .float()")


@public("method")
def bfloat16(self: Tensor) -> Tensor:
    """Refuse bfloat16: tensors are float32 and float64."""
    raise ArgumentTypeError("bfloat16: it is not supported; leave it out, or use .float()")


@public("tensor")
def is_complex(input: Tensor) -> bool:
    """Return False: there are no complex tensors."""
    return False


@public("function")
def is_floating_point(input: Tensor) -> bool:
    """Return whether the dtype is a float."""
    return input.array.dtype.kind == "f"


@public("method")
def is_signed(self: Tensor) -> bool:
    """Return whether the dtype has negative numbers."""
    return self.dtype.is_signed


@public("function")
def is_tensor(obj: Any) -> bool:
    """Return whether an object is a tensor."""
    return isinstance(obj, Tensor)


@public("function")
def is_storage(obj: Any) -> bool:
    """Return False: the memory of a tensor is a NumPy array, `array`."""
    return False


@public("function")
def is_nonzero(input: Tensor) -> bool:
    """Return whether the one element is not 0."""
    return bool(input)


# ---------------------------------------------------------------- sizes and memory
@public("function")
def numel(input: Tensor) -> int:
    """Return the number of elements."""
    return input.numel()


@public("method")
def nelement(self: Tensor) -> int:
    """Return the number of elements."""
    return self.numel()


@public("method")
def ndimension(self: Tensor) -> int:
    """Return the number of dimensions."""
    return self.dim()


@public("method")
def element_size(self: Tensor) -> int:
    """Return the bytes of an element."""
    return int(self.array.dtype.itemsize)


@public("method")
def astype(self: Tensor, dtype: Any) -> Tensor:
    """Return the tensor in a dtype, as NumPy spells it; `to(dtype)` is PyTorch's.

    >>> import minigrad as mg
    >>> mg.ones(2).astype(np.float64)
    tensor([1., 1.], dtype=minigrad.float64)
    """
    return self.to(dtype)


@public("method")
def stride(self: Tensor, dim: int | None = None) -> Any:
    """Return how many elements lie between neighbours along each dimension, or along one."""
    steps = tuple(step // self.array.dtype.itemsize for step in self.array.strides)
    return steps if dim is None else steps[dim]


@public("method")
def data_ptr(self: Tensor) -> int:
    """Return the address of the first element, on the host."""
    return int(self.array.ctypes.data)


@public("method")
def storage_offset(self: Tensor) -> int:
    """Return how many elements into the memory that it is a view of the tensor begins."""
    if self.base is None:
        return 0
    return (data_ptr(self) - data_ptr(self.base)) // self.array.dtype.itemsize


@public("method")
def get_device(self: Tensor) -> int:
    """Return the number of the GPU, -1 on the CPU."""
    return (self.device.index or 0) if self.is_cuda else -1


@public("method")
def is_shared(self: Tensor) -> bool:
    """Return False: memory is this process's own."""
    return False


@public("method")
def share_memory_(self: Tensor) -> Tensor:
    """Return x: threads share its memory as it is, processes do not."""
    return self


@public("method")
def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Return whether both have one shape."""
    return self.shape == other.shape


@public("method")
def detach_(self: Tensor) -> Tensor:
    """Take this tensor off the tape, in place."""
    self.node, self.tracked = None, False
    return self


@public("method")
def resize_(self: Tensor, *sizes: Any) -> Tensor:
    """Give this tensor another shape, of new memory with its first elements where it is larger."""
    if self.requires_grad:
        raise RuntimeError("resize_: the tensor requires grad; use .detach() or reshape()")
    wanted = sizes_of(sizes)
    made = np.zeros(wanted, self.array.dtype)
    kept = min(made.size, self.array.size)
    made.reshape(-1)[:kept] = self.array.reshape(-1)[:kept]
    self.array = made
    self.bump_version("by resize_()")
    return self


@public("method")
def set_(self: Tensor, source: Tensor) -> Tensor:
    """Give this tensor the memory of another."""
    self.data = source
    return self


@public("method")
def apply_(self: Tensor, function: Any) -> Tensor:
    """Replace each element by what a function of numbers gives, one by one."""
    values = [function(v) for v in self.array.reshape(-1).tolist()]
    return self.copy_(new(np.array(values, self.array.dtype).reshape(self.array.shape)))


# ---------------------------------------------------------------- tensors like this one
def like(self: Tensor, options: dict[str, Any]) -> dict[str, Any]:
    """Fill dtype and device of a tensor into options."""
    for name in creation.WITHOUT_EFFECT & options.keys():
        del options[name]
    given = {name: value for name, value in options.items() if value is not None}
    return {"dtype": self.dtype, "device": self.device, **given}


@public("method")
def new_tensor(self: Tensor, data: Any, **options: Any) -> Tensor:
    """Return a copy of `data` as a tensor of x's dtype and device."""
    return creation.tensor(data, **like(self, options))


@public("method")
def new_zeros(self: Tensor, *size: Any, **options: Any) -> Tensor:
    """Return zeros of x's dtype and device.

    >>> import minigrad as mg
    >>> mg.ones(1, dtype=mg.int64).new_zeros(2)
    tensor([0, 0])
    """
    return creation.zeros(*sizes_in(size, options), **like(self, options))


@public("method")
def new_ones(self: Tensor, *size: Any, **options: Any) -> Tensor:
    """Return ones of x's dtype and device."""
    return creation.ones(*sizes_in(size, options), **like(self, options))


@public("method", also=("new",))
def new_empty(self: Tensor, *size: Any, **options: Any) -> Tensor:
    """Return a tensor of x's dtype and device whose elements are not set."""
    return creation.empty(*sizes_in(size, options), **like(self, options))


@public("method")
def new_full(self: Tensor, size: Sequence[int], fill_value: Any, **options: Any) -> Tensor:
    """Return one value in x's dtype, on its device."""
    return creation.full(size, fill_value, **like(self, options))


def sizes_in(size: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
    """Return sizes given by position, else those given as `size=`."""
    return size or (options.pop("size"),)


# ---------------------------------------------------------------- dtypes
@public("function")
def get_default_dtype() -> DType:
    """Return the dtype that tensors of Python's floats have, and new ones unless said otherwise."""
    return default_dtype()


@public("function")
def promote_types(type1: Any, type2: Any) -> DType:
    """Return the dtype that holds both.

    >>> import minigrad as mg
    >>> promote_types(mg.int64, mg.float32)
    minigrad.float32
    """
    return dtype_named(promoted(numpy_dtype(type1), numpy_dtype(type2)))


@public("function")
def result_type(tensor1: Any, tensor2: Any) -> DType:
    """Return the dtype of a binary operation of two tensors or numbers."""
    (rank1, one), (rank2, two) = sorted(map(ranked, (tensor1, tensor2)), key=itemgetter(0))
    if rank1 < rank2 and kind_of(one) <= kind_of(two):
        return dtype_named(two)  # a number, or a 0-d tensor beside another, counts by its kind
    return dtype_named(one if rank1 < rank2 else promoted(one, two))


def ranked(x: Any) -> tuple[int, np.dtype[Any]]:
    """Return the rank in promotion, of a number, a 0-d tensor or a tensor, and the dtype."""
    if isinstance(x, Tensor):
        return (2 if x.ndim else 1), x.array.dtype
    return 0, DTYPE_OF[plain_number(x).__class__]


def kind_of(dtype: np.dtype[Any]) -> int:
    """Return the rank of a dtype's kind: bool, integer, float."""
    return "biuf".index(dtype.kind) if dtype.kind != "u" else 1


@public("function")
def can_cast(from_: Any, to: Any) -> bool:
    """Return whether values of one dtype may be written into another, as PyTorch has it.

    >>> import minigrad as mg
    >>> can_cast(mg.float64, mg.float32), can_cast(mg.float32, mg.int64)
    (True, False)
    """
    return kind_of(numpy_dtype(from_)) <= kind_of(numpy_dtype(to))


def dtype_named(dtype: np.dtype[Any]) -> DType:
    """Return minigrad's dtype of NumPy's."""
    return new(np.empty(0, dtype)).dtype


class finfo:
    """The limits of a floating dtype.

    >>> finfo(np.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, dtype: Any = None) -> None:
        wanted = numpy_dtype(default_dtype() if dtype is None else dtype)
        if wanted.kind != "f":
            raise ArgumentTypeError(f"finfo: expected a floating dtype, got {wanted}; use iinfo")
        info = np.finfo(wanted)
        self.bits, self.dtype = int(info.bits), str(wanted)
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        self.resolution = float(info.resolution)

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny", "dtype")
        return f"finfo({', '.join(f'{name}={getattr(self, name)}' for name in names)})"


class iinfo:
    """The limits of an integer dtype.

    >>> iinfo(np.int64).max
    9223372036854775807
    """

    def __init__(self, dtype: Any) -> None:
        wanted = numpy_dtype(dtype)
        if wanted.kind not in "iu":
            raise ArgumentTypeError(f"iinfo: expected an integer dtype, got {wanted}; use finfo")
        info = np.iinfo(wanted)
        self.bits, self.min, self.max = int(info.bits), int(info.min), int(info.max)
        self.dtype = str(wanted)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


@public("function")
def scalar_tensor(value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Return a number as a 0-d tensor, by default of the default dtype."""
    return creation.full((), value, default_dtype() if dtype is None else dtype, device=device)


# Attributes.
def _h(self: Tensor) -> Tensor:
    if self.ndim not in (0, 2):
        raise RuntimeError(f"H: expected a matrix, got shape {self.shape}; use mT")
    return self.T


ATTRIBUTES: dict[str, Any] = {
    "H": property(_h, doc="A matrix, transposed."),
    "mH": property(lambda self: self.mT, doc="Matrices, transposed."),
    "real": property(lambda self: self, doc="The tensor itself: there are no complex ones."),
    "itemsize": property(element_size, doc="The bytes of an element."),
    "nbytes": property(lambda self: self.array.nbytes, doc="The bytes of all elements."),
    "flags": property(lambda self: self.array.flags, doc="How the memory lies, as NumPy has it."),
    "strides": property(lambda self: self.array.strides, doc="The strides in bytes, as NumPy's."),
    "is_sparse": False,
    "is_quantized": False,
    "is_mps": False,
    "is_meta": False,
    "is_cpu": property(lambda self: not self.is_cuda, doc="Whether it lies on the CPU."),
    "output_nr": property(lambda self: getattr(self.node, "index", 0)),
}
for _name, _value in ATTRIBUTES.items():
    if not hasattr(Tensor, _name):
        setattr(Tensor, _name, _value)
