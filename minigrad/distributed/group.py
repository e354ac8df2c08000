"""The processes that train together: who they are, how they wait for each other, how all end.

One process without MPI is a group of its own.  A process that `mpiexec` has started joins the
others in `init`.  Whoever waits for the others watches the time, so that a rank that raises, hangs
or dies ends all ranks with its message, and never leaves them waiting.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from minigrad.engine import arguments
from minigrad.engine.errors import ArgumentError
from minigrad.engine.random import _Global
from minigrad.engine.threads import get_num_threads, set_num_threads

# What a launcher of MPI programs says to the processes that it starts.
LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "MPI_LOCALNRANKS")
TIMEOUT = 1_800.0  # seconds
SLOW = 2.0  # seconds of waiting after which a rank tells the others what it waits for
GRACE = 3.0  # seconds in which those that are alive say so
STEP = 0.5  # seconds that one look at the clock counts for at most: a process may be suspended
SPINS = 200  # looks before a waiting rank leaves the processor to others
REST = 1e-4  # seconds that it sleeps between looks where ranks share cores
TAG = 7_719  # of messages about what a rank waits for
ENDED = "the end of the program"
SAME = "all ranks must call the same operations, with the same shapes, in the same order"
ONE_SIDED = "the broadcast"  # how those begin that wait for one rank, not for all
# Open MPI's own choice for a sum that is not waited for sends all of it each way, this one half of
# it at a time: 7.5 MB between two processes of one machine took 3.1 ms, and take 1.2.
SUMS = "OMPI_MCA_coll_libnbc_iallreduce_algorithm"
HALVING = "3"  # and doubling: Rabenseifner's
THREADS = ("NUMBA_NUM_THREADS",)  # set by whoever wants another number


class Lane:
    """Operations that all ranks begin in one order; that of two lanes may differ between ranks.

    comm: its communicator.  count: operations begun so far.
    """

    def __init__(self, name: str, comm: Any) -> None:
        self.name, self.comm, self.count = name, comm, 0


class Place(NamedTuple):
    """What a rank waits for: an operation of a lane, by its number and name.

    begun: of each lane, how many operations the rank has begun.
    """

    lane: str
    number: int
    what: str
    begun: dict[str, int]

    def parted(self, other: Place) -> bool:
        """Return whether this rank and another one wait for what neither will ever come to."""
        if self.lane == other.lane:
            return self.number == other.number and self.what != other.what
        behind = other.begun[self.lane] < self.number and self.begun[other.lane] < other.number
        return behind and not any(one.what.startswith(ONE_SIDED) for one in (self, other))


class Group:
    """The processes of a run; this one is number `rank` of `size`.

    comm: the communicator, None in a group of one; side: that of messages about it; last: that of
        the end, which no other operation can be taken for.
    lane: of all operations but the sums of gradients, which have one of their own: where a rank
        takes another way through a model, they come at other times between its batch norms'.
    timeout: seconds that a rank waits for the others before it ends all of them.
    crowded: whether ranks share cores, so that to wait busily takes time from another one.
    waited: seconds spent waiting in operations.
    """

    def __init__(self, mpi: Any = None, timeout: float = TIMEOUT) -> None:
        self.mpi = mpi
        self.timeout = timeout
        world: Any = None if mpi is None else mpi.COMM_WORLD
        self.comm: Any = world and world.Dup()
        self.side: Any = world and world.Dup()
        self.last: Any = world and world.Dup()
        self.lane = Lane("operations", self.comm)
        self.gradients = Lane("gradients", world and world.Dup())
        self.end = Lane("end", self.last)
        self.rank, self.size = 0, 1
        if mpi is not None:
            self.rank, self.size = int(self.comm.Get_rank()), int(self.comm.Get_size())
        self.crowded = False
        self.waited = 0.0
        self.ended = False
        self.told: list[Any] = []  # messages on their way

    # ------------------------------------------------------------ waiting
    def wait(
        self, request: Any, what: str, number: int | None = None, lane: Lane | None = None
    ) -> None:
        """Wait for a collective operation; end all ranks where it takes longer than `timeout`.

        what: its name in messages.  number: which of its lane's it is; by default the last.
        """
        if self.done(request, what):
            return
        begun = last = time.perf_counter()
        waited, looks, asked = 0.0, 0, False
        lane = lane or self.lane
        place = Place(lane.name, lane.count if number is None else number, what, self.counts())
        while not self.done(request, what):
            looks += 1
            if looks < SPINS:
                continue
            if self.crowded:
                time.sleep(REST)  # to yield is not enough: the scheduler may come back at once
            else:
                os.sched_yield()
            now = time.perf_counter()
            waited += min(now - last, STEP)
            last = now
            if waited < SLOW:
                continue
            time.sleep(0.001)
            if not asked:
                self.tell(place)
                asked = True
            self.listen(place)
            if waited >= self.timeout:
                self.give_up(place)
        self.waited += time.perf_counter() - begun

    def done(self, request: Any, what: str) -> bool:
        """Return whether an operation is done; end all ranks where MPI says that it failed."""
        try:
            return bool(request.Test())
        except self.mpi.Exception as error:
            self.abort(f"rank {self.rank}: {what} failed ({error}): {SAME}")

    def counts(self) -> dict[str, int]:
        """Return how many operations of each lane this rank has begun."""
        return {lane.name: lane.count for lane in (self.lane, self.gradients)}

    def tell(self, place: Place) -> None:
        """Tell the other ranks what this one waits for."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        self.told += [self.side.isend(tuple(place), dest=rank, tag=TAG) for rank in others]

    def listen(self, place: Place) -> dict[int, Place]:
        """Read what other ranks wait for; end all where that can never come.

        One that has ended its program will never come; nor will one that waits for another
        operation in this one's place, or where each waits for what the other has not begun.
        """
        heard: dict[int, Place] = {}
        status = self.mpi.Status()
        while self.side.Iprobe(source=self.mpi.ANY_SOURCE, tag=TAG, status=status):
            other = status.Get_source()
            heard[other] = theirs = Place(*self.side.recv(source=other, tag=TAG))
            if theirs.what == ENDED and place.what != ENDED:
                self.abort(
                    f"rank {other} has come to {ENDED}, while rank {self.rank} waits for it in "
                    f"{place.what}"
                )
            if ENDED not in (place.what, theirs.what) and place.parted(theirs):
                self.abort(
                    f"rank {self.rank} waits in {place.what}, but rank {other} in {theirs.what}, "
                    f"as operations number {place.number} and {theirs.number}: {SAME}"
                )
        return heard

    def give_up(self, place: Place) -> NoReturn:
        """End all ranks, naming those that have not come."""
        self.tell(place)
        heard = {self.rank: place}
        end = time.perf_counter() + GRACE
        while time.perf_counter() < end:
            heard |= self.listen(place)
            time.sleep(0.01)
        missing = [rank for rank in range(self.size) if rank not in heard]
        names = ", ".join(map(str, missing)) or "none that is known"
        self.abort(
            f"rank {self.rank} has waited {self.timeout:g} s in {place.what}; what has not come: "
            f"rank {names}. A rank that computes longer than that on its own needs "
            "init(timeout=seconds)"
        )

    # ------------------------------------------------------------ the end
    def abort(self, message: str, status: int = 1) -> NoReturn:
        """End all ranks with a message on standard error and an exit status."""
        print(f"minigrad.distributed: {message}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        if self.mpi is None:
            raise SystemExit(status)
        self.ended = True
        self.mpi.COMM_WORLD.Abort(status)
        os._exit(status)

    def finish(self) -> None:
        """Wait at the end of the program for the other ranks, so that none leaves one behind."""
        if self.ended or self.comm is None:
            return
        self.ended = True
        try:
            self.wait(self.last.Ibarrier(), ENDED, lane=self.end)
            self.listen(Place(self.end.name, 0, ENDED, self.counts()))
        except BaseException:
            traceback.print_exc()
            self.abort(f"rank {self.rank} could not wait for {ENDED}")


class Current:
    """The group of this process."""

    group: Group = Group()
    joined = False


current = Current()


def init(timeout: float = TIMEOUT, *, mpi: bool | None = None) -> Group:
    """Join the processes that `mpiexec` has started; alone where there are none.

    From here on an exception that nobody catches, on any rank, ends all ranks with its traceback
    and status 1.  Each rank computes on its share of its machine's cores, unless
    NUMBA_NUM_THREADS says otherwise, and all have rank 0's seed of random numbers, those of NumPy
    and Python apart.  A second call does nothing.

    timeout: seconds that a rank waits for the others, at most, before all end.
    mpi: True joins by MPI even where no launcher is seen, False does not where one is.

    Raises: ModuleNotFoundError where a launcher has started this process but mpi4py is missing:
        every process would train by itself.

    >>> group = init()
    >>> group.rank, group.size
    (0, 1)
    """
    timeout = arguments.number("init", "timeout", timeout)
    if not timeout > 0:
        raise ArgumentError(f"init: expected timeout above 0 seconds, got {timeout}")
    if current.joined:
        return current.group
    if mpi is None:
        mpi = launched()
    if mpi:
        current.group = Group(load(), timeout)
        share_cores(current.group)
        _Global.seed = current.group.comm.bcast(_Global.seed)
        sys.excepthook = ending(current.group, sys.excepthook)
        atexit.register(current.group.finish)
        current.joined = True
    return current.group


def launched() -> bool:
    """Return whether a launcher of MPI programs has started this process.

    >>> launched()
    False
    """
    return any(name in os.environ for name in LAUNCHED)


def load() -> Any:
    """Return mpi4py's module MPI, which joins the other processes when it is imported."""
    os.environ.setdefault(SUMS, HALVING)
    try:
        from mpi4py import MPI  # noqa: PLC0415
    except ImportError as error:
        raise ModuleNotFoundError(
            "minigrad.distributed: this process was started by mpiexec, or init(mpi=True) asks for "
            f"MPI, but mpi4py cannot be imported ({error}); pip install 'minigrad[mpi]', in the "
            "environment of every rank"
        ) from error
    return MPI


def share_cores(group: Group) -> None:
    """Compute on as many threads as this rank has cores of its machine for itself."""
    own = os.sched_getaffinity(0)
    near = group.comm.Split_type(group.mpi.COMM_TYPE_SHARED)
    sharing = sum(bool(own & cores) for cores in near.allgather(own))
    near.Free()
    group.crowded = sharing > len(own)
    if any(os.environ.get(name) for name in THREADS):
        return
    set_num_threads(max(1, min(len(own) // sharing, get_num_threads())))


def ending(group: Group, before: Callable[..., Any]) -> Callable[..., Any]:
    """Return an excepthook that ends all ranks after what `before` prints."""

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        before(kind, error, trace)
        sys.stderr.flush()
        group.abort(f"rank {group.rank} of {group.size} raised {kind.__name__}; all ranks end")

    return hook


def rank() -> int:
    """Return the number of this process, from 0.

    >>> rank()
    0
    """
    return current.group.rank


def world_size() -> int:
    """Return how many processes train together.

    >>> world_size()
    1
    """
    return current.group.size


def is_first() -> bool:
    """Return whether this is rank 0, which prints and saves.

    >>> is_first()
    True
    """
    return current.group.rank == 0


def abort(message: str, status: int = 1) -> NoReturn:
    """End all ranks with a message and an exit status; a group of one raises SystemExit.

    >>> abort("the data are not there", 3)
    Traceback (most recent call last):
    ...
    SystemExit: 3
    """
    current.group.abort(message, status)
