"""Whether many places still hold the very objects that they held: one call of compiled code.

For a replay all that a captured function refers to is compared by identity, some hundred objects.
Python takes 45 ns for each, this loop a tenth: it asks `PyDict_Next`, of Python's stable C
interface, for what dicts hold, and reads slots and cells where they are kept, which a probe finds.

>>> held, cell = {"a": object()}, types.CellType(object())
>>> holds = Identity([held], [(cell, "cell_contents")])
>>> holds()
True
>>> held["a"] = object()
>>> holds()
False
"""

from __future__ import annotations

import ctypes
import functools
import types
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np

WORD = 8
SOURCE = """
declare i32 @PyDict_Next(ptr, ptr, ptr, ptr)

; row: how many dicts, where they are, how many entries each has, the values; how many places, where
; they are, and what they hold.
define i64 @minigrad_same_objects(ptr %row) {
entry:
  %position = alloca i64
  %value = alloca ptr
  %count = load i64, ptr %row
  %dicts.at = getelementptr i64, ptr %row, i64 1
  %dicts = load ptr, ptr %dicts.at
  %sizes.at = getelementptr i64, ptr %row, i64 2
  %sizes = load ptr, ptr %sizes.at
  %values.at = getelementptr i64, ptr %row, i64 3
  %values = load ptr, ptr %values.at
  %more.at = getelementptr i64, ptr %row, i64 4
  %more = load i64, ptr %more.at
  %places.at = getelementptr i64, ptr %row, i64 5
  %places = load ptr, ptr %places.at
  %expected.at = getelementptr i64, ptr %row, i64 6
  %expected = load ptr, ptr %expected.at
  br label %dict
dict:
  %i = phi i64 [ 0, %entry ], [ %next, %full ]
  %before = phi i64 [ 0, %entry ], [ %end, %full ]
  %last = icmp eq i64 %i, %count
  br i1 %last, label %place, label %begin
begin:
  %next = add i64 %i, 1
  %dict.at = getelementptr ptr, ptr %dicts, i64 %i
  %held = load ptr, ptr %dict.at
  %size.at = getelementptr i64, ptr %sizes, i64 %i
  %size = load i64, ptr %size.at
  %end = add i64 %before, %size
  store i64 0, ptr %position
  br label %item
item:
  %k = phi i64 [ %before, %begin ], [ %after, %found ]
  %got = call i32 @PyDict_Next(ptr %held, ptr %position, ptr null, ptr %value)
  %none = icmp eq i32 %got, 0
  br i1 %none, label %all, label %one
one:
  %room = icmp ult i64 %k, %end
  br i1 %room, label %compare, label %other
compare:
  %after = add i64 %k, 1
  %now = load ptr, ptr %value
  %was.at = getelementptr ptr, ptr %values, i64 %k
  %was = load ptr, ptr %was.at
  %equal = icmp eq ptr %now, %was
  br i1 %equal, label %found, label %other
found:
  br label %item
all:
  %complete = icmp eq i64 %k, %end
  br i1 %complete, label %full, label %other
full:
  br label %dict
place:
  %j = phi i64 [ 0, %dict ], [ %j.next, %fits ]
  %done = icmp eq i64 %j, %more
  br i1 %done, label %same, label %read
read:
  %j.next = add i64 %j, 1
  %where.at = getelementptr ptr, ptr %places, i64 %j
  %where = load ptr, ptr %where.at
  %there = load ptr, ptr %where
  %hoped.at = getelementptr ptr, ptr %expected, i64 %j
  %hoped = load ptr, ptr %hoped.at
  %fit = icmp eq ptr %there, %hoped
  br i1 %fit, label %fits, label %other
fits:
  br label %place
same:
  ret i64 1
other:
  ret i64 0
}
"""


@functools.cache
def compiled() -> tuple[Any, Any]:
    """Return the loop, called with the interpreter's lock held, and what keeps its code."""
    module = llvm.parse_assembly(SOURCE)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True, opt=2)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    kind = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    return kind(engine.get_function_address("minigrad_same_objects")), engine


@functools.cache
def offset_of(owner: type, name: str) -> int | None:
    """Return where objects of a class keep a slot, or a cell its content; None: not known.

    owner: the class that states the slot.
    """
    mark = object()
    if owner is types.CellType:
        probe: Any = types.CellType(mark)
    else:
        if not isinstance(vars(owner).get(name), types.MemberDescriptorType):
            return None
        make: Any = owner.__new__
        probe = make(owner)
        setattr(probe, name, mark)
    words = range(object.__basicsize__, owner.__basicsize__, WORD)
    at = [n for n in words if ctypes.c_size_t.from_address(id(probe) + n).value == id(mark)]
    return at[0] if len(at) == 1 else None


class Identity:
    """Whether dicts and places hold what they held when this was made: `identity()`.

    dicts: compared value by value, in order.  places: (object, name of a slot), or (cell,
        "cell_contents").  owners of all of them stay alive with this.
    Raises: TypeError for a place that cannot be read by address.
    """

    def __init__(self, dicts: Sequence[dict[Any, Any]], places: Sequence[tuple[Any, str]]) -> None:
        values = [v for d in dicts for v in d.values()]
        where, now = [], []
        for thing, name in places:
            owner = next((k for k in type(thing).__mro__ if name in vars(k)), type(thing))
            offset = offset_of(owner, name)
            if offset is None:
                raise TypeError(f"Identity: {owner.__name__}.{name} is no slot")
            where.append(id(thing) + offset)
            now.append(getattr(thing, name))
        self.kept = [list(dicts), values, list(places), now]
        self.tables = [
            np.array(numbers or [0], np.int64)
            for numbers in (
                [id(d) for d in dicts],
                [len(d) for d in dicts],
                [id(v) for v in values],
                where,
                [id(v) for v in now],
            )
        ]
        start = [t.__array_interface__["data"][0] for t in self.tables]
        self.row = np.array([len(dicts), *start[:3], len(where), *start[3:]], np.int64)
        self.where = self.row.__array_interface__["data"][0]
        self.run = compiled()[0]

    def __call__(self) -> bool:
        """Return whether all is the same."""
        return bool(self.run(self.where))
