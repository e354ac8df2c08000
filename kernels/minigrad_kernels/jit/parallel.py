"""Parallel kernels called from several Python threads, and in the children of a fork.

Numba lets go of the interpreter's lock while a parallel loop runs, whatever `nogil` says.  Two
Python threads would then be in such loops at once: the workqueue layer ends the process for it,
and under OpenMP both teams have the same thread numbers, so that they would pack into the same
arenas (products of two threads were wrong in 1 of 10 calls).  So one loop runs at a time: `Locked`
takes LOCK around it.  What holds the interpreter's lock throughout, every other kernel, needs none.

GNU OpenMP ends a forked child at its first parallel loop.  Compiled loops therefore go through a
switch of our own: in the parent it jumps on to Numba's; in a child, or where there is one thread,
it runs the whole loop on the calling thread; the bits are the same.  A child that is to use all
cores is made by `spawn` or `forkserver`.  Tables of calls send their loops to threads of their own
by the same switch (jit/pool.py).
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from typing import Any

import llvmlite.binding as llvm
from numba.core.compiler_lock import global_compiler_lock
from numba.np.ufunc import parallel as numba_parallel

from minigrad_kernels.jit import plain
from minigrad_kernels.jit.claims import Claiming

LOCK = threading.RLock()


class NumbaStart:
    """Numba's two locks around the start of its threads, which its `get_num_threads` takes too.

    One of them is a lock that processes share.  A child that a fork makes while a thread of its
    parent holds it believes that the lock is held once more than it is, and so never lets go of it:
    parent and children wait for ever (1 of some 40 forks beside busy threads).  A child gets its
    own, and no fork comes while one is held.
    """

    def __init__(self) -> None:
        self.held: list[Any] = []

    def acquire(self) -> None:
        """Take both, or the second alone while Numba has not made the first, which needs it."""
        shared = numba_parallel._backend_init_process_lock
        while True:
            self.held = [shared] if shared else []
            self.held.append(numba_parallel._backend_init_thread_lock)
            for lock in self.held:
                lock.__enter__()
            if shared is numba_parallel._backend_init_process_lock:
                return
            self.release()
            shared = numba_parallel._backend_init_process_lock

    def release(self) -> None:
        """Let go of what was taken."""
        held, self.held = self.held, []
        for lock in reversed(held):
            lock.__exit__(None, None, None)

    def renew(self) -> None:
        """Give a child locks of its own: Numba makes the first when it wants it."""
        self.held = []
        numba_parallel._backend_init_process_lock = None
        numba_parallel._backend_init_thread_lock = threading.RLock()


NUMBA_START = NumbaStart()
# Locks that a fork waits for and holds, so that the child finds what they guard whole: each may be
# taken by a thread that holds those after it, so a fork takes the last first.
GUARDS: list[Any] = [LOCK] if plain.ON else [NUMBA_START, global_compiler_lock, LOCK]

SWITCH = """
define void @minigrad_parallel_for(ptr %function, ptr %args, ptr %dims, ptr %steps, ptr %data,
                                   i64 %inner, i64 %count, i64 %threads) {{
  %cell = inttoptr i64 {cell} to ptr
  %target = load volatile ptr, ptr %cell
  %alone = icmp eq ptr %target, null
  %one = icmp eq i64 %threads, 1
  %mine = or i1 %alone, %one
  br i1 %mine, label %here, label %there
here:
  call void %function(ptr %args, ptr %dims, ptr %steps, ptr %data)
  ret void
there:
  call void %target(ptr %function, ptr %args, ptr %dims, ptr %steps, ptr %data,
                    i64 %inner, i64 %count, i64 %threads)
  ret void
}}
define i64 @minigrad_thread_number() {{
  %cell = inttoptr i64 {number} to ptr
  %target = load volatile ptr, ptr %cell
  %found = call i64 %target()
  ret i64 %found
}}
"""


class Switch:
    """The switch that sends compiled parallel loops to Numba's threads, or runs them here."""

    def __init__(self) -> None:
        self.cell = ctypes.c_void_p(None)  # the function of Numba's layer; None: run it here
        self.number = ctypes.c_void_p(None)  # its function that tells a thread's number
        self.engine: Any = None
        self.alone = False  # in a child of a process whose threads it does not have

    def install(self) -> None:
        """Put the switch before Numba's loop for all code that is linked from here on."""
        if not hasattr(os, "fork"):
            return
        with global_compiler_lock:
            if self.engine is not None:
                return
            numba_parallel._launch_threads()
            if not self.alone:
                self.cell.value = llvm.address_of_symbol("numba_parallel_for")
            self.number.value = llvm.address_of_symbol("get_thread_id")
            places = ctypes.addressof(self.cell), ctypes.addressof(self.number)
            module = llvm.parse_assembly(SWITCH.format(cell=places[0], number=places[1]))
            machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
            engine = llvm.create_mcjit_compiler(module, machine)
            engine.finalize_object()
            llvm.add_symbol(
                "numba_parallel_for", engine.get_function_address("minigrad_parallel_for")
            )
            llvm.add_symbol("get_thread_id", engine.get_function_address("minigrad_thread_number"))
            self.engine = engine

    def after_fork(self) -> None:
        """Leave the parent's threads alone: the child does not have them."""
        if self.engine is not None or numba_parallel._is_initialized:
            self.alone = True
            self.cell.value = None


SWITCHED = Switch()


class Locked(Claiming):
    """A jitted function with parallel loops: one call at a time in this process."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function while no other of them runs."""
        with LOCK:
            return super().__call__(*args, **kwargs)

    def compile(self, sig: Any) -> Any:
        """Compile a signature behind the switch."""
        SWITCHED.install()
        return super().compile(sig)


def hold_over_fork(lock: Any) -> None:
    """Have every fork wait for a lock and hold it; a thread with this lock may take earlier ones.

    lock: with `acquire()` and `release()`.
    """
    GUARDS.append(lock)


# Whose lock a thread may hold for long: a fork does not wait for it, the child begins anew.
RENEWED: weakref.WeakSet[Any] = weakref.WeakSet()


def renew_in_child(owner: Any) -> None:
    """Have a forked child call `owner.reset()` where another thread of its parent held its lock.

    owner: with `lock`, of which `reset` makes a new one; kept weakly.
    """
    RENEWED.add(owner)


HELD: list[Any] = []  # by the fork that goes on: one that fails leaves no lock behind


def _before_fork() -> None:
    """Hold all locks, the latest first."""
    for lock in reversed(GUARDS):
        lock.acquire()
        HELD.append(lock)


def _after_fork() -> None:
    """Let go of all locks that are held."""
    while HELD:
        HELD.pop().release()


def _in_child() -> None:
    """Put the switch right in a forked child, and let go of all locks."""
    SWITCHED.after_fork()
    if not plain.ON:
        NUMBA_START.renew()
    _after_fork()
    for owner in list(RENEWED):
        if owner.lock.acquire(blocking=False):
            owner.lock.release()
        else:
            owner.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
