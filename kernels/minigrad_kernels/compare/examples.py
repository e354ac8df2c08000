"""Arguments of any size for every kernel of the table: what `compare` computes and times.

They are stated by the rows themselves, derived where a row is a rule's, or stand in the room of the
kernel's family, in its file `examples.py`.

>>> import numpy as np
>>> from minigrad_kernels.compare.examples import example_of
>>> example = example_of("softmax")
>>> example.shape, example.sizes((4096,)), example.sizes((3, 5))
('NxC', (64, 64), (3, 5))
>>> x, y = example.make(np.random.default_rng(0), np.dtype(np.float32), 3, 5)
>>> x.shape, y.dtype
((3, 5), dtype('float32'))
"""

from __future__ import annotations

import importlib
import importlib.util

from minigrad_kernels.example import Example
from minigrad_kernels.table import FAMILIES, KERNELS


def example_of(name: str) -> Example:
    """Return the example of a kernel of the table.

    Raises: LookupError where neither its row nor its room states one.
    """
    stated = KERNELS[name].example
    if stated is not None:
        return stated
    room = next(family.__package__ for family in FAMILIES if name in family.KERNELS)
    beside = f"{room}.examples"
    found: dict[str, Example] = {}
    if room and importlib.util.find_spec(beside) is not None:
        found = importlib.import_module(beside).EXAMPLES
    if name not in found:
        raise LookupError(f"kernel {name} has no example: state one in its row, Kernel(example=)")
    return found[name]
