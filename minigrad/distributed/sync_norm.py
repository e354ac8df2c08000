"""Batch normalisation by the statistics of all ranks' rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.distributed.exchange import exchange
from minigrad.engine import arguments
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentError
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import Bridge, Op
from minigrad.engine.recording import refuse_recording
from minigrad.engine.sharding import hold_recording, now
from minigrad.nn.functional.layers import check_running, check_statistics
from minigrad.ops.norm import channels, check_channels
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]


class SyncBatchNorm(Op):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, statistics of all ranks' rows

    x: (N, C, ...), N may differ from rank to rank and be 0; weight and bias: (C,).
    running: (mean, var, momentum) arrays to update, or None, as `BatchNorm`'s.
    """

    def forward(
        self, x: Array, weight: Array, bias: Array, eps: float, running: Any = None
    ) -> Array:
        self.x = rows = channels(x)
        c, kind = rows.shape[1], x.dtype
        own = rows.shape[0] * rows.shape[2]
        y = empty(x.shape, kind)
        out = y.reshape(rows.shape)
        mean, var, rstd = empty(c, kind), empty(c, kind), empty(c, kind)
        if own:
            launch("batch_norm_forward", rows, weight, bias, eps, mean, var, rstd, out)
        else:
            refuse_recording("this rank has no rows of the batch")
            mean.fill(0)
            var.fill(0)
        self.mean, self.var, total = empty(c, kind), empty(c, kind), np.zeros(1, np.int64)
        if now.shard is None:
            exchange("exchange_moments", mean, var, own, self.mean, self.var, total)
            self.rows = int(total[0])
        else:
            hold_recording()
            total = empty(1, np.int64)
            exchange("exchange_moments", mean, var, own, self.mean, self.var, total)
            self.rows = now.shard.total * math.prod(x.shape[2:])
        if self.rows <= 1:
            raise ArgumentError(
                "SyncBatchNorm: expected more than one value per channel over all ranks, got "
                f"{self.rows} with an input of shape {x.shape} on this one; use drop_last=True in "
                "the loader, or eval() to use the running statistics"
            )
        if own:
            launch("batch_norm_eval", rows, weight, bias, self.mean, self.var, eps, out)
        if running is not None:
            held_mean, held_var, momentum = running
            statistics = self.mean, self.var, self.rows, momentum
            launch("batch_norm_running", *statistics, held_mean, held_var)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        if mode.recording:
            raise RuntimeError(
                "SyncBatchNorm: its gradient comes from other processes too and cannot be "
                "differentiated again; use batch_norm of this rank's rows under create_graph"
            )
        self.saved(0)
        weight = self.saved(1).array
        dy = channels(g.array)
        c, kind, eps = dy.shape[1], dy.dtype, self.meta["eps"]
        dx, dw, db = empty(g.array.shape, kind), empty(c, kind), empty(c, kind)
        out = dx.reshape(dy.shape)
        statistics = self.mean, self.var, eps
        if dy.size:
            launch("batch_norm_eval_backward", dy, self.x, weight, *statistics, out, dw, db)
        else:
            dw.fill(0)
            db.fill(0)
        slope, shift = empty(c, kind), empty(c, kind)
        exchange("exchange_gradients", dw, db, weight, self.var, eps, self.rows, slope, shift)
        if dy.size:
            through = empty(dy.shape, kind)
            launch("batch_norm_eval", self.x, slope, shift, *statistics, through)
            launch("add", out, through, out)
        return (
            Bridge.new(dx),
            Bridge.new(dw) if self.needs(1) else None,
            Bridge.new(db) if self.needs(2) else None,
        )


def sync_batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise by the statistics of all ranks' rows, as `batch_norm` does by those of one.

    Shape: input: (N, C, ...), N may differ from rank to rank; all others (C,) -> input's.
    Raises: ValueError for one value a channel over all ranks, and for what `batch_norm` refuses.
    """
    name = "sync_batch_norm"
    eps = arguments.number(name, "eps", eps)
    check_statistics(name, running_mean, running_var, eps)
    named = {"running_mean": running_mean, "running_var": running_var}
    check_channels(name, input.array, **named, weight=weight, bias=bias)
    c, kind, like = input.shape[1], input.array.dtype, input.array
    if weight is None:
        held = empty(c, kind, like)
        held.fill(1)
        weight = Bridge.new(held)
    if bias is None:
        held = empty(c, kind, like)
        held.fill(0)
        bias = Bridge.new(held)
    if running_mean is None or running_var is None:
        return SyncBatchNorm.apply(input, weight, bias, eps=eps)
    check_running(name, running_mean.array, running_var.array)
    running = (running_mean.array, running_var.array, np.array([float(momentum)], np.float64))
    y: Tensor = SyncBatchNorm.apply(input, weight, bias, eps=eps, running=running)
    running_mean.bump_version(f"by {name}")
    running_var.bump_version(f"by {name}")
    return y
