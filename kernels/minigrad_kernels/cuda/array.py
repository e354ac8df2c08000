"""Arrays in the memory of a device, with the shapes and views of NumPy's.

The geometry of a `DeviceArray` is a NumPy array over the device's address that nobody reads: so
shapes, strides, views and their errors are NumPy's own.  Under the simulator that memory is the
host's, and can be read.

NumPy's functions that only look at an array another way (broadcast_to, moveaxis, flip, ...) do so
here too.  Its other functions, its operators, iteration, `in`, `bool()` and `float()` raise a
TypeError, as CuPy's arrays and PyTorch's tensors on a GPU do: each would go to the host and back
unseen, and wait for the device.  What reads says so: `read()`, `item()`, `tolist()`, `tobytes()`.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np

Array = np.ndarray[Any, Any]
OLD_RESHAPE = np.lib.NumpyVersion(np.__version__) < "2.1.0"  # has no `copy`

VIEWS = {
    np.broadcast_to,
    np.expand_dims,
    np.flip,
    np.moveaxis,
    np.ravel,
    np.squeeze,
    np.swapaxes,
    np.transpose,
}
# How an array lies in memory: in C order, so with its dimensions then reversed, or as its geometry
# says.
LAID, TURNED, VIEW = range(3)
FACTS = {np.may_share_memory, np.shape, np.ndim, np.size, np.result_type, np.can_cast}


class Addressed:
    """Memory at an address, for NumPy to lay an array over; `owner` lives as long as that."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: Any, owner: Any) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": tuple(shape),
            "typestr": np.dtype(dtype).str,
        }


class Target(Protocol):
    """A device, as CUDA kernels and the engine see it.

    name: "cuda-sim", "cuda:0".  processors: multiprocessors, what a grid is sized by.
    reshapes: whether a contiguous array's reshape needs no NumPy array over its memory.
    """

    name: str
    processors: int
    reshapes: bool

    def empty(self, shape: Any, dtype: Any) -> DeviceArray:
        """Return an array of undefined content."""

    def write(self, array: DeviceArray, values: Any, wait: bool = True) -> None:
        """Copy host values, broadcast to its shape, into a contiguous array.

        wait: False takes pinned memory as it is then, and it must not change until it is copied.
        """

    def read(self, array: DeviceArray, wait: bool = True) -> Array:
        """Return a host copy of a contiguous array, when all before it has been computed.

        wait: False returns pinned memory at once: the copy is in it once the work of the
            stream so far has ended.
        """

    def run(
        self,
        kernel: Any,
        grid: Any,
        block: Any,
        args: Sequence[Any],
        shared: int = 0,
    ) -> None:
        """Launch a kernel; shared: bytes of dynamic shared memory."""

    def synchronize(self) -> None:
        """Wait until all that was launched has ended."""


