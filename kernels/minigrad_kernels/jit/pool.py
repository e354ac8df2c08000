"""Threads of our own for the parallel loops of a table: they stay awake from one loop to the next.

A layer of Numba's threads begins and ends a team for each loop, 2 to 10 us each time.  While a
table runs (jit/call_table.py), the loops of the thread that runs it are handed over here instead:
the loop's parts, as Numba has cut them and so with the same bits, are written down in one place,
and whoever is free takes the next one, the calling thread like the others.  A thread that comes
late finds nothing left and nobody waits for it; what is waited for is parts that somebody has
begun.  So nothing can lock up, whatever else the machine does, and no layer has a say in it.

A thread that has had nothing to do for `SPIN` seconds sleeps until a table begins.  The child of a
fork starts threads anew when it runs its first table.

All of this runs without the interpreter, and is LLVM's language, therefore; the cells:

    claim       number of the loop << 32 | parts << 16 | parts taken
    done        parts that are computed
    job         what Numba hands over: function, args, dims, steps, data, and two counts
    owner       the thread that runs a table, 0 for none
    inside      whether it is in a loop: one inside runs in place
    asleep      whether a thread sleeps
    stop        whether they are to end
    elsewhere   Numba's own loop, for all other threads
    numbers     Numba's own numbers of threads, for the same
    workers     how many there are, and who they are
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import signal
import time
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np

from minigrad_kernels.jit.parallel import LOCK, SWITCHED

SPIN = 100e-6  # seconds that a thread looks for work before it sleeps
LINE = 64  # bytes of a cache line: what different threads write lies on different ones
CELLS = {"claim": 0, "done": LINE, "job": 2 * LINE, "owner": 3 * LINE, "inside": 3 * LINE + 8}
CELLS |= {"asleep": 4 * LINE, "stop": 5 * LINE, "elsewhere": 5 * LINE + 8}
CELLS |= {"numbers": 5 * LINE + 16, "workers": 5 * LINE + 24}
MUTEX, CONDITION, WHO = 6 * LINE, 8 * LINE, 10 * LINE  # two of POSIX's objects; then the workers
MOST = 255  # workers
PATIENCE = 1000  # looks at what others compute, until the core is offered to whoever wants it
HINT = "llvm.aarch64.hint(i32 1)"  # yield
PAUSE = {"x86_64": "llvm.x86.sse2.pause()", "aarch64": HINT, "arm64": HINT}

SOURCE = """
declare ptr @pthread_self()
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sched_yield()
declare void @{declared}
declare i32 @clock_gettime(i32, ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

; One part of a loop: its arguments begin where the parts before it end.
define internal void @part(ptr %job, i64 %index) noinline {{
entry:
  %function = load ptr, ptr %job
  %args.at = getelementptr i64, ptr %job, i64 1
  %args = load ptr, ptr %args.at
  %dims.at = getelementptr i64, ptr %job, i64 2
  %dims = load ptr, ptr %dims.at
  %steps.at = getelementptr i64, ptr %job, i64 3
  %steps = load ptr, ptr %steps.at
  %data.at = getelementptr i64, ptr %job, i64 4
  %data = load ptr, ptr %data.at
  %inner.at = getelementptr i64, ptr %job, i64 5
  %inner = load i64, ptr %inner.at
  %arrays.at = getelementptr i64, ptr %job, i64 6
  %arrays = load i64, ptr %arrays.at
  %sizes = add i64 %inner, 1
  %mine = alloca i64, i64 %sizes
  %bytes = mul i64 %sizes, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %mine, ptr %dims, i64 %bytes, i1 false)
  store i64 1, ptr %mine
  %places = alloca ptr, i64 %arrays
  br label %head
head:
  %j = phi i64 [ 0, %entry ], [ %next, %body ]
  %all = icmp eq i64 %j, %arrays
  br i1 %all, label %run, label %body
body:
  %next = add i64 %j, 1
  %from = getelementptr ptr, ptr %args, i64 %j
  %base = load ptr, ptr %from
  %step.at = getelementptr i64, ptr %steps, i64 %j
  %step = load i64, ptr %step.at
  %offset = mul i64 %step, %index
  %moved = getelementptr i8, ptr %base, i64 %offset
  %to = getelementptr ptr, ptr %places, i64 %j
  store ptr %moved, ptr %to
  br label %head
run:
  call void %function(ptr %places, ptr %mine, ptr %steps, ptr %data)
  ret void
}}

