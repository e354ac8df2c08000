"""The layers of the kernels benchmark, at sizes of their own: linear, convolution, pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.families import Arrays, Family, normal

LAYERS = ((64, 64, 64), (128, 256, 256), (256, 784, 512), (1024, 1024, 1024))  # batch, in, out
# Channels, height = width, filters, kernel, padding: LeNet's two, and those of 3 x 3 on MNIST.
CONVOLUTIONS = ((1, 28, 6, 5, 2), (6, 14, 16, 5, 0), (1, 28, 32, 3, 1), (32, 14, 64, 3, 1))
BATCHES = ((64,), (128,))
POOLED = (32, 28, 28)


def linear(rng: np.random.Generator, batch: int, n_in: int, n_out: int) -> tuple[Arrays, Arrays]:
    """Draw x, weight and bias of a linear layer."""
    weight = normal(rng, n_out, n_in) * np.float32(n_in**-0.5)
    return (normal(rng, batch, n_in), weight, normal(rng, n_out)), ()


def drawn(*shape: int) -> Callable[..., tuple[Arrays, Arrays]]:
    """Return what draws a batch of arrays of a shape."""
    return lambda rng, batch: ((normal(rng, batch, *shape),), ())


def convolution(channels: int, size: int, filters: int, kernel: int, padding: int) -> Family:
    """Return a convolution of batches of images, with bias."""

    def draw(rng: np.random.Generator, batch: int) -> tuple[Arrays, Arrays]:
        weight = normal(rng, filters, channels, kernel, kernel)
        weight *= np.float32((channels * kernel * kernel) ** -0.5)
        return (normal(rng, batch, channels, size, size), weight, normal(rng, filters)), ()

    def of_jax(jax: Any, x: Any, w: Any, b: Any) -> Any:
        pads = [(padding, padding)] * 2
        return jax.lax.conv_general_dilated(x, w, (1, 1), pads) + b[:, None, None]

    return Family(
        f"conv2d {channels}x{size}x{size} to {filters} by {kernel}x{kernel}",
        lambda F, x, w, b: F.conv2d(x, w, b, 1, padding),
        of_jax,
        draw=draw,
        sizes=BATCHES,
        quick=(2,),
        needs="conv2d",
    )


def jax_max_pool(jax: Any, x: Any) -> Any:
    """Take the largest of 2 x 2."""
    window = (1, 1, 2, 2)
    return jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, window, "VALID")


def jax_avg_pool(jax: Any, x: Any) -> Any:
    """Take the mean of 2 x 2."""
    window = (1, 1, 2, 2)
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, window, window, "VALID") / 4


LAYER_FAMILIES = (
    Family(
        "linear relu",
        lambda F, x, w, b: F.relu(F.linear(x, w, b)),
        lambda jax, x, w, b: jax.nn.relu(jax.numpy.matmul(x, w.T, precision="highest") + b),
        draw=linear,
        sizes=LAYERS,
        quick=(4, 6, 5),
        fused=lambda F, x, w, b: F.linear_activation(x, w, b, "relu"),
    ),
    *(convolution(*layer) for layer in CONVOLUTIONS),
    Family(
        "max_pool2d 32x28x28 by 2x2",
        lambda F, x: F.max_pool2d(x, 2),
        jax_max_pool,
        draw=drawn(*POOLED),
        sizes=BATCHES,
        saved=0,
        quick=(2,),
        needs="max_pool2d",
    ),
    Family(
        "avg_pool2d 32x28x28 by 2x2",
        lambda F, x: F.avg_pool2d(x, 2),
        jax_avg_pool,
        draw=drawn(*POOLED),
        sizes=BATCHES,
        saved=0,
        quick=(2,),
        needs="avg_pool2d",
    ),
)
