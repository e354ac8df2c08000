"""A mistake of each kind in every op that can have it: found, and named in words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.checking.command import leaves
from minigrad.engine.op import Op
from minigrad.ops.registry import OPS
from tests.planted_rules import MISTAKES, names, sample_of

FEW = {"gradient_for_integers": 2, "all_inputs_only": 15, "different_inputs_only": 3}
FEWEST = 20  # ops that have a mistake, where FEW does not say otherwise


def report(op: type[Op], arrays: Any, meta: dict[str, Any]) -> str:
    """Return what the two checks say of an op, nothing where both pass."""
    inputs = leaves(arrays)
    for check in (mg.gradcheck, mg.gradgradcheck):
        try:
            check(lambda *xs: op.apply(*xs, **meta), inputs)
        except mg.GradcheckError as error:
            return str(error)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", MISTAKES)
def test_a_planted_mistake_is_named(kind: str) -> None:
    plant, named = MISTAKES[kind]
    wrong, planted = [], 0
    for name in names():
        sample = sample_of(name)
        op = plant(OPS[name], sample)
        if op is None:
            continue
        planted += 1
        with np.errstate(all="ignore"):
            found = report(op, *sample)
        if not re.search(named, found, re.DOTALL):
            wrong.append(f"{name}: {found[:300] or 'passes'}")
    assert not wrong, "\n".join([f"{len(wrong)} of {planted}", *wrong])
    assert planted >= FEW.get(kind, FEWEST)
