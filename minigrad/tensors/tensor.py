"""Tensor: an array that remembers how it was computed.  Every operator is one line over an op.

The state comes first: what a tensor holds, and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.engine.backward import backward
from minigrad.engine.device import (
    ARRAYS,
    Device,
    DeviceArray,
    device_of,
    is_pinned,
    pinned,
    targets,
)
from minigrad.engine.dtypes import (
    DTYPES,
    DType,
    bool_,
    fits_in_place,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    numpy_dtype,
    uint8,
)
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.grad_mode import mode
from minigrad.engine.hooks import Handle, Hooks, hooks_at, hooks_of, replace_node, retain
from minigrad.engine.op import LEAF, Bridge, bump_version, cell_of
from minigrad.engine.overwrite import check_writable, copy_of, overwrite
from minigrad.engine.routes import Refused
from minigrad.engine.trace import user_line
from minigrad.engine.values import (
    DTYPE_OF,
    INT64,
    PROTOCOLS,
    does_not_fit,
    dtype_beside,
    foreign,
    plain_number,
    unmasked,
    written_value,
)
from minigrad.ops import arithmetic, elementwise, index, linalg, memory, norm, reduce, shape, unary
from minigrad.ops.common import converted, sizes_of
from minigrad.ops.grammar import resolved
from minigrad.ops.index import gather, index_select
from minigrad.tensors import copies, printing
from minigrad.tensors.inplace import before, follow, leave_base, places, seen_from

if TYPE_CHECKING:  # what tensors/registry.py adds
    from minigrad.published.methods import Methods
else:
    Methods = object

Array = np.ndarray[Any, Any]
Dim = int | Sequence[int] | None
INFINITE = float("inf")


class Tensor(Methods):
    """An n-dimensional array on the tape.

    data: a NumPy array, kept without a copy.  requires_grad: floating arrays only.
    `Tensor(array)` wraps; `minigrad.tensor(values)` copies and converts.

    >>> import numpy as np
    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.], dtype=minigrad.float64)
    """

    kind = LEAF  # what an edge that leads to a tensor leads to
    array: Array  # the elements: a NumPy array, or one on a device
    _grad: Tensor | None = None
    tracked: bool = False  # `requires_grad`, as the hot paths read it
    node: Any = None  # the op that made it, or one of that op's outputs; None for a leaf
    # [version, where it was last changed], shared by all views of one memory
    cell: list[Any] | None = None
    base: Tensor | None = None
    views: dict[int, Any] | None = None  # of a base: weak references to its views
    apart: bool = False  # a view made under no_grad()
    hooks: Hooks | None = None  # of a leaf
    retains_grad: bool = False

    __array_priority__ = 1000  # ndarray + Tensor asks Tensor

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        array: Any = data.array if isinstance(data, Tensor) else data
        if not isinstance(array, ARRAYS):
            raise ArgumentTypeError(
                f"Tensor: expected a NumPy array, got {type(data).__name__}; use "
                "minigrad.tensor(...) for numbers and lists"
            )
        numpy_dtype(array.dtype)
        if not array.flags.aligned:
            raise ArgumentError(
                f"Tensor: the elements of this {array.dtype} array of shape {array.shape} do not "
                f"lie at multiples of {array.itemsize} bytes, as kernels need them: copy it with "
                "minigrad.tensor(array)"
            )
        self.array = array if type(array) in ARRAYS else unmasked(array).view(np.ndarray)
        if requires_grad:
            self.requires_grad_()

    # ------------------------------------------------------------ what it is
    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def dtype(self) -> DType:
        return DTYPES[self.array.dtype]

    @property
    def device(self) -> Device:
        return device_of(self.array)

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    @property
    def grad_fn(self) -> Any:
        """The op that made this tensor, or None for a leaf."""
        return getattr(self.node, "op", self.node)

    # ------------------------------------------------------------ gradients
    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward()` added up here, None before the first.

        Assigning one checks that it is a tensor of this shape, dtype and device, or None.
        """
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            check_grad(self, value)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is asked for; of a result, whether one flows through it."""
        return self.tracked

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for a gradient, or not, in place; floating leaves only."""
        if requires_grad and self.array.dtype.kind != "f":
            raise ArgumentTypeError(
                f"requires_grad: only floating tensors have gradients, got {self.array.dtype}; use "
                ".float()"
            )
        if not requires_grad and self.node is not None:
            raise RuntimeError("requires_grad_(False) on a computed tensor; use .detach()")
        self.tracked = bool(requires_grad)
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradient of this tensor into `.grad` of the leaves it is a function of.

        gradient: d(loss)/d(self), implied to be 1 for a single number.  retain_graph: keep what is
        saved for another sweep.  create_graph: record the sweep, so that the gradients can be
        differentiated.  inputs: only these.

        Raises: RuntimeError over a graph that an earlier sweep freed, and for a saved value changed
            in place since.
        """
        backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """Return the same memory off the tape."""
        t = new(self.array)
        t.cell = cell_of(self)
        return t

    # ------------------------------------------------------------ the state ends here
    @property
    def data(self) -> Tensor:
        """The same memory as a tensor off the tape, as PyTorch has it.

        Writing to it (`p.data -= lr * p.grad`) changes this tensor, and the tape does not see it;
        `detect_anomaly` does.  Assigning a tensor (`p.data = y`) gives this one the memory of `y`,
        of any shape, dtype and device.  The elements as a NumPy array: `numpy()`, or `array`.

        Raises: TypeError where anything but a tensor is assigned, or one of integers to a tensor
            that requires grad.

        >>> import minigrad as mg
        >>> p = mg.ones(2, requires_grad=True)
        >>> p.data -= mg.tensor([0.5, 1.0])
        >>> p
        tensor([0.5000, 0.0000], requires_grad=True)
        """
        return new(self.array)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise ArgumentTypeError(
                f"data: expected a tensor, got {type(value).__name__}; wrap it with "
                "minigrad.tensor(...), or assign a NumPy array to .array"
            )
        if self.requires_grad and value.array.dtype.kind != "f":
            raise ArgumentTypeError(
                f"data: this tensor requires grad and cannot hold {value.array.dtype}; convert "
                "the value with .float(), or call requires_grad_(False) first"
            )
        self.array = value.array

    @property
    def _version(self) -> int:
        return 0 if self.cell is None else self.cell[0]

    @property
    def T(self) -> Tensor:
        return self.permute(*range(self.array.ndim - 1, -1, -1))

    @property
    def mT(self) -> Tensor:
        return linalg.swapped(self)

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or one size of it."""
        return self.shape if dim is None else self.array.shape[dim]

    def dim(self) -> int:
        """Return the number of dimensions."""
        return self.array.ndim

    def numel(self) -> int:
        """Return the number of elements."""
        return self.array.size

    def is_contiguous(self) -> bool:
        """Return whether the elements lie in C order without gaps."""
        return bool(self.array.flags.c_contiguous)

    def is_floating_point(self) -> bool:
        """Return whether the dtype is a float."""
        return self.array.dtype.kind == "f"

    def __len__(self) -> int:
        if self.array.ndim == 0:
            raise ArgumentTypeError("len() of a 0-d tensor")
        return len(self.array)

    def __iter__(self) -> Iterator[Tensor]:
        if self.array.ndim == 0:
            raise ArgumentTypeError(
                "a 0-d tensor cannot be iterated over; .item() gives its number"
            )
        return (self[i] for i in range(len(self.array)))

    def __repr__(self) -> str:
        return printing.describe(self)

    def __format__(self, spec: str) -> str:
        number = self.array.ndim == 0 or (spec and self.array.size == 1)
        return format(self.item() if number else repr(self), spec)

    __hash__ = object.__hash__

    # ------------------------------------------------------------ hooks
    def retain_grad(self) -> None:
        """Keep `.grad` of this computed tensor in the next sweeps, as the hooks leave it.

        A leaf keeps it anyway; a second call changes nothing.
        """
        if not self.tracked:
            raise RuntimeError(
                "retain_grad: the tensor does not require grad, so no gradient will come"
            )
        if self.node is not None:
            retain(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call `hook(grad)` when this tensor's gradient is complete; what it returns replaces it.

        It runs in `backward()` and in `grad()`, in the order of registration, before
        `retain_grad()` stores; leave its argument as it is, other gradients may share the memory.
        A hook sees the gradient of the value that the tensor has now: after a change in place it
        stays with the value before.

        Raises: RuntimeError where no gradient will come; in the sweep, TypeError or RuntimeError
            where a hook returns what is not like the gradient (shape, dtype, device).

        >>> import minigrad as mg
        >>> x = mg.ones(2, requires_grad=True)
        >>> handle = x.register_hook(lambda g: g * 10)
        >>> (x * 3).sum().backward()
        >>> x.grad
        tensor([30., 30.])
        """
        if not self.tracked:
            raise RuntimeError(
                "register_hook: the tensor does not require grad, so no gradient will come"
            )
        if isinstance(self.node, Refused):
            raise RuntimeError(self.node.reason)
        return hooks_of(self).add(hook)

    def bump_version(self, where: str = "") -> None:
        """Count a write to `data` made outside the ops, so that a stale saved value is noticed."""
        cell = self.cell
        if cell is None:
            cell = cell_of(self)
        cell[0] += 1
        cell[1] = where

    # ------------------------------------------------------------ copies
    def __copy__(self) -> Tensor:
        """Return another leaf over the same memory, with the same attributes, without `.grad`."""
        made: Tensor = copies.shallow(self)
        made.cell = cell_of(self)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """Return a leaf's copy, with its `.grad` and attributes and without its hooks.

        Tensors that share memory share it in one `deepcopy`, and in one pickle, too.

        Raises: RuntimeError for a computed tensor, as `copy` and `pickle` do.
        """
        made: Tensor = copies.deep(self, memo, gradient=True)
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copies.reduced(self)

    def __getstate__(self) -> Any:
        """Return what a copy takes over beside memory and `requires_grad`: the attributes."""
        return copies.attributes(self)

    def __setstate__(self, state: Any) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)

    # ------------------------------------------------------------ indexing
    def __getitem__(self, i: Any) -> Tensor:
        return index.Index.apply(self, index=index.selected(self, i))

    def __setitem__(self, i: Any, value: Any) -> None:
        where = resolved(i, self.array.shape)
        if not isinstance(value, Tensor):
            value = new(written_value(value, self.array.dtype))
        if mode.recording and (value.tracked or self._moves_gradient()):
            self._write(index.IndexSet, value, index=where)
            return
        index.assign(self.array, value.array, where)
        bump_version(self, f"at {user_line()}")

    # ------------------------------------------------------------ operators
    def __add__(self, o: Any) -> Tensor:
        return arithmetic.Add.apply(self, lift(o, self))

    def __sub__(self, o: Any) -> Tensor:
        return arithmetic.Sub.apply(self, lift(o, self))

    def __mul__(self, o: Any) -> Tensor:
        return arithmetic.Mul.apply(self, lift(o, self))

    def __truediv__(self, o: Any) -> Tensor:
        try:
            other = lift(o, self)
        except OverflowError:  # of an int beyond integers: the quotient is a float
            other = lift(float(o), self)
        return arithmetic.Div.apply(self, other)

    def __pow__(self, o: Any) -> Tensor:
        return unary.power(self, o)

    def __matmul__(self, o: Any) -> Tensor:
        return linalg.matmul(self, o if isinstance(o, Tensor) else lift(o, self))

    def __neg__(self) -> Tensor:
        return arithmetic.Neg.apply(self)

    def __abs__(self) -> Tensor:
        return self.abs()

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, o: Any) -> Tensor:
        return arithmetic.Sub.apply(lift(o, self), self)

    def __rtruediv__(self, o: Any) -> Tensor:
        try:
            other = lift(o, self)
        except OverflowError:
            other = lift(float(o), self)
        return arithmetic.Div.apply(other, self)

    def __rpow__(self, o: Any) -> Tensor:
        return elementwise.Pow.apply(lift(o, self), self)

    def __rmatmul__(self, o: Any) -> Tensor:
        return linalg.matmul(lift(o, self), self)

    def __floordiv__(self, o: Any) -> Tensor:
        return elementwise.floor_divide(self, lift(o, self))

    def __rfloordiv__(self, o: Any) -> Tensor:
        return elementwise.floor_divide(lift(o, self), self)

    def __mod__(self, o: Any) -> Tensor:
        return elementwise.remainder(self, lift(o, self))

    def __rmod__(self, o: Any) -> Tensor:
        return elementwise.remainder(lift(o, self), self)

    def __eq__(self, o: object) -> Tensor:  # type: ignore[override]
        return compared("eq", self, o)

    def __ne__(self, o: object) -> Tensor:  # type: ignore[override]
        return compared("ne", self, o)

    def __lt__(self, o: Any) -> Tensor:
        return compared("lt", self, o)

    def __le__(self, o: Any) -> Tensor:
        return compared("le", self, o)

    def __gt__(self, o: Any) -> Tensor:
        return compared("gt", self, o)

    def __ge__(self, o: Any) -> Tensor:
        return compared("ge", self, o)

    def __invert__(self) -> Tensor:
        return elementwise.bitwise_not(self)

    def __and__(self, o: Any) -> Tensor:
        return elementwise.bitwise_and(self, lift(o, self))

    def __or__(self, o: Any) -> Tensor:
        return elementwise.bitwise_or(self, lift(o, self))

    def __xor__(self, o: Any) -> Tensor:
        return elementwise.bitwise_xor(self, lift(o, self))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self, o: Any) -> Tensor:
        return elementwise.bitwise_left_shift(self, lift(o, self))

    def __rlshift__(self, o: Any) -> Tensor:
        return elementwise.bitwise_left_shift(lift(o, self), self)

    def __rshift__(self, o: Any) -> Tensor:
        return elementwise.bitwise_right_shift(self, lift(o, self))

    def __rrshift__(self, o: Any) -> Tensor:
        return elementwise.bitwise_right_shift(lift(o, self), self)

    # ------------------------------------------------------------ other shapes
    def reshape(self, *sizes: Any, **named: Any) -> Tensor:
        """Return x in another shape, also given as `shape=`; one size may be -1."""
        return shape.Reshape.apply(self, **named or {"shape": sizes_of(sizes)})

    def view(self: Any, *sizes: Any, dtype: Any = None) -> Tensor:
        """Return x in another shape without a copy; raises where memory does not allow it.

        A dtype in place of sizes: the same bits as numbers of that dtype, off the tape; the last
        dimension grows or shrinks where their sizes differ.
        """
        if dtype is not None or (len(sizes) == 1 and isinstance(sizes[0], DType)):
            kind = numpy_dtype(sizes[0] if dtype is None else dtype)
            if type(self.array) is not np.ndarray:
                raise ArgumentTypeError(f"view: of a tensor on {self.device} no bits are seen")
            try:
                bits = new(self.array.view(kind))
            except (ValueError, TypeError) as error:
                raise ArgumentError(f"view: {self.dtype} {self.shape} as {kind}: {error}") from None
            bits.cell = cell_of(self)
            return bits
        seen = self.reshape(*sizes)
        if seen.cell is None and self.array.size:
            raise ArgumentError(
                f"view: strides {self.array.strides} do not allow shape {sizes_of(sizes)}; use "
                "reshape()"
            )
        return seen

    def reshape_as(self, other: Tensor) -> Tensor:
        """Return x in the shape of `other`."""
        return shape.Reshape.apply(self, shape=other.shape)

    def permute(self, *axes: Any, dims: Any = None) -> Tensor:
        """Return x with its dimensions in another order, a view."""
        return shape.permute(self, sizes_of(axes if dims is None else (dims,)))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Exchange two dimensions, a view."""
        return shape.transpose(self, dim0, dim1)

    def t(self: Any) -> Tensor:
        """Return a matrix transposed; vectors and numbers are themselves."""
        if self.ndim > 2:
            raise ArgumentError(
                f"t: expected at most two dimensions, got shape {self.shape}; use transpose or mT"
            )
        return self.T

    def expand(self, *sizes: Any, size: Any = None) -> Tensor:
        """Repeat sizes of 1 without a copy; -1 keeps a size."""
        return shape.expand(self, sizes_of(sizes if size is None else (size,)))

    def expand_as(self, other: Tensor) -> Tensor:
        """Repeat sizes of 1 to the shape of `other`, without a copy."""
        return shape.expand(self, other.shape)

    def squeeze(self, dim: Dim = None) -> Tensor:
        """Drop dimensions of size 1."""
        return shape.squeeze(self, dim)

    def unsqueeze(self, dim: int) -> Tensor:
        """Insert a dimension of size 1."""
        return shape.unsqueeze(self, dim)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Merge neighbouring dimensions."""
        return shape.flatten(self, start_dim, end_dim)

    def flip(self, *axes: Any, dims: Any = None) -> Tensor:
        """Return a copy reversed along `dims`."""
        return shape.flip(self, sizes_of(axes if dims is None else (dims,)))

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
        return gather(self, dim, index)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Pick whole slices along `dim` by a 1-D tensor of positions."""
        return index_select(self, dim, index)

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
        return arithmetic.Neg.apply(self)

    def rsqrt(self) -> Tensor:
        """Return 1 / sqrt(x), elementwise."""
        return 1.0 / unary.Sqrt.apply(self)

    def reciprocal(self) -> Tensor:
        """Return 1 / x, elementwise."""
        return arithmetic.Div.apply(elementwise.tensor_of(1.0, self), self)

    def square(self) -> Tensor:
        """Return x * x, elementwise."""
        return unary.Square.apply(self)

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
    def sum(self, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """Return the sum over `dim`, of x in `dtype` if given; integers sum to int64."""
        if dtype is None:
            return reduce.Sum.apply(self, dim=dim, keepdim=keepdim)
        return reduce.Sum.apply(self.to(dtype), dim=dim, keepdim=keepdim).to(dtype)

    def mean(self, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """Return the mean over `dim`, of x in `dtype` if given; floating tensors only."""
        x = self if dtype is None else self.to(dtype)
        return reduce.Mean.apply(x, dim=dim, keepdim=keepdim)

    def amax(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the largest over `dim`; ties share the gradient."""
        return reduce.Amax.apply(self, dim=dim, keepdim=keepdim)

    def amin(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the smallest over `dim`; ties share the gradient."""
        return reduce.Amin.apply(self, dim=dim, keepdim=keepdim)

    def prod(self, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """Return the product over `dim`, of x in `dtype` if given; exact where factors are 0."""
        if dtype is None:
            return reduce.Prod.apply(self, dim=dim, keepdim=keepdim)
        return reduce.Prod.apply(self.to(dtype), dim=dim, keepdim=keepdim).to(dtype)

    def var(
        self,
        dim: Dim = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = 1,
    ) -> Tensor:
        """See `minigrad.var`."""
        return reduce.var(self, dim, unbiased, keepdim, correction=correction)

    def std(
        self,
        dim: Dim = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = 1,
    ) -> Tensor:
        """See `minigrad.std`."""
        return reduce.std(self, dim, unbiased, keepdim, correction=correction)

    def norm(self, p: float | str = 2.0, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """See `minigrad.norm`."""
        return reduce.norm(self, p, dim, keepdim)

    def logsumexp(self, dim: Dim, keepdim: bool = False) -> Tensor:
        """See `minigrad.logsumexp`."""
        return reduce.logsumexp(self, dim, keepdim)

    def cumsum(self, dim: int, *, dtype: Any = None) -> Tensor:
        """Return running sums along `dim`, of x in `dtype` if given."""
        return reduce.cumsum(self, dim, dtype=dtype)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Return the position of the largest element, the first among ties."""
        return reduce.argmax(self, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Return the position of the smallest element, the first among ties."""
        return reduce.argmin(self, dim, keepdim)

    def any(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return whether any element is non-zero."""
        return reduce.any(self, dim, keepdim)

    def all(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return whether all elements are non-zero."""
        return reduce.all(self, dim, keepdim)

    def softmax(self, dim: int, *, dtype: Any = None) -> Tensor:
        """Return exp(x) / sum(exp(x)) along `dim`, of x in `dtype` if given."""
        return norm.softmax(self, dim, dtype=dtype)

    def log_softmax(self, dim: int, *, dtype: Any = None) -> Tensor:
        """Return log(softmax(x)) along `dim`, of x in `dtype` if given."""
        return norm.log_softmax(self, dim, dtype=dtype)

    def max(self, dim: Any = None, keepdim: bool = False) -> Any:
        """See `minigrad.max`."""
        return reduce.max(self, dim, keepdim)

    def min(self, dim: Any = None, keepdim: bool = False) -> Any:
        """See `minigrad.min`."""
        return reduce.min(self, dim, keepdim)

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
            it alone until its stream has ended (other memory may change at once).  From a GPU,
            the result may be read after `mg.cuda.synchronize()` or an event.
        """
        dtype, device = destination(args, dtype, device)
        y = self if dtype is None else memory.cast(self, dtype)
        if device is not None:
            y = memory.transferred(y, Device(device), not non_blocking)
        return y.clone() if copy and y is self else y

    def cpu(self: Any) -> Tensor:
        """Return x on the CPU, itself where it is there."""
        return memory.transferred(self, Device("cpu"))

    def cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Tensor:
        """Return x on an NVIDIA GPU; device: its number.  non_blocking: see `to`."""
        return memory.transferred(self, Device("cuda", device), not non_blocking)

    def pin_memory(self: Any) -> Tensor:
        """Return a copy in memory of the host that a GPU reaches by itself; a pinned x itself.

        Raises: RuntimeError where there is no GPU.
        """
        return self if self.is_pinned() else Bridge.new(pinned(self.numpy()))

    def is_pinned(self: Any) -> bool:
        """Whether x lies in memory of `pin_memory`."""
        return is_pinned(self.array)

    def short(self) -> Tensor:
        """Return x as int16."""
        return memory.cast(self, int16)

    def char(self) -> Tensor:
        """Return x as int8."""
        return memory.cast(self, int8)

    def byte(self) -> Tensor:
        """Return x as uint8."""
        return memory.cast(self, uint8)

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

    # ------------------------------------------------------------ in place
    def _write(self: Any, op: Any, *others: Any, **meta: Any) -> Any:
        """Replace the elements by `op(self, *others)`, recorded where a gradient flows."""
        others = tuple([Bridge.lift(o, self) for o in others])
        leave_base(self)
        recorded = mode.recording and (self._moves_gradient() or any(o.tracked for o in others))
        if recorded:
            self._check_recorded(op.__name__)
        source = self
        hooked = self.base is not None and self.node is not None and hooks_at(self.node) is not None
        if recorded and (op.keeps or hooked):  # its rule needs the elements as they were
            source = before(self)
            if hooked:  # hooks on a view are for what uses the view, not for what replaces it
                source.node = seen_from(self.base, self).node
            others = tuple([source if o is self else o for o in others])
        result = op.apply(source, *others, **meta)
        return self._kept(op.__name__, result)

    def _kept(self: Any, name: str, result: Any) -> Any:
        """Write a result into this memory, unless its dtype is of a higher kind."""
        if result.array.shape != self.array.shape:
            raise ArgumentError(
                f"{name}: the result has shape {result.array.shape} and does not fit in place into "
                f"{self.array.shape}"
            )
        if not fits_in_place(result.array.dtype, self.array.dtype):
            raise ArgumentTypeError(
                f"{name}: the result is {result.array.dtype} and cannot be written into "
                f"{self.array.dtype}"
            )
        self._put(result)
        return self

    def _moves_gradient(self: Any) -> bool:
        """Say whether a gradient flows through this memory."""
        return self.tracked or (self.base is not None and self.base.tracked)

    def _check_recorded(self: Any, name: str) -> None:
        """Refuse a write that the tape could not follow."""
        owner = self if self.base is None else self.base
        if owner.tracked and owner.node is None:
            raise RuntimeError(
                f"{name}: a leaf of shape {owner.shape} that requires grad is changed in place; do"
                " it under no_grad(), or make a new tensor"
            )
        if self.apart:
            raise RuntimeError(
                f"{name}: a view made under no_grad(), shape {self.shape}, is changed in place"
                " while recording, where a gradient flows; make both the view and the change under"
                " no_grad(), or both outside"
            )

    def _unrecorded(self: Any, function: Any, other: Any) -> Any:
        """Replace the elements by what a function without a gradient gives."""
        if mode.recording and self._moves_gradient():
            raise RuntimeError(
                f"{function.__name__} in place: it has no gradient and the tensor requires one; "
                "do it under no_grad(), or out of place"
            )
        result = function(self, Bridge.lift(other, self))
        if result.array.shape != self.array.shape:
            raise ArgumentError(
                f"{function.__name__}: the result has shape {result.array.shape} and does not fit "
                f"in place into {self.array.shape}"
            )
        return self._kept(function.__name__, result)

    def _put(self: Any, result: Any) -> None:
        """Copy `result` into this memory and take over its node."""
        check_writable(self.array)
        bump_version(self, f"at {user_line()}")
        base = self.base
        if result.tracked and base is not None:
            chosen = resolved(places(self.array, base.array).reshape(-1), (base.array.size,))
            replaced = index.IndexSet.apply(base.reshape(-1), result.reshape(-1), index=chosen)
            replace_node(base, replaced.reshape(base.shape).node)
        elif result.tracked:
            replace_node(self, result.node)
        if result.tracked:
            follow(self if base is None else base)
        overwrite(self.array, result.array)

    def __iadd__(self, o: Any) -> Any:
        return self._write(arithmetic.Add, o)

    def __isub__(self, o: Any) -> Any:
        return self._write(arithmetic.Sub, o)

    def __imul__(self, o: Any) -> Any:
        return self._write(arithmetic.Mul, o)

    def __itruediv__(self, o: Any) -> Any:
        return self._write(arithmetic.Div, o)

    def __ipow__(self, o: Any) -> Any:
        return self._write(elementwise.Pow, o)

    def __ifloordiv__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.floor_divide, o)

    def __imod__(self, o: Any) -> Any:
        return self._write(elementwise.Remainder, o)

    def __iand__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.bitwise_and, o)

    def __ior__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.bitwise_or, o)

    def __ixor__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.bitwise_xor, o)

    def __ilshift__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.bitwise_left_shift, o)

    def __irshift__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.bitwise_right_shift, o)

    def add_(self, other: Any, *, alpha: float = 1) -> Any:
        """Add `alpha * other` in place."""
        return self._write(arithmetic.Add, other if alpha == 1 else other * alpha)

    def sub_(self, other: Any, *, alpha: float = 1) -> Any:
        """Subtract `alpha * other` in place."""
        return self._write(arithmetic.Sub, other if alpha == 1 else other * alpha)

    def mul_(self, other: Any) -> Any:
        """Multiply in place."""
        return self._write(arithmetic.Mul, other)

    def pow_(self, exponent: Any) -> Any:
        """Raise to a power in place."""
        return self._write(elementwise.Pow, exponent)

    def clamp_(self: Any, min: Any = None, max: Any = None) -> Any:
        """Limit the elements to [min, max] in place."""
        min, max = (v.item() if getattr(v, "ndim", None) == 0 else v for v in (min, max))
        if self.array.dtype.kind != "f":
            return self._kept("clamp_", elementwise.clamp(self, min, max))
        return self._write(elementwise.Clamp, low=min, high=max)

    def copy_(self: Any, other: Any, non_blocking: bool = False) -> Any:
        """Copy the elements of `other`, broadcast and converted, into this memory."""
        self[...] = other
        return self

    def fill_(self: Any, value: float) -> Any:
        """Set every element to `value`."""
        self[...] = value
        return self

    def zero_(self: Any) -> Any:
        """Set every element to 0."""
        self[...] = 0
        return self

    # ------------------------------------------------------------ out of the framework
    def item(self: Any) -> Any:
        """Return the one element as a Python number."""
        if self.array.size != 1:
            raise ArgumentError(
                f"item: expected one element, got shape {self.shape}; use tolist() or reduce it "
                "first"
            )
        return self.array.item()

    def tolist(self: Any) -> Any:
        """Return nested lists of Python numbers."""
        return self.array.tolist()

    def numpy(self: Any, *, force: bool = False) -> Array:
        """Return the memory itself as an array.  A write to it is not seen by the tape
        (`detect_anomaly` catches it).

        force: of `detach().cpu()`, which any tensor has.
        """
        if force:
            return self.detach().cpu().numpy()
        if self.requires_grad:
            raise RuntimeError(
                "numpy: the tensor requires grad, an array cannot; use .detach().numpy()"
            )
        if type(self.array) is DeviceArray:
            raise ArgumentTypeError(f"numpy: the tensor lies on {self.device}; use .cpu().numpy()")
        return copies.given_away(self.array)

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> Array:
        a = self.numpy()
        if dtype is not None and np.dtype(dtype) != a.dtype:
            if copy is False:
                raise ArgumentError(f"an array of {np.dtype(dtype)} from {a.dtype} needs a copy")
            return a.astype(dtype)
        return a.copy() if copy else a

    @property
    def __cuda_array_interface__(self: Any) -> dict[str, Any]:
        """The memory of a tensor on a GPU, for PyTorch, CuPy and Numba to share without a copy."""
        if self.device.type != "cuda":
            raise AttributeError(f"a tensor on {self.device} has no memory of a GPU")
        if self.requires_grad:
            raise AttributeError("the tensor requires grad; share .detach()")
        self.array.target.synchronize()
        interface: dict[str, Any] = targets().Interface(self.array).__cuda_array_interface__
        return interface

    def __dlpack__(
        self: Any,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Return a capsule over the memory, for other libraries' `from_dlpack`.

        stream: on a GPU, the stream where the memory will be used; that stream waits for what has
            been launched here.

        Raises: BufferError where the memory cannot be shared as asked, or the tensor on a GPU
            requires grad; RuntimeError for one on the CPU that does.
        """
        if type(self.array) is DeviceArray:
            if self.requires_grad:
                raise BufferError(
                    "the tensor requires grad, and what other libraries do with its memory is not "
                    "recorded: share .detach()"
                )
            return targets().exported(self.array, stream, dl_device, copy)
        asked = {"max_version": max_version, "dl_device": dl_device, "copy": copy}
        chosen = {name: value for name, value in asked.items() if value is not None}
        return self.numpy().__dlpack__(stream=stream, **chosen)

    def __dlpack_device__(self: Any) -> tuple[int, int]:
        """Return DLPack's numbers for where the memory lies: (1, 0), or (2, the GPU's number)."""
        if type(self.array) is DeviceArray and self.device.type == "cuda":
            return (2, self.device.index or 0)
        found: tuple[int, int] = self.numpy().__dlpack_device__() if self.is_cuda else (1, 0)
        return found

    def __bool__(self: Any) -> bool:
        if self.array.size != 1:
            raise ArgumentError(
                f"a tensor of shape {self.shape} has no single truth value; use .any() or .all()"
            )
        return bool(self.array.item())

    def __float__(self: Any) -> float:
        return float(self.item())

    def __int__(self: Any) -> int:
        return int(self.item())

    def __index__(self: Any) -> int:
        if self.array.dtype.kind not in "iub":
            raise ArgumentTypeError(
                f"only an integer tensor can be an index, got {self.array.dtype}"
            )
        return int(self.item())

    def __contains__(self: Any, x: Any) -> bool:
        found = self == x
        if isinstance(found, bool):
            raise ArgumentTypeError(f"in: expected a number or a tensor, got {type(x).__name__}")
        return bool(found.any())

    # ------------------------------------------------------------ dtypes
    # Last: in what follows in this class, their names are no types.
    def float(self) -> Tensor:
        """Return x as float32."""
        return memory.cast(self, float32)

    def double(self) -> Tensor:
        """Return x as float64."""
        return memory.cast(self, float64)

    def int(self) -> Tensor:
        """Return x as int32."""
        return memory.cast(self, int32)

    def long(self) -> Tensor:
        """Return x as int64."""
        return memory.cast(self, int64)

    def bool(self) -> Tensor:
        """Return x as bool."""
        return memory.cast(self, bool_)


DTYPE_NAMES = {d.name for d in DTYPES.values()}


def destination(args: tuple[Any, ...], dtype: Any, device: Any) -> tuple[Any, Any]:
    """Return the dtype and the device that the arguments of `to` name; None for what they do not.

    >>> destination(("float64", "cpu"), None, None)
    ('float64', 'cpu')
    """
    for a in args:
        if isinstance(a, Tensor):
            dtype, device = a.dtype, a.device
        elif isinstance(a, Device) or (isinstance(a, str) and a not in DTYPE_NAMES):
            device = a
        else:
            dtype = a
    return dtype, device


def check_grad(tensor: Tensor, value: Any) -> None:
    """Refuse what cannot be the `.grad` of `tensor`."""
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(
            f"grad: expected a tensor or None, got {type(value).__name__}; wrap it with"
            " minigrad.tensor(...)"
        )
    if value is tensor:
        raise RuntimeError("grad: a tensor cannot be its own gradient; assign a clone()")
    was = tensor.shape, tensor.dtype, tensor.device
    now = value.shape, value.dtype, value.device
    if was != now:
        raise RuntimeError(
            f"grad: expected a gradient like the tensor, of shape {was[0]}, dtype {was[1].name}, on"
            f" {was[2]}; got shape {now[0]}, dtype {now[1].name}, on {now[2]}"
        )


# ---------------------------------------------------------------- what the tape needs of this file
make = object.__new__


def new(array: Array) -> Tensor:
    """Return a plain Tensor around `array`, unchecked."""
    t: Tensor = make(Tensor)
    t.array = array
    return t


def lift(x: Any, like: Any) -> Tensor:
    """Return `x`, a number or an array, as a tensor that goes with `like`: a number takes its dtype
    where the kind fits.

    Raises: OverflowError for an int that the dtype does not hold (PyTorch wraps it in silence),
        TypeError for what is neither number nor array.
    """
    if x.__class__ is float:
        kept = like is not None and like.array.dtype.kind == "f"
        dtype = like.array.dtype if kept else DTYPE_OF[float]
    elif x.__class__ is int:
        dtype = like.array.dtype if like is not None and like.array.dtype.kind in "fiu" else INT64
    elif isinstance(x, Tensor):
        return x
    else:
        number = plain_number(x)
        if number is None:
            return new(foreign(x))
        x, dtype = number, dtype_beside(number, None if like is None else like.array.dtype)
    try:
        return new(np.array(x, dtype))
    except OverflowError:
        raise does_not_fit(x, dtype) from None


def compared(kernel: str, t: Tensor, x: Any) -> Any:
    """Compare a tensor with a tensor, a number or an array.

    An int beyond the tensor's dtype has a clear answer: `uint8 < 256` is true.  What is no number
    gives NotImplemented, so that `t == None` is False, as in PyTorch.
    """
    try:
        other = lift(x, t)
    except OverflowError:
        number = plain_number(x)
        if -(2**63) <= number < 2**63:
            other = new(np.array(number, INT64))
        else:
            other = new(np.array(INFINITE if number > 0 else -INFINITE))
    except TypeError:
        if any(hasattr(x, name) for name in PROTOCOLS):
            raise
        return NotImplemented
    return elementwise.compare(kernel, t, other)


def cast(t: Any, dtype: Any) -> Tensor:
    """Return `t` in `dtype`, recorded where recording is on."""
    if mode.recording and t.tracked:
        return memory.Cast.apply(t, dtype=dtype)
    return new(converted(t.array, dtype))


def copied(t: Any) -> Tensor:
    """Return a copy of the memory, off the tape."""
    return new(copy_of(t.array))


Bridge.tensor = Tensor
Bridge.new = new
Bridge.lift = lift
Bridge.cast = cast
Bridge.reduce_to = reduce.reduce_to
Bridge.alias = memory.Identity.apply
