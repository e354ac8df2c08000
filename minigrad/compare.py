"""Kernels side by side: reference, CPU, GPU, other libraries, the machine's limit.

What it is made of stands in `minigrad_kernels.compare.api`.

>>> import minigrad as mg
>>> report = mg.compare.run("exp", sizes=[1000], targets=["cpu"], quick=True)
>>> report.ok
True
"""

from __future__ import annotations

from minigrad_kernels.compare.api import BreakEven, Pair, Report, Row, add, remove, run

__all__ = ["BreakEven", "Pair", "Report", "Row", "add", "remove", "run"]
