"""What is compared with PyTorch: functions and modules, each with every option.

A case is a function of an `Api`, which is minigrad or torch: both are called the same way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Values = dict[str, Array]

POINTS = np.array(
    [-1e4, -101.0, -21.0, -6.0, -1.0, -0.3, -1e-9, 0.0, 1e-9, 0.3, 1.0, 3.0, 6.0, 21.0, 101.0, 1e4]
)


@dataclass(frozen=True)
class Api:
    """A framework: its functions, its modules, how it makes a tensor and how it gives its array."""

    F: Any
    nn: Any
    tensor: Callable[..., Any]
    array: Callable[[Any], Array]


def draw(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def pulled(api: Api, y: Any, leaves: dict[str, Any]) -> Values:
    """Return the output, and the gradients of its sum weighted by fixed numbers."""
    (y * api.tensor(draw(99, *y.shape))).sum().backward()
    found = {f"d{name}": api.array(t.grad) for name, t in leaves.items()}
    return {"y": api.array(y), **found}


# ---------------------------------------------------------------- activations
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("relu", {}),
    "tanh": ("tanh", {}),
    "sigmoid": ("sigmoid", {}),
    "gelu": ("gelu", {}),
    "gelu-tanh": ("gelu", {"approximate": "tanh"}),
    "silu": ("silu", {}),
    "softplus": ("softplus", {}),
    "softplus-beta": ("softplus", {"beta": 3.0}),
    "softplus-threshold": ("softplus", {"beta": 0.5, "threshold": 2.0}),
    "leaky_relu": ("leaky_relu", {}),
    "leaky_relu-slope": ("leaky_relu", {"negative_slope": 0.3}),
    "elu": ("elu", {}),
    "elu-alpha": ("elu", {"alpha": 0.7}),
    "hardtanh": ("hardtanh", {}),
    "hardtanh-bounds": ("hardtanh", {"min_val": -0.3, "max_val": 3.0}),
    "relu6": ("relu6", {}),
    "logsigmoid": ("logsigmoid", {}),
}


def activation(api: Api, name: str, options: dict[str, Any]) -> Values:
    x = api.tensor(POINTS, True)
    return pulled(api, getattr(api.F, name)(x, **options), {"x": x})


def softmax(api: Api, name: str, dim: int) -> Values:
    x = api.tensor(draw(1, 3, 4, 2) * 10, True)
    return pulled(api, getattr(api.F, name)(x, dim=dim), {"x": x})


# ---------------------------------------------------------------- losses
REDUCTIONS = ("none", "mean", "sum")
CLASSES: dict[str, dict[str, Any]] = {
    "plain": {},
    "weight": {"weight": True},
    "ignore": {"ignore_index": 2},
    "ignore-weight": {"ignore_index": -7, "weight": True},
}
SMOOTHINGS: dict[str, dict[str, Any]] = {
    **CLASSES,
    "smooth": {"label_smoothing": 0.1},
    "smooth-weight": {"label_smoothing": 0.3, "weight": True},
    "smooth-ignore": {"label_smoothing": 1.0, "ignore_index": 2, "weight": True},
}
SHAPES = {"rows": (6, 4), "images": (2, 4, 3, 2), "single": (4,)}


def class_loss(
    api: Api, name: str, shape: tuple[int, ...], options: dict[str, Any], reduction: str
) -> Values:
    x = api.tensor(draw(2, *shape) * 3, True)
    sizes = shape[:1] + shape[2:] if len(shape) > 1 else ()
    target = np.random.default_rng(3).integers(0, 4, sizes)
    kept = dict(options)
    if kept.get("ignore_index") == -7 and sizes:
        target.reshape(-1)[::3] = -7
    if "weight" in kept:
        kept["weight"] = api.tensor(np.array([0.5, 1.0, 2.0, 0.25]))
    scores = api.F.log_softmax(x, dim=min(1, len(shape) - 1)) if name == "nll_loss" else x
    y = getattr(api.F, name)(scores, api.tensor(target), reduction=reduction, **kept)
    return pulled(api, y, {"x": x})


def soft_targets(api: Api, shape: tuple[int, ...], options: dict[str, Any], how: str) -> Values:
    x = api.tensor(draw(4, *shape), True)
    t = api.tensor(np.abs(draw(5, *shape)), True)
    kept = dict(options)
    if "weight" in kept:
        kept["weight"] = api.tensor(np.array([0.5, 1.0, 2.0, 0.25]))
    return pulled(api, api.F.cross_entropy(x, t, reduction=how, **kept), {"x": x, "t": t})


PAIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "mse_loss": ("mse_loss", {}),
    "mse_loss-weight": ("mse_loss", {"weight": "full"}),
    "l1_loss": ("l1_loss", {}),
    "l1_loss-weight": ("l1_loss", {"weight": "full"}),
    "smooth_l1_loss": ("smooth_l1_loss", {}),
    "smooth_l1_loss-beta": ("smooth_l1_loss", {"beta": 0.2}),
    "smooth_l1_loss-0": ("smooth_l1_loss", {"beta": 0.0}),
    "huber_loss": ("huber_loss", {}),
    "huber_loss-delta": ("huber_loss", {"delta": 2.5}),
    "huber_loss-weight": ("huber_loss", {"delta": 0.5, "weight": "full"}),
    "bce_logits": ("binary_cross_entropy_with_logits", {}),
    "bce_logits-weight": ("binary_cross_entropy_with_logits", {"weight": "row"}),
    "bce_logits-both": (
        "binary_cross_entropy_with_logits",
        {"weight": "full", "pos_weight": "row"},
    ),
    "bce": ("binary_cross_entropy", {}),
    "bce-weight": ("binary_cross_entropy", {"weight": "row"}),
}


def pair_loss(api: Api, name: str, options: dict[str, Any], reduction: str) -> Values:
    points = np.stack([POINTS, POINTS[::-1] * 0.5, np.roll(POINTS, 3)])
    target = np.stack([POINTS * 0.9, POINTS[::-1] * 0.5, POINTS])
    if name.startswith("binary"):
        target = np.abs(np.sin(target))
        target[:, ::4] = 0
        target[:, 1::4] = 1
    if name == "binary_cross_entropy":
        points = np.abs(np.cos(points))
        points[0, :4] = [0, 0, 1, 1]
        points[1, :4] = [1, 1, 0, 0]
    weights = {"full": np.abs(draw(6, *points.shape)), "row": np.abs(draw(7, points.shape[1]))}
    kept = {k: api.tensor(weights[v]) if v in weights else v for k, v in options.items()}
    x, t = api.tensor(points, True), api.tensor(target)
    return pulled(api, getattr(api.F, name)(x, t, reduction=reduction, **kept), {"x": x})


# ---------------------------------------------------------------- normalisations
BATCH_NORMS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "1d": ("BatchNorm1d", (5, 3), {}),
    "1d-length": ("BatchNorm1d", (2, 3, 4), {}),
    "2d": ("BatchNorm2d", (2, 3, 4, 5), {}),
    "momentum": ("BatchNorm1d", (5, 3), {"momentum": 0.7, "eps": 1e-2}),
    "momentum-0": ("BatchNorm1d", (5, 3), {"momentum": 0.0}),
    "cumulative": ("BatchNorm1d", (5, 3), {"momentum": None}),
    "no-bias": ("BatchNorm2d", (2, 3, 2, 2), {"bias": False}),
    "not-affine": ("BatchNorm1d", (5, 3), {"affine": False}),
    "not-tracked": ("BatchNorm1d", (5, 3), {"track_running_stats": False}),
    "bare": ("BatchNorm2d", (2, 3, 2, 2), {"affine": False, "track_running_stats": False}),
}


def batch_norm(api: Api, kind: str, shape: tuple[int, ...], options: dict[str, Any]) -> Values:
    """Train on three batches, then evaluate one, with gradients throughout."""
    layer = getattr(api.nn, kind)(shape[1], **options).double()
    own = dict(layer.named_parameters())
    for i, p in enumerate(own.values()):
        p.data[...] = api.tensor(draw(10 + i, shape[1])).data
    found: Values = {}
    for step in range(4):
        layer.train(step < 3)
        x = api.tensor(draw(20 + step, *shape) * 3 + 5, True)
        got = pulled(api, layer(x), {"x": x, **own})
        found |= {f"{step}.{name}": value for name, value in got.items()}
        found |= {f"{step}.{name}": api.array(b).copy() for name, b in layer.named_buffers()}
        for p in own.values():
            p.grad = None
    return found


def layer_norm(api: Api, sizes: tuple[int, ...], options: dict[str, Any]) -> Values:
    layer = api.nn.LayerNorm(sizes, **options).double()
    own = dict(layer.named_parameters())
    for i, p in enumerate(own.values()):
        p.data[...] = api.tensor(draw(10 + i, *sizes)).data
    x = api.tensor(draw(30, 2, 5, 4, 3) * 3 + 5, True)
    return pulled(api, layer(x), {"x": x, **own})


# ---------------------------------------------------------------- the rest
def pad(api: Api, ends: tuple[int, ...], mode: str) -> Values:
    x = api.tensor(draw(40, 2, 3, 4, 5), True)
    value = {"value": 1.5} if mode == "constant" else {}
    return pulled(api, api.F.pad(x, ends, mode=mode, **value), {"x": x})


def embedding(api: Api, padding_idx: int | None) -> Values:
    w = api.tensor(draw(41, 6, 3), True)
    ids = api.tensor(np.array([[0, 5, 2], [2, 2, 4]]))
    return pulled(api, api.F.embedding(ids, w, padding_idx=padding_idx), {"w": w})


def normalize(api: Api, p: float, dim: int) -> Values:
    x = api.tensor(draw(42, 4, 3), True)
    return pulled(api, api.F.normalize(x, p=p, dim=dim), {"x": x})


def linear(api: Api, bias: bool) -> Values:
    x, w = api.tensor(draw(43, 2, 5, 3), True), api.tensor(draw(44, 4, 3), True)
    b = api.tensor(draw(45, 4), True)
    leaves = {"x": x, "w": w, "b": b} if bias else {"x": x, "w": w}
    return pulled(api, api.F.linear(x, w, b if bias else None), leaves)


def _all() -> dict[str, Callable[[Api], Values]]:
    cases: dict[str, Callable[[Api], Values]] = {}
    for key, (name, options) in ACTIVATIONS.items():
        cases[key] = partial(activation, name=name, options=options)
    for name, dim in itertools.product(("softmax", "log_softmax"), (0, 1, -1)):
        cases[f"{name}/{dim}"] = partial(softmax, name=name, dim=dim)
    for shape, how in itertools.product(SHAPES, REDUCTIONS):
        for loss, table in (("cross_entropy", SMOOTHINGS), ("nll_loss", CLASSES)):
            for key, options in table.items():
                cases[f"{loss}/{shape}/{key}/{how}"] = partial(
                    class_loss, name=loss, shape=SHAPES[shape], options=options, reduction=how
                )
        for key in ("plain", "weight", "smooth", "smooth-weight"):
            cases[f"soft/{shape}/{key}/{how}"] = partial(
                soft_targets, shape=SHAPES[shape], options=SMOOTHINGS[key], how=how
            )
    for (key, (name, options)), how in itertools.product(PAIRS.items(), REDUCTIONS):
        cases[f"{key}/{how}"] = partial(pair_loss, name=name, options=options, reduction=how)
    for key, (kind, sizes, options) in BATCH_NORMS.items():
        cases[f"batch_norm/{key}"] = partial(batch_norm, kind=kind, shape=sizes, options=options)
    for sizes in ((3,), (4, 3), (5, 4, 3)):
        cases[f"layer_norm/{len(sizes)}"] = partial(layer_norm, sizes=sizes, options={})
    for key, options in {
        "eps": {"eps": 0.5},
        "no-bias": {"bias": False},
        "bare": {"elementwise_affine": False},
    }.items():
        cases[f"layer_norm/{key}"] = partial(layer_norm, sizes=(4, 3), options=options)
    for mode, ends in itertools.product(
        ("constant", "reflect", "replicate", "circular"), ((1, 2), (0, 3, 2, 1))
    ):
        if mode == "constant" or len(ends) == 4:
            cases[f"pad/{mode}/{len(ends)}"] = partial(pad, ends=ends, mode=mode)
    cases["pad/cut"] = partial(pad, ends=(-1, 2, 1, -2), mode="constant")
    for i in (None, 2, -1):
        cases[f"embedding/{i}"] = partial(embedding, padding_idx=i)
    for p, dim in ((2.0, 1), (1.0, 0)):
        cases[f"normalize/{p}/{dim}"] = partial(normalize, p=p, dim=dim)
    for bias in (True, False):
        cases[f"linear/{bias}"] = partial(linear, bias=bias)
    return cases


CASES = _all()


# ---------------------------------------------------------------- the file
def packed(found: dict[str, Values]) -> Values:
    """Return all answers as one row of numbers with names and shapes: a tenth of the overhead."""
    named = [(f"{key}:{n}", v) for key, values in found.items() for n, v in values.items()]
    return {
        "names": np.array([name for name, _ in named]),
        "shapes": np.array([" ".join(map(str, np.shape(v))) for _, v in named]),
        "values": np.concatenate([np.ravel(v).astype(np.float64) for _, v in named]),
    }


def unpacked(file: Any) -> dict[str, Values]:
    """Undo `packed`."""
    found: dict[str, Values] = {}
    values, start = file["values"], 0
    for name, text in zip(file["names"].tolist(), file["shapes"].tolist(), strict=True):
        shape = tuple(int(n) for n in text.split())
        end = start + int(np.prod(shape))
        key, _, part = name.rpartition(":")
        found.setdefault(key, {})[part] = values[start:end].reshape(shape)
        start = end
    return found
