"""Clipping of gradients, between backward() and step()."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.engine import device
from minigrad.engine import dispatch as backend
from minigrad.engine.overwrite import check_writable, turns
from minigrad.ops.common import contiguous
from minigrad.tensors.tensor import Tensor, new
from minigrad_kernels.jit.address_table import build_table

Array = np.ndarray[Any, Any]
LEAST, MOST = 1e-100, 1e300  # norms between these have lost nothing to overflow or underflow


def _gradients(parameters: Iterable[Tensor] | Tensor, caller: str) -> list[Tensor]:
    """Return the gradients of parameters that have one.

    Raises: TypeError for what is no tensor.
    """
    found = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in found:
        if not isinstance(p, Tensor):
            raise TypeError(
                f"{caller}: expected tensors, got {type(p).__name__}; pass model.parameters()"
            )
    return [p.grad for p in found if p.grad is not None]


class _Work:
    """Gradients sorted by dtype, each with its address table; what is not contiguous is copied."""

    def __init__(self, grads: list[Tensor]) -> None:
        self.grads = grads
        by_place: dict[Any, list[Array]] = {}  # dtype and device
        self.copied: list[tuple[Array, Array]] = []
        for grad in grads:
            check_writable(grad.array, "a gradient")
        turn_of = turns([grad.array for grad in grads])  # what shares memory is scaled in order
        for grad, turn in zip(grads, turn_of, strict=True):
            array = contiguous(grad.array)
            if array is not grad.array:
                self.copied.append((grad.array, array))
            place = array.dtype, device.target_of((array,)), turn
            by_place.setdefault(place, []).append(array)
        self.held = by_place
        self.tables = [
            (build_table([(a, a) for a in arrays]), backend.empty(0, arrays[0].dtype, arrays[0]))
            for arrays in by_place.values()
        ]

    def finish(self) -> None:
        """Write copies back, and mark all gradients as written."""
        for target, array in self.copied:
            target[...] = array
        for grad in self.grads:
            grad.bump_version()


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients together to a norm of at most max_norm; return their norm before.

    norm = (sum |g|^norm_type)^(1/norm_type);  g = g min(1, max_norm / (norm + 1e-6))

    Shape: returns a tensor of shape ().
    parameters: those whose .grad is None are left out.  max_norm: >= 0.
    norm_type: > 0, math.inf for the largest |g|.
    foreach: PyTorch's; it is one launch for all either way.
    error_if_nonfinite: raise where the norm is NaN or infinite, and change nothing; otherwise such
        a norm makes NaN gradients, so that it cannot go unseen.
    Raises: ValueError for options out of range, RuntimeError as said.
    Source: Pascanu, Mikolov and Bengio 2013, Algorithm 1; the norm is summed in float64.

    >>> import minigrad as mg
    >>> w = mg.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_norm_([w], max_norm=1.0).item()
    10.0
    >>> [round(x, 4) for x in w.grad.tolist()]
    [0.6, 0.8]
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: expected max_norm >= 0, got {max_norm!r}")
    order = float(norm_type)
    if not order > 0:
        raise ValueError(f"clip_grad_norm_: expected norm_type > 0 or math.inf, got {norm_type!r}")
    work = _Work(_gradients(parameters, "clip_grad_norm_"))
    norm = _norm(work, order)
    if error_if_nonfinite and not math.isfinite(norm.item()):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of order {norm_type} of the gradients is {norm.item()};"
            " find out where it comes from, or pass error_if_nonfinite=False to go on with NaN"
        )
    _scale(work, norm, float(max_norm))
    dtype = np.result_type(*[d for d, *_ in work.held]) if work.held else np.float32
    return Tensor(norm.astype(dtype).reshape(()))


def clip_if_finite(parameters: Iterable[Tensor], max_norm: float) -> bool:
    """Clip as `clip_grad_norm_` does; where the norm is NaN or infinite return False, and change
    nothing.
    """
    work = _Work(_gradients(parameters, "clip_if_finite"))
    norm = _norm(work, 2.0)
    if not math.isfinite(norm.item()):
        return False
    _scale(work, norm, max_norm)
    return True


def gradient_norms(model: Any) -> list[Tensor]:
    """Return the norms of a model's gradients, one a dtype, as float64: no number is read.

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(2, 1, bias=False)
    >>> layer(mg.tensor([[3.0, 4.0]])).sum().backward()
    >>> [norm.item() for norm in gradient_norms(layer)]
    [5.0]
    """
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return [new(norm) for norm in _norms(_Work(grads), 2.0)]


def scale_gradients(model: Any, norm: Tensor, max_norm: float) -> None:
    """Scale a model's gradients, of one dtype, by min(1, max_norm / (norm + 1e-6)).

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(2, 1, bias=False)
    >>> layer(mg.tensor([[3.0, 4.0]])).sum().backward()
    >>> scale_gradients(layer, gradient_norms(layer)[0], 1.0)
    >>> layer.weight.grad
    tensor([[0.6000, 0.8000]])
    """
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    _scale(_Work(grads), norm.array, max_norm)


def _norms(work: _Work, order: float) -> list[Array]:
    """Return the norm of each table of gradients, where it lies."""
    norms = []
    for table, like in work.tables:
        norms.append(backend.empty(1, np.float64, like))
        backend.launch("grad_norm", table, order, like, norms[-1])
    return norms


def _norm(work: _Work, order: float) -> Array:
    """Return the norm of all gradients together, as one float64."""
    norms = _norms(work, order)
    norm = norms[0] if len(norms) == 1 else np.zeros(1)
    if len(norms) > 1:
        norm[0] = _combine([part.item() for part in norms], order)
    # Squares of float32 neither overflow nor vanish in float64: nothing to read from a device then.
    narrow = order in (1, 2, math.inf) and all(like.dtype == np.float32 for _, like in work.tables)
    if not narrow and not LEAST <= norm.item() <= MOST:
        found = _careful(work, order)
        if found is not None:
            norm = np.array([found])
    return norm


def _scale(work: _Work, norm: Array, max_norm: float) -> None:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6))."""
    for table, like in work.tables:
        there = device.moved(norm, device.device_of(like))
        backend.launch("grad_scale", table, there, max_norm, like)
    work.finish()