class DeviceArray:
    """An array in device memory.  Its elements are reached by kernels and by copies alone.

    geometry: the NumPy array over its memory; never read an element of it but under the simulator.
    target: the device, see targets.py.  whole: whether it is all there is of its memory.
    """

    __slots__ = (
        *("__weakref__", "_address", "_geometry", "across", "dtype", "flags", "form", "handle"),
        *("key", "ndim", "owner", "root", "shape", "target", "whole"),
    )

    def __init__(self, geometry: Array, target: Target, whole: bool = False) -> None:
        self._geometry: Array | None = geometry
        self.target = target
        self.whole = whole
        self.shape = geometry.shape  # the sizes of its dimensions
        self.dtype = geometry.dtype  # NumPy's, of its elements
        self._address = -1  # not asked for yet
        self.owner: Any = None  # what lives as long as its memory, where that is known
        self.root: DeviceArray | None = None  # what it is a reshape of, contiguous or then turned
        self.form = VIEW
        self.flags: Any = geometry.flags  # NumPy's, of its layout
        self.ndim = geometry.ndim
        self.handle: Any = None  # all lanes of an array that has some, see func/lanes.py
        self.key: Any = None  # its part in the key of a plan, see plan.py
        self.across: Any = None  # that of its transpose, where it is known

    @classmethod
    def laid(
        cls,
        address: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        owner: Any,
        target: Target,
        root: DeviceArray | None = None,
        key: Any = None,
    ) -> DeviceArray:
        """Return a contiguous array at an address, whose geometry is made when it is asked for.

        root: the contiguous array that it is a reshape of; None for one that is all of its memory.
        key: see plan.py, where it is known.
        """
        made = cls.__new__(cls)
        made._geometry = None
        made.target = target
        made.whole = root is None
        made.shape = shape
        made.dtype = dtype
        made._address = address
        made.owner = owner
        made.root = root
        made.form = LAID
        made.flags = flags_of(shape)
        made.ndim = len(shape)
        made.handle = made.across = None
        made.key = key
        return made

    # ------------------------------------------------------------ geometry
    @property
    def geometry(self) -> Array:
        """The NumPy array over its memory."""
        made = self._geometry
        if made is None:
            if self.root is None:
                at = Addressed(self._address, self.shape, self.dtype, self.owner)
                made = np.asarray(at)
            elif self.form == TURNED:
                made = self.root.geometry.reshape(self.shape[::-1]).T
            else:
                made = self.root.geometry.reshape(self.shape)
            self._geometry = made
        return made

    @property
    def strides(self) -> tuple[int, ...]:
        """The bytes from one element to the next along each dimension."""
        if self.form == VIEW:
            return self.geometry.strides
        return strides_of(self.shape, self.dtype.itemsize, self.form == TURNED)

    def layout(self) -> tuple[int, ...] | None:
        """Return its strides, None where it is contiguous."""
        return None if self.form == LAID or self.flags.c_contiguous else self.strides

    @property
    def size(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all its elements."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def base(self) -> Any:
        """The array that its memory is a view of, as NumPy has it."""
        return self.geometry.base

    @property
    def address(self) -> int:
        """The address of its first element."""
        if self._address < 0:
            self._address = int(self.geometry.__array_interface__["data"][0])
        return self._address

    def __len__(self) -> int:
        return self.shape[0] if self.shape else len(self.geometry)

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, device={self.target.name!r})"

    # ------------------------------------------------------------ views
    def like(self, geometry: Array) -> DeviceArray:
        """Return another view of the same memory."""
        return DeviceArray(geometry, self.target)

    @property
    def T(self) -> DeviceArray:
        """The view with its dimensions in reverse order."""
        if self.form != LAID or not self.target.reshapes:
            made = self.like(self.geometry.T)
            made._address = self._address
            return made
        root, shape = self if self.root is None else self.root, self.shape[::-1]
        key = self.across if self.root is None else None
        owner, target = self.owner, self.target
        made = DeviceArray.laid(self._address, shape, self.dtype, owner, target, root, key)
        made.form = TURNED
        made.flags = flags_of(shape, True)
        return made

    def transpose(self, *axes: Any) -> DeviceArray:
        """Return the view with its dimensions in another order."""
        return self.like(self.geometry.transpose(*axes))

    def swapaxes(self, a: int, b: int) -> DeviceArray:
        """Return the view with two dimensions exchanged."""
        return self.like(self.geometry.swapaxes(a, b))

    def squeeze(self, axis: Any = None) -> DeviceArray:
        """Return the view without dimensions of size 1."""
        return self.like(self.geometry.squeeze(axis))

    def reshape(self, *shape: Any) -> DeviceArray:
        """Return a view of another shape.

        Raises: ValueError where only a copy could have that shape.
        """
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
        wanted = tuple([int(n) for n in sizes])
        if self.form != TURNED and self.flags.c_contiguous and self.target.reshapes:
            if wanted == (-1,):
                wanted = (math.prod(self.shape),)
            elif min(wanted, default=0) < 0 or math.prod(wanted) != math.prod(self.shape):
                wanted = reshaped(self.shape, wanted)
            root = self if self.root is None else self.root
            owner = self.owner
            return DeviceArray.laid(self.address, wanted, self.dtype, owner, self.target, root)
        try:
            return self.like(view_as(self.geometry, reshaped(self.shape, wanted)))
        except (AttributeError, ValueError):
            reshaped(self.shape, wanted)  # sizes that do not agree have an error of their own
            raise ValueError(
                f"reshape of a strided device array {self.shape} to {tuple(sizes)} would copy it: "
                "make it contiguous first"
            ) from None

    def ravel(self) -> DeviceArray:
        """Return a contiguous array as one dimension.

        Raises: ValueError where only a copy could have that shape.
        """
        return self.reshape(-1)

    def view(self, dtype: Any = None) -> DeviceArray:
        """Return the view of the same memory as another dtype."""
        return self.like(self.geometry.view() if dtype is None else self.geometry.view(dtype))

    def __getitem__(self, index: Any) -> Any:
        """Return the view of a basic index.

        Raises: TypeError for an index by arrays.
        """
        items = index if isinstance(index, tuple) else (index,)
        if not all(isinstance(i, int | np.integer | slice) or i is None or i is ... for i in items):
            raise self.refused("indexing by arrays")
        whole = any(i is ... for i in items)
        return self.like(self.geometry[index] if whole else self.geometry[(*items, ...)])

    # ------------------------------------------------------------ by way of the host
    def read(self, wait: bool = True) -> Array:
        """Return a host copy of the elements; wait: see `Target.read`."""
        if self.flags.c_contiguous:
            return self.target.read(self, wait)
        return self.target.read(self.contiguous(), wait)

    def contiguous(self) -> DeviceArray:
        """Return a copy in C order, made on the device."""
        made = self.target.empty(self.shape, self.dtype)
        copy_into(self, made)
        return made

    def copy(self, order: str = "C") -> DeviceArray:
        """Return a copy in memory of its own, made on the device."""
        return self.contiguous()

    def __deepcopy__(self, memo: dict[int, Any]) -> DeviceArray:
        return self.copy()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return restored, (self.target.name, self.read())

    def fill(self, value: Any) -> None:
        """Set all elements to a value."""
        self[...] = value

    def __setitem__(self, index: Any, value: Any) -> None:
        view = self[index]
        if not view.size:
            return
        if isinstance(value, DeviceArray):
            copy_into(value, view)
        elif not np.ndim(value) and getattr(view.target, "plans", False):
            # One number is kept there: to set all elements to it sends nothing.
            kept = cast(Any, view.target).constant(np.asarray(value).astype(view.dtype))
            copy_into(kept, view)
        elif view.flags.c_contiguous:
            view.target.write(view, np.asarray(value).astype(view.dtype))
        else:
            held = view.target.empty(view.shape, view.dtype)
            view.target.write(held, np.asarray(value).astype(view.dtype))
            copy_into(held, view)

    def astype(self, dtype: Any, copy: bool = True) -> DeviceArray:
        """Return a copy of another dtype; copy: False returns the array itself where it has it."""
        if self.dtype == dtype and not copy:
            return self
        made = self.target.empty(self.shape, dtype)
        copy_into(self, made)
        return made

    def item(self) -> Any:
        """Return the only element as a Python number, by way of the host."""
        return self.read().item()

    def tolist(self) -> Any:
        """Return the elements as nested lists, by way of the host."""
        return self.read().tolist()

    def tobytes(self) -> bytes:
        """Return the elements' bytes in C order, by way of the host."""
        return self.read().tobytes()

    # ------------------------------------------------------------ what is refused
    def refused(self, what: str) -> TypeError:
        """Return the error about what would go to the host unseen."""
        return TypeError(
            f"{what}: the array lies on {self.target.name}, where NumPy does not compute; use "
            "operations of tensors, or bring it to the host, .cpu() of a tensor, first"
        )

    def __array__(self, *args: Any, **options: Any) -> Array:
        raise TypeError(
            f"a NumPy array cannot be made of memory on {self.target.name}: use .cpu() first"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        raise self.refused(f"np.{ufunc.__name__}")

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function in VIEWS:
            source = next(a for a in args if isinstance(a, DeviceArray))
            return source.like(function(*host(args, geometry_of), **options))
        if function in FACTS:
            return function(*host(args, geometry_of), **options)
        raise self.refused(f"np.{function.__name__}")

    def __iter__(self) -> Any:
        raise self.refused("iteration")

    def __contains__(self, x: Any) -> bool:
        raise self.refused("in")

    def __bool__(self) -> bool:
        raise self.refused("bool()")

    def __float__(self) -> float:
        raise self.refused("float()")

    def __int__(self) -> int:
        raise self.refused("int()")

    def __index__(self) -> int:
        raise self.refused("an index")

    __hash__ = object.__hash__


def refusing(name: str) -> Any:
    """Return an operator that raises."""

    def operator(self: DeviceArray, *others: Any) -> Any:
        raise self.refused(name)

    return operator


OPERATORS = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul"),
    *("and", "or", "xor", "lshift", "rshift"),
)
for _name in OPERATORS:
    for _kind in ("", "r", "i") if _name != "divmod" else ("", "r"):
        setattr(DeviceArray, f"__{_kind}{_name}__", refusing(f"the operator {_kind}{_name}"))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert"):
    setattr(DeviceArray, f"__{_name}__", refusing(f"the operator {_name}"))


