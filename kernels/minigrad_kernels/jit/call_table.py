"""A list of compiled calls as data: run them one after another, with one call from Python.

`listen` notes the calls of jitted functions that Python code makes, with their arguments.
`CallTable` turns such calls into rows of numbers, the address of the machine code and each argument
as it is passed, and runs through the rows.  For each form of arguments a few instructions load a
row and call; those are compiled once a process, in some milliseconds.  Nothing of the kernels is
compiled anew, and nothing of a table is kept on disk: addresses are those of this process.

What a row calls raises nothing, returns nothing, and keeps no reference: kernels are so.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba.core import types
from numba.core.registry import CPUDispatcher

from minigrad_kernels.jit.claims import Claiming
from minigrad_kernels.jit.compile import JITTED, get_num_threads
from minigrad_kernels.jit.heard import Call, heard
from minigrad_kernels.jit.linked import is_linked
from minigrad_kernels.jit.parallel import LOCK, Locked, renew_in_child
from minigrad_kernels.jit.pool import POOL

Array = np.ndarray[Any, Any]
Row = tuple[str, bytes]  # a form, and a row without its first number

OUTER = 3  # dimensions around the one of a loop that a row walks
OPERANDS = 4  # arrays of a loop, the result among them
DRIVER = """
define i64 @minigrad_drive(ptr %table, i64 %count) {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %done = icmp eq i64 %i, %count
  br i1 %done, label %end, label %body
body:
  %next = add i64 %i, 1
  %place = getelementptr ptr, ptr %table, i64 %i
  %row = load ptr, ptr %place
  %code = load ptr, ptr %row
  %status = call i32 %code(ptr %row)
  %good = icmp eq i32 %status, 0
  br i1 %good, label %head, label %bad
bad:
  ret i64 %next
end:
  ret i64 0
}
"""
# A loop over one dimension, called for each place of the dimensions around it.  A row: its code,
# the loop, what the loop is given, how many arrays, OUTER sizes and the loop's own; then for each
# array where it begins and its strides.
WALK = """
define i32 @minigrad_call_strided(ptr %row) {{
entry:
  %args = alloca [{operands} x ptr]
  %steps = alloca [{operands} x i64]
  %dims = alloca [2 x i64]
  %loop.at = getelementptr i64, ptr %row, i64 1
  %loop = load ptr, ptr %loop.at
  %data.at = getelementptr i64, ptr %row, i64 2
  %data = load ptr, ptr %data.at
  %arrays.at = getelementptr i64, ptr %row, i64 3
  %arrays = load i64, ptr %arrays.at
  %n0.at = getelementptr i64, ptr %row, i64 4
  %n0 = load i64, ptr %n0.at
  %n1.at = getelementptr i64, ptr %row, i64 5
  %n1 = load i64, ptr %n1.at
  %n2.at = getelementptr i64, ptr %row, i64 6
  %n2 = load i64, ptr %n2.at
  %count.at = getelementptr i64, ptr %row, i64 7
  %count = load i64, ptr %count.at
  br label %head0
head0:
  %i0 = phi i64 [ 0, %entry ], [ %next0, %end1 ]
  %next0 = add i64 %i0, 1
  br label %head1
head1:
  %i1 = phi i64 [ 0, %head0 ], [ %next1, %end2 ]
  %next1 = add i64 %i1, 1
  br label %head2
head2:
  %i2 = phi i64 [ 0, %head1 ], [ %next2, %run ]
  %next2 = add i64 %i2, 1
  store i64 %count, ptr %dims
  br label %array
array:
  %k = phi i64 [ 0, %head2 ], [ %more, %array ]
  %more = add i64 %k, 1
  %five = mul i64 %k, 5
  %place = add i64 %five, 8
  %start.at = getelementptr i64, ptr %row, i64 %place
  %start = load i64, ptr %start.at
  %s0.at = getelementptr i64, ptr %start.at, i64 1
  %s0 = load i64, ptr %s0.at
  %s1.at = getelementptr i64, ptr %start.at, i64 2
  %s1 = load i64, ptr %s1.at
  %s2.at = getelementptr i64, ptr %start.at, i64 3
  %s2 = load i64, ptr %s2.at
  %step.at = getelementptr i64, ptr %start.at, i64 4
  %step = load i64, ptr %step.at
  %p0 = mul i64 %i0, %s0
  %p1 = mul i64 %i1, %s1
  %p2 = mul i64 %i2, %s2
  %q0 = add i64 %start, %p0
  %q1 = add i64 %q0, %p1
  %q2 = add i64 %q1, %p2
  %arg.at = getelementptr i64, ptr %args, i64 %k
  store i64 %q2, ptr %arg.at
  %to = getelementptr i64, ptr %steps, i64 %k
  store i64 %step, ptr %to
  %all = icmp eq i64 %more, %arrays
  br i1 %all, label %run, label %array
run:
  call void %loop(ptr %args, ptr %dims, ptr %steps, ptr %data)
  %done2 = icmp eq i64 %next2, %n2
  br i1 %done2, label %end2, label %head2
end2:
  %done1 = icmp eq i64 %next1, %n1
  br i1 %done1, label %end1, label %head1
end1:
  %done0 = icmp eq i64 %next0, %n0
  br i1 %done0, label %end0, label %head0
end0:
  ret i32 0
}}
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)
"""
# A copy of elements of some bytes, as a ufunc's loop.
COPY = """
define void @minigrad_copy_{size}(ptr %args, ptr %dims, ptr %steps, ptr %data) {{
entry:
  %x = load ptr, ptr %args
  %y.at = getelementptr ptr, ptr %args, i64 1
  %y = load ptr, ptr %y.at
  %n = load i64, ptr %dims
  %from = load i64, ptr %steps
  %to.at = getelementptr i64, ptr %steps, i64 1
  %to = load i64, ptr %to.at
  %a = icmp eq i64 %from, {size}
  %b = icmp eq i64 %to, {size}
  %run = and i1 %a, %b
  br i1 %run, label %whole, label %loop
whole:
  %bytes = mul i64 %n, {size}
  call void @llvm.memmove.p0.p0.i64(ptr %y, ptr %x, i64 %bytes, i1 false)
  ret void
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %next = add i64 %i, 1
  %r = mul i64 %i, %from
  %w = mul i64 %i, %to
  %source = getelementptr i8, ptr %x, i64 %r
  %target = getelementptr i8, ptr %y, i64 %w
  %value = load i{bits}, ptr %source, align 1
  store i{bits} %value, ptr %target, align 1
  %all = icmp eq i64 %next, %n
  br i1 %all, label %end, label %loop
end:
  ret void
}}
"""
WORDS = (1, 2, 4, 8)  # bytes of an element that a row may copy
# How an argument lies in a row of 64-bit numbers: its type, and the letter in a form's name.
KINDS = {"q": "i64", "i": "i32", "b": "i8", "d": "double", "f": "float"}
SCALARS = {
    types.int64: "q",
    types.uint64: "q",
    types.int32: "i",
    types.uint32: "i",
    types.boolean: "b",
    types.float64: "d",
    types.float32: "f",
}


# ---------------------------------------------------------------- listening
class OneListener:
    """Who may note calls: who puts the functions back must be who has changed them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        renew_in_child(self)

    def reset(self) -> None:
        """Put the functions back that a thread of the parent had changed when it forked."""
        self.lock = threading.RLock()
        for dispatcher in JITTED.values():
            if type(dispatcher) in (Listening, ListeningLocked):
                kind = Locked if type(dispatcher) is ListeningLocked else Claiming
                dispatcher.__class__ = kind


