"""Arguments for the steps of all optimizers, from their rows of the table."""

from __future__ import annotations

from minigrad_kernels.optim.multi_tensor import Step
from minigrad_kernels.table import KERNELS
from tests.kernels.tables import samples

STEPS = {name: row for name, row in KERNELS.items() if isinstance(row, Step)}
SAMPLES = {name: samples(row) for name, row in STEPS.items()}
