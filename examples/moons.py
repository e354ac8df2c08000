"""Two moons: a small MLP learns a curved boundary, and the boundary is drawn.

The data are two interleaved half circles with noise, made in NumPy from the seed.  No Trainer: the
five steps of the loop stand in `train`.

    python examples/moons.py              # trains; draws in the terminal
    python examples/moons.py --out DIR    # writes moons.png where matplotlib is installed

Needs minigrad; the PNG needs matplotlib (pip install "minigrad[plot]").
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
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
WIDTH, HEIGHT = 64, 22  # of the picture in the terminal, in characters


def moons(rows: int, noise: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return points of two half circles, `x: (rows, 2) float32`, and which one, `y: (rows,)`."""
    y = np.arange(rows) % 2
    angle = rng.uniform(0.0, np.pi, rows)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1.0 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    x = np.where(y[:, None] == 0, upper, lower) + rng.normal(0.0, noise, (rows, 2))
    return x.astype(np.float32), y.astype(np.int64)


def train(model: nn.Module, data: mg.data.Dataset, epochs: int) -> None:
    """Fit the model; print the mean loss now and then."""
    loader = mg.data.DataLoader(data, batch_size=50, shuffle=True)
    optimizer = mg.optim.Adam(model.parameters(), lr=0.02)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for x, target in loader:
            loss = nn.functional.cross_entropy(model(x), target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item() * len(x)
        if epoch % max(1, epochs // 5) == 0:
            print(f"epoch {epoch:3d}   loss {total / len(data):.4f}")


def probability(model: nn.Module, points: Array) -> Array:
    """Return the probability of the lower moon, `points: (n, 2) -> (n,)`."""
    with mg.no_grad():
        return model(mg.from_numpy(points)).softmax(1).numpy()[:, 1]


def grid(x: Array, width: int, height: int) -> tuple[Array, Array, Array]:
    """Return the columns' and rows' coordinates around the data, and all crossings `(n, 2)`."""
    low, high = x.min(axis=0) - 0.3, x.max(axis=0) + 0.3
    across = np.linspace(low[0], high[0], width)
    upwards = np.linspace(low[1], high[1], height)
    mesh = np.stack(np.meshgrid(across, upwards), axis=-1)
    return across, upwards, mesh.reshape(-1, 2).astype(np.float32)


def picture(model: nn.Module, x: Array, y: Array) -> str:
    """Return a drawing in characters: points as o and x, the lower moon's side shaded."""
    across, upwards, points = grid(x, WIDTH, HEIGHT)
    shaded = probability(model, points).reshape(HEIGHT, WIDTH) > 0.5
    cells = np.where(shaded, "·", " ")
    column = np.searchsorted((across[1:] + across[:-1]) / 2, x[:, 0])
    row = np.searchsorted((upwards[1:] + upwards[:-1]) / 2, x[:, 1])
    cells[row, column] = np.where(y == 0, "o", "x")
    return "\n".join("".join(line) for line in cells[::-1])


def draw(model: nn.Module, x: Array, y: Array, path: Path) -> None:
    """Write the same as a PNG, with the probability as colour and the boundary as a line."""
    across, upwards, points = grid(x, 200, 150)
    p = probability(model, points).reshape(len(upwards), len(across))
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    filled = axes.contourf(across, upwards, p, levels=np.linspace(0, 1, 11), cmap="RdBu", alpha=0.7)
    axes.contour(across, upwards, p, levels=[0.5], colors="black", linewidths=1.5)
    axes.scatter(*x.T, c=y, cmap="RdBu", edgecolors="black", linewidths=0.5, s=18)
    axes.set(title="Two moons: decision boundary", xlabel="x1", ylabel="x2", aspect="equal")
    figure.colorbar(filled, label="probability of the lower moon")
    figure.savefig(path, dpi=110)


def main(argv: Sequence[str] | None = None) -> float:
    """Train, score, draw; return the share of new points put on the right moon."""
    parser = argparse.ArgumentParser(description="two moons and their decision boundary")
    parser.add_argument("--small", action="store_true", help="fewer epochs, for a quick check")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--noise", type=float, default=0.2, metavar="STD")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write moons.png")
    arguments = parser.parse_args(argv)

    rng = np.random.default_rng(arguments.seed)
    mg.manual_seed(arguments.seed)
    x, y = moons(400, arguments.noise, rng)
    new_x, new_y = moons(2000, arguments.noise, rng)
    model = nn.Sequential(
        nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2)
    )
    train(model, mg.data.TensorDataset(x, y), epochs=20 if arguments.small else 100)

    accuracy = float(((probability(model, new_x) > 0.5) == new_y).mean())
    print(picture(model, x, y))
    print(f"{100 * accuracy:.1f} % of {len(new_x)} new points are on the right side")
    if arguments.out and Figure is None:
        print('no moons.png: matplotlib is missing (pip install "minigrad[plot]")')
    elif arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        draw(model, x, y, arguments.out / "moons.png")
        print(f"wrote {arguments.out / 'moons.png'}")
    return accuracy


if __name__ == "__main__":
    main()
