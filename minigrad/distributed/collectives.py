"""Operations that all ranks take part in, with PyTorch's names: on tensors and on objects.

All ranks call the same ones in the same order, with tensors of one shape and dtype.  In a group of
one they do what they do for one rank.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.distributed.group import Group, Lane, current
from minigrad.engine.device import device_of, host_copy, moved
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import refuse_others
from minigrad.engine.overwrite import check_writable
from minigrad.engine.recording import refuse_recording
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
OPS = {"sum": "SUM", "avg": "SUM", "product": "PROD", "max": "MAX", "min": "MIN"}


class ReduceOp:
    """How `all_reduce` puts the ranks' elements together: PyTorch's names.

    >>> ReduceOp.SUM
    'sum'
    """

    SUM = "sum"
    AVG = "avg"
    PRODUCT = "product"
    MAX = "max"
    MIN = "min"


class Work:
    """An operation under way: `wait()` returns when the tensor holds the result."""

    def __init__(self, finish: Any = None) -> None:
        self._finish = finish

    def wait(self) -> bool:
        """Wait for the result."""
        if self._finish is not None:
            finish, self._finish = self._finish, None
            finish()
        return True

    def is_completed(self) -> bool:
        """Return whether the result has been waited for."""
        return self._finish is None


def all_reduce(tensor: Tensor, op: str = "sum", async_op: bool = False) -> Work | None:
    """Put the ranks' tensors together, element by element, into every rank's tensor.

    op: "sum", "avg", "product", "max" or "min"; see `ReduceOp`.
    async_op: return at once; `wait()` of what is returned waits for the result.
    All ranks get the same bits.

    Raises: ValueError for another op, and for a tensor that requires grad while recording;
        TypeError for the mean of whole numbers and the sum of bools.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0])
    >>> all_reduce(x)
    >>> x
    tensor([1., 2.])
    """
    name = str(op).lower()
    if name not in OPS:
        raise ArgumentError(f"all_reduce: expected op to be one of {', '.join(OPS)}, got {op!r}")
    group = current.group
    array = writable("all_reduce", tensor)
    if name == "avg" and array.dtype.kind != "f":
        raise ArgumentTypeError(f"all_reduce: avg is of floating tensors, got {array.dtype}")
    if name == "sum" and array.dtype.kind == "b":
        raise ArgumentTypeError(
            "all_reduce: the sum of bools is none; use op='max' for whether any rank has True, "
            "'min' for all, or tensor.long() for how many"
        )
    if group.comm is None:
        return Work() if async_op else None
    values = host_copy(array) if not isinstance(array, np.ndarray) else array
    held = np.ascontiguousarray(values) if values.flags.writeable else values.copy(order="C")
    request = begin(group, held.view(np.uint8) if held.dtype.kind == "b" else held, OPS[name])
    number = group.lane.count

    def finish() -> None:
        group.wait(request, "all_reduce", number)
        if name == "avg":
            held.__itruediv__(group.size)
        put(tensor, held)

    if async_op:
        return Work(finish)
    finish()
    return None


def begin(group: Group, values: Array, op: str = "SUM", lane: Lane | None = None) -> Any:
    """Begin to put the ranks' arrays together in place; return the request.

    The request keeps the array alive.
    """
    lane = lane or group.lane
    lane.count += 1
    request = lane.comm.Iallreduce(group.mpi.IN_PLACE, values, getattr(group.mpi, op))
    return Request(request, values)


class Request:
    """A request of MPI's, and the memory that it writes, which must live as long."""

    __slots__ = ("request", "values")

    def __init__(self, request: Any, values: Any) -> None:
        self.request, self.values = request, values

    def Test(self) -> bool:
        """Return whether the operation is done."""
        return bool(self.request.Test())


