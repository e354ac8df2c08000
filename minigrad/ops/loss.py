"""Cross-entropy as one op: a loss a row, its gradient in one pass; and its binary sibling."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import empty, launch
from minigrad.ops.common import Array, contiguous, op
from minigrad.ops.elementwise import clamp, where
from minigrad.ops.index import gather
from minigrad.ops.norm import LogSoftmax
from minigrad.ops.reduce import Sum
from minigrad.ops.shape import Reshape
from minigrad.tape import Bridge, Op


@op
class CrossEntropy(Op):
    """loss_n = (1-e) w[t] nll(t) + e/C sum_c w[c] nll(c), 0 where t is `ignore_index`; nll(c) =
    -log softmax(x_n)_c

    x: (N, C), target: (N,) int64, weight: (C,) or empty -> loss: (N,)
    """

    def forward(
        self, x: Array, target: Array, weight: Array, ignore_index: int, smoothing: float
    ) -> Array:
        rows = contiguous(x)
        loss = empty(x.shape[0], x.dtype)
        self.logsum = empty(x.shape[0], np.float64)  # float32 would cost 5e-4 at logits of 1e4
        launch(
            "cross_entropy_forward",
            rows,
            target,
            weight,
            ignore_index,
            smoothing,
            loss,
            self.logsum,
        )
        return loss

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, target, weight = (self.saved(i).data for i in range(3))
        dx = empty(x.shape, x.dtype)
        ignore, smoothing = self.meta["ignore_index"], self.meta["smoothing"]
        scale = contiguous(g.data)
        launch(
            "cross_entropy_backward",
            scale,
            contiguous(x),
            target,
            weight,
            ignore,
            smoothing,
            self.logsum,
            dx,
        )
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


@op
class BinaryCrossEntropy(Op):
    """loss = -(t max(log x, -100) + (1 - t) max(log(1 - x), -100)), an element each

    The gradient is (x - t) / max(x (1 - x), 1e-12): large and of the right sign at 0 and 1.
    """

    def forward(self, x: Array, t: Array) -> Array:
        floor, one = np.asarray(-100.0, x.dtype), np.asarray(1.0, x.dtype)
        left, right = empty(x.shape, x.dtype), empty(x.shape, x.dtype)
        launch("neg", x, right)
        launch("log1p", right, right)
        launch("maximum", right, floor, right)
        launch("sub", t, one, left)
        launch("mul", left, right, right)
        launch("log", x, left)
        launch("maximum", left, floor, left)
        launch("mul", left, t, left)
        launch("sub", right, left, left)
        return left

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, t = self.saved(0), self.saved(1)
        dx = dt = None
        if self.needs(0):
            dx = g * ((x - t) / clamp(x * (1.0 - x), min=1e-12))
        if self.needs(1):
            dt = g * (clamp((-x).log1p(), min=-100.0) - clamp(x.log(), min=-100.0))
        return dx, dt
