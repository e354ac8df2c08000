"""Memory of a GPU handed to other libraries, and taken from them, by DLPack.

A capsule named "dltensor" holds a structure that says where memory lies and how to let go of it.
Who takes it renames the capsule to "used_dltensor" and calls the structure's deleter in the end; a
capsule that nobody took calls it itself.  Since DLPack 1.0 there is a structure that knows its
version and whether the memory may be written to, "dltensor_versioned": it is read, not written.

Source: the DLPack specification, versions 0.8 and 1.0, and the array API standard's text on
`__dlpack__`.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from minigrad_kernels.cuda.array import Addressed, DeviceArray

CUDA = 2  # kDLCUDA
NAME = b"dltensor"
INT, UINT, FLOAT, BOOL = 0, 1, 2, 6
CODES = {"i": INT, "u": UINT, "f": FLOAT, "b": BOOL}
BITS = {INT: (8, 16, 32, 64), UINT: (8, 16, 32, 64), FLOAT: (16, 32, 64), BOOL: (8,)}
READ_ONLY = 1  # a flag of the versioned structure
NEWEST = (1, 0)  # the version that is asked for
# streams: the default one, a thread's default one, "wait for nothing"
LEGACY, PER_THREAD, UNORDERED = 1, 2, -1

Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Tensor(ctypes.Structure):
    """DLTensor; strides count elements, and may be missing for C order."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class Managed(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = (("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class Versioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    )


# What a capsule of some name holds, and its name once that is taken.
LAYOUTS: dict[bytes, tuple[Any, bytes]] = {
    NAME: (Managed, b"used_dltensor"),
    b"dltensor_versioned": (Versioned, b"used_dltensor_versioned"),
}


def _api(name: str, result: Any, *arguments: Any) -> Any:
    """Return a function of Python's C interface by its types."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


# A capsule's destructor gets a capsule that is already dying: an address, no object.
Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
new_capsule = _api(
    "PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p
)
is_capsule = _api("PyCapsule_IsValid", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
pointer_of = _api("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
rename = _api("PyCapsule_SetName", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
is_dying = _api("PyCapsule_IsValid", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)
dying_pointer = _api("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)

HELD: dict[int, Any] = {}  # address of a structure -> what lives as long as others use its memory


def let_go(address: int) -> None:
    """Let go of the memory behind a structure's address: a DLPack deleter."""
    HELD.pop(address, None)


def destroy(capsule: int) -> None:
    """Let go of the memory of a dying capsule that nobody took: a capsule's destructor."""
    if is_dying(capsule, NAME):
        let_go(dying_pointer(capsule, NAME))


deleter, destructor = Deleter(let_go), Destructor(destroy)


def exported(array: DeviceArray, number: int) -> Any:
    """Return a capsule over the memory of an array on GPU `number`.

    Raises: BufferError for strides that DLPack cannot say.
    """
    dtype = array.dtype
    if any(step < 0 or step % dtype.itemsize for step in array.strides):
        raise BufferError(
            f"DLPack has no strides of {array.strides} bytes for {dtype}: share .contiguous()"
        )
    sizes = (ctypes.c_int64 * array.ndim)(*array.shape)
    steps = (ctypes.c_int64 * array.ndim)(*[step // dtype.itemsize for step in array.strides])
    made = Managed()
    tensor = made.tensor
    tensor.data = array.address if array.size else None
    tensor.device_type, tensor.device_id, tensor.ndim = CUDA, number, array.ndim
    tensor.code, tensor.bits, tensor.lanes = CODES[dtype.kind], 8 * dtype.itemsize, 1
    tensor.shape = ctypes.cast(sizes, ctypes.POINTER(ctypes.c_int64))
    tensor.strides = ctypes.cast(steps, ctypes.POINTER(ctypes.c_int64))
    made.deleter = ctypes.cast(deleter, ctypes.c_void_p).value
    address = ctypes.addressof(made)
    HELD[address] = made, sizes, steps, array.geometry
    return new_capsule(address, NAME, ctypes.cast(destructor, ctypes.c_void_p).value)


class Taken:
    """Another library's memory, let go of with the last array over it."""

    def __init__(self, managed: Any, address: int) -> None:
        self.managed = managed
        self.address = address

    def __del__(self) -> None:
        if self.managed.deleter:
            Deleter(self.managed.deleter)(self.address)


def imported(capsule: Any, target: Any) -> DeviceArray:
    """Return an array over the memory of a capsule, which is used up.

    Raises: ValueError for a capsule that is used up or is none; BufferError for memory that cannot
        be taken, TypeError for elements that no dtype here has: it stays its owner's.
    """
    name = next((name for name in LAYOUTS if is_capsule(capsule, name)), None)
    if name is None:
        raise ValueError(f"expected a DLPack capsule that nobody has taken yet, got {capsule!r}")
    layout, used = LAYOUTS[name]
    address = pointer_of(capsule, name)
    managed = layout.from_address(address)
    if layout is Versioned:
        if managed.major > NEWEST[0]:
            raise BufferError(
                f"DLPack {managed.major}.{managed.minor} came where {NEWEST[0]} was asked for"
            )
        if managed.flags & READ_ONLY:
            raise BufferError("memory on a GPU that is read-only cannot be shared: copy it first")
    tensor = managed.tensor
    if (tensor.device_type, tensor.device_id) != (CUDA, target.number):
        raise BufferError(
            f"expected memory of DLPack's device {(CUDA, target.number)}, {target.name}, got that "
            f"of {(tensor.device_type, tensor.device_id)}"
        )
    dtype = dtype_of(tensor)
    rename(capsule, used)
    shape = tuple(tensor.shape[: tensor.ndim])
    at = Addressed((tensor.data or 0) + tensor.byte_offset, shape, dtype, Taken(managed, address))
    if tensor.strides:
        steps = tensor.strides[: tensor.ndim]
        at.__array_interface__["strides"] = tuple(dtype.itemsize * step for step in steps)
    return DeviceArray(np.asarray(at), target)


def dtype_of(tensor: Any) -> np.dtype[Any]:
    """Return NumPy's dtype for what DLPack says of elements."""
    if tensor.lanes != 1 or tensor.bits not in BITS.get(tensor.code, ()):
        raise TypeError(
            f"expected elements that NumPy has a dtype for, got DLPack's type code {tensor.code} "
            f"of {tensor.bits} bits, {tensor.lanes} lanes: convert them where they come from"
        )
    kind = next(kind for kind, code in CODES.items() if code == tensor.code)
    return np.dtype(f"{kind}{tensor.bits // 8}")
