"""Counterparts of the kernels in other libraries: NumPy's and CuPy's arrays, PyTorch's tensors.

A peer is `f(library, *args)`, which returns the call to time; that returns what the kernel writes,
in the kernel's order, None where the library has no such result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad_kernels.kernel import Kernel
from minigrad_kernels.randomness.examples import DRAW

Call = Callable[[], Sequence[Any]]
Peer = Callable[..., Call]


def plain(f: Callable[..., Any]) -> Peer:
    """Return the peer that calls `f(library, *args)`, one result or a tuple of them."""

    def peer(library: Any, *args: Any) -> Call:
        def call() -> Sequence[Any]:
            found = f(library, *args)
            return found if isinstance(found, tuple) else (found,)

        return call

    return peer


def called(function: Callable[..., Any]) -> Peer:
    """Return the peer of a function that takes the operands, and `out` where it can."""

    def peer(library: Any, *args: Any) -> Call:
        *operands, out = args
        try:
            function(*operands, out=out)
        except TypeError:
            return lambda: (function(*operands),)
        return lambda: (function(*operands, out=out),)

    return peer


# ---------------------------------------------------------------- arrays: NumPy, CuPy
def multiplied(finish: Callable[..., Any]) -> Peer:
    """Return the peer of a matrix product whose result `finish(library, c, *rest)` completes."""

    def f(xp: Any, a: Any, b: Any, *rest: Any) -> Any:
        c = xp.matmul(a, b, out=rest[-1])
        return finish(xp, c, *rest[:-1])

    return plain(f)


def relu_of(xp: Any, z: Any, bias: Any, activation: str, y: Any) -> tuple[Any, ...]:
    """Return z + bias and its ReLU, z in place."""
    z += bias
    return z, xp.maximum(z, 0, out=y)


BLAS: dict[str, Peer] = {
    "gemm": multiplied(lambda xp, c: c),
    "bmm": multiplied(lambda xp, c: c),
    "gemm_bias": multiplied(lambda xp, c, bias: xp.add(c, bias, out=c)),
    "gemm_activation": multiplied(
        lambda xp, c, bias, activation: relu_of(xp, c, bias, activation, c)[1]
    ),
    "gemm_activation_saved": plain(
        lambda xp, a, b, bias, activation, z, y: relu_of(
            xp, xp.matmul(a, b, out=z), bias, activation, y
        )
    ),
    "gemm_masked": multiplied(lambda xp, c, saved, activation: xp.multiply(c, saved > 0, out=c)),
    "gemm_sums": plain(
        lambda xp, a, b, c, sums: (xp.matmul(a, b, out=c), xp.sum(a, axis=1, out=sums))
    ),
    "gemm_accumulate": plain(lambda xp, a, b, c: c + xp.matmul(a, b)),
}
ARRAYS: dict[str, Peer] = {
    **BLAS,
    "relu": plain(lambda xp, x, y: xp.maximum(x, 0, out=y)),
    "sum": plain(lambda xp, x, axes, y: xp.sum(x, axis=axes, out=y)),
    "mean": plain(lambda xp, x, axes, y: xp.mean(x, axis=axes, out=y)),
    "max": plain(lambda xp, x, axes, y: xp.max(x, axis=axes, out=y)),
    "min": plain(lambda xp, x, axes, y: xp.min(x, axis=axes, out=y)),
    "prod": plain(lambda xp, x, axes, y: xp.prod(x, axis=axes, out=y)),
    "argmax": plain(lambda xp, x, axis, y: xp.argmax(x, axis=axis, out=y)),
    "argmin": plain(lambda xp, x, axis, y: xp.argmin(x, axis=axis, out=y)),
    "cumsum": plain(lambda xp, x, axis, backwards, y: xp.cumsum(x, axis=axis, out=y)),
    "sinc": plain(lambda xp, x, order, unused, y: xp.sinc(x)),  # compared at order 0
    "take_rows": plain(lambda xp, weight, indices, y: xp.take(weight, indices, axis=0, out=y)),
    "take_flat": plain(lambda xp, x, indices, y: xp.take(x, indices, out=y)),
}


# ---------------------------------------------------------------- PyTorch
def functional(name: str, **options: Any) -> Peer:
    """Return the peer of a function of `torch.nn.functional`, which allocates its result."""
    return plain(lambda t, *args: getattr(t.nn.functional, name)(*args[:-1], **options))


def gradient(name: str, *more: Any) -> Peer:
    """Return the peer of one of torch's own gradients of two operands."""
    return plain(lambda t, dy, y, dx: getattr(t.ops.aten, name)(dy, y, *more))


