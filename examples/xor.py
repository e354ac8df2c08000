"""XOR from scalars: a network whose every number is a tensor of its own.

Thirteen 0-d tensors are the parameters of a 2-3-1 network; each product, sum and tanh is written
out, `backward()` finds the thirteen derivatives, and gradient descent is one line.  It is slow (a
tensor a number) and shows all there is to see: a matrix product is this, many times over.

    python examples/xor.py              # trains and prints loss, table and parameters
    python examples/xor.py --out DIR    # writes xor.csv (step, loss) too

Needs minigrad only.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import minigrad as mg

ROWS = [((-1.0, -1.0), 0.0), ((-1.0, 1.0), 1.0), ((1.0, -1.0), 1.0), ((1.0, 1.0), 0.0)]
NAMES = ["w11", "w12", "w13", "w21", "w22", "w23", "b1", "b2", "b3", "v1", "v2", "v3", "c"]


def make_parameters() -> dict[str, mg.Tensor]:
    """Return the network's numbers, random so that no two hidden units are the same.

    w12 leads from input 1 to hidden unit 2, v2 from there to the output; b and c are biases.
    """
    return {name: mg.randn((), requires_grad=True) for name in NAMES}


def logit(p: dict[str, mg.Tensor], x1: float, x2: float) -> mg.Tensor:
    """Return the network's output for one row: above 0 means "true"."""
    h1 = (p["w11"] * x1 + p["w21"] * x2 + p["b1"]).tanh()
    h2 = (p["w12"] * x1 + p["w22"] * x2 + p["b2"]).tanh()
    h3 = (p["w13"] * x1 + p["w23"] * x2 + p["b3"]).tanh()
    return p["v1"] * h1 + p["v2"] * h2 + p["v3"] * h3 + p["c"]


def row_loss(z: mg.Tensor, target: float) -> mg.Tensor:
    """Return minus the logarithm of the probability given to the right answer."""
    right = z if target == 1.0 else -z
    return -right.sigmoid().log()


def train(p: dict[str, mg.Tensor], steps: int, lr: float) -> list[float]:
    """Descend the gradient; return the mean loss of every step."""
    losses = []
    for step in range(steps):
        loss = mg.tensor(0.0)
        for (x1, x2), target in ROWS:
            loss = loss + row_loss(logit(p, x1, x2), target)
        loss = loss / len(ROWS)

        loss.backward()  # fills the .grad of all thirteen

        with mg.no_grad():  # the step itself is not part of the function that is differentiated
            for number in p.values():
                number -= lr * number.grad
                number.grad = None  # else the next backward would add to it

        losses.append(loss.item())
        if step % max(1, steps // 8) == 0 or step == steps - 1:
            print(f"step {step:4d}   loss {losses[-1]:.4f}")
    return losses


def main(argv: Sequence[str] | None = None) -> int:
    """Train and print; return how many of the four rows come out right."""
    parser = argparse.ArgumentParser(description="XOR from scalars")
    parser.add_argument("--small", action="store_true", help="fewer steps, for a quick check")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write xor.csv")
    arguments = parser.parse_args(argv)

    mg.manual_seed(arguments.seed)
    p = make_parameters()
    losses = train(p, steps=150 if arguments.small else 400, lr=0.5)

    print("\n  x1   x2   target   probability")
    right = 0
    with mg.no_grad():
        for (x1, x2), target in ROWS:
            probability = logit(p, x1, x2).sigmoid().item()
            right += (probability > 0.5) == (target == 1.0)
            print(f"{x1:+4.0f} {x2:+4.0f} {target:8.0f} {probability:13.3f}")
    print(f"\n{right} of 4 right, with", "  ".join(f"{k}={v.item():+.2f}" for k, v in p.items()))

    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        lines = ["step,loss", *(f"{step},{loss:.6g}" for step, loss in enumerate(losses))]
        (arguments.out / "xor.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"wrote {arguments.out / 'xor.csv'}")
    return right


if __name__ == "__main__":
    main()
