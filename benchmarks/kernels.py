"""Every family of kernels forward plus backward, beside its peers and the machine's limit.

minigrad and PyTorch run eagerly, `y = f(x); y.backward(g)`; JAX runs one compiled program of both;
NumPy's backward is written by hand.  minigrad runs on all cores, PyTorch on the better of its
thread counts.  The limit is the roofline of this run's own measurements (see machine.py) for the
flops of what is launched and the traffic that no implementation of an eager op can avoid; "moved"
is the same share for all that the launched kernels move by their own account.

Up to EXACT elements, results and gradients of all are compared with the float64 references of the
kernels; beyond that, a sample of the peers' with minigrad's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.families import FAMILIES, Family
from benchmarks.harness import Array, Benchmark, agree, ours, with_torch
from benchmarks.launches import cost, references
from benchmarks.layers import LAYER_FAMILIES
from minigrad_kernels.compare.machine import limits
from minigrad_kernels.compare.timing import Candidate, Case, Pace, cores

EXACT = 2**23  # elements
SAMPLED = 9973  # every so many elements beyond that
TOLERANCE = 1e-3  # of each element, and of the root mean square where that is more
ALIKE = 6.0  # standard errors between mean squares, where masks differ

Results = list[Array]


def cases(
    peers: Sequence[str], quick: bool, only: str = "", sizes: Sequence[str] = ()
) -> Iterator[Case]:
    """Check every family at every size, then yield it.

    only: part of the family's name.  sizes: such as "256x512"; all if there are none.
    """
    found = limits(quick)
    for family in (*FAMILIES, *LAYER_FAMILIES):
        if only not in family.name or not hasattr(mg.nn.functional, family.needs):
            continue
        for size in (family.quick,) if quick else family.sizes:
            label = "x".join(map(str, size))
            if sizes and label not in sizes:
                continue
            rng = np.random.default_rng(0)
            learned, constant = family.draw(rng, *size)
            g = gradient(rng, family, learned, constant)
            flops, traffic = cost(minigrad_call(family, learned, constant, g))
            needed = family.traffic(learned, constant, g)
            yield Case(
                f"{family.name}, {label}",
                checked(family, label, learned, constant, g, peers),
                gflop=1e-9 * flops,
                gbyte=1e-9 * needed,
                floor=found.floor(flops, needed),
                claimed=found.floor(flops, traffic),
                group=label if len(size) == 2 else family.name.split()[0],
            )


def gradient(
    rng: np.random.Generator, family: Family, learned: Sequence[Array], constant: Sequence[Array]
) -> Array | None:
    """Draw a gradient for the family's result; None for a number, whose gradient is 1."""
    with mg.no_grad():
        shape = apply(mg, family, learned, [c.copy() for c in constant]).shape
    return rng.standard_normal(tuple(shape), np.float32) if shape else None


def checked(
    family: Family,
    label: str,
    learned: Sequence[Array],
    constant: Sequence[Array],
    g: Array | None,
    peers: Sequence[str],
) -> list[Candidate]:
    """Return the candidates of a case, each compared with the exact results."""
    given = (family, learned, constant, g)
    candidates = ours(partial(minigrad_call, *given), threads=(cores(),))
    if "numpy" in peers and family.numpy is not None:
        candidates.append(Candidate("numpy", partial(numpy_call, *given)))
    if "torch" in peers:
        candidates += with_torch(partial(torch_call, *given))
    if "jax" in peers and family.jax is not None:
        candidates.append(Candidate("jax", partial(jax_call, *given), "jit"))
    whole = learned[0].size <= EXACT
    expected = exact(*given) if whole else arrays(candidates[0].make()())
    expected = expected if whole else [part(a) for a in expected]
    found: dict[str, float | None] = {}
    for candidate in candidates:
        name = candidate.name
        if name not in found:
            got = arrays(candidate.make()())
            got = got if whole else [part(a) for a in got]
            same = candidate.library == mg.__name__ or not family.random
            compare(f"{name}, {family.name}, {label}", got, expected, same)
            found[name] = worst_ulp(got, expected) if whole and same else None
    return [replace(candidate, ulp=found[candidate.name]) for candidate in candidates]


def compare(what: str, got: Results, expected: Results, same: bool) -> None:
    """Refuse results that are wrong; of random masks, only the mean squares are alike."""
    for index, (actual, wanted) in enumerate(zip(got, expected, strict=True)):
        part = f"{what}, gradient {index}" if index else what
        if same:
            size = float(np.sqrt(np.mean(np.square(wanted, dtype=np.float64))))
            agree(part, actual, wanted, rtol=TOLERANCE, atol=TOLERANCE * size)
        else:
            squares = [np.mean(np.square(a, dtype=np.float64)) for a in (actual, wanted)]
            agree(part, *squares, rtol=ALIKE / actual.size**0.5)


