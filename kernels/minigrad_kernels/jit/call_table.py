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
import numba
import numpy as np
from numba.core import types
from numba.core.registry import CPUDispatcher

from minigrad_kernels.jit.compile import JITTED
from minigrad_kernels.jit.parallel import LOCK, Locked
from minigrad_kernels.jit.pool import POOL

Array = np.ndarray[Any, Any]
Call = tuple[Any, tuple[Any, ...]]

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
class Heard(threading.local):
    """The calls of this thread that are being noted; None while there is no listener."""

    calls: list[Call] | None = None


heard = Heard()
ONE_LISTENER = threading.RLock()  # who puts the functions back must be who has changed them


class Listening(CPUDispatcher):
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
    with ONE_LISTENER:
        heard.calls = calls
        try:
            for dispatcher in list(JITTED.values()):
                kind = type(dispatcher)
                if kind in (Locked, CPUDispatcher):
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

    def code(self, forms: Sequence[str]) -> dict[str, int]:
        """Return the address of each form's code."""
        missing = sorted({f for f in forms if f not in self.addresses})
        if missing or self.drive is None:
            self.compile(missing)
        return {form: self.addresses[form] for form in forms}

    def compile(self, forms: list[str]) -> None:
        """Compile forms, and the driver if this is the first time."""
        source = "\n".join(caller(form) for form in forms)
        source += DRIVER if self.drive is None else ""
        module = llvm.parse_assembly(source)
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        self.engines.append(engine)
        for form in forms:
            self.addresses[form] = engine.get_function_address(f"minigrad_call_{form}")
        if self.drive is None:
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


def row_of(function: Any, args: tuple[Any, ...]) -> tuple[str, bytes] | None:
    """Return a call's form and its row without the first number; None where it cannot be one."""
    signature = tuple(function.typeof_pyval(a) for a in args)
    compiled = function.overloads.get(signature)
    if compiled is None or compiled.signature.return_type != types.none:
        return None
    form: list[str] = []
    numbers: list[bytes] = []
    if not all(flat(k, v, form, numbers) for k, v in zip(signature, args, strict=True)):
        return None
    where = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    return "".join(form), int(where).to_bytes(8, "little") + b"".join(numbers)


class CallTable:
    """Calls of jitted functions in a row, run by `table()`.

    calls: (function, args) as `listen` gives them.  The arrays stay alive with the table.
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
        rows = [row_of(*call) for call in calls]
        found = [row for row in rows if row is not None]
        if len(found) < len(rows):
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
            if self.parallel and POOL.start(numba.get_num_threads() - 1):
                failed = POOL.drive(FORMS.driver, self.where, self.count)
            else:
                failed = self.drive(self.where, self.count)
            if failed:
                raise RuntimeError("CallTable: a kernel has failed")


def fits(call: Call) -> bool:
    """Return whether a call can be made by address."""
    return row_of(*call) is not None
