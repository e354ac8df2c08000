"""Every planted mistake in the probes is found, and none is found where none was planted."""

from __future__ import annotations

import pytest

import minigrad_cudasim as simulate
from tests.cuda_simulated.extras import require_greenlet
from tests.cuda_simulated.mutants import MUTANTS, Mutant, mutate
from tests.cuda_simulated.probes import PROBES

require_greenlet()

SEEDS = range(3)


@pytest.mark.parametrize("order", simulate.ORDERS)
@pytest.mark.parametrize("name", PROBES)
def test_probes_are_right_and_faultless(name: str, order: str) -> None:
    probe = PROBES[name]
    probe.check(probe.kernel, order=order, float64=True)


@pytest.mark.parametrize("name", PROBES)
def test_probes_are_right_without_the_log(name: str) -> None:
    probe = PROBES[name]
    probe.check(probe.kernel, races=False)


def finding(mutant: Mutant, seed: int) -> str:
    """Return the kind of fault that a mutant shows under one seed."""
    probe = PROBES[mutant.kernel]
    try:
        probe.check(mutate(probe.kernel, mutant), seed=seed)
    except simulate.Fault as fault:
        return fault.kind
    except AssertionError:
        return "wrong"
    return "nothing"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutants_are_caught_under_every_seed(mutant: Mutant) -> None:
    found = [finding(mutant, seed) for seed in SEEDS]
    assert set(found) <= set(mutant.kinds), f"{mutant.name} shows {found}"