def sum_over_ranks(values: Array, what: str = "sum_over_ranks") -> Array:
    """Return the sum of the ranks' arrays, the same bits on all; float64 and integers.

    >>> sum_over_ranks(np.array([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    group = current.group
    held = np.array(values, order="C")
    if group.comm is not None:
        group.wait(begin(group, held), what)
    return held


def all_gather(tensor_list: list[Tensor], tensor: Tensor) -> None:
    """Write the ranks' tensors, of one shape, into the tensors of a list, rank by rank.

    Raises: ValueError for a list that has not one tensor a rank of the tensor's shape and dtype.

    >>> import minigrad as mg
    >>> found = [mg.zeros(2)]
    >>> all_gather(found, mg.ones(2))
    >>> found
    [tensor([1., 1.])]
    """
    group = current.group
    refuse_others("all_gather", (tensor, *tensor_list))
    shapes = {(tuple(t.shape), t.array.dtype) for t in (tensor, *tensor_list)}
    if len(tensor_list) != group.size or len(shapes) != 1:
        raise ArgumentError(
            f"all_gather: expected a list of {group.size} tensors like the one given, of shape "
            f"{tuple(tensor.shape)} and {tensor.array.dtype}, got {len(tensor_list)} of "
            f"{sorted(map(str, shapes))}"
        )
    found = gathered(np.ascontiguousarray(host_copy(tensor.array)))
    for into, values in zip(tensor_list, found, strict=True):
        writable("all_gather", into)
        put(into, values)


def gathered(values: Array, what: str = "all_gather") -> Array:
    """Return the ranks' arrays of one shape, one after the other: (size, ...).

    >>> gathered(np.ones(2)).shape
    (1, 2)
    """
    group = current.group
    found = np.empty((group.size, *values.shape), values.dtype)
    if group.comm is None:
        found[0] = values
        return found
    group.lane.count += 1
    held = np.ascontiguousarray(values)
    group.wait(Request(group.comm.Iallgather(held, found), (held, found)), what)
    return found


def broadcast(tensor: Tensor, src: int = 0) -> None:
    """Write rank `src`'s tensor into every rank's.

    Raises: ValueError for a rank that there is not.

    >>> import minigrad as mg
    >>> x = mg.ones(2)
    >>> broadcast(x)
    """
    group = current.group
    array = writable("broadcast", tensor)
    if not 0 <= src < group.size:
        raise ArgumentError(f"broadcast: expected src in [0, {group.size}), got {src}")
    if group.comm is None:
        return
    held = np.array(host_copy(array), order="C")
    sent(held, src)
    put(tensor, held)


def sent(values: Array, src: int = 0, what: str = "the broadcast") -> None:
    """Write rank `src`'s array into every rank's."""
    group = current.group
    if group.comm is None:
        return
    group.lane.count += 1
    group.wait(Request(group.comm.Ibcast(values, src), values), what)


def begin_copy(tensor: Tensor, src: int) -> Callable[[], None]:
    """Begin to write rank `src`'s tensor into every rank's; return what waits for it."""
    group = current.group
    array = tensor.array
    held = np.ascontiguousarray(host_copy(array))
    group.lane.count += 1
    request = Request(group.comm.Ibcast(held, src), held)
    number = group.lane.count

    def finish() -> None:
        group.wait(request, "the broadcast of parameters", number)
        if group.rank != src:
            put(tensor, held)

    return finish


def barrier() -> None:
    """Wait until all ranks have come here.

    >>> barrier()
    """
    refuse_recording("a barrier waits for other processes")
    group = current.group
    if group.comm is not None:
        group.lane.count += 1
        group.wait(group.comm.Ibarrier(), "barrier")


# ---------------------------------------------------------------- objects
def all_gather_object(object_list: list[Any], obj: Any) -> None:
    """Write the ranks' objects, which pickle takes, into a list.

    >>> found = [None]
    >>> all_gather_object(found, {"rank": 0})
    >>> found
    [{'rank': 0}]
    """
    group = current.group
    if len(object_list) != group.size:
        raise ArgumentError(
            f"all_gather_object: expected a list of {group.size}, got {len(object_list)}"
        )
    object_list[:] = objects(obj)


def objects(obj: Any, what: str = "all_gather_object") -> list[Any]:
    """Return the ranks' objects, rank by rank.

    >>> objects(3)
    [3]
    """
    group = current.group
    if group.comm is None:
        return [obj]
    data = np.frombuffer(group.mpi.pickle.dumps(obj), np.uint8)
    sizes = gathered(np.array([data.size], np.int64), what)[:, 0]
    padded = np.zeros(int(sizes.max()), np.uint8)
    padded[: data.size] = data
    rows = gathered(padded, what)
    return [
        group.mpi.pickle.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)
    ]


def broadcast_object_list(object_list: list[Any], src: int = 0) -> None:
    """Write rank `src`'s objects into every rank's list of the same length.

    >>> broadcast_object_list(["a"])
    """
    object_list[:] = from_rank(list(object_list), src)


def from_rank(obj: Any, src: int = 0, what: str = "the broadcast of objects") -> Any:
    """Return rank `src`'s object.

    >>> from_rank("a")
    'a'
    """
    group = current.group
    if group.comm is None:
        return obj
    data = np.zeros(0, np.uint8)
    if group.rank == src:
        data = np.frombuffer(group.mpi.pickle.dumps(obj), np.uint8).copy()
    size = np.array([data.size], np.int64)
    sent(size, src, what)
    if group.rank != src:
        data = np.empty(int(size[0]), np.uint8)
    sent(data, src, what)
    return obj if group.rank == src else group.mpi.pickle.loads(data.tobytes())


# ---------------------------------------------------------------- arrays of tensors
def writable(name: str, tensor: Tensor) -> Any:
    """Return the array of a tensor that is to be written to."""
    refuse_others(name, (tensor,))
    refuse_recording(f"{name} exchanges numbers with other processes")
    check_writable(tensor.array, name)
    return tensor.array


def put(tensor: Tensor, values: Array) -> None:
    """Write values into a tensor, where it lies."""
    array: Any = tensor.array
    if isinstance(array, np.ndarray):
        if values is not array:
            array[...] = values
    else:
        array[...] = moved(values, device_of(array))
    tensor.bump_version("by another rank")