; Take parts of the loop that is written down until none is left; return how many.
define internal i64 @take() noinline {{
entry:
  %job = alloca [7 x i64]
  br label %look
look:
  %count = phi i64 [ 0, %entry ], [ %count, %missed ], [ %more, %run ]
  %claim = load atomic i64, ptr inttoptr (i64 {claim} to ptr) seq_cst, align 8
  %index = and i64 %claim, 65535
  %shifted = lshr i64 %claim, 16
  %parts = and i64 %shifted, 65535
  %some = icmp ult i64 %index, %parts
  br i1 %some, label %try, label %end
try:
  ; What is copied is the claim's if nobody has changed the claim meanwhile.
  call void @llvm.memcpy.p0.p0.i64(ptr %job, ptr inttoptr (i64 {job} to ptr), i64 56, i1 true)
  %taken = add i64 %claim, 1
  %swapped = cmpxchg ptr inttoptr (i64 {claim} to ptr), i64 %claim, i64 %taken seq_cst seq_cst
  %mine = extractvalue {{ i64, i1 }} %swapped, 1
  br i1 %mine, label %run, label %missed
missed:
  br label %look
run:
  call void @part(ptr %job, i64 %index)
  %was = atomicrmw add ptr inttoptr (i64 {done} to ptr), i64 1 seq_cst
  %more = add i64 %count, 1
  br label %look
end:
  ret i64 %count
}}

define internal void @wake() noinline {{
  %a = call i32 @pthread_mutex_lock(ptr inttoptr (i64 {mutex} to ptr))
  store atomic i64 0, ptr inttoptr (i64 {asleep} to ptr) seq_cst, align 8
  %b = call i32 @pthread_cond_broadcast(ptr inttoptr (i64 {condition} to ptr))
  %c = call i32 @pthread_mutex_unlock(ptr inttoptr (i64 {mutex} to ptr))
  ret void
}}

define internal void @wake_sleepers() {{
  %asleep = load atomic i64, ptr inttoptr (i64 {asleep} to ptr) seq_cst, align 8
  %none = icmp eq i64 %asleep, 0
  br i1 %none, label %end, label %some
some:
  call void @wake()
  br label %end
end:
  ret void
}}

; The number of the calling thread among the workers, from 1 on; 0 for none of them.
define internal i64 @worker_number(i64 %self) {{
entry:
  %workers = load i64, ptr inttoptr (i64 {workers} to ptr)
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %all = icmp eq i64 %i, %workers
  br i1 %all, label %none, label %body
body:
  %next = add i64 %i, 1
  %at = getelementptr i64, ptr inttoptr (i64 {who} to ptr), i64 %i
  %who = load i64, ptr %at
  %found = icmp eq i64 %who, %self
  br i1 %found, label %one, label %head
one:
  ret i64 %next
none:
  ret i64 0
}}

define i64 @minigrad_pool_thread_id() {{
  %pointer = call ptr @pthread_self()
  %self = ptrtoint ptr %pointer to i64
  %owner = load i64, ptr inttoptr (i64 {owner} to ptr)
  %ours = icmp eq i64 %owner, %self
  br i1 %ours, label %first, label %others
first:
  ret i64 0
others:
  %number = call i64 @worker_number(i64 %self)
  %none = icmp eq i64 %number, 0
  br i1 %none, label %numba, label %worker
worker:
  ret i64 %number
numba:
  %target = load ptr, ptr inttoptr (i64 {numbers} to ptr)
  %foreign = icmp eq ptr %target, null
  br i1 %foreign, label %first, label %ask
ask:
  %answer = call i64 %target()
  ret i64 %answer
}}