ONE_LISTENER = OneListener()


class Listening(Claiming):
    """A jitted function whose calls are noted."""

    def __call__(self, *args: Any) -> Any:
        if heard.calls is not None:
            heard.calls.append((self, args))
        return super().__call__(*args)


class ListeningLocked(Locked):
    """The same of one with parallel loops."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if heard.calls is not None:
            heard.calls.append((self, args))
        return super().__call__(*args, **kwargs)


@contextlib.contextmanager
def listen() -> Iterator[list[Call]]:
    """Note the calls of all kernels that this thread makes, in their order."""
    changed = []
    calls: list[Call] = []
    with ONE_LISTENER.lock:
        heard.calls = calls
        try:
            for dispatcher in list(JITTED.values()):
                kind = type(dispatcher)
                if kind in (Locked, Claiming):
                    changed.append((dispatcher, kind))
                    dispatcher.__class__ = ListeningLocked if kind is Locked else Listening
            yield calls
        finally:
            heard.calls = None
            for dispatcher, kind in changed:
                dispatcher.__class__ = kind


# ---------------------------------------------------------------- forms of arguments
class Forms:
    """The machine code that loads a row of some form and calls, by the form's letters."""

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}
        self.engines: list[Any] = []
        self.drive: Any = None
        self.driver = 0
        self.copies: dict[int, int] = {}

    def copy(self, size: int) -> int | None:
        """Return the address of the loop that copies elements of so many bytes, if there is one."""
        self.code(())
        return self.copies.get(size)

    def code(self, forms: Sequence[str]) -> dict[str, int]:
        """Return the address of each form's code."""
        if self.drive is None:
            self.compile([])
        missing = sorted({f for f in forms if f not in self.addresses})
        if missing:
            self.compile(missing)
        return {form: self.addresses[form] for form in forms}

    def compile(self, forms: list[str]) -> None:
        """Compile forms, and the driver if this is the first time."""
        source = "\n".join(caller(form) for form in forms)
        if self.drive is None:
            source += DRIVER + WALK.format(operands=OPERANDS)
            source += "".join(COPY.format(size=size, bits=8 * size) for size in WORDS)
        module = llvm.parse_assembly(source)
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        self.engines.append(engine)
        for form in forms:
            self.addresses[form] = engine.get_function_address(f"minigrad_call_{form}")
        if self.drive is None:
            self.addresses["strided"] = engine.get_function_address("minigrad_call_strided")
            for size in WORDS:
                self.copies[size] = engine.get_function_address(f"minigrad_copy_{size}")
            # With the interpreter's lock held, as in any call of a kernel.
            kind = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
            self.driver = engine.get_function_address("minigrad_drive")
            self.drive = kind(self.driver)