def cross_entropy(
    t: Any, x: Any, target: Any, weight: Any, ignored: int, smoothing: float, mean: bool, *out: Any
) -> tuple[Any, ...]:
    """Return the mean loss and its gradient: five passes of torch's own kernels."""
    aten = t.ops.aten
    logs = t.log_softmax(x, 1)
    total, divisor = aten.nll_loss_forward(logs, target, None, 1, ignored)
    one = t.ones_like(total)
    spread = aten.nll_loss_backward(one, logs, target, None, 1, ignored, divisor)
    dx = aten._log_softmax_backward_data(spread, logs, 1, x.dtype)
    return None, None, total.reshape(1), divisor.reshape(1), dx


def layer_norm(t: Any, x: Any, weight: Any, bias: Any, eps: float, *out: Any) -> tuple[Any, ...]:
    """Return mean, rstd and y."""
    y, mean, rstd = t.native_layer_norm(x, x.shape[1:], weight, bias, eps)
    return mean.reshape(-1), rstd.reshape(-1), y


def layer_norm_backward(
    t: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any, *out: Any
) -> tuple[Any, ...]:
    """Return dx, dw and db."""
    few = mean[:, None], rstd[:, None]
    return tuple(
        t.ops.aten.native_layer_norm_backward(
            dy, x, x.shape[1:], *few, weight, weight, [True, True, True]
        )
    )


def batch_norm(t: Any, x: Any, weight: Any, bias: Any, eps: float, *out: Any) -> tuple[Any, ...]:
    """Return mean, no variance, rstd and y."""
    y, mean, rstd = t.native_batch_norm(x, weight, bias, None, None, True, 0.1, eps)
    return mean, None, rstd, y


def batch_norm_eval(
    t: Any, x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float, y: Any
) -> Any:
    """Return y."""
    return t.nn.functional.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)


def batch_norm_backward(
    t: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any, *out: Any
) -> tuple[Any, ...]:
    """Return dx, dw and db."""
    wanted = [True, True, True]
    return tuple(
        t.ops.aten.native_batch_norm_backward(
            dy, x, weight, None, None, mean, rstd, True, 1e-5, wanted
        )
    )


def conv_gradient(t: Any, dy: Any, x: Any, weight: Any, how: Any, wanted: list[bool]) -> Any:
    """Return dx, dw and db of a convolution, those that are wanted."""
    stride, padding, dilation, groups = how
    return t.ops.aten.convolution_backward(
        dy, x, weight, [len(weight)], stride, padding, dilation, False, [0, 0], groups, wanted
    )


def conv_backward_input(t: Any, dy: Any, weight: Any, *rest: Any) -> Any:
    """Return dx; x gives no more than its shape."""
    *how, dx = rest
    return conv_gradient(t, dy, dx, weight, how, [True, False, False])[0]


def conv_backward_weight(t: Any, dy: Any, x: Any, *rest: Any) -> tuple[Any, ...]:
    """Return dw and db; the weight gives no more than its shape."""
    *how, dw, _ = rest
    return tuple(conv_gradient(t, dy, x, dw, how, [False, True, True])[1:])


def max_pool(t: Any, x: Any, row_windows: Any, column_windows: Any, *out: Any) -> tuple[Any, ...]:
    """Return y and index of windows of 2 that step by 2."""
    y, index = t.nn.functional.max_pool2d(x[None], 2, 2, return_indices=True)
    return y[0], index[0]


def dropout(t: Any, x: Any, *_: Any) -> tuple[Any, ...]:
    """Drop by a mask of torch's own, which is no result to compare."""
    t.dropout(x, DRAW[0], True)
    return (None,)


def adamw(t: Any, rows: Any, hyper: Any, like: Any, steps: Any) -> Call:
    """Return a step of the fused AdamW over all tensors; results are p, g and the moments."""
    p, g, m, v = (list(column) for column in zip(*rows, strict=True))
    lr, beta1, beta2, eps, decay = (float(n) for n in hyper[0, :5])
    counts = [t.zeros((), device=like.device) for _ in p]

    def call() -> Sequence[Any]:
        t._foreach_add_(counts, 1)
        t._fused_adamw_(
            *(p, g, m, v, [], counts), amsgrad=False, lr=lr, beta1=beta1, beta2=beta2,
            weight_decay=decay, eps=eps, maximize=False,
        )  # fmt: skip
        return [*(a for row in rows for a in row), None]

    return call


