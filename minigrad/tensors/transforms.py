"""Functions over the tape: gradients returned rather than accumulated."""

from __future__ import annotations

from collections.abc import Sequence

from minigrad.engine.allocator import owns
from minigrad.engine.backward import first_seed, sweep
from minigrad.engine.device import filled
from minigrad.engine.errors import ArgumentError
from minigrad.engine.grad_mode import mode
from minigrad.engine.overwrite import turns
from minigrad.engine.routes import edges_of
from minigrad.tensors.tensor import Tensor, new


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return d(sum of outputs)/d(input) for each input; `.grad` stays as it is.

    inputs: leaves or computed tensors.  grad_outputs: what each output is weighted by, 1 for single
        numbers.
    create_graph: record the sweep, so that the result can be differentiated again, to any order.
    materialize_grads: give zeros for inputs that no output depends on.  only_inputs: must be True.

    Returns: gradients that share no memory with each other, nor with `grad_outputs`.
    Raises: RuntimeError for an input that no output depends on (unless `allow_unused`, which gives
        None).

    >>> import minigrad as mg
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> (dx,) = grad(x**3, x, create_graph=True)
    >>> dx, grad(dx, x)
    (tensor(27., grad_fn=<Mul>), (tensor(18.),))
    """
    if not only_inputs:
        raise ArgumentError("grad: only_inputs=False is no more; use backward() to fill .grad")
    if materialize_grads and allow_unused is False:
        raise ArgumentError(
            "grad: materialize_grads=True gives zeros, allow_unused=False forbids that"
        )
    roots = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    weights: list[Tensor | None]
    if grad_outputs is None or isinstance(grad_outputs, Tensor):
        weights = [grad_outputs] * len(roots)
    else:
        weights = list(grad_outputs)
    if len(weights) != len(roots):
        raise ArgumentError(
            f"grad: {len(weights)} grad_outputs for {len(roots)} outputs: expected one each"
        )
    for i, t in enumerate(wanted):
        if not t.requires_grad:
            raise RuntimeError(f"grad: input {i}, shape {t.shape}, does not require grad")
    for i, t in enumerate(roots):
        if not t.requires_grad:
            raise RuntimeError(
                f"grad: output {i}, shape {t.shape}, does not require grad: nothing leads to it"
            )
    seeds = [first_seed("grad", t, w) for t, w in zip(roots, weights, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    was, mode.recording = mode.recording, mode.level(create_graph)
    try:
        found = sweep(roots, seeds, create_graph, keep, edges_of(wanted))
        result: list[Tensor | None] = []
        for i, t in enumerate(wanted):
            edge = found.get(id(t.node or t))
            if edge is None and materialize_grads:
                result.append(new(filled(t.shape, 0, t.array.dtype, t.array)))
                continue
            if edge is None and not allow_unused:
                raise RuntimeError(
                    f"grad: input {i}, shape {t.shape}, was not used in the outputs; pass "
                    "allow_unused=True to get None for it"
                )
            result.append(None if edge is None else edge[1])
        return parted([w for w in weights if w is not None], result)
    finally:
        mode.recording = was


def parted(given: list[Tensor], found: list[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Return gradients, copied where one shares memory with another or with what was given: a
    change of one in place is not to change the others.
    """
    arrays = [t.array for t in (*given, *found) if t is not None]
    if len({id(a) for a in arrays}) == len(arrays) and all(map(owns, arrays)):
        return tuple(found)
    turn = iter(turns(arrays)[len(given) :])
    return tuple(g.clone() if g is not None and next(turn) else g for g in found)
