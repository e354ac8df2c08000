"""Every planted mistake in our own kernels is found; test_cuda_kernels.py finds none without them.

A file of mutants_own/ holds the mutants of one family.  Those that show in any order of the threads
run under one seed.
"""

from __future__ import annotations

import importlib

import pytest

from minigrad_kernels.cuda_table import CUDA_KERNELS
from tests.cuda_simulated.extras import require_greenlet
from tests.cuda_simulated.own import Own, collected, finding, planted

require_greenlet()

SEEDS = range(3)
ORDERED = {"race", "uninitialised", "barrier", "warp"}  # kinds that the order of threads may hide
MUTANTS = collected()


def test_mutants_have_names_of_their_own() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert sorted(names) == sorted(set(names))


def test_nothing_is_found_where_nothing_is_planted() -> None:
    assert finding("softmax", seed=0) == ("nothing",)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_own_mutants_are_caught_under_every_seed(mutant: Own) -> None:
    seeds = SEEDS if ORDERED & set(mutant.kinds) else SEEDS[:1]
    with planted(mutant):
        found = [finding(mutant.cuda_kernel, seed) for seed in seeds]
    assert all(set(mutant.kinds) & set(kinds) for kinds in found), f"{mutant.name} shows {found}"


def test_a_kernel_is_itself_again_after_the_mutant() -> None:
    mutant = MUTANTS[0]
    module, _, name = mutant.kernel.partition(":")
    kernel = getattr(importlib.import_module(f"minigrad_kernels.{module}"), name)
    before = kernel.py_func.__code__
    with planted(mutant):
        assert kernel.py_func.__code__ is not before
    assert kernel.py_func.__code__ is before


def test_a_mutant_of_no_such_text_is_refused() -> None:
    with (
        pytest.raises(AssertionError, match="'no such text' is not in the kernel"),
        planted(Own("randomness.cuda_dropout:drop", "dropout", "nothing", "no such text", "pass")),
    ):
        pass


def test_every_mutant_names_a_kernel() -> None:
    assert {mutant.cuda_kernel for mutant in MUTANTS} <= set(CUDA_KERNELS)
