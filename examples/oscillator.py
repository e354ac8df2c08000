"""A damped oscillator without data: a network learns u(t) from its differential equation alone.

    u'' + 2 d u' + w^2 u = 0,   u(0) = 1,  u'(0) = 0,   d = 1.5, w = 8, t in [0, 2]

The loss is the equation's mean squared residual and the initial conditions' squared errors, so that
its gradient needs derivatives of u'': third ones of the network.  `gradcheck` and `gradgradcheck`
hold u itself to differences first.  The exact answer is known, and the error beside it is what is
reported, over several seeds.

    python examples/oscillator.py              # three seeds, about 10 s each
    python examples/oscillator.py --out DIR    # also writes oscillator.md, and oscillator.png where
                                               # matplotlib is installed

Source: Raissi, Perdikaris and Karniadakis, "Physics-informed neural networks", Journal of
Computational Physics 378, 2019, section 3.1.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn

try:
    from matplotlib.figure import Figure
except ImportError:
    Figure = None

Array = np.ndarray[Any, Any]
DAMPING, FREQUENCY, END = 1.5, 8.0, 2.0


@dataclass(frozen=True)
class Settings:
    """How long to train, and on how much."""

    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 6000
    points: int = 128
    width: int = 32


SMALL = Settings(seeds=(0,), steps=20, points=16, width=8)


def exact(t: Array) -> Array:
    """Return the solution of the underdamped equation."""
    omega = math.sqrt(FREQUENCY**2 - DAMPING**2)
    return np.exp(-DAMPING * t) * (np.cos(omega * t) + DAMPING / omega * np.sin(omega * t))


def network(width: int) -> nn.Sequential:
    """Return u(t): (N, 1) -> (N, 1); its tanh has derivatives of every order."""
    return nn.Sequential(
        nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)
    )


def u_of(model: nn.Module, t: mg.Tensor) -> mg.Tensor:
    """Return u(t), the network's input scaled to [-1, 1]."""
    return model(t * (2 / END) - 1)


def slope(y: mg.Tensor, t: mg.Tensor) -> mg.Tensor:
    """Return dy/dt, row by row, itself differentiable: y depends on t row by row."""
    return mg.grad(y.sum(), [t], create_graph=True)[0]


def loss_of(model: nn.Module, t: mg.Tensor) -> mg.Tensor:
    """Return how far u is from solving the equation at t: (N, 1), and from its start."""
    u = u_of(model, t)
    velocity = slope(u, t)
    acceleration = slope(velocity, t)
    left = acceleration + 2 * DAMPING * velocity + FREQUENCY**2 * u
    start = (u[0] - 1).square().sum() + (velocity[0] / FREQUENCY).square().sum()
    return (left / FREQUENCY**2).square().mean() + start


def check() -> None:
    """Hold the first and second derivatives of a small network in its input to differences."""
    mg.manual_seed(0)
    model = network(4).double()
    t = mg.linspace(0.1, END, 3, dtype=mg.float64).reshape(3, 1).requires_grad_()
    mg.gradcheck(lambda t: u_of(model, t), (t,))
    mg.gradgradcheck(lambda t: u_of(model, t), (t,))


def train(seed: int, settings: Settings) -> nn.Module:
    """Return a network whose residual was made small on a grid of times."""
    mg.manual_seed(seed)
    model = network(settings.width)
    optimizer = mg.optim.Adam(model.parameters(), lr=5e-3)
    schedule = mg.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    t = mg.linspace(0.0, END, settings.points).reshape(settings.points, 1).requires_grad_()
    for _ in range(settings.steps):
        loss = loss_of(model, t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


def curve(model: nn.Module, t: Array) -> Array:
    """Return the network's u at the times t."""
    with mg.no_grad():
        return u_of(model, mg.from_numpy(t.astype(np.float32)[:, None])).numpy()[:, 0]


def report(errors: dict[int, float], seconds: float, settings: Settings) -> str:
    """Return the table in Markdown."""
    worst = max(errors.values())
    lines = [
        "# A damped oscillator from its equation alone",
        "",
        f"`python examples/oscillator.py --out DIR`: {settings.steps} steps of Adam on "
        f"{settings.points} times, {seconds:.0f} s a seed.",
        "",
        "| seed | root mean square error of u, where u swings between 1 and -0.6 |",
        "| --- | --- |",
        *[f"| {seed} | {error:.2e} |" for seed, error in errors.items()],
        "",
        f"Worst of all seeds: {worst:.2e}.",
        "",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> dict[int, float]:
    """Check the derivatives, train, and report the errors by seed."""
    parser = argparse.ArgumentParser(description="A damped oscillator from its equation alone.")
    parser.add_argument("--small", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--out", type=Path, help="folder for oscillator.md and oscillator.png")
    arguments = parser.parse_args(argv)
    settings = SMALL if arguments.small else Settings()
    check()
    print("first and second derivatives agree with differences")
    t = np.linspace(0.0, END, 401)
    curves: dict[int, Array] = {}
    start = time.perf_counter()
    for seed in settings.seeds:
        curves[seed] = curve(train(seed, settings), t)
        error = float(np.sqrt(np.mean((curves[seed] - exact(t)) ** 2)))
        print(f"seed {seed}   error {error:.2e}")
    seconds = (time.perf_counter() - start) / len(settings.seeds)
    errors = {s: float(np.sqrt(np.mean((c - exact(t)) ** 2))) for s, c in curves.items()}
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        text = report(errors, seconds, settings)
        (arguments.out / "oscillator.md").write_text(text, encoding="utf-8")
        if Figure is None:
            print('no picture: matplotlib is not installed (pip install "minigrad[plot]")')
        else:
            draw(t, curves, arguments.out / "oscillator.png")
    return errors


def draw(t: Array, curves: dict[int, Array], path: Path) -> None:
    """Draw the exact solution and what each seed learnt."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(t, exact(t), color="0.6", linewidth=5, label="exact")
    for seed, u in curves.items():
        axes.plot(t, u, linewidth=1.2, label=f"seed {seed}")
    axes.set(xlabel="t", ylabel="u(t)", title="u'' + 3 u' + 64 u = 0, learnt without data")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