define void @minigrad_pool_for(ptr %function, ptr %args, ptr %dims, ptr %steps, ptr %data,
                               i64 %inner, i64 %arrays, i64 %threads) {{
entry:
  %pointer = call ptr @pthread_self()
  %self = ptrtoint ptr %pointer to i64
  %owner = load i64, ptr inttoptr (i64 {owner} to ptr)
  %ours = icmp eq i64 %owner, %self
  br i1 %ours, label %table, label %foreign
foreign:
  %number = call i64 @worker_number(i64 %self)
  %worker = icmp ne i64 %number, 0
  %target = load ptr, ptr inttoptr (i64 {elsewhere} to ptr)
  %alone = icmp eq ptr %target, null
  %in.place = or i1 %worker, %alone
  br i1 %in.place, label %here, label %there
there:
  call void %target(ptr %function, ptr %args, ptr %dims, ptr %steps, ptr %data,
                    i64 %inner, i64 %arrays, i64 %threads)
  ret void
table:
  %total = load i64, ptr %dims
  %inside = load i64, ptr inttoptr (i64 {inside} to ptr)
  %nested = icmp ne i64 %inside, 0
  %few = icmp ult i64 %total, 2
  %many = icmp ugt i64 %total, 65535
  %either = or i1 %few, %many
  %single = or i1 %nested, %either
  br i1 %single, label %here, label %share
here:
  call void %function(ptr %args, ptr %dims, ptr %steps, ptr %data)
  ret void
share:
  store i64 1, ptr inttoptr (i64 {inside} to ptr)
  store volatile ptr %function, ptr inttoptr (i64 {job} to ptr)
  store volatile ptr %args, ptr inttoptr (i64 {job1} to ptr)
  store volatile ptr %dims, ptr inttoptr (i64 {job2} to ptr)
  store volatile ptr %steps, ptr inttoptr (i64 {job3} to ptr)
  store volatile ptr %data, ptr inttoptr (i64 {job4} to ptr)
  store volatile i64 %inner, ptr inttoptr (i64 {job5} to ptr)
  store volatile i64 %arrays, ptr inttoptr (i64 {job6} to ptr)
  store atomic i64 0, ptr inttoptr (i64 {done} to ptr) seq_cst, align 8
  %old = load atomic i64, ptr inttoptr (i64 {claim} to ptr) seq_cst, align 8
  %last = lshr i64 %old, 32
  %this = add i64 %last, 1
  %high = shl i64 %this, 32
  %parts = shl i64 %total, 16
  %new = or i64 %high, %parts
  store atomic i64 %new, ptr inttoptr (i64 {claim} to ptr) seq_cst, align 8
  call void @wake_sleepers()
  %taken = call i64 @take()
  br label %wait
wait:
  %n = phi i64 [ 0, %share ], [ %m, %pause ], [ %m, %yield ]
  %m = add i64 %n, 1
  %done = load atomic i64, ptr inttoptr (i64 {done} to ptr) seq_cst, align 8
  %all = icmp eq i64 %done, %total
  br i1 %all, label %end, label %longer
longer:
  %patient = icmp ult i64 %n, {patience}
  br i1 %patient, label %pause, label %yield
pause:
  call void @{pause}
  br label %wait
yield:
  %yielded = call i32 @sched_yield()
  br label %wait
end:
  store i64 0, ptr inttoptr (i64 {inside} to ptr)
  ret void
}}

define internal i64 @now() {{
  %time = alloca [2 x i64]
  %ok = call i32 @clock_gettime(i32 {clock}, ptr %time)
  %seconds = load i64, ptr %time
  %at = getelementptr i64, ptr %time, i64 1
  %nanoseconds = load i64, ptr %at
  %scaled = mul i64 %seconds, 1000000000
  %sum = add i64 %scaled, %nanoseconds
  ret i64 %sum
}}

