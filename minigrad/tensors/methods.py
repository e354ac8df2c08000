"""The methods of Tensor that are one line over an op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minigrad.engine.dispatch import Device, is_pinned, pinned
from minigrad.engine.dtypes import bool_, float32, float64, int8, int16, int32, int64, uint8
from minigrad.engine.op import Bridge
from minigrad.ops import elementwise, index, linalg, memory, norm, reduce, reducing, unary
from minigrad.tensors.reshaping import ShapeMethods

if TYPE_CHECKING:
    from minigrad.tensors.tensor import Tensor

Dim = int | Sequence[int] | None


class Methods(ShapeMethods):
    """One line each; the mathematics stands in `ops/`, where each op has its docstring."""

    # ------------------------------------------------------------ one operand
    def exp(self) -> Tensor:
        """Return e^x, elementwise."""
        return unary.Exp.apply(self)

    def expm1(self) -> Tensor:
        """Return e^x - 1, accurate near 0, elementwise."""
        return unary.Expm1.apply(self)

    def log(self) -> Tensor:
        """Return log x; -inf at 0, NaN below, elementwise."""
        return unary.Log.apply(self)

    def log1p(self) -> Tensor:
        """Return log(1 + x), accurate near 0, elementwise."""
        return unary.Log1p.apply(self)

    def sqrt(self) -> Tensor:
        """Return sqrt(x), elementwise."""
        return unary.Sqrt.apply(self)

    def sin(self) -> Tensor:
        """Return sin x, elementwise."""
        return unary.Sin.apply(self)

    def cos(self) -> Tensor:
        """Return cos x, elementwise."""
        return unary.Cos.apply(self)

    def tanh(self) -> Tensor:
        """Return tanh x, elementwise."""
        return unary.Tanh.apply(self)

    def sigmoid(self) -> Tensor:
        """Return 1 / (1 + e^-x), elementwise."""
        return unary.Sigmoid.apply(self)

    def relu(self) -> Tensor:
        """Return max(x, 0), elementwise."""
        return unary.Relu.apply(self)

    def erf(self) -> Tensor:
        """Return the error function, elementwise."""
        return unary.Erf.apply(self)

    def abs(self) -> Tensor:
        """Return |x|; its derivative at 0 is 0, elementwise."""
        return unary.Abs.apply(self)

    def neg(self) -> Tensor:
        """Return -x."""
        return elementwise.Neg.apply(self)

    def rsqrt(self) -> Tensor:
        """Return 1 / sqrt(x), elementwise."""
        return 1.0 / unary.Sqrt.apply(self)

    def reciprocal(self) -> Tensor:
        """Return 1 / x, elementwise."""

        return elementwise.Div.apply(elementwise.tensor_of(1.0, self), self)

    def square(self) -> Tensor:
        """Return x * x, elementwise."""
        return unary.Square.apply(self)

    def sign(self) -> Tensor:
        """Return -1, 0 or 1, elementwise; its gradient is zero."""
        return unary.sign(self)

    def floor(self) -> Tensor:
        """Return the largest integer not above x; its gradient is zero."""
        return elementwise.round_to("floor", self)

    def isnan(self) -> Tensor:
        """Return where elements are NaN."""
        return elementwise.test("isnan", self)

    def isfinite(self) -> Tensor:
        """Return where elements are neither infinite nor NaN."""
        return elementwise.test("isfinite", self)

    def logical_not(self) -> Tensor:
        """Return where elements are zero."""
        return elementwise.test("logical_not", self)

    # ------------------------------------------------------------ two operands
    def add(self: Any, other: Any, *, alpha: float = 1) -> Tensor:
        """Return x + alpha * other, broadcast."""
        return self + (other if alpha == 1 else other * alpha)

    def sub(self: Any, other: Any, *, alpha: float = 1) -> Tensor:
        """Return x - alpha * other, broadcast."""
        return self - (other if alpha == 1 else other * alpha)

    def mul(self: Any, other: Any) -> Tensor:
        """Return x * other, broadcast."""
        return self * other

    def div(self: Any, other: Any) -> Tensor:
        """Return x / other, broadcast."""
        return self / other

    def floor_divide(self: Any, other: Any) -> Tensor:
        """See `minigrad.floor_divide`."""
        return self // other

    def remainder(self: Any, other: Any) -> Tensor:
        """See `minigrad.remainder`."""
        return self % other

    def bitwise_and(self: Any, other: Any) -> Tensor:
        """Return x & other."""
        return self & other

    def bitwise_or(self: Any, other: Any) -> Tensor:
        """Return x | other."""
        return self | other

    def bitwise_xor(self: Any, other: Any) -> Tensor:
        """Return x ^ other."""
        return self ^ other

    def bitwise_not(self: Any) -> Tensor:
        """Return ~x."""
        return ~self

    def bitwise_left_shift(self: Any, other: Any) -> Tensor:
        """Return x << other."""
        return self << other

    def bitwise_right_shift(self: Any, other: Any) -> Tensor:
        """Return x >> other."""
        return self >> other

    def pow(self, exponent: Any) -> Tensor:
        """Return x ** exponent."""
        return unary.power(self, exponent)

    def maximum(self, other: Tensor) -> Tensor:
        """Return the larger of two, elementwise; among equals the gradient is split."""
        return elementwise.Maximum.apply(self, other)

    def minimum(self, other: Tensor) -> Tensor:
        """Return the smaller of two, elementwise; among equals the gradient is split."""
        return elementwise.Minimum.apply(self, other)

    def eq(self: Any, other: Any) -> Tensor:
        """Return x == other as bool, elementwise."""
        return self == other

    def ne(self: Any, other: Any) -> Tensor:
        """Return x != other as bool, elementwise."""
        return self != other

    def lt(self: Any, other: Any) -> Tensor:
        """Return x < other as bool, elementwise."""
        return self < other

    def le(self: Any, other: Any) -> Tensor:
        """Return x <= other as bool, elementwise."""
        return self <= other

    def gt(self: Any, other: Any) -> Tensor:
        """Return x > other as bool, elementwise."""
        return self > other

    def ge(self: Any, other: Any) -> Tensor:
        """Return x >= other as bool, elementwise."""
        return self >= other

    def logical_and(self, other: Tensor) -> Tensor:
        """Return where both are non-zero."""
        return elementwise.logical("logical_and", self, other)

    def logical_or(self, other: Tensor) -> Tensor:
        """Return where either is non-zero."""
        return elementwise.logical("logical_or", self, other)

    def logical_xor(self, other: Tensor) -> Tensor:
        """Return where just one is non-zero."""
        return elementwise.logical("ne", self, other)

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """Limit elements to [min, max]; see `minigrad.clamp`."""
        return elementwise.clamp(self, min, max)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """Limit elements to [min, max]; see `minigrad.clamp`."""
        return elementwise.clamp(self, min, max)

    def where(self, condition: Tensor, other: Any) -> Tensor:
        """Keep x where `condition` holds, else take `other`."""
        return elementwise.where(condition, self, other)

    def masked_fill(self, mask: Tensor, value: float) -> Tensor:
        """Return x with `value` where `mask` holds."""
        return index.masked_fill(self, mask, value)

    # ------------------------------------------------------------ reductions
    def sum(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the sum over `dim`; integers sum to int64."""
        return reduce.Sum.apply(self, dim=dim, keepdim=keepdim)

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the mean over `dim`; floating tensors only."""
        return reduce.Mean.apply(self, dim=dim, keepdim=keepdim)

    def amax(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the largest over `dim`; ties share the gradient."""
        return reduce.Amax.apply(self, dim=dim, keepdim=keepdim)

    def amin(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the smallest over `dim`; ties share the gradient."""
        return reduce.Amin.apply(self, dim=dim, keepdim=keepdim)

    def prod(self, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """Return the product over `dim`, of x in `dtype` if given; exact where factors are 0."""
        x = self if dtype is None else self.to(dtype)
        return reduce.Prod.apply(x, dim=dim, keepdim=keepdim)

    def var(
        self,
        dim: Dim = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float = 1,
    ) -> Tensor:
        """See `minigrad.var`."""
        return reducing.var(self, dim, unbiased, keepdim, correction=correction)

    def std(
        self,
        dim: Dim = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float = 1,
    ) -> Tensor:
        """See `minigrad.std`."""
        return reducing.std(self, dim, unbiased, keepdim, correction=correction)

    def norm(self, p: float | str = 2.0, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """See `minigrad.norm`."""
        return reducing.norm(self, p, dim, keepdim)

    def logsumexp(self, dim: Dim, keepdim: bool = False) -> Tensor:
        """See `minigrad.logsumexp`."""
        return reducing.logsumexp(self, dim, keepdim)

    def cumsum(self, dim: int, *, dtype: Any = None) -> Tensor:
        """Return running sums along `dim`, of x in `dtype` if given."""
        return reducing.cumsum(self, dim, dtype=dtype)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Return the position of the largest element, the first among ties."""
        return reducing.argmax(self, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Return the position of the smallest element, the first among ties."""
        return reducing.argmin(self, dim, keepdim)

    def any(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return whether any element is non-zero."""
        return reducing.any(self, dim, keepdim)

    def all(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return whether all elements are non-zero."""
        return reducing.all(self, dim, keepdim)

    def softmax(self, dim: int, *, dtype: Any = None) -> Tensor:
        """Return exp(x) / sum(exp(x)) along `dim`, of x in `dtype` if given."""
        return norm.softmax(self, dim, dtype=dtype)

    def log_softmax(self, dim: int, *, dtype: Any = None) -> Tensor:
        """Return log(softmax(x)) along `dim`, of x in `dtype` if given."""
        return norm.log_softmax(self, dim, dtype=dtype)

    def max(self, dim: Any = None, keepdim: bool = False) -> Any:
        """See `minigrad.max`."""
        return reducing.max(self, dim, keepdim)

    def min(self, dim: Any = None, keepdim: bool = False) -> Any:
        """See `minigrad.min`."""
        return reducing.min(self, dim, keepdim)

    # ------------------------------------------------------------ matrices
    def matmul(self, other: Tensor) -> Tensor:
        """Return the matrix product; see `minigrad.matmul`."""
        return linalg.matmul(self, other)

    def mm(self, other: Tensor) -> Tensor:
        """Return the matrix product; see `minigrad.matmul`."""
        return linalg.matmul(self, other)

    def bmm(self, other: Tensor) -> Tensor:
        """Return the matrix product; see `minigrad.matmul`."""
        return linalg.matmul(self, other)

    def dot(self, other: Tensor) -> Tensor:
        """Return the inner product of two vectors."""
        return linalg.dot(self, other)

    # ------------------------------------------------------------ types and memory
    def to(
        self: Any,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        copy: bool = False,
        non_blocking: bool = False,
    ) -> Tensor:
        """Return x in another dtype or on another device, itself where nothing changes.

        Takes a dtype, a device ("cpu", "cuda", "cuda-sim"), or a tensor whose dtype and device are
        taken.  Gradients flow back to where x is.

        non_blocking: to a GPU, memory of `pin_memory` is not copied before this returns, so leave
            it alone until its stream has come there (other memory may change at once).  From a GPU,
            the result may be read after `mg.cuda.synchronize()` or an event.
        """
        for a in args:
            if hasattr(a, "requires_grad"):
                dtype, device = a.dtype, a.device
            elif isinstance(a, Device) or (isinstance(a, str) and not _is_dtype(a)):
                device = a
            else:
                dtype = a
        y = self if dtype is None else memory.cast(self, dtype)
        if device is not None:
            y = memory.moved(y, Device(device), not non_blocking)
        return y.clone() if copy and y is self else y

    def cpu(self: Any) -> Tensor:
        """Return x on the CPU, itself where it is there."""
        return memory.moved(self, Device("cpu"))

    def cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Tensor:
        """Return x on an NVIDIA GPU; device: its number.  non_blocking: see `to`."""
        return memory.moved(self, Device("cuda", device), not non_blocking)

    def pin_memory(self: Any) -> Tensor:
        """Return a copy in memory of the host that a GPU reaches by itself, itself where it is so.

        Raises: RuntimeError where there is no GPU.
        """
        return self if self.is_pinned() else Bridge.new(pinned(self.numpy()))

    def is_pinned(self: Any) -> bool:
        """Whether x lies in memory of `pin_memory`."""
        return is_pinned(self.array)

    def float(self) -> Tensor:
        """Return x as float32."""
        return memory.cast(self, float32)

    def double(self) -> Tensor:
        """Return x as float64."""
        return memory.cast(self, float64)

    def long(self) -> Tensor:
        """Return x as int64."""
        return memory.cast(self, int64)

    def int(self) -> Tensor:
        """Return x as int32."""
        return memory.cast(self, int32)

    def short(self) -> Tensor:
        """Return x as int16."""
        return memory.cast(self, int16)

    def char(self) -> Tensor:
        """Return x as int8."""
        return memory.cast(self, int8)

    def byte(self) -> Tensor:
        """Return x as uint8."""
        return memory.cast(self, uint8)

    def bool(self) -> Tensor:
        """Return x as bool."""
        return memory.cast(self, bool_)

    def type_as(self, other: Tensor) -> Tensor:
        """Return x in the dtype of `other`."""
        return memory.cast(self, other.dtype)

    def clone(self) -> Tensor:
        """Return a copy in memory of its own; gradients flow through."""
        return memory.Clone.apply(self)

    def contiguous(self: Any) -> Tensor:
        """Return x in C order, itself where it is."""
        return self if self.array.flags.c_contiguous else self.clone()

    @property
    def is_cuda(self: Any) -> Any:
        """Whether x lies on a GPU, or on the simulated one."""
        return self.device.type != "cpu"


def _is_dtype(name: str) -> bool:
    return name in ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
