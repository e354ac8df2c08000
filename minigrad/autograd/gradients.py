"""`backward` of several tensors at once; `Variable`, the name tensors once had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.engine.anomaly import detect_anomaly
from minigrad.engine.grad_mode import mode as modes
from minigrad.lazy import lazy
from minigrad.tensors import transforms
from minigrad.tensors.tensor import Tensor

func = lazy("minigrad.func")  # it stands on autograd.Function


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of outputs by inputs; see `minigrad.grad`.

    is_grads_batched: the first dimension of each of `grad_outputs` counts gradients, which are
        carried back at once.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 3.0], requires_grad=True)
    >>> grad(x * x, x, mg.eye(2), is_grads_batched=True)
    (tensor([[2., 0.],
            [0., 6.]]),)
    """
    if not is_grads_batched:
        return transforms.grad(
            outputs,
            inputs,
            grad_outputs,
            retain_graph,
            create_graph,
            only_inputs,
            allow_unused,
            materialize_grads,
        )
    weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs or ())
    if not weights or any(w is None for w in weights):
        raise ValueError("grad: is_grads_batched needs grad_outputs, one for each output")

    def sweep(*parts: Any) -> Any:
        found = transforms.grad(
            outputs, inputs, list(parts), True, create_graph, only_inputs, allow_unused
        )
        missing[:] = [g is None for g in found]
        return tuple([g for g in found if g is not None])

    missing: list[bool] = []
    found = list(func.vmap(sweep)(*weights))
    return tuple([None if gone else found.pop(0) for gone in missing])


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

    >>> import minigrad as mg
    >>> with set_detect_anomaly(True):
    ...     print(mg.ones(1).add(1))
    tensor([2.])
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.was = modes.anomaly is not None
        self.check_nan = check_nan
        self.turn(bool(mode))

    def turn(self, on: bool) -> None:
        """Switch on or off."""
        found = modes.anomaly
        if on and found is None:
            detect_anomaly(check_nan=self.check_nan)._turn()
        elif not on and found is not None:
            tape = found.origins.before if modes.tape is found.origins else modes.tape
            detect_anomaly()._restore((None, False, tape))

    def __enter__(self) -> None:
        """Stay as it is."""

    def __exit__(self, *_: Any) -> None:
        self.turn(self.was)
