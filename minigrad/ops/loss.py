"""Cross-entropy as one op: a loss a row, its gradient in one pass; and its binary sibling."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.device import DeviceArray, device_of, host_copy, is_kept_one, moved
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.op import Bridge, Op
from minigrad.engine.recording import recording
from minigrad.ops.common import Array, contiguous, op
from minigrad.ops.elementwise import clamp, where
from minigrad.ops.index import gather
from minigrad.ops.norm import LogSoftmax
from minigrad.ops.reduce import Sum
from minigrad.ops.shape import Reshape
from minigrad.ops.unary import LogSigmoid


@op
class Huber(Op):
    """y = d^2 / 2 for d = a - t up to delta, a line beyond: no square of a large gap overflows

    Of the gap itself, not of its size, which has no second derivative at 0.
    """

    def forward(self, a: Array, t: Array, delta: float) -> Array:
        y = empty(a.shape, a.dtype)
        launch("huber", a, t, delta, 0.0, y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        delta = self.meta["delta"]
        slope = g * clamp(self.saved(0) - self.saved(1), -delta, delta)
        return slope, (-slope if self.needs(1) else None)

    @staticmethod
    def samples(draw: Any) -> Any:
        found = [(draw.apart(3), draw.apart(3) / 9), (draw.apart(2, 3), draw.apart(3, 2).T / 9)]
        return [(pair, {"delta": 0.9}) for pair in (*found, (draw.apart(0), draw.apart(0)))]


@op
class CrossEntropy(Op):
    """loss_n = (1-e) w[t] nll(t) + e/C sum_c w[c] nll(c), 0 where t is `ignore_index`; nll(c) =
    -log softmax(x_n)_c

    x: (N, C), target: (N,) int64, weight: (C,) or empty -> loss: (N,) for reduction "none", else
    () their sum, or for "mean" that over the summed w[t] of the rows that count.

    gradient: whether a reduced loss is to be followed by backward: its dx is then written in the
    same pass, and backward has nothing left to do where the loss is what is differentiated.
    """

    dx: Array | None = None  # of the reduced loss, until backward hands it out
    divisor: Array | None = None  # of a mean: the summed weights of the rows that count, (1,)

    def forward(
        self,
        x: Array,
        target: Array,
        weight: Array,
        ignore_index: int,
        smoothing: float,
        reduction: str = "none",
        gradient: bool = False,
    ) -> Array:
        if reduction == "none":
            return self.run(x, target, weight, ignore_index, smoothing, False, False)[0]
        mean = reduction == "mean"
        _, total, dx = self.run(x, target, weight, ignore_index, smoothing, mean, gradient)
        self.dx = dx if gradient else None
        return total.reshape(())

    def run(
        self,
        x: Array,
        target: Array,
        weight: Array,
        ignore_index: int,
        smoothing: float,
        mean: bool,
        gradient: bool,
    ) -> tuple[Array, Array, Array]:
        """Return the losses, the reduced loss, and its gradient where that is asked for."""
        n, dtype = x.shape[0], x.dtype
        loss, total, divisor = empty(n, dtype), empty(1, dtype), empty(1, dtype)
        self.divisor = divisor
        self.logsum = logsum = empty(n, np.float64)  # float32 would cost 5e-4 at logits of 1e4
        dx = empty(x.shape if gradient else (0, x.shape[1]), dtype)
        out = (loss, logsum, total, divisor, dx)
        arguments = (target, weight, ignore_index, smoothing, mean)
        launch("cross_entropy_forward", contiguous(x), *arguments, *out)
        return loss, total, dx

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, target, weight = (self.saved(i).array for i in range(3))
        options = self.meta["ignore_index"], self.meta["smoothing"]
        reduction = self.meta.get("reduction", "none")
        if reduction == "none":
            check_still(target, options[0], x.shape[1])
            dx = empty(x.shape, x.dtype)
            scale = contiguous(g.array)
            arguments = (scale, contiguous(x), target, weight, *options, self.logsum, dx)
            launch("cross_entropy_backward", *arguments)
            return Bridge.new(dx), None, None
        held: Array | None = self.dx
        self.dx = None  # handed out once: it may become a .grad, and be added to
        if held is None:
            check_still(target, options[0], x.shape[1])
            held = self.run(x, target, weight, *options, reduction == "mean", True)[2]
        # To read it would wait on a device; a replay may see another number.
        if type(g.array) is DeviceArray:
            one = is_kept_one(g.array)
        else:
            one = not recording.recorder and g.array.item() == 1
        if not one:
            launch("mul", held, g.array, held)
        return Bridge.new(held), None, None

    @staticmethod
    def composite(
        x: Any,
        target: Any,
        weight: Any,
        ignore_index: int,
        smoothing: float,
        reduction: str = "none",
        gradient: bool = False,
    ) -> Any:
        classes = x.array.shape[1]
        there = device_of(x.array)
        classes_of, factors = host_copy(target.array), host_copy(weight.array)
        live = classes_of != ignore_index
        safe = np.where(live, classes_of, 0)
        if not factors.size:
            factors = np.ones(classes, x.array.dtype)
        nll = -LogSoftmax.apply(x, axis=1)
        places = Bridge.new(moved(safe[:, None], there))
        picked = Reshape.apply(gather(nll, 1, places), shape=(len(safe),))
        loss = picked * Bridge.new(moved((1 - smoothing) * factors[safe], there))
        if smoothing:
            weighted = nll * Bridge.new(moved(factors, there))
            loss = loss + Sum.apply(weighted, dim=1) * (smoothing / classes)
        loss = where(Bridge.new(moved(live, there)), loss, 0.0)
        if reduction == "none":
            return loss
        total = Sum.apply(loss)
        return total if reduction == "sum" else total / float(factors[safe[live]].sum())


def check_still(target: Any, ignore_index: int, classes: int) -> None:
    """Refuse class numbers that have left [0, classes) since the loss was computed: its kernels
    write where they say.  One pass over targets on the host; those on a device are not read.
    """
    if type(target) is DeviceArray or not target.size:
        return
    if int(target.view(np.uint64).max()) >= classes:
        counted = target[target != ignore_index]
        if counted.size and not (counted.min() >= 0 and counted.max() < classes):
            raise RuntimeError(
                f"CrossEntropy needs its target, shape {target.shape}, for its gradient, but its"
                " memory was written through numpy() or another alias since; copy the array before"
                " writing to it"
            )


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


@op
class BceLogits(Op):
    """loss = (1 - t) log(1 + e^x) + t log(1 + e^-x), an element each, of logits x

    Nothing cancels for t in [0, 1]: loss and gradient of the surest rows keep all their digits.
    """

    def forward(self, x: Array, t: Array) -> Array:
        y = empty(x.shape, x.dtype)
        launch("bce_logits", x, t, y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, t = self.saved(0), self.saved(1)
        dx = None
        if self.needs(0):
            dx = empty(x.array.shape, x.array.dtype, x.array)
            launch("bce_logits_backward", g.array, x.array, t.array, dx)
            dx = Bridge.new(dx)
        return dx, -(g * x) if self.needs(1) else None

    @staticmethod
    def composite(x: Any, t: Any) -> Any:
        return -((1.0 - t) * LogSigmoid.apply(-x) + t * LogSigmoid.apply(x))


@op
class BceLogitsWeighted(Op):
    """loss = (1 - t) log(1 + e^x) + q t log(1 + e^-x): q a factor for the positive targets"""

    def forward(self, x: Array, t: Array, q: Array) -> Array:
        y = empty(x.shape, x.dtype)
        launch("bce_logits_weighted", x, t, q, y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, t, q = (self.saved(i) for i in range(3))
        dx = dt = dq = None
        if self.needs(0):
            slope = empty(x.array.shape, x.array.dtype, x.array)
            launch("bce_logits_slope", x.array, t.array, q.array, slope)
            dx = g * Bridge.new(slope)
        if self.needs(1):
            dt = g * (LogSigmoid.apply(-x) - q * LogSigmoid.apply(x))
        if self.needs(2):
            dq = -(g * t) * LogSigmoid.apply(x)
        return dx, dt, dq

    @staticmethod
    def composite(x: Any, t: Any, q: Any) -> Any:
        return -((1.0 - t) * LogSigmoid.apply(-x) + q * t * LogSigmoid.apply(x))
