"""Arguments for the kernels of adam.py."""

from __future__ import annotations

from tests.kernels.tables import samples

# lr, beta1, beta2, eps, weight_decay, decoupled, maximize
HYPER = [
    [1e-3, 0.9, 0.999, 1e-8, 0.0, 0.0, 0.0],
    [1e-2, 0.8, 0.99, 1e-6, 0.1, 0.0, 1.0],
    [3e-2, 0.95, 0.9, 1e-3, 0.05, 1.0, 0.0],
]

SAMPLES = {"adam_step": samples(HYPER, 2), "amsgrad_step": samples(HYPER, 3)}
