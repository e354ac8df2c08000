"""One AdamW step over many parameters: 10^4 to 10^7 numbers in few large or many small tensors.

The floor is the time of the step's seven streams (p, g, m and v are read, p, m and v written) at
the measured copy bandwidth of arrays as large; a copy counts as three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.harness import Array, Benchmark, agree, ours, with_torch
from benchmarks.mlp import ADAM_EPS, BETA1, BETA2, LR, WEIGHT_DECAY
from benchmarks.train_step_jax import adamw
from minigrad_kernels.compare.machine import limits
from minigrad_kernels.compare.timing import Candidate, Case

COUNTS = (1, 4, 40, 400)  # tensors
STREAMS = 7
FLOPS = 14  # a number
TOTALS = (10**4, 10**5, 10**6, 10**7)
QUICK_TOTALS = (10**3,)
STEPS = 3  # checked

Pairs = list[tuple[Array, Array]]  # a parameter and its gradient


def tensors(total: int, count: int) -> Pairs:
    """Draw `count` parameters of `total` numbers together, with their gradients."""
    rng = np.random.default_rng(0)
    size = total // count
    draw = rng.standard_normal
    return [(draw(size, np.float32), draw(size, np.float32)) for _ in range(count)]


def exact(pairs: Pairs) -> Array:
    """Return the first parameter after STEPS steps in float64."""
    p, g = (a.astype(np.float64) for a in pairs[0])
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t in range(1, STEPS + 1):
        m, v = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g * g
        p = p * (1 - LR * WEIGHT_DECAY)
        p -= LR * m / (1 - BETA1**t) / (np.sqrt(v / (1 - BETA2**t)) + ADAM_EPS)
    return p


def cases(peers: Sequence[str], quick: bool) -> Iterator[Case]:
    """Check a parameter of each candidate against float64, then yield every total and layout."""
    found = limits(quick)
    for total in QUICK_TOTALS if quick else TOTALS:
        traffic = STREAMS * 4 * total
        floor = found.floor(FLOPS * total, traffic)
        for count in COUNTS:
            pairs = tensors(total, count)
            candidates = ours(partial(minigrad_adamw, pairs))
            if "torch" in peers:
                candidates += with_torch(partial(torch_adamw, pairs, foreach=True), "foreach")
                candidates += with_torch(partial(torch_adamw, pairs, fused=True), "fused")
            if "jax" in peers:
                candidates.append(Candidate("jax", partial(jax_adamw, pairs), "jit"))
            expected = exact(pairs)
            label = f"{total:,} numbers in {count} tensors"
            for candidate in candidates:
                step = candidate.make()
                got = [step() for _ in range(STEPS)][-1]
                agree(f"{candidate.name}, {label}", got, expected, rtol=1e-5, atol=1e-6)
            yield Case(label, candidates, gbyte=1e-9 * traffic, floor=floor)


def minigrad_adamw(pairs: Pairs) -> Callable[[], Any]:
    """Return minigrad's step, one launch; it returns the first parameter's array."""
    parameters = [mg.nn.Parameter(p.copy()) for p, _ in pairs]
    for parameter, (_, g) in zip(parameters, pairs, strict=True):
        parameter.grad = mg.from_numpy(g)
    optimizer = mg.optim.AdamW(parameters, lr=LR, weight_decay=WEIGHT_DECAY)

    def step() -> Array:
        optimizer.step()
        return parameters[0].array

    return step


def torch_adamw(pairs: Pairs, **how: Any) -> Callable[[], Any]:
    """Return PyTorch's step."""
    import torch

    parameters = [torch.nn.Parameter(torch.tensor(p)) for p, _ in pairs]
    for parameter, (_, g) in zip(parameters, pairs, strict=True):
        parameter.grad = torch.tensor(g)
    optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=WEIGHT_DECAY, **how)

    def step() -> Any:
        optimizer.step()
        return parameters[0].data

    return step


def jax_adamw(pairs: Pairs) -> Callable[[], Any]:
    """Return a compiled step over the list of parameters."""
    import jax
    import jax.numpy as jnp

    program = jax.jit(adamw, donate_argnums=(0, 1, 2))
    p = [jnp.array(p) for p, _ in pairs]
    g = [jnp.array(g) for _, g in pairs]
    state: Any = (p, [jnp.zeros_like(a) for a in p], [jnp.zeros_like(a) for a in p])
    t: Any = jnp.float32(0)

    def step() -> Any:
        nonlocal state, t
        *state, t = program(*state, g, t)
        return state[0][0].block_until_ready()

    return step


BENCHMARK = Benchmark(
    "optimizer", "A step of AdamW, float32", ("torch", "jax"), cases, limited=True
)
