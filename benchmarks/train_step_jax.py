"""The training step in plain JAX, compiled as one program; AdamW written out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from benchmarks.mlp import (
    ADAM_EPS,
    BETA1,
    BETA2,
    BLOCKS,
    LR,
    MOMENTUM,
    NORM_EPS,
    WEIGHT_DECAY,
    Problem,
)


def forward(p: Any, x: Any, target: Any, running: Any, key: Any, dropout: float) -> Any:
    """Return the loss and the moved running statistics."""
    import jax
    import jax.numpy as jnp

    h, moved = x, []
    for i in range(BLOCKS):
        z = h @ p[f"{4 * i}.weight"].T + p[f"{4 * i}.bias"]
        mean, var = z.mean(axis=0), z.var(axis=0)
        n = len(x)
        old_mean, old_var = running[i]
        moved.append(
            (
                (1 - MOMENTUM) * old_mean + MOMENTUM * mean,
                (1 - MOMENTUM) * old_var + MOMENTUM * var * n / (n - 1),
            )
        )
        normal = (z - mean) * jax.lax.rsqrt(var + NORM_EPS)
        h = jax.nn.relu(normal * p[f"{4 * i + 1}.weight"] + p[f"{4 * i + 1}.bias"])
        if dropout:
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - dropout, h.shape)
            h = jnp.where(kept, h / (1 - dropout), 0)
    logits = h @ p[f"{4 * BLOCKS}.weight"].T + p[f"{4 * BLOCKS}.bias"]
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], axis=1)
    return -picked.mean(), moved


def adamw(p: Any, m: Any, v: Any, g: Any, t: Any) -> Any:
    """Return parameters, moments and step count after a step of AdamW over trees of arrays."""
    import jax
    import jax.numpy as jnp

    t = t + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)

    def update(p: Any, m: Any, v: Any) -> Any:
        denominator = jnp.sqrt(v / (1 - BETA2**t)) + ADAM_EPS
        return p * (1 - LR * WEIGHT_DECAY) - LR * m / (1 - BETA1**t) / denominator

    return jax.tree.map(update, p, m, v), m, v, t


@functools.cache
def compiled(dropout: float) -> Any:
    """Return the whole step, forward to AdamW, under jit; old state is handed over to it."""
    import jax

    def step(state: Any, x: Any, target: Any) -> Any:
        p, m, v, running, key, t = state
        gradient = jax.value_and_grad(forward, has_aux=True)
        (loss, running), g = gradient(p, x, target, running, key, dropout)
        p, m, v, t = adamw(p, m, v, g, t)
        return (p, m, v, running, jax.random.fold_in(key, 1), t), loss

    return jax.jit(step, donate_argnums=0)


def jax_step(given: Problem, dropout: float) -> Callable[[], Any]:
    """Return JAX's step from the problem's initial parameters."""
    import jax
    import jax.numpy as jnp

    p = {name: jnp.array(value) for name, value in given.parameters.items()}
    hidden = given.parameters["0.weight"].shape[0]
    running = [(jnp.zeros(hidden), jnp.ones(hidden)) for _ in range(BLOCKS)]
    zeros = [jax.tree.map(jnp.zeros_like, p) for _ in range(2)]
    state: Any = (p, *zeros, running, jax.random.key(0), jnp.float32(0))
    batch = given.batches(jnp.asarray)
    program = compiled(dropout)

    def step() -> Any:
        nonlocal state
        state, loss = program(state, *batch())
        return loss.block_until_ready()

    return step
