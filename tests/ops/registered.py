"""Functions of one tensor that the registry of ops knows and PyTorch has under the same name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection
from importlib.util import find_spec

from minigrad.nn import functional as F
from minigrad.ops.registry import OPS, function_name
from minigrad.ops.unary import Unary


def named_as_in_pytorch(place: str, recorded: Collection[str]) -> list[str]:
    """Return the names of a place, "tensor" or "functional": those of the golden file, and where
    torch is installed those that it has beside, which the golden file then lacks.
    """
    ours = [(function_name(op), op) for op in OPS.values() if op.public == place]
    alone = [name for name, op in ours if takes_one_tensor(op, place, name)]
    return [name for name in alone if name in recorded or torch_has(place, name)]


def takes_one_tensor(op: type, place: str, name: str) -> bool:
    """Say whether a function needs nothing beside a tensor."""
    if place == "tensor":
        return issubclass(op, Unary)
    parameters = inspect.signature(getattr(F, name)).parameters.values()
    return sum(p.default is inspect.Parameter.empty for p in parameters) == 1


def torch_has(place: str, name: str) -> bool:
    if find_spec("torch") is None:
        return False
    module = "torch" if place == "tensor" else "torch.nn.functional"
    return hasattr(importlib.import_module(module), name)