define ptr @minigrad_pool_worker(ptr %place) {{
entry:
  %signals = alloca [128 x i8], align 16
  call void @llvm.memset.p0.i64(ptr %signals, i8 -1, i64 128, i1 false)
  %blocked = call i32 @pthread_sigmask(i32 {block}, ptr %signals, ptr null)
  %pointer = call ptr @pthread_self()
  %self = ptrtoint ptr %pointer to i64
  store atomic i64 %self, ptr %place seq_cst, align 8
  br label %fresh
fresh:
  %begin = call i64 @now()
  br label %work
work:
  %n = phi i64 [ 0, %fresh ], [ %m, %pause ], [ %m, %check ]
  %count = call i64 @take()
  %some = icmp ne i64 %count, 0
  br i1 %some, label %fresh, label %idle
idle:
  %m = add i64 %n, 1
  %low = and i64 %m, 31
  %look = icmp eq i64 %low, 0
  br i1 %look, label %check, label %pause
pause:
  call void @{pause}
  br label %work
check:
  %time = call i64 @now()
  %spent = sub i64 %time, %begin
  %tired = icmp ugt i64 %spent, {spin}
  br i1 %tired, label %lie.down, label %work
lie.down:
  %a = call i32 @pthread_mutex_lock(ptr inttoptr (i64 {mutex} to ptr))
  store atomic i64 1, ptr inttoptr (i64 {asleep} to ptr) seq_cst, align 8
  %claim = load atomic i64, ptr inttoptr (i64 {claim} to ptr) seq_cst, align 8
  %index = and i64 %claim, 65535
  %shifted = lshr i64 %claim, 16
  %parts = and i64 %shifted, 65535
  %news = icmp ult i64 %index, %parts
  br i1 %news, label %up, label %sleep
sleep:
  %stop = load atomic i64, ptr inttoptr (i64 {stop} to ptr) seq_cst, align 8
  %stopped = icmp ne i64 %stop, 0
  br i1 %stopped, label %leave, label %rest
rest:
  %b = call i32 @pthread_cond_wait(ptr inttoptr (i64 {condition} to ptr),
                                   ptr inttoptr (i64 {mutex} to ptr))
  %asleep = load atomic i64, ptr inttoptr (i64 {asleep} to ptr) seq_cst, align 8
  %still = icmp ne i64 %asleep, 0
  br i1 %still, label %sleep, label %up
up:
  %c = call i32 @pthread_mutex_unlock(ptr inttoptr (i64 {mutex} to ptr))
  br label %fresh
leave:
  %d = call i32 @pthread_mutex_unlock(ptr inttoptr (i64 {mutex} to ptr))
  ret ptr null
}}

define void @minigrad_pool_wake() {{
  call void @wake()
  ret void
}}

