"""Arguments for the kernels of sgd.py."""

from __future__ import annotations

from tests.kernels.tables import samples

# lr, momentum, dampening, weight_decay, nesterov, maximize
HYPER = [
    [1e-2, 0.9, 0.0, 0.0, 0.0, 0.0],
    [1e-1, 0.5, 0.3, 0.1, 0.0, 1.0],
    [3e-2, 0.8, 0.0, 0.05, 1.0, 0.0],
]

SAMPLES = {"sgd_step": samples(HYPER, 0), "sgd_momentum_step": samples(HYPER, 1)}