def worst_ulp(got: Results, expected: Results) -> float:
    """Return the largest error in units of the last place of float32: of the exact number, or of
    the array's root mean square where the number is smaller (sums of either sign cancel).
    """
    worst = 0.0
    for actual, wanted in zip(got, expected, strict=True):
        size = np.maximum(np.abs(wanted), np.sqrt(np.mean(np.square(wanted))))
        error = np.abs(actual - wanted) / np.spacing(size.astype(np.float32))
        worst = max(worst, float(error.max(initial=0.0)))
    return worst


def part(a: Array) -> Array:
    """Return a sample of a large array, whose every size is hit."""
    return a.reshape(-1)[:: SAMPLED if a.size > EXACT else 1].copy()


def arrays(results: Sequence[Any]) -> Results:
    """Return the results as NumPy's arrays."""
    return [np.asarray(r.detach() if hasattr(r, "detach") else r) for r in results]


def exact(
    family: Family, learned: Sequence[Array], constant: Sequence[Array], g: Array | None
) -> Results:
    """Return result and gradients in float64, by the kernels' references."""
    wide = [[widened(a) for a in group] for group in (learned, constant)]
    call = minigrad_call(family, *wide, None if g is None else widened(g))
    with references():
        return [a.astype(np.float64) for a in arrays(call())]


def widened(a: Array) -> Array:
    """Return float32 as float64."""
    return a.astype(np.float64) if a.dtype == np.float32 else a


# ---------------------------------------------------------------- the candidates
def apply(framework: Any, family: Family, learned: Sequence[Any], constant: Sequence[Any]) -> Any:
    """Return f of minigrad's or PyTorch's tensors over the arrays, none of which learns."""
    tensors = [framework.from_numpy(a) for a in (*learned, *constant)]
    return family.f(framework.nn.functional, *tensors)


def eager_call(
    framework: Any,
    family: Family,
    learned: Sequence[Array],
    constant: Sequence[Array],
    g: Array | None,
) -> Callable[[], Sequence[Any]]:
    """Return forward and backward in `framework`; the same lines serve minigrad and torch, but
    for what minigrad has as one op.
    """
    leaves = [framework.from_numpy(a).requires_grad_() for a in learned]
    others = [framework.from_numpy(a.copy()) for a in constant]
    given = None if g is None else framework.from_numpy(g)
    f = (framework is mg and family.fused) or family.f
    functional = framework.nn.functional
    framework.manual_seed(0)

    def call() -> Sequence[Any]:
        for leaf in leaves:
            leaf.grad = None
        y = f(functional, *leaves, *others)
        y.backward(given)
        return y, *(leaf.grad for leaf in leaves)

    return call


def minigrad_call(
    family: Family, learned: Sequence[Array], constant: Sequence[Array], g: Array | None
) -> Callable[[], Sequence[Any]]:
    """Return forward and backward in minigrad."""
    return eager_call(mg, family, learned, constant, g)


def torch_call(
    family: Family, learned: Sequence[Array], constant: Sequence[Array], g: Array | None
) -> Callable[[], Sequence[Any]]:
    """Return forward and backward in PyTorch."""
    import torch

    return eager_call(torch, family, learned, constant, g)


def numpy_call(
    family: Family, learned: Sequence[Array], constant: Sequence[Array], g: Array | None
) -> Callable[[], Sequence[Any]]:
    """Return forward and backward in NumPy."""
    of_numpy = family.numpy
    assert of_numpy is not None
    given = np.ones((), np.float32) if g is None else g
    return lambda: of_numpy(given, *learned, *constant)


def jax_call(
    family: Family, learned: Sequence[Array], constant: Sequence[Array], g: Array | None
) -> Callable[[], Sequence[Any]]:
    """Return forward and backward as one compiled program of JAX."""
    import jax

    of_jax = family.jax
    assert of_jax is not None

    def both(leaves: Any, others: Any, g: Any) -> Any:
        y, pull = jax.vjp(lambda *leaves: of_jax(jax, *leaves, *others), *leaves)
        return y, *pull(g)

    program = jax.jit(both)
    leaves = [jax.numpy.asarray(a) for a in learned]
    others = [jax.numpy.asarray(a) for a in constant]
    if family.random:
        others.append(jax.random.key(0))
    given = jax.numpy.asarray(np.ones((), np.float32) if g is None else g)
    return lambda: jax.block_until_ready(program(leaves, others, given))


BENCHMARK = Benchmark(
    "kernels",
    "Ops forward plus backward, float32",
    ("numpy", "torch", "jax"),
    cases,
    options=("only", "sizes"),
    pace=Pace(rounds=3, pause=0.15),  # 0.05 to 0.35 give the same times; no BLAS's threads here
    limited=True,
)