def caller(form: str) -> str:
    """Return the code that calls what a row holds: the code's address in 1, arguments from 2 on.

    >>> "call i32 %code(ptr %result, ptr %error, i64 %v0, double %v1)" in caller("qd")
    True
    """
    loads = [
        f"  %p{i} = getelementptr i64, ptr %row, i64 {i + 2}\n"
        f"  %v{i} = load {KINDS[letter]}, ptr %p{i}"
        for i, letter in enumerate(form)
    ]
    passed = "".join(f", {KINDS[letter]} %v{i}" for i, letter in enumerate(form))
    return "\n".join(
        [
            f"define i32 @minigrad_call_{form}(ptr %row) {{",
            "  %result = alloca ptr",
            "  %error = alloca ptr",
            "  %place = getelementptr ptr, ptr %row, i64 1",
            "  %code = load ptr, ptr %place",
            *loads,
            f"  %status = call i32 %code(ptr %result, ptr %error{passed})",
            "  ret i32 %status",
            "}",
        ]
    )


FORMS = Forms()


# ---------------------------------------------------------------- rows
def flat(kind: Any, value: Any, form: list[str], numbers: list[bytes]) -> bool:
    """Add an argument as machine code takes it; False for a type that is not known here."""
    if isinstance(kind, types.Array):
        if not isinstance(value, np.ndarray):
            return False
        where = value.__array_interface__["data"][0]
        # No owner, so that nobody counts references: whoever has the table keeps the memory.
        words = [0, 0, value.size, value.itemsize, where, *value.shape, *value.strides]
        form += ["q"] * len(words)
        numbers += [int(n).to_bytes(8, "little", signed=True) for n in words]
        return True
    if isinstance(kind, types.BaseTuple):
        return all(flat(k, v, form, numbers) for k, v in zip(kind.types, value, strict=True))
    letter = SCALARS.get(kind)
    if letter is None:
        return False
    form.append(letter)
    if letter == "d":
        number = np.float64(value).tobytes()
    elif letter == "f":
        number = np.float32(value).tobytes()
    else:
        number = (int(value) & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "little")
    numbers.append(number.ljust(8, b"\0"))
    return True


def row_of(function: Any, args: tuple[Any, ...]) -> Row | None:
    """Return a call's form and its row without the first number; None where it cannot be one."""
    if not isinstance(function, CPUDispatcher):
        return None
    signature = tuple(function.typeof_pyval(a) for a in args)
    compiled = function.overloads.get(signature)
    if compiled is None or is_linked(compiled) or compiled.signature.return_type != types.none:
        return None
    form: list[str] = []
    numbers: list[bytes] = []
    if not all(flat(k, v, form, numbers) for k, v in zip(signature, args, strict=True)):
        return None
    where = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    return "".join(form), int(where).to_bytes(8, "little") + b"".join(numbers)


class CallTable:
    """Calls of jitted functions in a row, run by `table()`.

    calls: (function, args) as `listen` gives them, and rows that are made already: (rows, the
        arrays behind them).  The arrays stay alive with the table.
    Raises: TypeError for a call that cannot be made by address: ask `fits` first.

    >>> from minigrad_kernels.jit.compile import jit
    >>> from minigrad_kernels.simd.registers import address
    >>> @jit(name="jit.call_table.example")
    ... def double(x):
    ...     for i in range(x.size):
    ...         x[i] *= 2
    >>> x = np.ones(3)
    >>> double(x)
    >>> table = CallTable([(double, (x,))] * 3)
    >>> table()
    >>> x.tolist()
    [16.0, 16.0, 16.0]
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = list(calls)
        found: list[Row] = []
        for function, args in calls:
            row = None if isinstance(function, list) else row_of(function, args)
            if row is not None:
                found.append(row)
            elif isinstance(function, list):
                found += function
            else:
                raise TypeError("CallTable: a call has arguments that cannot be passed by address")
        code = FORMS.code([form for form, _ in found])
        self.rows = [
            np.frombuffer(code[form].to_bytes(8, "little") + row, np.int64).copy()
            for form, row in found
        ]
        starts = [row.__array_interface__["data"][0] for row in self.rows]
        self.table = np.array(starts, np.int64)
        self.where = self.table.__array_interface__["data"][0]
        self.count = len(starts)
        self.drive = FORMS.drive
        self.parallel = any(isinstance(f, Locked) for f, _ in calls)

    def __call__(self) -> None:
        """Run through the rows, while no other parallel loop runs."""
        with LOCK:
            if self.parallel and POOL.start(get_num_threads() - 1):
                failed = POOL.drive(FORMS.driver, self.where, self.count)
            else:
                failed = self.drive(self.where, self.count)
            if failed:
                raise RuntimeError("CallTable: a kernel has failed")


def fits(call: Call) -> bool:
    """Return whether a call can be made by address."""
    return isinstance(call[0], list) or row_of(*call) is not None
