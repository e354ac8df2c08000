"""`backward` of several tensors at once; `Variable`, the name tensors once had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.engine.anomaly import detect_anomaly
from minigrad.engine.grad_mode import mode as modes
from minigrad.tensors.tensor import Tensor


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of the sum of `tensors` into `.grad` of the leaves they are functions of.

    grad_tensors: what each is weighted by, 1 implied for single numbers.

    Raises: RuntimeError for a tensor of several numbers without a weight, or that requires no grad.

    >>> import minigrad as mg
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> backward([x * x, 2 * x])
    >>> x.grad
    tensor(8.)
    """
    roots = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    weights: list[Any]
    if grad_tensors is None or isinstance(grad_tensors, Tensor):
        weights = [grad_tensors] * len(roots)
    else:
        weights = list(grad_tensors)
    if len(weights) != len(roots):
        raise RuntimeError(
            f"backward: {len(weights)} grad_tensors for {len(roots)} tensors: expected one each"
        )
    if not roots:
        raise RuntimeError("backward: expected at least one tensor, got none")
    if len(roots) == 1:
        roots[0].backward(weights[0], retain_graph, create_graph, inputs)
        return
    total: Any = 0.0
    for i, (t, w) in enumerate(zip(roots, weights, strict=True)):
        if not t.requires_grad:
            raise RuntimeError(f"backward: tensor {i}, shape {t.shape}, does not require grad")
        if w is None and t.numel() != 1:
            raise RuntimeError(
                f"backward: tensor {i} has shape {t.shape}; a gradient is implied for a single "
                "number only: reduce it, e.g. .sum(), or pass its weight in grad_tensors"
            )
        total = total + (t.sum() if w is None else (t * w).sum())
    total.backward(None, retain_graph, create_graph, inputs)


def Variable(data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
    """Return a tensor: what old programs wrap theirs in.

    >>> import minigrad as mg
    >>> Variable(mg.ones(2), requires_grad=True).requires_grad
    True
    """
    t = data.detach() if isinstance(data, Tensor) else Tensor(data)
    return t.requires_grad_(requires_grad) if requires_grad else t


class set_detect_anomaly:
    """Switch anomaly detection on or off in this thread: at once, and, used by `with`, until its
    end; see `detect_anomaly`.

    >>> with set_detect_anomaly(True):
    ...     pass
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.was = modes.anomaly
        self.turn(bool(mode))

    def turn(self, on: bool) -> None:
        """Switch on or off."""
        if on and modes.anomaly is None:
            detect_anomaly()._turn()
        elif not on and modes.anomaly is not None:
            detect_anomaly()._restore((None, False))

    def __enter__(self) -> None:
        """Stay as it is."""

    def __exit__(self, *_: Any) -> None:
        self.turn(self.was is not None)
