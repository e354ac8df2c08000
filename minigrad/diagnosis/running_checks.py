"""Steps as they run: gradients, activations and updates, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.diagnosis.case import Case
from minigrad.diagnosis.findings import Seen, check
from minigrad.diagnosis.model_checks import WEIGHTED
from minigrad.diagnosis.optimizer_checks import adam_lr, listed, update_ratio

SETTLED = 50  # steps after which weights that began at 0 have a size


@check(
    "MG601",
    "a loss that is no number",
    "running",
    "every weight that it reaches becomes NaN",
)
def no_number(case: Case) -> Iterator[Seen]:
    """Look for a loss that is no number."""
    bad = next(((s, v) for s, v in case.losses if not math.isfinite(v)), None)
    if bad is None:
        return
    layers = [
        name
        for look in case.looks
        for name, g in look.gradients.items()
        if g is not None and not math.isfinite(g)
    ]
    where = f", first in the gradient of {layers[0]!r}" if layers else ""
    yield Seen(
        f"the loss of step {bad[0]} is {bad[1]}{where}",
        "a learning rate ten times smaller, GradientClipping(max_norm=1.0), and losses that take "
        "logits (cross_entropy, binary_cross_entropy_with_logits) for a logarithm by hand; "
        "StopOnNonFinite and mg.detect_anomaly() say where it begins",
        layers[0].rpartition(".")[0] if layers else "",
    )


@check(
    "MG602",
    "exploding gradients",
    "running",
    "a step along such a gradient throws the weights far away",
)
def exploding(case: Case) -> Iterator[Seen]:
    """Look for exploding gradients."""
    looks = [look for look in case.looks if look.updates]
    for look in looks[1:]:
        # Weights that begin at 0 are small against their first steps.
        wild = [
            (change / size, name)
            for name, (change, size) in look.updates.items()
            if size > 1e-8 and change > size and not name.endswith("bias")
            if look.step > SETTLED or not begun_at_zero(looks[0], name)
        ]
        sizes = {n: g for n, g in look.gradients.items() if g is not None}
        largest = max(sizes, key=lambda n: sizes[n], default="")
        huge = largest and (not math.isfinite(sizes[largest]) or sizes[largest] > 1e4)
        if wild or huge:
            name = max(wild)[1] if wild else largest
            yield Seen(
                f"in step {look.step} the gradient of {name!r} has the norm "
                f"{sizes.get(name, math.nan):.3g}"
                + (
                    f", and the step is {max(wild)[0]:.3g} times as large as the weights"
                    if wild
                    else ""
                ),
                "a learning rate ten times smaller, GradientClipping(max_norm=1.0), inputs and "
                "targets standardised",
                name.rpartition(".")[0],
                sure=bool(wild) and max(wild)[0] > 10,
            )
            return


def begun_at_zero(first: Any, name: str) -> bool:
    """Return whether weights were 0 before the first step that was looked at."""
    return bool(first.updates.get(name, (0.0, 1.0))[1] <= 1e-8)


def matrices(case: Case, look: Any) -> list[tuple[str, float]]:
    """Return the gradients' norms of the layers' weights, in the model's order."""
    names = {f"{n}.weight" for n, m in case.model.named_modules() if isinstance(m, WEIGHTED)}
    return [(name, g) for name, g in look.gradients.items() if g is not None and name in names]


@check(
    "MG603",
    "vanishing gradients",
    "running",
    "the first layers stay as they were made, and the others learn on noise",
)
def vanishing(case: Case) -> Iterator[Seen]:
    """Look for vanishing gradients."""
    looks = [look for look in case.looks if look.gradients]
    if len(looks) < 2:
        return
    found = []
    for look in looks[-3:]:
        norms = matrices(case, look)
        if len(norms) < 3 or not all(math.isfinite(g) for _, g in norms):
            return
        if look.step <= SETTLED and begun_at_zero(looks[0], norms[-1][0]):
            return  # little comes through a last layer that began at 0
        first, last = norms[0][1], norms[-1][1]
        found.append(first / last if last > 0 else 1.0)
    if max(found) < 1e-3:
        name = matrices(case, looks[-1])[0][0]
        yield Seen(
            f"the gradient of the first layer {name!r} is {max(found):.2g} times that of the last",
            "nn.ReLU() for sigmoid and tanh, nn.BatchNorm1d or residual connections, weights as "
            "nn.Linear makes them",
            name.rpartition(".")[0],
        )


def shares_of(looks: list[Any], key: str, figure: str) -> list[float]:
    """Return a figure of an activation in the last steps that were looked at."""
    found = [look.stats.get(key, {}).get(figure) for look in looks[-3:]]
    return [float(share) for share in found if share is not None]


@check(
    "MG604",
    "dead ReLUs",
    "running",
    "a unit that is 0 for every row gets no gradient, and stays so",
)
def dead(case: Case) -> Iterator[Seen]:
    """Look for dead ReLUs."""
    looks = [look for look in case.looks if look.stats]
    if len(looks) < 2:
        return
    for key, figures in looks[-1].stats.items():
        shares = shares_of(looks, key, "dead")
        if len(shares) >= 2 and min(shares) > 0.7 and figures["width"] >= 4:
            yield Seen(
                f"{100 * min(shares):.0f} % of the {figures['width']} units after "
                f"{figures['layer']!r} are 0 for all rows looked at, in {len(shares)} steps",
                "a learning rate ten times smaller, nn.LeakyReLU(), weights as nn.Linear makes "
                "them, inputs standardised",
                figures["layer"],
                figures["where"],
                sure=min(shares) > 0.9,
            )
            return


