"""Arguments for the kernels of adaptive.py."""

from __future__ import annotations

from tests.kernels.tables import samples

# lr, weight_decay, decoupled, maximize, eps, then alpha, momentum, centered
RMSPROP = [[1e-2, 0.0, 0.0, 0.0, 1e-8, 0.99], [3e-2, 0.1, 0.0, 1.0, 1e-3, 0.9]]
PLAIN = [[*row, 0.0, 0.0] for row in RMSPROP]
MOMENTUM = [[*row, 0.9, 0.0] for row in RMSPROP]
CENTERED = [[*row, 0.0, 1.0] for row in RMSPROP]
BOTH = [[*row, 0.9, 1.0] for row in RMSPROP]
# ..., lr_decay
ADAGRAD = [
    [1e-2, 0.0, 0.0, 0.0, 1e-10, 0.0, 0.0, 0.0],
    [3e-2, 0.1, 0.0, 1.0, 1e-3, 0.2, 0.0, 0.0],
]
# ..., beta1, beta2, momentum_decay
MOMENTS = [
    [2e-3, 0.0, 0.0, 0.0, 1e-8, 0.9, 0.999, 4e-3],
    [1e-2, 0.1, 0.0, 1.0, 1e-3, 0.8, 0.9, 1e-1],
    [1e-2, 0.1, 1.0, 0.0, 1e-3, 0.95, 0.8, 0.0],
]

CASES = {
    "rmsprop_step": (PLAIN, 1, False),
    "rmsprop_momentum_step": (MOMENTUM, 2, False),
    "rmsprop_centered_step": (CENTERED, 2, False),
    "rmsprop_centered_momentum_step": (BOTH, 3, False),
    "adagrad_step": (ADAGRAD, 1, False),
    "nadam_step": (MOMENTS, 2, True),
    "radam_step": (MOMENTS, 2, False),
}

SAMPLES = {name: samples(*case) for name, case in CASES.items()}