def restored(name: str, values: Array) -> DeviceArray:
    """Return an array that was pickled, on a device of that name."""
    targets = importlib.import_module("minigrad_kernels.cuda.targets")
    kind, _, number = name.partition(":")
    target = targets.simulator() if kind == "cuda-sim" else targets.gpu(int(number or 0))
    made: DeviceArray = targets.upload(target, values)
    return made


def geometry_of(array: DeviceArray) -> Array:
    """Return an array's geometry."""
    return array.geometry


def host(values: Any, how: Any) -> Any:
    """Return arguments with `how` applied to the device arrays among them."""
    if isinstance(values, DeviceArray):
        return how(values)
    if isinstance(values, tuple | list):
        return type(values)(host(item, how) for item in values)
    if isinstance(values, dict):
        return {name: host(item, how) for name, item in values.items()}
    return values


def copy_into(source: DeviceArray, made: DeviceArray) -> None:
    """Copy an array into another, broadcast and converted, where that lies.

    A target that is no GPU copies by itself; the kernels that do on one stand above this file.
    """
    own = getattr(made.target, "copy", None)
    if own is None:
        own = importlib.import_module("minigrad_kernels.elementwise.cuda_copy").planned_copy
    own(source, made)


@functools.lru_cache(4_096)
def strides_of(shape: tuple[int, ...], itemsize: int, turned: bool = False) -> tuple[int, ...]:
    """Return the strides of a contiguous array, as NumPy has them.

    turned: of one whose dimensions were reversed then.

    >>> strides_of((2, 3), 4), strides_of((2, 3), 4, turned=True)
    ((12, 4), (4, 8))
    """
    if turned:
        return strides_of(shape[::-1], itemsize)[::-1]
    return np.empty(shape, f"V{itemsize}").strides if 0 in shape else steps_of(shape, itemsize)


def steps_of(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the strides of a contiguous array that has elements."""
    strides = []
    for n in reversed(shape):
        strides.append(itemsize)
        itemsize *= n
    return tuple(reversed(strides))


@functools.lru_cache(4_096)
def flags_of(shape: tuple[int, ...], turned: bool = False) -> Any:
    """Return NumPy's flags of a contiguous array over memory that is not its own.

    turned: of one whose dimensions were reversed then.
    """
    if turned:
        return np.asarray(Addressed(512, shape[::-1], np.int8, None)).T.flags
    return np.asarray(Addressed(512, shape, np.int8, None)).flags


def view_as(a: Array, shape: tuple[int, ...]) -> Array:
    """Return a view of another shape; a ValueError or AttributeError where that needs a copy."""
    if OLD_RESHAPE:
        view = a.view()
        view.shape = shape
        return view
    made: Array = a.reshape(shape, copy=False)
    return made


def reshaped(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """Return `new` with its -1 replaced; a ValueError says which sizes do not agree."""
    return np.broadcast_to(np.int8(0), old).reshape(new).shape
