"""torch.distributed: the processes that mpiexec has started, under PyTorch's names."""

from __future__ import annotations

import importlib.util
import os
from types import SimpleNamespace
from typing import Any

from minigrad.distributed import collectives, group
from minigrad.distributed.collectives import ReduceOp, Work
from minigrad.distributed.data_parallel import DataParallel
from minigrad.nn.module import Module
from minigrad.tensors.tensor import Tensor

# What torchrun tells programs, and how launchers of MPI programs say the same.
TOLD = {
    "RANK": ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"),
    "WORLD_SIZE": ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"),
    "LOCAL_RANK": ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"),
    "LOCAL_WORLD_SIZE": ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"),
}


def tell() -> None:
    """Set what torchrun would set, for programs that ask the environment who they are: RANK and
    the like, in a process that mpiexec has started; what is there already stays.
    """
    if not group.launched():
        return
    for name, sources in TOLD.items():
        found = [os.environ[source] for source in sources if source in os.environ]
        if found:
            os.environ.setdefault(name, found[0])
    os.environ.setdefault("MASTER_ADDR", "localhost")
    os.environ.setdefault("MASTER_PORT", "29500")


class Default:
    """Whether the program has asked for the others."""

    initialised = False


def init_process_group(
    backend: Any = None,
    init_method: Any = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    **options: Any,
) -> None:
    """Join the processes that mpiexec has started; alone, be a group of one.

    backend, init_method, store: whatever they say, it is MPI.
    timeout: a timedelta.

    Raises: RuntimeError where another number of processes is asked for than mpiexec has started,
        or where this one is said to be another than it is.
    """
    seconds = group.TIMEOUT if timeout is None else timeout.total_seconds()
    joined = group.init(seconds)
    wanted = world_size if world_size > 0 else int(os.environ.get("WORLD_SIZE", joined.size))
    if wanted != joined.size:
        raise RuntimeError(
            f"init_process_group: {wanted} processes are asked for, but mpiexec has started "
            f"{joined.size}; run `mpiexec -n {wanted} minigrad run script.py`, without torchrun"
        )
    own = rank if rank >= 0 else int(os.environ.get("RANK", joined.rank))
    if own != joined.rank:
        raise RuntimeError(
            f"init_process_group: this process is said to be rank {own}, but mpiexec has made it "
            f"rank {joined.rank}; leave `rank` out, and RANK unset before mpiexec"
        )
    Default.initialised = True


def spawn(
    fn: Any,
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> None:
    """Run `fn(rank, *args)`, as the one of `nprocs` processes that this one is: mpiexec has started
    them all.

    Raises: RuntimeError where it has started another number.
    """
    tell()
    there = int(os.environ.get("WORLD_SIZE", "1"))
    if nprocs != there:
        raise RuntimeError(
            f"spawn: the program asks for {nprocs} processes, but {there} "
            f"{'is' if there == 1 else 'are'} there; start them by `mpiexec -n {nprocs} minigrad "
            "run script.py`"
        )
    fn(int(os.environ.get("RANK", "0")), *args)


def get_default_backend_for_device(device: Any = None) -> str:
    """Return "mpi"."""
    return "mpi"


def destroy_process_group(group: Any = None) -> None:
    """Leave the others; they are waited for at the end of the program."""
    Default.initialised = False


def joined() -> Any:
    """Return the group.

    Raises: ValueError before init_process_group, as PyTorch does.
    """
    if not Default.initialised:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call "
            "init_process_group."
        )
    return group.current.group


def is_initialized() -> bool:
    """Return whether init_process_group was called."""
    return Default.initialised


def has_mpi() -> bool:
    """Return whether mpi4py is installed."""
    return importlib.util.find_spec("mpi4py") is not None


def get_rank(group: Any = None) -> int:
    """Return the number of this process."""
    return int(joined().rank)


def get_world_size(group: Any = None) -> int:
    """Return the number of processes."""
    return int(joined().size)


def get_backend(group: Any = None) -> str:
    """Return "mpi"."""
    joined()
    return "mpi"


def all_reduce(tensor: Tensor, op: str = "sum", group: Any = None, async_op: bool = False) -> Any:
    """Put the processes' tensors together, in place."""
    joined()
    return collectives.all_reduce(tensor, op, async_op)


def reduce(
    tensor: Tensor, dst: int = 0, op: str = "sum", group: Any = None, async_op: bool = False
) -> Any:
    """Put the processes' tensors together into that of `dst`; the others keep theirs."""
    joined()
    held = tensor if get_rank() == dst else tensor.detach().clone()
    return collectives.all_reduce(held, op, async_op)


def all_gather(
    tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False
) -> Any:
    """Write the processes' tensors into a list's."""
    joined()
    collectives.all_gather(tensor_list, tensor)
    return Work() if async_op else None


def broadcast(tensor: Tensor, src: int = 0, group: Any = None, async_op: bool = False) -> Any:
    """Write the tensor of `src` into all."""
    joined()
    collectives.broadcast(tensor, src)
    return Work() if async_op else None


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Any:
    """Wait for all processes."""
    joined()
    collectives.barrier()
    return Work() if async_op else None


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Write the processes' objects into a list."""
    joined()
    collectives.all_gather_object(object_list, obj)


def broadcast_object_list(
    object_list: list[Any], src: int = 0, group: Any = None, device: Any = None
) -> None:
    """Write the objects of `src` into all lists."""
    joined()
    collectives.broadcast_object_list(object_list, src)


class DistributedDataParallel(DataParallel):
    """`minigrad.distributed.DataParallel` with batch norms of each process's own rows.

    broadcast_buffers: whether running statistics are those of process 0, else each one's own.
    device_ids, output_device, dim, process_group, and options on how it is done: PyTorch's; there
    is one device a process, and parameters that are not used are found always.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        **options: Any,
    ) -> None:
        joined()
        if not any(p.requires_grad for p in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter "
                "that requires a gradient."
            )
        size = {} if bucket_cap_mb is None else {"bucket_cap_mb": bucket_cap_mb}
        super().__init__(module, sync_batch_norm=False, **size)
        self.broadcast_buffers = broadcast_buffers


PROCESSES: dict[str, Any] = {
    "ReduceOp": ReduceOp,
    "Work": Work,
    "all_gather": all_gather,
    "all_gather_object": all_gather_object,
    "all_reduce": all_reduce,
    "barrier": barrier,
    "broadcast": broadcast,
    "broadcast_object_list": broadcast_object_list,
    "destroy_process_group": destroy_process_group,
    "get_backend": get_backend,
    "get_default_backend_for_device": get_default_backend_for_device,
    "get_rank": get_rank,
    "get_world_size": get_world_size,
    "group": SimpleNamespace(WORLD=None),
    "init_process_group": init_process_group,
    "is_available": has_mpi,
    "is_gloo_available": has_mpi,
    "is_initialized": is_initialized,
    "is_mpi_available": has_mpi,
    "reduce": reduce,
}
