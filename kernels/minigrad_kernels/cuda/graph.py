"""Graphs: the launches of a whole step, made by one call of the driver.

A graph is built node by node from plans, each after the one before, while the code that would
launch them runs once; nothing is launched meanwhile, and no stream is captured, so the legacy
default stream will do.  Arrays made meanwhile lie in a pool that the graph owns: their memory is
handed on within the graph alone, and to nobody else while it lives.  Memory from before is held.

What differs from replay to replay is read from memory: what copies of host arrays hold (`mirror`
of targets.py: learning rates, counts of steps) and numbers that steer a launch, the number of a
random call say, which is set in its node before each replay.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.memory import Block, DevicePool


class Steered(NamedTuple):
    """A node with parameters that are set anew before each replay.

    launch: with parameters of its own in `memory`.  numbers: (slot, host array, its first number ->
    the slot's).
    """

    node: int
    launch: Any
    memory: Any
    numbers: list[tuple[int, Array, Callable[[Any], int]]]


class Steering:
    """A host array whose number is a parameter of nodes.

    known: the bytes that they have of it.  places: (memory, slot, number -> the slot's).
    sends: what gives each node its parameters, see `Driver.sending`.
    """

    def __init__(self, array: Array) -> None:
        self.array = array
        self.known = array.tobytes()
        self.places: list[tuple[Any, int, Callable[[Any], int]]] = []
        self.sends: list[Callable[[], int]] = []

    def write(self, now: bytes) -> None:
        """Write the number to all places, and note its bytes."""
        self.known = now
        number = self.array.item(0)
        for memory, slot, bits in self.places:
            memory[slot] = bits(number)


class Graph:
    """A recording of launches of a GPU, and their replay.

    held: what must live as long as it.  mirrors: (mirror, host array) whose copies its kernels
    read.  effects: (what a replay does to a mirrored host array, that array).  checks: late checks
    among its nodes.  reason: why it cannot be replayed, None where it can.
    """

    def __init__(self, target: Any) -> None:
        self.target = target
        self.driver = target.driver
        self.pool = DevicePool(
            f"a graph on {target.name}", partial(memory_for, target), target.after
        )
        target.enter()
        self.graph: int = self.driver.create_graph()
        self.made: int | None = None
        self.last: int | None = None
        self.nodes = 0
        self.held: list[Any] = []
        self.mirrors: list[tuple[Any, Array]] = []
        self.effects: list[tuple[Callable[[], Any], Array]] = []
        self.checks: list[tuple[int, Any]] = []
        self.steered: list[Steered] = []
        self.steering: dict[int, Steering] = {}  # by id of the host array
        self.reason: str | None = None

    # ------------------------------------------------------------ recording
    @contextmanager
    def recording(self) -> Iterator[None]:
        """Let this thread's launches become nodes; afterwards launch what was recorded, once."""
        ready = self.target.ready
        if ready.graph is not None:
            raise RuntimeError("a graph is recorded inside another one: record them one by one")
        ready.graph, ready.pool = self, self.pool
        try:
            yield
        finally:
            if ready.graph is self:
                self.finish()

    def finish(self) -> None:
        """End the recording: launch what was recorded so far."""
        self.target.ready.graph = self.target.ready.pool = None
        self.target.enter()
        self.made = self.driver.instantiate(self.graph)
        for each in self.steered:
            send = self.driver.sending(self.made, each.node, each.launch.node())
            for slot, array, bits in each.numbers:
                known = self.steering.setdefault(id(array), Steering(array))
                known.places.append((each.memory, slot, bits))
                known.sends.append(send)
        self.launch = self.driver.launching(self.made)
        self.launch_now()

    def launch_now(self) -> None:
        """Launch all nodes on this thread's stream."""
        code = self.launch(self.target.ready.stream.number)
        if code:
            raise self.driver.error("cuGraphLaunch", code)

    def abandon(self, reason: str) -> None:
        """Give the recording up, for a reason: what is asked for now needs what came before it."""
        self.reason = self.reason or reason
        self.finish()

    def add(self, plan: Any, args: Sequence[Any]) -> None:
        """Add the launches of a plan whose parameters are in place."""
        self.held.append(plan)
        for i in plan.places:
            self.hold(args[i])
        counted = {slot for slot, _, _ in plan.counters}
        for step, slots in zip(plan.steps, plan.slots, strict=True):
            if hasattr(step, "size"):
                to, source = (plan.memory[place] for place in step.places)
                self.last = self.driver.add_copy(self.graph, self.last, to, source, step.size)
            elif counted.isdisjoint(slots):
                self.last = self.driver.add_kernel(self.graph, self.last, step)
            else:
                memory = type(plan.memory).from_buffer_copy(plan.memory)
                start = ctypes.addressof(memory)
                own = step.elsewhere([start + 8 * slot for slot in slots])
                self.last = self.driver.add_kernel(self.graph, self.last, own)
                numbers = [(i, args[k], bits) for i, k, bits in plan.counters]
                self.steered.append(Steered(self.last, own, memory, numbers))
            self.nodes += 1

    def hold(self, array: DeviceArray) -> None:
        """Keep memory from before the recording alive; the graph's own is its pool's."""
        owner = array.owner
        if type(owner) is not Block:
            self.held.append(array)
        elif owner.pool is not self.pool:
            self.held.append(owner)

    # ------------------------------------------------------------ replay
    def replay(self) -> None:
        """Launch all nodes again, on this thread's stream, with the numbers of now."""
        assert self.made is not None
        target = self.target
        if self.driver.local.device != target.number:
            target.enter()
        for mirror, host in self.mirrors:
            if host.tobytes() != mirror.known:
                mirror.update(host)
        sends: list[Callable[[], int]] = []
        for each in self.steering.values():
            now = each.array.tobytes()
            if now != each.known:
                each.write(now)
                sends += each.sends
        for send in dict.fromkeys(sends):  # each node once, when all its numbers are in place
            code = send()
            if code:
                raise self.driver.error("cuGraphExecKernelNodeSetParams", code)
        self.launch_now()
        for effect, host in self.effects:
            effect()
            target.mirrored(host)
        for number, check in self.checks:
            target.late.pending[number] = check

    def __del__(self) -> None:
        if self.made is not None:
            self.target.enter()
            self.driver.destroy_graph(self.graph, self.made)


def memory_for(target: Any, nbytes: int) -> tuple[Any, int]:
    """Return new memory of a GPU; where there is none, what its own pool has free goes first."""
    try:
        made: tuple[Any, int] = target.memory(nbytes)
    except MemoryError:
        target.empty_cache()
        made = target.memory(nbytes)
    return made
