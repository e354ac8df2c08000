"""Memory of a GPU handed to other libraries, and taken from them, by DLPack.

A capsule named "dltensor" holds a structure that says where memory lies and how to let go of it.
Who takes it renames the capsule to "used_dltensor" and calls the structure's deleter in the end; a
capsule that nobody took calls it itself.

Source: the DLPack specification, version 0.8 (the unversioned structure), and the array API
standard's text on `__dlpack__`.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from minigrad_kernels.gpu.array import Addressed, DeviceArray

CUDA = 2  # kDLCUDA
NAME, USED = b"dltensor", b"used_dltensor"
INT, UINT, FLOAT, BOOL = 0, 1, 2, 6
CODES = {"i": INT, "u": UINT, "f": FLOAT, "b": BOOL}
KINDS = {code: kind for kind, code in CODES.items()}
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


def _api(name: str, result: Any, *arguments: Any) -> Any:
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
    HELD.pop(address, None)


def destroy(capsule: int) -> None:
    if is_dying(capsule, NAME):
        let_go(dying_pointer(capsule, NAME))


deleter, destructor = Deleter(let_go), Destructor(destroy)


def exported(array: DeviceArray, number: int) -> Any:
    """Return a capsule over the memory of an array on GPU `number`."""
    dtype = array.dtype
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

    def __init__(self, managed: Managed, address: int) -> None:
        self.managed = managed
        self.address = address

    def __del__(self) -> None:
        if self.managed.deleter:
            Deleter(self.managed.deleter)(self.address)


def imported(capsule: Any, target: Any) -> DeviceArray:
    """Return an array over the memory of a capsule, which is used up.

    Raises: ValueError for a capsule that is used up or not of this kind; TypeError for elements
        that no dtype here has.
    """
    if not is_capsule(capsule, NAME):
        raise ValueError(f"expected a DLPack capsule that nobody has taken yet, got {capsule!r}")
    address = pointer_of(capsule, NAME)
    managed = Managed.from_address(address)
    tensor = managed.tensor
    kind = KINDS.get(tensor.code)
    if kind is None or tensor.lanes != 1 or tensor.bits not in (8, 16, 32, 64):
        raise TypeError(
            f"expected elements that NumPy has a dtype for, got DLPack's type code {tensor.code} "
            f"of {tensor.bits} bits, {tensor.lanes} lanes: convert them where they come from"
        )
    dtype = np.dtype(bool if kind == "b" else f"{kind}{tensor.bits // 8}")
    rename(capsule, USED)
    shape = tuple(tensor.shape[: tensor.ndim])
    at = Addressed((tensor.data or 0) + tensor.byte_offset, shape, dtype, Taken(managed, address))
    if tensor.strides:
        steps = tensor.strides[: tensor.ndim]
        at.__array_interface__["strides"] = tuple(dtype.itemsize * step for step in steps)
    return DeviceArray(np.asarray(at), target)
