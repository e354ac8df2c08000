"""Tensor: an array that remembers how it was computed.  Every operator is one line over an op."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.engine.backward import backward
from minigrad.engine.dispatch import ARRAYS, Device, device_of
from minigrad.engine.dtypes import DTYPES, DType, numpy_dtype
from minigrad.engine.grad_mode import mode, user_line
from minigrad.engine.hooks import Handle, Hooks, hooks_of, retain
from minigrad.engine.op import LEAF, Bridge, Refused, bump_version, cell_of
from minigrad.engine.overwrite import copy_of
from minigrad.engine.values import (
    FLOAT32,
    INT64,
    PROTOCOLS,
    does_not_fit,
    dtype_beside,
    foreign,
    plain_number,
    unmasked,
    written_value,
)
from minigrad.ops import elementwise, index, linalg, memory, reduce, unary
from minigrad.ops.common import converted
from minigrad.ops.grammar import resolved
from minigrad.tensors import copies, printing
from minigrad.tensors.inplace import InPlace
from minigrad.tensors.interop import Interop
from minigrad.tensors.methods import Methods

Array = np.ndarray[Any, Any]
INFINITE = float("inf")

add, sub, mul, div = (  # bound once: the hot path of small tensors
    elementwise.Add.apply,
    elementwise.Sub.apply,
    elementwise.Mul.apply,
    elementwise.Div.apply,
)


class Tensor(Methods, InPlace, Interop):
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
    node: Any = None
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
            raise TypeError(
                f"Tensor: expected a NumPy array, got {type(data).__name__}; use "
                "minigrad.tensor(...) for numbers and lists"
            )
        numpy_dtype(array.dtype)
        if not array.flags.aligned:
            raise ValueError(
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
            raise TypeError(
                f"data: expected a tensor, got {type(value).__name__}; wrap it with "
                "minigrad.tensor(...), or assign a NumPy array to .array"
            )
        if self.requires_grad and value.array.dtype.kind != "f":
            raise TypeError(
                f"data: this tensor requires grad and cannot hold {value.array.dtype}; convert "
                "the value with .float(), or call requires_grad_(False) first"
            )
        self.array = value.array

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    @property
    def grad_fn(self) -> Any:
        """The op that made this tensor, or None for a leaf."""
        return getattr(self.node, "op", self.node)

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
        return self.array.shape if dim is None else self.array.shape[dim]

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
            raise TypeError("len() of a 0-d tensor")
        return len(self.array)

    def __iter__(self) -> Iterator[Tensor]:
        if self.array.ndim == 0:
            raise TypeError("a 0-d tensor cannot be iterated over; .item() gives its number")
        return (self[i] for i in range(len(self.array)))

    def __repr__(self) -> str:
        return printing.describe(self)

    def __format__(self, spec: str) -> str:
        return (
            format(self.item(), spec) if spec and self.array.size == 1 else format(repr(self), spec)
        )

    __hash__ = object.__hash__

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
            raise TypeError(
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

    def bump(self, where: str = "") -> None:
        """Count a write to `data` made outside the ops, so that a stale saved value is noticed."""
        cell = self.cell
        if cell is None:
            cell = cell_of(self)
        cell[0] += 1
        cell[1] = where

    # ------------------------------------------------------------ indexing
    def __getitem__(self, i: Any) -> Tensor:
        return index.Index.apply(self, index=resolved(i, self.array.shape))

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

        return add(self, o if isinstance(o, Tensor) else lift(o, self))

    def __sub__(self, o: Any) -> Tensor:

        return sub(self, o if isinstance(o, Tensor) else lift(o, self))

    def __mul__(self, o: Any) -> Tensor:

        return mul(self, o if isinstance(o, Tensor) else lift(o, self))

    def __truediv__(self, o: Any) -> Tensor:

        try:
            other = o if isinstance(o, Tensor) else lift(o, self)
        except OverflowError:  # of an int beyond integers: the quotient is a float
            other = lift(float(o), self)
        return div(self, other)

    def __pow__(self, o: Any) -> Tensor:
        return unary.power(self, o)

    def __matmul__(self, o: Any) -> Tensor:

        return linalg.matmul(self, o if isinstance(o, Tensor) else lift(o, self))

    def __neg__(self) -> Tensor:
        return elementwise.Neg.apply(self)

    def __abs__(self) -> Tensor:
        return self.abs()

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, o: Any) -> Tensor:
        return elementwise.Sub.apply(lift(o, self), self)

    def __rtruediv__(self, o: Any) -> Tensor:
        try:
            other = lift(o, self)
        except OverflowError:
            other = lift(float(o), self)
        return div(other, self)

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


def check_grad(tensor: Tensor, value: Any) -> None:
    """Refuse what cannot be the `.grad` of `tensor`."""
    if not isinstance(value, Tensor):
        raise TypeError(
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
        dtype = like.array.dtype if like is not None and like.array.dtype.kind == "f" else FLOAT32
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
