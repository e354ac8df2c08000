"""All programs of this folder, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.autodiff import autograd_programs, func_programs, function_programs, nested_programs

FAMILIES = (function_programs, func_programs, autograd_programs, nested_programs)
ALL: dict[str, Callable[[Any], Any]] = {
    f"{family.__name__.rpartition('.')[2]}.{name}": program
    for family in FAMILIES
    for name, program in family.PROGRAMS.items()
}
