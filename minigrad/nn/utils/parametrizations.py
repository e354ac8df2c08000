"""Parametrizations of weights: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

from typing import TypeVar

from minigrad.engine.grad_mode import no_grad
from minigrad.nn.module import Module
from minigrad.nn.utils.parametrize import register_parametrization
from minigrad.nn.utils.spectral_norm import (
    as_matrix,
    iterated,
    largest_value,
    output_dim,
    started,
)
from minigrad.nn.utils.weight_norm import norm_except_dim, weight_of
from minigrad.tensors.tensor import Tensor

M = TypeVar("M", bound=Module)


class _WeightNorm(Module):
    """w = g v / ||v||."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_of(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return g and v that make up a weight."""
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Let a parameter be a size times a direction: w = g v / ||v||.

    dim: what the norm is taken for each of, None for one of all.
    Source: Salimans and Kingma, "Weight normalization" (NeurIPS 2016).

    >>> from minigrad import nn
    >>> list(weight_norm(nn.Linear(3, 2)).state_dict())[1:]
    ['parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    """w over its largest singular value, which power iterations follow in training."""

    _u: Tensor
    _v: Tensor

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(f"spectral_norm: dim {dim} is out of range for {weight.ndim}")
        if n_power_iterations < 1:
            raise ValueError(
                f"spectral_norm: expected n_power_iterations >= 1, got {n_power_iterations}"
            )
        self.dim = dim % weight.ndim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        if weight.ndim > 1:
            matrix = as_matrix(weight.detach(), self.dim)
            u, v = iterated(matrix, *started(matrix, eps), 15, eps)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return weight / weight.norm().clamp(min=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            # u before v here, where the hook of utils.spectral_norm takes v first, as in PyTorch.
            v, u = iterated(matrix.T, self._v, self._u, self.n_power_iterations, self.eps)
            with no_grad():
                self._u.copy_(u)
                self._v.copy_(v)
        return weight / largest_value(matrix, self._u.clone(), self._v.clone())

    def right_inverse(self, value: Tensor) -> Tensor:
        """Return a value as it is: a weight is taken for the original."""
        return value


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide a parameter by its largest singular value.

    Source: Miyato et al., "Spectral normalization" (ICLR 2018).

    >>> from minigrad import nn
    >>> layer = spectral_norm(nn.Linear(3, 2))
    >>> list(layer.state_dict())[1]
    'parametrizations.weight.original'
    """
    weight = getattr(module, name)
    along = output_dim(module) if dim is None else dim
    made = _SpectralNorm(weight, n_power_iterations, along, eps)
    return register_parametrization(module, name, made)
