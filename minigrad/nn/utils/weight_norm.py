"""Weight normalisation by a hook: the weight is computed before each call."""

from __future__ import annotations

from typing import Any, TypeVar

from minigrad.nn.hooks import Registered
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensors.tensor import Tensor

M = TypeVar("M", bound=Module)


def norm_except_dim(v: Tensor, dim: int | None) -> Tensor:
    """Return the 2-norm over all dimensions but one, that one kept; over all of them for None.

    >>> import minigrad as mg
    >>> norm_except_dim(mg.tensor([[3.0, 4.0], [0.0, 2.0]]), 0)
    tensor([[5.],
            [2.]])
    """
    if dim is None or dim == -1:
        return v.norm()
    dim = dim % v.ndim
    others = tuple(i for i in range(v.ndim) if i != dim)
    return v.norm(2.0, others, keepdim=True) if others else v.abs()


def weight_of(v: Tensor, g: Tensor, dim: int | None) -> Tensor:
    """Return g v / ||v||."""
    return v * (g / norm_except_dim(v, dim))


class WeightNorm:
    """The hook: it sets `name` from `name_g` and `name_v`."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def compute_weight(self, module: Module) -> Tensor:
        """Return the weight that stands for both parameters."""
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return weight_of(v, g, self.dim)

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def hook_of(module: Module, kind: type, name: str) -> tuple[int, Any] | None:
    """Return the number and the hook of a kind that sets a parameter, None where there is none."""
    entries: dict[int, Registered] = module._hooks or {}
    for key, entry in entries.items():
        if isinstance(entry.hook, kind) and getattr(entry.hook, "name", None) == name:
            return key, entry.hook
    return None


def drop_hook(module: Module, key: int) -> None:
    """Take a hook away."""
    hooks: dict[int, Any] = module._hooks or {}
    del hooks[key]
    if not hooks:
        del module.__dict__["_hooks"]


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Replace a parameter by a size and a direction: w = g v / ||v||.

    name: the parameter, whose place `name_g` and `name_v` take; it is computed at each call.
    dim: what the norm is taken for each of, None for one of all.
    Raises: RuntimeError where it is normalised already.
    Source: Salimans and Kingma, "Weight normalization" (NeurIPS 2016).

    >>> from minigrad import nn
    >>> layer = weight_norm(nn.Linear(3, 2))
    >>> [(name, p.shape) for name, p in layer.named_parameters()]
    [('bias', (2,)), ('weight_g', (2, 1)), ('weight_v', (2, 3))]
    """
    if hook_of(module, WeightNorm, name) is not None:
        raise RuntimeError(f"weight_norm: {name!r} is normalised already; remove_weight_norm first")
    weight = module.get_parameter(name)
    hook = WeightNorm(name, dim)
    delattr(module, name)
    held = weight.detach()
    module.register_parameter(name + "_g", Parameter(norm_except_dim(held, dim)))
    module.register_parameter(name + "_v", Parameter(held))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make one parameter of both again.

    Raises: ValueError where there is no weight norm.

    >>> from minigrad import nn
    >>> list(remove_weight_norm(weight_norm(nn.Linear(3, 2))).state_dict())
    ['bias', 'weight']
    """
    found = hook_of(module, WeightNorm, name)
    if found is None:
        raise ValueError(f"remove_weight_norm: {type(module).__name__} has none of {name!r}")
    key, hook = found
    weight = hook.compute_weight(module).detach()
    for part in (name, name + "_g", name + "_v"):
        delattr(module, part)
    module.register_parameter(name, Parameter(weight))
    drop_hook(module, key)
    return module