TORCH: dict[str, Peer] = {
    "gelu_tanh": functional("gelu", approximate="tanh"),
    "sinc": plain(lambda t, x, order, _, y: t.sinc(x)),
    "leaky_relu": plain(lambda t, x, slope, _, y: t.nn.functional.leaky_relu(x, slope)),
    "elu": plain(lambda t, x, alpha, _, y: t.nn.functional.elu(x, alpha)),
    "copy": plain(lambda t, x, y: y.copy_(x)),
    "dropout": plain(dropout),
    **{
        f"{name}_backward": gradient(f"{name}_backward")
        for name in ("tanh", "sigmoid", "silu", "gelu")
    },
    "gelu_tanh_backward": plain(
        lambda t, dy, x, dx: t.ops.aten.gelu_backward(dy, x, approximate="tanh")
    ),
    "relu_backward": gradient("threshold_backward", 0),
    "gemm": plain(lambda t, a, b, c: t.mm(a, b, out=c)),
    "gemm_bias": plain(lambda t, a, b, bias, c: t.addmm(bias, a, b, out=c)),
    "gemm_accumulate": plain(lambda t, a, b, c: t.addmm(c, a, b)),
    "gemm_activation": plain(lambda t, a, b, bias, _, y: t.addmm(bias, a, b, out=y).relu_()),
    "softmax": plain(lambda t, x, y: t.softmax(x, 1, out=y)),
    "log_softmax": plain(lambda t, x, y: t.log_softmax(x, 1, out=y)),
    "logsumexp": plain(lambda t, x, y: t.logsumexp(x, 1, out=y)),
    "softmax_backward": plain(
        lambda t, dy, y, dx: t.ops.aten._softmax_backward_data(dy, y, 1, y.dtype)
    ),
    "log_softmax_backward": plain(
        lambda t, dy, y, dx: t.ops.aten._log_softmax_backward_data(dy, y, 1, y.dtype)
    ),
    "cross_entropy_forward": plain(cross_entropy),
    "layer_norm_forward": plain(layer_norm),
    "layer_norm_backward": plain(layer_norm_backward),
    "batch_norm_forward": plain(batch_norm),
    "batch_norm_eval": plain(batch_norm_eval),
    "batch_norm_backward": plain(batch_norm_backward),
    "conv": plain(lambda t, x, weight, bias, *rest: t.conv2d(x, weight, bias, *rest[:-1])),
    "conv_backward_input": plain(conv_backward_input),
    "conv_backward_weight": plain(conv_backward_weight),
    "max_pool": plain(max_pool),
    "avg_pool": plain(lambda t, x, *_: t.nn.functional.avg_pool2d(x, 2, 2)),
    "sum": plain(lambda t, x, axes, y: t.sum(x, axes, out=y)),
    "mean": plain(lambda t, x, axes, y: t.mean(x, axes, out=y)),
    "max": plain(lambda t, x, axes, y: t.amax(x, axes, out=y)),
    "min": plain(lambda t, x, axes, y: t.amin(x, axes, out=y)),
    "prod": plain(lambda t, x, axes, y: t.prod(x, axes[0], out=y)),
    "argmax": plain(lambda t, x, axis, y: t.argmax(x, axis, out=y)),
    "argmin": plain(lambda t, x, axis, y: t.argmin(x, axis, out=y)),
    "cumsum": plain(lambda t, x, axis, backwards, y: t.cumsum(x, axis, out=y)),
    "take_rows": plain(lambda t, weight, indices, y: t.index_select(weight, 0, indices, out=y)),
    "take_flat": plain(lambda t, x, indices, y: t.index_select(x, 0, indices, out=y)),
    "scatter_add_rows": plain(lambda t, dy, indices, dw: dw.zero_().index_add_(0, indices, dy)),
    "scatter_add_flat": plain(lambda t, dy, indices, dx: dx.zero_().index_add_(0, indices, dy)),
    "adam_step": adamw,
}


# ---------------------------------------------------------------- which one
def blas_peer(module: Any, name: str, kernel: Kernel) -> Peer | None:
    """Return the peer of a matrix product."""
    return BLAS.get(name)


def array_peer(module: Any, name: str, kernel: Kernel) -> Peer | None:
    """Return a kernel's peer in NumPy or CuPy, None where it has none.

    It is the one of the kernel's row ("numpy"), else the one of `ARRAYS`, else, of an elementwise
    kernel, the function of the same name or the one that is the row's reference.
    """
    return found("numpy", ARRAYS, (module,), name, kernel)


def torch_peer(module: Any, name: str, kernel: Kernel) -> Peer | None:
    """Return a kernel's peer in PyTorch, None where it has none.

    It is that of the row ("torch"), of `TORCH`, or what has the name in torch or
    torch.nn.functional.
    """
    return found("torch", TORCH, (module, module.nn.functional), name, kernel)


def found(
    library: str, stated: dict[str, Peer], places: Sequence[Any], name: str, kernel: Kernel
) -> Peer | None:
    """Return a library's peer of a kernel, None where it has none.

    It is that of the row, else that of `stated`, else what has the name of the kernel or of its
    rule's
    reference in one of `places`.
    """
    if library in kernel.peers:
        return kernel.peers[library]
    if name in stated or kernel.rule is None:
        return stated.get(name)
    for label in (name, getattr(kernel.rule.reference, "__name__", name)):
        for place in places:
            function = getattr(place, label, None)
            if callable(function):
                return called(function)
    return None