def total_norm(grads: list[Tensor], order: float) -> float:
    """Return the norm of tensors together, summed in float64: one number is read for each dtype.

    It is not finite where an element is not.
    """
    parts = [norm.item() for norm in _norms(_Work(grads), order)]
    return _combine(parts, order) if parts else 0.0


def _careful(work: _Work, order: float) -> float | None:
    """Return the norm from shares of the largest |g|: no power overflows, and not all vanish.

    None where the largest is 0 or no number.
    """
    found = [np.asarray(grad.detach().cpu().array, np.float64).ravel() for grad in work.grads]
    top = max((float(np.abs(g).max(initial=0)) for g in found), default=0.0)
    if not 0 < top < math.inf or any(np.isnan(g).any() for g in found):
        return None
    if order == math.inf:
        return top
    total = sum(float((np.abs(g / top) ** order).sum()) for g in found)
    return float(top * total ** (1 / order))


def _combine(parts: list[float], order: float) -> float:
    """Return the norm of norms, NaN where one is."""
    if any(math.isnan(part) for part in parts):
        return math.nan
    if order == math.inf:
        return max(parts)
    return float(np.sum(np.array(parts) ** order) ** (1 / order))


def get_total_norm(
    tensors: Iterable[Tensor] | Tensor,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Return the norm of tensors together, see `clip_grad_norm_`.

    >>> import minigrad as mg
    >>> get_total_norm([mg.tensor([3.0]), mg.tensor([4.0])])
    tensor(5.)
    """
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    norm = total_norm(given, float(norm_type))
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(f"get_total_norm: the norm of order {norm_type} is {norm}")
    kinds = [t.array.dtype for t in given]
    return Tensor(np.array(norm, np.result_type(*kinds) if kinds else np.float32))


def clip_grads_with_norm_(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale all gradients by min(1, max_norm / (total_norm + 1e-6)).

    >>> import minigrad as mg
    >>> w = mg.tensor([3.0, 4.0], requires_grad=True)
    >>> w.sum().backward()
    >>> clip_grads_with_norm_([w], 1.0, mg.tensor(4.0))
    >>> w.grad
    tensor([0.2500, 0.2500])
    """
    work = _Work(_gradients(parameters, "clip_grads_with_norm_"))
    _scale(work, np.array([float(total_norm)]), float(max_norm))


def clip_grad_value_(
    parameters: Iterable[Tensor] | Tensor, clip_value: float, foreach: bool | None = None
) -> None:
    """Clamp every gradient to [-clip_value, clip_value]; a NaN stays one.

    parameters: those whose .grad is None are left out.  clip_value: >= 0.
    Raises: ValueError for a negative clip_value.

    >>> import minigrad as mg
    >>> w = mg.tensor([3.0, -4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_value_([w], 7.0)
    >>> w.grad.tolist()
    [6.0, -7.0]
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: expected clip_value >= 0, got {clip_value!r}")
    work = _Work(_gradients(parameters, "clip_grad_value_"))
    for table, like in work.tables:
        backend.launch("grad_clamp", table, float(clip_value), like)
    work.finish()
