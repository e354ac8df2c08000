"""Models: what intrinsics, which only a GPU can run, do in the simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Model:
    """The Python CUDA kernel of an intrinsic.

    collective: `rule` takes {lane: arguments} of a whole warp and returns {lane: result}.
    """

    rule: Callable[..., Any]
    collective: bool
    name: str


MODELS: dict[int, tuple[Any, Model]] = {}  # by id; the intrinsic is held, so that its id is kept


def model(
    intrinsic: Any, *, collective: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as what an intrinsic does in the simulator.

    intrinsic: anything that a kernel calls by a global name.
    collective: the function takes {lane: arguments} of all lanes of a warp and returns {lane:
        result}; otherwise it takes one thread's arguments, arrays as `SimulatedArray`, to be
        accessed through `load`, `store`, `load_vector`, `store_vector`.  A jitted function is run
        as a kernel's device functions are.

    >>> def twice(x):
    ...     "A function that only a GPU could run."
    >>> @model(twice)
    ... def _(x):
    ...     return x + x
    """

    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        name = getattr(intrinsic, "__name__", None) or getattr(intrinsic, "_name", repr(intrinsic))
        MODELS[id(intrinsic)] = (intrinsic, Model(rule, collective, str(name)))
        return rule

    return register
