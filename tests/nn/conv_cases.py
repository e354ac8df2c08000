"""Convolutions and pooling to compare with PyTorch: every option, alone and together."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.nn.nn_cases import Api, Values, draw, pulled

# name: (input, weight, bias or not, options); the number of dimensions is the weight's less two
CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], bool, dict[str, Any]]] = {
    "plain": ((2, 3, 8, 7), (4, 3, 3, 2), True, {}),
    "lenet": ((1, 1, 12, 12), (4, 1, 5, 5), True, {"padding": 2}),
    "no-bias": ((1, 3, 6, 6), (2, 3, 3, 3), False, {"padding": 1}),
    "one-image": ((3, 6, 6), (2, 3, 3, 3), True, {}),
    "stride": ((2, 3, 9, 10), (4, 3, 3, 3), True, {"stride": (2, 3), "padding": (1, 2)}),
    "dilation": ((1, 3, 11, 9), (2, 3, 3, 2), True, {"dilation": (2, 3), "padding": 3}),
    "groups": ((2, 6, 7, 7), (4, 3, 3, 3), True, {"groups": 2, "stride": 2}),
    "depthwise": ((1, 4, 6, 5), (8, 1, 3, 3), True, {"groups": 4, "padding": 1}),
    "pointwise": ((1, 5, 4, 6), (7, 5, 1, 1), True, {}),
    "all": (
        (2, 4, 13, 12),
        (6, 2, 3, 2),
        True,
        {"stride": (3, 2), "padding": (4, 1), "dilation": (2, 3), "groups": 2},
    ),
    "same": ((1, 2, 6, 7), (3, 2, 3, 5), True, {"padding": "same", "dilation": (2, 1)}),
    "valid": ((1, 2, 5, 5), (3, 2, 5, 3), True, {"padding": "valid"}),
    "signal": ((2, 3, 11), (4, 3, 4), True, {"stride": 2, "padding": 2}),
    "signal-same": ((2, 3, 11), (4, 3, 5), True, {"padding": "same"}),
    "signal-groups": ((2, 4, 9), (8, 2, 3), False, {"groups": 2, "dilation": 2}),
    "one-signal": ((3, 9), (2, 3, 3), True, {}),
}

POOLS: dict[str, tuple[str, tuple[int, ...], tuple[Any, ...], dict[str, Any]]] = {
    "max": ("max_pool2d", (1, 2, 8, 6), (2,), {}),
    "max-odd": ("max_pool2d", (1, 2, 9, 7), (2,), {}),
    "max-all": (
        "max_pool2d",
        (1, 2, 13, 14),
        ((3, 2), (2, 3), 1),
        {"dilation": (2, 1), "ceil_mode": True},
    ),
    "max-one-image": ("max_pool2d", (1, 9, 9), (3, 1, 1), {}),
    "max-signal": ("max_pool1d", (2, 3, 11), (3, 2, 1), {"ceil_mode": True}),
    "avg": ("avg_pool2d", (1, 2, 8, 6), (2,), {}),
    "avg-inside": ("avg_pool2d", (1, 2, 9, 7), (3, 2, 1), {"count_include_pad": False}),
    "avg-ceil": ("avg_pool2d", (1, 2, 10, 9), ((3, 4), 2, (1, 2)), {"ceil_mode": True}),
    "avg-ceil-inside": (
        "avg_pool2d",
        (1, 2, 10, 9),
        ((3, 4), 2, (1, 2)),
        {"ceil_mode": True, "count_include_pad": False},
    ),
    "avg-divisor": ("avg_pool2d", (2, 9, 7), (3, 2), {"divisor_override": 5}),
    "avg-signal": ("avg_pool1d", (2, 3, 11), (4, 3, 2), {"ceil_mode": True}),
    "adaptive": ("adaptive_avg_pool2d", (1, 2, 7, 10), ((3, 4),), {}),
    "adaptive-global": ("adaptive_avg_pool2d", (1, 2, 7, 10), (1,), {}),
    "adaptive-keep": ("adaptive_avg_pool2d", (1, 7, 10), ((None, 12),), {}),
    "adaptive-signal": ("adaptive_avg_pool1d", (2, 3, 11), (4,), {}),
    "adaptive-max": ("adaptive_max_pool2d", (1, 2, 7, 10), ((3, 4),), {}),
    "adaptive-max-signal": ("adaptive_max_pool1d", (2, 3, 11), (4,), {}),
}


def convolution(name: str, api: Api) -> Values:
    shape, weight, biased, options = CONVOLUTIONS[name]
    leaves = {"x": api.tensor(draw(1, *shape), True), "w": api.tensor(draw(2, *weight), True)}
    if biased:
        leaves["b"] = api.tensor(draw(3, weight[0]), True)
    function = api.F.conv1d if len(weight) == 3 else api.F.conv2d
    return pulled(api, function(*leaves.values(), **options), leaves)


def pooling(name: str, api: Api) -> Values:
    function, shape, given, options = POOLS[name]
    x = api.tensor(draw(4, *shape), True)
    if "max" not in function:
        return pulled(api, getattr(api.F, function)(x, *given, **options), {"x": x})
    y, index = getattr(api.F, function)(x, *given, **options, return_indices=True)
    return {"index": api.array(index), **pulled(api, y, {"x": x})}


def padded(dims: int, mode: str, api: Api) -> Values:
    """Return a module's output and gradients with margins that are no zeros."""
    kind = api.nn.Conv1d if dims == 1 else api.nn.Conv2d
    options = {"padding": "same", "dilation": 2} if mode == "reflect" else {"padding": 2}
    module = kind(2, 4, 3, groups=2, padding_mode=mode, **options).double()
    state = {name: api.tensor(draw(6, *t.shape)) for name, t in module.state_dict().items()}
    module.load_state_dict(state)
    x = api.tensor(draw(5, 2, 2, *(7, 6)[:dims]), True)
    return pulled(api, module(x), {"x": x, "w": module.weight, "b": module.bias})


CASES = {
    **{f"conv/{name}": partial(convolution, name) for name in CONVOLUTIONS},
    **{f"pool/{name}": partial(pooling, name) for name in POOLS},
    **{
        f"mode/{mode}-{dims}": partial(padded, dims, mode)
        for mode in ("reflect", "replicate", "circular")
        for dims in (1, 2)
    },
}