@check(
    "MG605",
    "saturated sigmoids",
    "running",
    "where a sigmoid or tanh is at its end its gradient is 0",
)
def saturated(case: Case) -> Iterator[Seen]:
    """Look for saturated sigmoids."""
    looks = [look for look in case.looks if look.stats]
    if len(looks) < 2:
        return
    keys = list(looks[-1].stats)
    for key in keys:
        figures = looks[-1].stats[key]
        last = key == keys[-1] and case.activation in ("Sigmoid", "Tanh")
        shares = shares_of(looks, key, "saturated")
        if len(shares) >= 2 and min(shares) > 0.8 and not last:
            yield Seen(
                f"{100 * min(shares):.0f} % of what {figures['activation']} after "
                f"{figures['layer']!r} gives is at its ends, in {len(shares)} steps",
                "standardise the inputs, weights as nn.Linear makes them, or nn.ReLU() there",
                figures["layer"],
                figures["where"],
                sure=False,
            )
            return


@check(
    "MG606",
    "a loss that does not fall",
    "end",
    "nothing is learnt",
)
def stagnates(case: Case) -> Iterator[Seen]:
    """Look for a loss that does not fall."""
    curve = case.curve
    if len(curve) < 2 or not np.isfinite(curve).all() or case.learnt or case.steps < 10:
        return
    if not case.failing:
        return
    fell = (curve[0] - min(curve)) / max(abs(curve[0]), 1e-12)
    if fell < 0.02:
        ratios = [update_ratio(look) for look in case.looks if look.updates]
        moved = f"; a step changes the weights by {100 * np.median(ratios):.2g} %" if ratios else ""
        yield Seen(
            f"the loss went from {curve[0]:.4g} to {curve[-1]:.4g} in {case.steps} steps{moved}",
            f"standardise the inputs, optim.AdamW(model.parameters(), lr={adam_lr(case.steps):g}), "
            "ReLU within the model and no activation at its end, and a loss that takes logits",
            sure=False,
        )


@check(
    "MG607",
    "a loss that swings",
    "end",
    "steps are too long for the valley, or batches too small to agree on its direction",
)
def swings(case: Case) -> Iterator[Seen]:
    """Look for a loss that swings."""
    curve = case.curve
    if len(curve) < 10 or not np.isfinite(curve).all() or case.learnt:
        return
    half = np.asarray(curve[len(curve) // 2 :])
    steps = np.diff(half)
    turns = float((np.sign(steps[1:]) != np.sign(steps[:-1])).mean())
    size = float(np.abs(steps).mean() / max(np.abs(half).mean(), 1e-12))
    if size > 0.15 and turns > 0.4:
        yield Seen(
            f"from epoch to epoch the loss goes up and down by {100 * size:.0f} %",
            "a learning rate ten times smaller, or larger batches",
            sure=False,
        )


@check(
    "MG608",
    "weights that a fit has not changed",
    "end",
    "they were in the optimizer and had a gradient, but it was 0 or the step too small to count",
)
def unchanged(case: Case) -> Iterator[Seen]:
    """Look for weights that a fit has not changed."""
    looks = [look for look in case.looks if look.updates]
    if len(looks) < 2:
        return
    stepped = {id(p) for o in case.optimizers for g in o.param_groups for p in g["params"]}
    left = {name for name, p in case.model.named_parameters() if id(p) not in stepped}
    still = [
        name
        for name in looks[-1].updates
        if name not in left
        and all(
            look.updates.get(name, (1.0, 1.0))[0] == 0 and look.gradients.get(name) is not None
            for look in looks
        )
    ]
    rates = [float(g["lr"]) for o in case.optimizers for g in o.param_groups]
    if still and any(rates):
        yield Seen(
            f"{listed(still)} did not change in the {len(looks)} steps looked at",
            "look for dead ReLUs (MG604) or a detach() after this layer; a larger learning rate",
            still[0].rpartition(".")[0],
            sure=len(still) == len(looks[-1].updates),
        )


@check(
    "MG609",
    "one batch cannot be learnt",
    "end",
    "what cannot learn a few rows by heart cannot learn many: something is wrong before the data "
    "are",
)
def one_batch(case: Case) -> Iterator[Seen]:
    """Look for one batch cannot be learnt."""
    values = [v for _, v in case.losses if math.isfinite(v)]
    if case.way == "static" and case.steps >= 50 and len(values) > 20 and not case.learnt:
        first, last = values[0], float(np.mean(values[-5:]))
        if last > 0.95 * first and first > 0:
            yield Seen(
                f"a copy of the model took {case.steps} steps on one batch: the loss went from "
                f"{first:.3g} to {last:.3g}",
                "try optim.AdamW(model.parameters(), lr=1e-3), no activation at the end, and a "
                "loss that takes logits",
                sure=False,
            )
