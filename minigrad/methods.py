"""The methods of Tensor that are one line over an op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minigrad.backend import Device
from minigrad.dtypes import bool_, float32, float64, int64
from minigrad.ops import elementwise, index, linalg, norm, reduce, shape, unary
from minigrad.ops.common import sizes_of

if TYPE_CHECKING:
    from minigrad.tensors import Tensor

Dim = int | Sequence[int] | None


class Methods:
    """One line each; the mathematics stands in `ops/`, where each op has its docstring."""

    # ------------------------------------------------------------ one operand
    def exp(self) -> Tensor:
        """Return e^x, elementwise."""
        return unary.Exp.apply(self)  # type: ignore[no-any-return]

    def expm1(self) -> Tensor:
        """Return e^x - 1, accurate near 0, elementwise."""
        return unary.Expm1.apply(self)  # type: ignore[no-any-return]

    def log(self) -> Tensor:
        """Return log x; -inf at 0, NaN below, elementwise."""
        return unary.Log.apply(self)  # type: ignore[no-any-return]

    def log1p(self) -> Tensor:
        """Return log(1 + x), accurate near 0, elementwise."""
        return unary.Log1p.apply(self)  # type: ignore[no-any-return]

    def sqrt(self) -> Tensor:
        """Return sqrt(x), elementwise."""
        return unary.Sqrt.apply(self)  # type: ignore[no-any-return]

    def sin(self) -> Tensor:
        """Return sin x, elementwise."""
        return unary.Sin.apply(self)  # type: ignore[no-any-return]

    def cos(self) -> Tensor:
        """Return cos x, elementwise."""
        return unary.Cos.apply(self)  # type: ignore[no-any-return]

    def tanh(self) -> Tensor:
        """Return tanh x, elementwise."""
        return unary.Tanh.apply(self)  # type: ignore[no-any-return]

    def sigmoid(self) -> Tensor:
        """Return 1 / (1 + e^-x), elementwise."""
        return unary.Sigmoid.apply(self)  # type: ignore[no-any-return]

    def relu(self) -> Tensor:
        """Return max(x, 0), elementwise."""
        return unary.Relu.apply(self)  # type: ignore[no-any-return]

    def erf(self) -> Tensor:
        """Return the error function, elementwise."""
        return unary.Erf.apply(self)  # type: ignore[no-any-return]

    def abs(self) -> Tensor:
        """Return |x|; its derivative at 0 is 0, elementwise."""
        return unary.Abs.apply(self)  # type: ignore[no-any-return]

    def neg(self) -> Tensor:
        """Return -x."""
        return elementwise.Neg.apply(self)  # type: ignore[no-any-return]

    def rsqrt(self) -> Tensor:
        """Return 1 / sqrt(x), elementwise."""
        return 1.0 / unary.Sqrt.apply(self)  # type: ignore[no-any-return]

    def reciprocal(self) -> Tensor:
        """Return 1 / x, elementwise."""
        return elementwise.Div.apply(elementwise.tensor_of(1.0, self), self)  # type: ignore[no-any-return]

    def square(self) -> Tensor:
        """Return x * x, elementwise."""
        return elementwise.Mul.apply(self, self)  # type: ignore[no-any-return]

    def sign(self) -> Tensor:
        """Return -1, 0 or 1, elementwise; its gradient is zero."""
        return unary.sign(self)  # type: ignore[no-any-return]

    def floor(self) -> Tensor:
        """Return the largest integer not above x; its gradient is zero."""
        return elementwise.round_to("floor", self)  # type: ignore[no-any-return]

    def isnan(self) -> Tensor:
        """Return where elements are NaN."""
        return elementwise.test("isnan", self)  # type: ignore[no-any-return]

    def isfinite(self) -> Tensor:
        """Return where elements are neither infinite nor NaN."""
        return elementwise.test("isfinite", self)  # type: ignore[no-any-return]

    def logical_not(self) -> Tensor:
        """Return where elements are zero."""
        return elementwise.test("logical_not", self)  # type: ignore[no-any-return]

    # ------------------------------------------------------------ two operands
    def add(self: Any, other: Any, *, alpha: float = 1) -> Tensor:
        """Return x + alpha * other, broadcast."""
        return self + (other if alpha == 1 else other * alpha)  # type: ignore[no-any-return]

    def sub(self: Any, other: Any, *, alpha: float = 1) -> Tensor:
        """Return x - alpha * other, broadcast."""
        return self - (other if alpha == 1 else other * alpha)  # type: ignore[no-any-return]

    def mul(self: Any, other: Any) -> Tensor:
        """Return x * other, broadcast."""
        return self * other  # type: ignore[no-any-return]

    def div(self: Any, other: Any) -> Tensor:
        """Return x / other, broadcast."""
        return self / other  # type: ignore[no-any-return]

    def pow(self, exponent: Any) -> Tensor:
        """Return x ** exponent."""
        return elementwise.power(self, exponent)  # type: ignore[no-any-return]

    def maximum(self, other: Tensor) -> Tensor:
        """Return the larger of two, elementwise; among equals the gradient is split."""
        return elementwise.Maximum.apply(self, other)  # type: ignore[no-any-return]

    def minimum(self, other: Tensor) -> Tensor:
        """Return the smaller of two, elementwise; among equals the gradient is split."""
        return elementwise.Minimum.apply(self, other)  # type: ignore[no-any-return]

    def eq(self: Any, other: Any) -> Tensor:
        """Return x == other as bool, elementwise."""
        return self == other  # type: ignore[no-any-return]

    def ne(self: Any, other: Any) -> Tensor:
        """Return x != other as bool, elementwise."""
        return self != other  # type: ignore[no-any-return]

    def lt(self: Any, other: Any) -> Tensor:
        """Return x < other as bool, elementwise."""
        return self < other  # type: ignore[no-any-return]

    def le(self: Any, other: Any) -> Tensor:
        """Return x <= other as bool, elementwise."""
        return self <= other  # type: ignore[no-any-return]

    def gt(self: Any, other: Any) -> Tensor:
        """Return x > other as bool, elementwise."""
        return self > other  # type: ignore[no-any-return]

    def ge(self: Any, other: Any) -> Tensor:
        """Return x >= other as bool, elementwise."""
        return self >= other  # type: ignore[no-any-return]

    def logical_and(self, other: Tensor) -> Tensor:
        """Return where both are non-zero."""
        return elementwise.logical("logical_and", self, other)  # type: ignore[no-any-return]

    def logical_or(self, other: Tensor) -> Tensor:
        """Return where either is non-zero."""
        return elementwise.logical("logical_or", self, other)  # type: ignore[no-any-return]

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """Limit elements to [min, max]; see `minigrad.clamp`."""
        return elementwise.clamp(self, min, max)  # type: ignore[no-any-return]

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """Limit elements to [min, max]; see `minigrad.clamp`."""
        return elementwise.clamp(self, min, max)  # type: ignore[no-any-return]

    def where(self, condition: Tensor, other: Any) -> Tensor:
        """Keep x where `condition` holds, else take `other`."""
        return elementwise.where(condition, self, other)  # type: ignore[no-any-return]

    def masked_fill(self, mask: Tensor, value: float) -> Tensor:
        """Return x with `value` where `mask` holds."""
        return index.masked_fill(self, mask, value)  # type: ignore[no-any-return]

    # ------------------------------------------------------------ reductions
    def sum(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the sum over `dim`; integers sum to int64."""
        return reduce.Sum.apply(self, dim=dim, keepdim=keepdim)  # type: ignore[no-any-return]

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the mean over `dim`; floating tensors only."""
        return reduce.Mean.apply(self, dim=dim, keepdim=keepdim)  # type: ignore[no-any-return]

    def amax(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the largest over `dim`; ties share the gradient."""
        return reduce.Amax.apply(self, dim=dim, keepdim=keepdim)  # type: ignore[no-any-return]

    def amin(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the smallest over `dim`; ties share the gradient."""
        return reduce.Amin.apply(self, dim=dim, keepdim=keepdim)  # type: ignore[no-any-return]

    def prod(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Return the product over `dim`; exact where factors are 0."""
        return reduce.Prod.apply(self, dim=dim, keepdim=keepdim)  # type: ignore[no-any-return]

    def var(self, dim: Dim = None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
        """See `minigrad.var`."""
        return reduce.var(self, dim, correction=correction, keepdim=keepdim)  # type: ignore[no-any-return]

    def std(self, dim: Dim = None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
        """See `minigrad.std`."""
        return reduce.std(self, dim, correction=correction, keepdim=keepdim)  # type: ignore[no-any-return]

    def norm(self, p: float | str = 2.0, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """See `minigrad.norm`."""
        return reduce.norm(self, p, dim, keepdim)  # type: ignore[no-any-return]

    def logsumexp(self, dim: Dim, keepdim: bool = False) -> Tensor:
        """See `minigrad.logsumexp`."""
        return reduce.logsumexp(self, dim, keepdim)  # type: ignore[no-any-return]

    def cumsum(self, dim: int) -> Tensor:
        """Return running sums along `dim`."""
        return reduce.cumsum(self, dim)  # type: ignore[no-any-return]

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Return the position of the largest element, the first among ties."""
        return reduce.argmax(self, dim, keepdim)  # type: ignore[no-any-return]

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Return the position of the smallest element, the first among ties."""
        return reduce.argmin(self, dim, keepdim)  # type: ignore[no-any-return]

    def any(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return whether any element is non-zero."""
        return reduce.any(self, dim, keepdim)  # type: ignore[no-any-return]

    def all(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return whether all elements are non-zero."""
        return reduce.all(self, dim, keepdim)  # type: ignore[no-any-return]

    def softmax(self, dim: int) -> Tensor:
        """Return exp(x) / sum(exp(x)) along `dim`."""
        return norm.softmax(self, dim)  # type: ignore[no-any-return]

    def log_softmax(self, dim: int) -> Tensor:
        """Return log(softmax(x)) along `dim`."""
        return norm.log_softmax(self, dim)  # type: ignore[no-any-return]

    # ------------------------------------------------------------ shapes
    def reshape(self, *sizes: Any) -> Tensor:
        """Return x in another shape; one size may be -1."""
        return shape.Reshape.apply(self, shape=sizes_of(sizes))  # type: ignore[no-any-return]

    def view(self: Any, *sizes: Any) -> Tensor:
        """Return x in another shape without a copy; raises where memory does not allow it."""
        seen = self.reshape(*sizes)
        if seen.cell is None:
            raise ValueError(f"view: strides {self.data.strides} do not allow shape {sizes_of(sizes)}; use reshape()")
        return seen  # type: ignore[no-any-return]

    def reshape_as(self, other: Tensor) -> Tensor:
        """Return x in the shape of `other`."""
        return shape.Reshape.apply(self, shape=other.shape)  # type: ignore[no-any-return]

    def permute(self, *dims: Any) -> Tensor:
        """Return x with its dimensions in another order, a view."""
        return shape.permute(self, sizes_of(dims))  # type: ignore[no-any-return]

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Exchange two dimensions, a view."""
        return shape.transpose(self, dim0, dim1)  # type: ignore[no-any-return]

    def t(self: Any) -> Tensor:
        """Return a matrix transposed; vectors and numbers are themselves."""
        if self.ndim > 2:
            raise ValueError(f"t: expected at most two dimensions, got shape {self.shape}; use transpose or mT")
        return self.T  # type: ignore[no-any-return]

    def expand(self, *sizes: Any) -> Tensor:
        """Repeat sizes of 1 without a copy; -1 keeps a size."""
        return shape.expand(self, sizes_of(sizes))  # type: ignore[no-any-return]

    def expand_as(self, other: Tensor) -> Tensor:
        """Repeat sizes of 1 to the shape of `other`, without a copy."""
        return shape.expand(self, other.shape)  # type: ignore[no-any-return]

    def squeeze(self, dim: Dim = None) -> Tensor:
        """Drop dimensions of size 1."""
        return shape.squeeze(self, dim)  # type: ignore[no-any-return]

    def unsqueeze(self, dim: int) -> Tensor:
        """Insert a dimension of size 1."""
        return shape.unsqueeze(self, dim)  # type: ignore[no-any-return]

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Merge neighbouring dimensions."""
        return shape.flatten(self, start_dim, end_dim)  # type: ignore[no-any-return]

    def flip(self, *dims: Any) -> Tensor:
        """Reverse along `dims`."""
        return shape.flip(self, sizes_of(dims))  # type: ignore[no-any-return]

    def split(self, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
        """See `minigrad.split`."""
        return shape.split(self, split_size, dim)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """See `minigrad.chunk`."""
        return shape.chunk(self, chunks, dim)

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """See `minigrad.unbind`."""
        return shape.unbind(self, dim)

    def gather(self, dim: int, index: Tensor) -> Tensor:
        """See `minigrad.gather`."""
        return _gather(self, dim, index)  # type: ignore[no-any-return]

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Pick whole slices along `dim` by a 1-D tensor of positions."""
        return _index_select(self, dim, index)  # type: ignore[no-any-return]

    # ------------------------------------------------------------ matrices
    def matmul(self, other: Tensor) -> Tensor:
        """Return the matrix product; see `minigrad.matmul`."""
        return linalg.matmul(self, other)  # type: ignore[no-any-return]

    def mm(self, other: Tensor) -> Tensor:
        """Return the matrix product; see `minigrad.matmul`."""
        return linalg.matmul(self, other)  # type: ignore[no-any-return]

    def bmm(self, other: Tensor) -> Tensor:
        """Return the matrix product; see `minigrad.matmul`."""
        return linalg.matmul(self, other)  # type: ignore[no-any-return]

    def dot(self, other: Tensor) -> Tensor:
        """Return the inner product of two vectors."""
        return linalg.dot(self, other)  # type: ignore[no-any-return]

    # ------------------------------------------------------------ types and memory
    def to(self: Any, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False) -> Tensor:
        """Return x in another dtype or on another device, itself where nothing changes.

        Takes a dtype, a device ("cpu"), or a tensor whose dtype is taken.
        """
        for a in args:
            if hasattr(a, "requires_grad"):
                dtype = a.dtype
            elif isinstance(a, Device) or (isinstance(a, str) and not _is_dtype(a)):
                device = a
            else:
                dtype = a
        if device is not None:
            Device(str(device))
        y = self if dtype is None else elementwise.cast(self, dtype)
        return y.clone() if copy and y is self else y  # type: ignore[no-any-return]

    def float(self) -> Tensor:
        """Return x as float32."""
        return elementwise.cast(self, float32)  # type: ignore[no-any-return]

    def double(self) -> Tensor:
        """Return x as float64."""
        return elementwise.cast(self, float64)  # type: ignore[no-any-return]

    def long(self) -> Tensor:
        """Return x as int64."""
        return elementwise.cast(self, int64)  # type: ignore[no-any-return]

    def bool(self) -> Tensor:
        """Return x as bool."""
        return elementwise.cast(self, bool_)  # type: ignore[no-any-return]

    def type_as(self, other: Tensor) -> Tensor:
        """Return x in the dtype of `other`."""
        return elementwise.cast(self, other.dtype)  # type: ignore[no-any-return]

    def clone(self) -> Tensor:
        """Return a copy in memory of its own; gradients flow through."""
        return elementwise.Clone.apply(self)  # type: ignore[no-any-return]

    def contiguous(self: Any) -> Tensor:
        """Return x in C order, itself where it is."""
        return self if self.data.flags.c_contiguous else self.clone()  # type: ignore[no-any-return]

    def cpu(self: Any) -> Tensor:
        """Return x on the CPU: itself."""
        return self  # type: ignore[no-any-return]


def _is_dtype(name: str) -> bool:
    return name in ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")


_gather = index.gather
_index_select = index.index_select
