"""Results with names: what `max`, `sort` and others return in one tuple.

Each is a tuple of its own kind, so that it is unpacked, indexed and compared as one, and its parts
have PyTorch's names.
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from minigrad.engine.dtypes import DType


def described(self: Any) -> str:
    """Return one line a part."""
    parts = [f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True)]
    place = "torch.return_types." if DType.package == "torch" else ""
    return f"{place}{type(self).__name__}(\n" + ",\n".join(parts) + ")"


def result(name: str, *fields: str) -> Any:
    """Return the kind of tuple that a function of this name returns.

    >>> Found = result("found", "values", "indices")
    >>> Found(3, 1).indices, tuple(Found(3, 1))
    (1, (3, 1))
    """
    make: Any = namedtuple  # whose arguments a type checker wants written out
    made = make(name, fields)
    made.__repr__ = described
    made.__doc__ = f"What `{name}` returns: ({', '.join(fields)})."
    return made


# Of one dimension: `max`, `min`, `median`, `mode`, `cummax`, `sort`, `topk`, ... make theirs so.
Max = result("max", "values", "indices")
Min = result("min", "values", "indices")
Sort = result("sort", "values", "indices")
Topk = result("topk", "values", "indices")
Kthvalue = result("kthvalue", "values", "indices")
