"""Spectral normalisation by a hook: the weight over its largest singular value."""

from __future__ import annotations

from typing import Any, TypeVar

from minigrad.engine.grad_mode import no_grad
from minigrad.nn import init
from minigrad.nn.functional.layers import normalize
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.nn.utils.weight_norm import drop_hook, hook_of
from minigrad.ops.linalg import dot, matmul
from minigrad.tensors.creation import empty
from minigrad.tensors.tensor import Tensor

M = TypeVar("M", bound=Module)


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """Return a weight with `dim` first and all else flat.

    >>> import minigrad as mg
    >>> as_matrix(mg.ones(2, 3, 4), 1).shape
    (3, 8)
    """
    if dim:
        weight = weight.permute(dim, *(d for d in range(weight.ndim) if d != dim))
    return weight.reshape(weight.shape[0], -1)


def iterated(matrix: Tensor, u: Tensor, v: Tensor, times: int, eps: float) -> tuple[Tensor, Tensor]:
    """Return singular vectors after some power iterations; nothing is recorded."""
    held = matrix.detach()
    with no_grad():
        for _ in range(times):
            v = normalize(matmul(held.T, u), dim=0, eps=eps)
            u = normalize(matmul(held, v), dim=0, eps=eps)
    return u.clone(), v.clone()


def largest_value(matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return the singular value that belongs to two vectors."""
    found: Tensor = dot(u, matmul(matrix, v))
    return found


def started(matrix: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return two random vectors of length 1."""
    rows, columns = matrix.shape
    made = [empty(n, dtype=matrix.dtype, device=matrix.device) for n in (rows, columns)]
    u, v = (normalize(init.normal_(t), dim=0, eps=eps) for t in made)
    return u, v


class SpectralNorm:
    """The hook: it sets `name` from `name_orig`, and moves `name_u` and `name_v` on in training."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """Return the weight over its largest singular value."""
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            found = iterated(matrix, u, v, self.n_power_iterations, self.eps)
            with no_grad():
                u.copy_(found[0])
                v.copy_(found[1])
            u, v = found
        return weight / largest_value(matrix, u, v)

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def output_dim(module: Module) -> int:
    """Return the dimension of a weight that counts outputs: 1 of transposed convolutions."""
    return int(type(module).__name__.startswith("ConvTranspose"))


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide a parameter by its largest singular value, at each call.

    n_power_iterations: by which that value is followed, at each call in training.
    dim: the weight's outputs, which its matrix has as rows.
    Source: Miyato et al., "Spectral normalization" (ICLR 2018).

    >>> from minigrad import nn
    >>> layer = spectral_norm(nn.Linear(3, 2))
    >>> list(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    if hook_of(module, SpectralNorm, name) is not None:
        raise RuntimeError(f"spectral_norm: {name!r} is normalised already")
    if n_power_iterations < 1:
        raise ValueError(f"spectral_norm: expected n_power_iterations >= 1: {n_power_iterations}")
    hook = SpectralNorm(name, n_power_iterations, output_dim(module) if dim is None else dim, eps)
    weight = module.get_parameter(name)
    u, v = started(as_matrix(weight.detach(), hook.dim), eps)
    u, v = iterated(as_matrix(weight, hook.dim), u, v, 15, eps)
    delattr(module, name)
    module.register_parameter(name + "_orig", weight)
    setattr(module, name, weight.detach())
    module.register_buffer(name + "_u", u)
    module.register_buffer(name + "_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Keep the weight as it is now, as a parameter again.

    Raises: ValueError where there is no spectral norm.

    >>> from minigrad import nn
    >>> list(remove_spectral_norm(spectral_norm(nn.Linear(3, 2))).state_dict())
    ['bias', 'weight']
    """
    found = hook_of(module, SpectralNorm, name)
    if found is None:
        raise ValueError(f"remove_spectral_norm: {type(module).__name__} has none of {name!r}")
    key, hook = found
    with no_grad():
        weight = hook.compute_weight(module, False)
    for part in (name, name + "_orig", name + "_u", name + "_v"):
        delattr(module, part)
    module.register_parameter(name, Parameter(weight.detach()))
    drop_hook(module, key)
    return module
