"""Muon."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.dispatch import empty, launch
from minigrad.optim.by_parameter import ByParameter
from minigrad.optim.optimizer import Array, Group
from minigrad.tensors.tensor import Tensor

RATIO = 0.2  # of the RMS of a step to lr, as AdamW's steps have it


class Muon(ByParameter):
    """Muon: steps of momentum made orthogonal, for matrices.

    m = momentum m + (1 - momentum) g;  u = (1 - momentum) g + momentum m with Nesterov's, else m
    p = (1 - lr weight_decay) p - lr scale orthogonal(u)

    params: matrices; step biases, embeddings and heads with AdamW.
    ns_coefficients, ns_steps: of the Newton-Schulz iteration, which runs in bfloat16's precision
        as in PyTorch.  eps: what the norm of u is at least.
    adjust_lr_fn: "original", scale = sqrt(max(1, rows / columns)), the default; or
        "match_rms_adamw", scale = 0.2 sqrt(max(rows, columns)).
    Raises: ValueError for options out of range, and for what is no matrix.
    Source: Jordan et al., "Muon" (2024); Liu et al., "Muon is scalable" (2025) for the second
        scale.

    >>> import minigrad as mg
    >>> w = mg.zeros(2, 2, requires_grad=True)
    >>> (w * mg.eye(2)).sum().backward()
    >>> mg.optim.Muon([w], lr=0.5).step()
    >>> bool((w - w.T).abs().max() < 0.01), bool(w[0, 0] < -0.3)
    (True, True)
    """

    states = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def check(self, group: Group) -> None:
        """Raise a ValueError for options out of range, and for what is no matrix."""
        super().check(group)
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                "Muon: expected adjust_lr_fn to be 'original' or 'match_rms_adamw', got"
                f" {group['adjust_lr_fn']!r}"
            )
        if not 0 <= arguments.whole("Muon", "ns_steps", group["ns_steps"], 0) < 100:
            raise ValueError(f"Muon: expected fewer than 100 ns_steps, got {group['ns_steps']}")
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(f"Muon: expected 3 ns_coefficients, got {group['ns_coefficients']!r}")
        for p in group["params"]:
            if p.ndim != 2:
                raise ValueError(
                    f"Muon: expected matrices, got a parameter of shape {tuple(p.shape)}; step it"
                    " with AdamW"
                )

    def stepped(self, p: Array, g: Array, state: dict[str, Array], group: Group, t: int) -> Array:
        """Return a matrix after step t."""
        m, momentum = state["momentum_buffer"], float(group["momentum"])
        m += (g - m) * (1 - momentum)
        update = g + (m - g) * momentum if group["nesterov"] else m
        direction = orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = p.shape
        scale = np.sqrt(max(1, rows / columns))
        if group["adjust_lr_fn"] == "match_rms_adamw":
            scale = RATIO * np.sqrt(max(rows, columns))
        lr, decay = float(group["lr"]), float(group["weight_decay"])
        found: Array = p * (1 - lr * decay) - lr * scale * direction.astype(p.dtype)
        return found

    def add_param_group(self, group: Group) -> None:
        """Add matrices with options of their own."""
        entries = group.get("params", []) if isinstance(group, dict) else []
        if isinstance(entries, Tensor):
            group = {**group, "params": [entries]}
        super().add_param_group({"maximize": False, **group} if isinstance(group, dict) else group)


def orthogonal(x: Array, coefficients: tuple[float, ...], steps: int, eps: float) -> Array:
    """Return x with its singular values near 1, in bfloat16's precision.

    Each step: x = a x + (b x x^T + c (x x^T)^2) x.

    >>> y = orthogonal(np.diag([3.0, 0.5]), (3.4445, -4.775, 2.0315), 5, 1e-7)
    >>> bool((abs(np.diag(y) - 1) < 0.4).all())
    True
    """
    a, b, c = coefficients
    x = rounded(np.array(x, np.float32, order="C"))
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else np.ascontiguousarray(x.T)
    norm = rounded(np.sqrt(np.square(x, dtype=np.float64).sum()).astype(np.float32))
    x = rounded(x / max(norm, np.float32(eps)))
    for _ in range(steps):
        gram = rounded(product(x, x.T))
        mixed = rounded(np.float32(b) * gram + np.float32(c) * product(gram, gram))
        x = rounded(np.float32(a) * x + product(mixed, x))
    return x if wide else np.ascontiguousarray(x.T)


def product(a: Array, b: Array) -> Array:
    """Return a @ b by the kernel."""
    y: Array = empty((a.shape[0], b.shape[1]), a.dtype)
    launch("gemm", a, b, y)
    return y


def rounded(x: Any) -> Array:
    """Return float32 rounded to the nearest bfloat16, ties to even.

    >>> rounded(np.float32(1.01)).item()
    1.0078125
    """
    bits = np.asarray(x, np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    found = (bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)
    return found.view(np.float32)