; Run a table, with its loops shared.
define i64 @minigrad_pool_drive(ptr %drive, ptr %table, i64 %count) {{
  %pointer = call ptr @pthread_self()
  %self = ptrtoint ptr %pointer to i64
  store i64 %self, ptr inttoptr (i64 {owner} to ptr)
  call void @wake_sleepers()
  %failed = call i64 %drive(ptr %table, i64 %count)
  store i64 0, ptr inttoptr (i64 {owner} to ptr)
  ret i64 %failed
}}
"""


class Pool:
    """The threads that take parts of loops, and what they know.

    running: how many there are in this process.
    """

    def __init__(self) -> None:
        self.running = 0
        self.ended = False
        self.threads: list[ctypes.c_void_p] = []
        self.code: dict[str, int] = {}
        self.engine: Any = None
        self.memory = np.zeros(WHO + LINE + 8 * MOST, np.uint8)
        at = self.memory.__array_interface__["data"][0]
        self.base = at + -at % LINE
        self.drive: Any = None

    def start(self, workers: int) -> bool:
        """See that there are so many threads; return whether there are any, on a POSIX system."""
        with LOCK:
            if self.ended or platform.machine() not in PAUSE or not hasattr(os, "fork"):
                return False
            wanted = min(workers, numba.config.NUMBA_NUM_THREADS - 1, MOST)
            if self.running < wanted:
                self.begin()
                for i in range(self.running, wanted):
                    self.add(i)
            return self.running > 0

    def begin(self) -> None:
        """Prepare what all threads know, once a process."""
        if self.running:
            return
        SWITCHED.install()
        if self.engine is None:
            self.compile()
        self.memory[:] = 0
        self.posix.pthread_mutex_init(ctypes.c_void_p(self.base + MUTEX), None)
        self.posix.pthread_cond_init(ctypes.c_void_p(self.base + CONDITION), None)
        self.cell("elsewhere").value = SWITCHED.cell.value or 0
        self.cell("numbers").value = SWITCHED.number.value or 0
        SWITCHED.cell.value = self.code["minigrad_pool_for"]
        SWITCHED.number.value = self.code["minigrad_pool_thread_id"]

    def add(self, place: int) -> None:
        """Start a thread, and wait until it has entered itself."""
        who = ctypes.c_int64.from_address(self.base + WHO + 8 * place)
        thread = ctypes.c_void_p()
        code = ctypes.c_void_p(self.code["minigrad_pool_worker"])
        where = ctypes.c_void_p(ctypes.addressof(who))
        if self.posix.pthread_create(ctypes.byref(thread), None, code, where):
            return  # the system has no thread left: whoever is there takes all parts
        while not who.value:
            time.sleep(1e-5)
        self.threads.append(thread)
        self.running += 1
        self.cell("workers").value = self.running

    def cell(self, name: str) -> ctypes.c_int64:
        """Return a cell that the threads read."""
        return ctypes.c_int64.from_address(self.base + CELLS[name])

    def compile(self) -> None:
        """Compile what the threads run."""
        self.posix = ctypes.CDLL(None)
        values: dict[str, Any] = {name: self.base + at for name, at in CELLS.items()}
        values |= {f"job{i}": values["job"] + 8 * i for i in range(7)}
        values |= {"mutex": self.base + MUTEX, "condition": self.base + CONDITION}
        values |= {"who": self.base + WHO, "patience": PATIENCE, "spin": int(SPIN * 1e9)}
        pause = PAUSE[platform.machine()]
        values |= {"pause": pause, "declared": pause.replace("i32 1", "i32")}
        values |= {"clock": time.CLOCK_MONOTONIC, "block": int(signal.SIG_BLOCK)}
        module = llvm.parse_assembly(SOURCE.format(**values))
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True, opt=2)
        self.engine = llvm.create_mcjit_compiler(module, machine)
        self.engine.finalize_object()
        for name in ("for", "thread_id", "worker", "wake", "drive"):
            name = f"minigrad_pool_{name}"
            self.code[name] = self.engine.get_function_address(name)
        # With the interpreter's lock held, as in any call of a kernel.
        kind = ctypes.PYFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)
        self.drive = kind(self.code["minigrad_pool_drive"])

    def end(self) -> None:
        """End the threads, before what they run goes."""
        with LOCK:
            self.ended = True
            if not self.running:
                return
            SWITCHED.cell.value = self.cell("elsewhere").value or None
            SWITCHED.number.value = self.cell("numbers").value or None
            self.cell("stop").value = 1
            ctypes.CFUNCTYPE(None)(self.code["minigrad_pool_wake"])()
            for thread in self.threads:
                self.posix.pthread_join(thread, None)
            self.running = 0

    def after_fork(self) -> None:
        """Forget the parent's threads: a child does not have them."""
        self.running = 0
        self.threads = []


POOL = Pool()
atexit.register(POOL.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.after_fork)
