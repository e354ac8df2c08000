"""Cross-entropy as one op: a loss a row, its gradient in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import empty, launch
from minigrad.ops.common import Array, contiguous, op
from minigrad.ops.elementwise import where
from minigrad.ops.index import gather
from minigrad.ops.norm import LogSoftmax
from minigrad.ops.reduce import Sum
from minigrad.ops.shape import Reshape
from minigrad.tape import Bridge, Op


@op
class CrossEntropy(Op):
    """loss_n = (1-e) w[t] nll(t) + e/C sum_c w[c] nll(c), 0 where t is `ignore_index`; nll(c) = -log softmax(x_n)_c

    x: (N, C), target: (N,) int64, weight: (C,) or empty -> loss: (N,)
    """

    def forward(self, x: Array, target: Array, weight: Array, ignore_index: int, smoothing: float) -> Array:
        rows = contiguous(x)
        loss, self.logsum = empty(x.shape[0], x.dtype), empty(x.shape[0], x.dtype)
        launch("cross_entropy_forward", rows, target, weight, ignore_index, smoothing, loss, self.logsum)
        return loss

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, target, weight = (self.saved(i).data for i in range(3))
        dx = empty(x.shape, x.dtype)
        ignore, smoothing = self.meta["ignore_index"], self.meta["smoothing"]
        scale = contiguous(g.data)
        launch("cross_entropy_backward", scale, contiguous(x), target, weight, ignore, smoothing, self.logsum, dx)
        return Bridge.new(dx), None, None

    @staticmethod
    def composite(x: Any, target: Any, weight: Any, ignore_index: int, smoothing: float) -> Any:
        classes = x.data.shape[1]
        live = target.data != ignore_index
        safe = np.where(live, target.data, 0)
        factors = weight.data if weight.data.size else np.ones(classes, x.data.dtype)
        nll = -LogSoftmax.apply(x, axis=1)
        picked = Reshape.apply(gather(nll, 1, Bridge.new(safe[:, None])), shape=(len(safe),))
        loss = picked * Bridge.new((1 - smoothing) * factors[safe])
        if smoothing:
            loss = loss + Sum.apply(nll * Bridge.new(factors), dim=1) * (smoothing / classes)
        return where(Bridge.new(live), loss, 0.0)
