"""All twins by the name of their kernel, and all checks."""

from __future__ import annotations

from types import ModuleType

from minigrad_kernels.gpu import (
    activation,
    adam,
    adaptive,
    batch_norm,
    batch_norm_dropout,
    clip,
    conv,
    copying,
    cross_entropy,
    dropout,
    elementwise,
    extreme,
    groups,
    index,
    layer_norm,
    limits,
    matmul,
    pool,
    random,
    reduce,
    scalar_tape,
    sgd,
    softmax,
)
from minigrad_kernels.gpu.checks import Check, Twin

FAMILIES: tuple[ModuleType, ...] = (
    activation,
    adam,
    adaptive,
    batch_norm,
    batch_norm_dropout,
    clip,
    conv,
    copying,
    cross_entropy,
    dropout,
    elementwise,
    extreme,
    groups,
    index,
    layer_norm,
    limits,
    matmul,
    pool,
    random,
    reduce,
    scalar_tape,
    sgd,
    softmax,
)


def _merge() -> dict[str, Twin]:
    table: dict[str, Twin] = {}
    for family in FAMILIES:
        for name, twin in family.TWINS.items():
            if name in table:
                raise ValueError(f"the twin of {name!r} stands in two files: {family.__name__}")
            table[name] = twin
    return table


TWINS = _merge()
CHECKS: dict[str, Check] = {check.name: check for family in FAMILIES for check in family.CHECKS}
