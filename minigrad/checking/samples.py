"""Inputs for every op of the registry: `OP_SAMPLES[name]` holds (arrays, options) for `Op.apply`.

`minigrad check` and the tests hold all gradients on them.  They stand below, or the op's class
states them, or they are derived: of a function of one or two operands from its domain.  An op
without any fails test_ops.py.

Points lie away from kinks; float arrays are differentiated, others not.  Shapes are small, since a
gradient check evaluates an op twice an element, and awkward: 0-d, empty, of size one, broadcast,
transposed, with gaps, reversed.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine.device import Device
from minigrad.engine.op import Op
from minigrad.ops.arithmetic import Binary
from minigrad.ops.conv import Sliding
from minigrad.ops.grammar import resolved
from minigrad.ops.linalg import ACTIVATIONS
from minigrad.ops.pool import ONE, Windows
from minigrad.ops.registry import for_each_op
from minigrad.ops.unary import Unary

Array = np.ndarray[Any, Any]
Samples = list[tuple[tuple[Array, ...], dict[str, Any]]]


class Constant(np.ndarray[Any, Any]):
    """A float array that is no input of the gradient: class weights, running statistics."""

    def __new__(cls, a: Array) -> Constant:
        return np.asarray(a).view(cls)


ABSENT = Constant(np.zeros(0))  # stands for a bias or weight that is not there
rng = np.random.default_rng(5)


def normal(*shape: int) -> Array:
    """Draw normals."""
    return np.asarray(rng.normal(size=shape))


def positive(*shape: int) -> Array:
    """Draw numbers between 0.4 and 2."""
    return np.asarray(rng.uniform(0.4, 2.0, shape))


def apart(*shape: int) -> Array:
    """Return numbers of both signs, all at least 0.1 from each other and from 0: no kink, no
    tie.
    """
    n = int(np.prod(shape))
    values = 0.2 * (1 + np.arange(n)) * np.where(np.arange(n) % 2, 1, -1)
    return np.asarray(rng.permutation(values).reshape(shape))


def wave(*shape: int, phase: float = 0.7) -> Array:
    """Return a wave of both signs, no two numbers of it alike and none 0."""
    return np.asarray(1.9 * np.sin(phase + 1.3 * np.arange(int(np.prod(shape)))).reshape(shape))


def positive_wave(*shape: int, phase: float = 0.7) -> Array:
    """Return a wave between 0.4 and 2."""
    return np.asarray(1.2 + wave(*shape, phase=phase) * 0.42)


def layouts(make: Any, **options: Any) -> Samples:
    """Return one operand in every layout."""
    views = (
        make(),
        make(0),
        make(1),
        make(2, 3),
        make(3, 2).T,
        make(2, 0, 3),
        make(4, 5)[::2, ::-2],
        np.broadcast_to(make(3, 1), (3, 2)),
    )
    return [((x,), options) for x in views]


def pairs(make: Any, other: Any = None) -> Samples:
    """Return two operands that broadcast in every way."""
    second = other or make
    shapes = (((), ()), ((3,), ()), ((), (2,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((0, 3), (3,)))
    found: Samples = [((make(*a), second(*b)), {}) for a, b in shapes]
    found.append(((make(3, 2).T, second(4, 3)[::-2, :]), {}))
    return found


def options(make: Any, *given: dict[str, Any]) -> Samples:
    """Return one operand with each of the options, and a transposed one."""
    return [((make(2, 3, 2),), some) for some in given] + [((make(3, 2).T,), given[0])]


DIMS: tuple[dict[str, Any], ...] = (
    {},
    {"dim": 0},
    {"dim": -1, "keepdim": True},
    {"dim": (0, 2)},
    {"dim": (-2, 0), "keepdim": True},
)
ONE_DIM: tuple[dict[str, Any], ...] = ({}, {"dim": 0}, {"dim": -1, "keepdim": True})
INDICES = (
    (1,),
    (slice(None, None, 2),),
    (slice(None, None, -1), None, 1),
    (Ellipsis, -1),
    (np.array([0, 2, 0, -1]),),
    (np.array([[0, 1], [2, 2]]), slice(1, 3)),
    (slice(None), np.array([3, 0])),
    (np.array([0, 1]), np.array([1, 3])),
    (np.array([True, False, True]),),
    (np.arange(12).reshape(3, 4) % 5 == 0,),
    (np.array([], np.int64),),
    (),
)


def indexed() -> Samples:
    """Return an operand and every kind of index."""
    found: Samples = [((normal(3, 4),), {"index": resolved(index, (3, 4))}) for index in INDICES]
    return [*found, ((normal(4, 3).T,), {"index": resolved(np.array([2, 0]), (3, 4))})]


def index_add() -> Samples:
    """Return what is added at every kind of index."""
    zeros = np.zeros((3, 4))
    return [
        ((normal(*zeros[index].shape),), {"shape": (3, 4), "index": resolved(index, (3, 4))})
        for index in INDICES
    ]


def index_set() -> Samples:
    """Return what is written at every kind of index that repeats none."""
    zeros = np.zeros((3, 4))
    unique = [i for i in INDICES if not (i and isinstance(i[0], np.ndarray) and i[0].size == 4)]
    found: Samples = [
        ((normal(3, 4), normal(*zeros[index].shape)), {"index": resolved(index, (3, 4))})
        for index in unique
    ]
    return [*found, ((normal(3, 4), normal()), {"index": (slice(1, None),)})]


def batch_norm() -> Samples:
    """Return 2 to 4 dimensions, with weight and bias and without."""
    found: Samples = []
    for shape in ((4, 3), (3, 2, 3), (2, 2, 2, 2)):
        c = shape[1]
        found.append(((normal(*shape), positive(c), normal(c)), {"eps": 1e-5}))
    found.append(((normal(4, 3), ABSENT, ABSENT), {"eps": 1e-3}))
    found.append(((normal(3, 4).T, positive(3), ABSENT), {"eps": 1e-3}))
    return found


def batch_norm_dropout() -> Samples:
    """Return batches with ReLU and without."""
    return [
        (args, {"eps": 1e-3, "relu": relu, "p": 0.4, "scale": 1 / 0.6, **random_call()})
        for args, relu in (
            ((normal(6, 3), positive(3), normal(3)), True),
            ((normal(3, 6).T, positive(3), normal(3)), False),
            ((normal(5, 2), ABSENT, ABSENT), True),
        )
    ]


def batch_norm_eval() -> Samples:
    """Return batches and running statistics, which are constants."""
    return [
        ((x, w, b, Constant(normal(c)), Constant(positive(c))), {"eps": 1e-5})
        for x, w, b, c in (
            (normal(4, 3), positive(3), normal(3), 3),
            (normal(2, 3, 2), ABSENT, ABSENT, 3),
            (normal(3, 4).T, positive(3), ABSENT, 3),
            (normal(1, 2), positive(2), normal(2), 2),
        )
    ]


def layer_norm() -> Samples:
    """Return one and two dimensions, none at all, and no rows."""
    return [
        ((normal(3, 4), positive(4), normal(4)), {"dims": 1, "eps": 1e-5}),
        ((normal(2, 3, 2), positive(3, 2), normal(3, 2)), {"dims": 2, "eps": 1e-5}),
        ((normal(4, 3).T, ABSENT, ABSENT), {"dims": 1, "eps": 1e-3}),
        ((normal(0, 3), positive(3), normal(3)), {"dims": 1, "eps": 1e-3}),
    ]


def cross_entropy() -> Samples:
    """Return every reduction, with class weights, smoothing and an ignored row."""
    target = np.array([0, 2, -100, 1])
    found: Samples = []
    for weight in (ABSENT, Constant(positive(3))):
        for smoothing in (0.0, 0.2):
            meta = {"ignore_index": -100, "smoothing": smoothing}
            found.append(((normal(4, 3), target, weight), meta))
            for reduction in ("mean", "sum"):
                more = {"reduction": reduction, "gradient": True}
                found.append(((normal(4, 3), target, weight), {**meta, **more}))
    found.append(((normal(3, 4).T, target, ABSENT), dict(meta)))
    found.append(((normal(3, 4).T, target, ABSENT), {**meta, "reduction": "mean"}))
    return found


def random_call() -> dict[str, Any]:
    """Return what a random op draws by."""
    return {"seed": 3, "stream": 1, "call": np.array([2])}


DROPOUT: Samples = [
    ((normal(4, 5),), {"p": 0.4, "scale": 1 / 0.6, **random_call()}),
    ((normal(5, 4).T,), {"p": 0.5, "scale": 1.0, **random_call()}),
    ((normal(0),), {"p": 0.5, "scale": 2.0, **random_call()}),
    ((normal(3),), {"p": 1.0, "scale": 0.0, **random_call()}),
]

SLIDINGS = (  # input, weight, and how it slides
    (
        (2, 2, 4, 5),
        (4, 1, 3, 2),
        Sliding((2, 1), (1, 0), (1, 2), 2, (4, 5), (3, 2), (2, 3)),
    ),
    ((1, 3, 7), (2, 3, 3), Sliding((1, 2), (0, 1), (1, 1), 1, (1, 7), (1, 3), (1, 4))),
)
SUMS = Windows(np.array([[0, 2, 2], [1, 4, 2]]), np.array([[0, 1, 3], [0, 3, 3], [2, 3, 1]]))
PEAKS = Windows(np.array([[0, 3, 2], [1, 4, 1]]), np.array([[0, 2, 1], [1, 3, 1]]))
PLACES = np.array([[[0, 5], [5, 11]]] * 2, np.int32)


def outputs_of(sliding: Sliding, x: tuple[int, ...], weight: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of what a convolution gives."""
    return (x[0], weight[0], *sliding.grid[4 - len(x) :])


OP_SAMPLES: dict[str, Samples] = {
    "Maximum": [
        ((x, np.asarray(x + apart(*x.shape))), {}) for x in (normal(), normal(2, 3), normal(3, 2).T)
    ],
    "Minimum": [
        ((x, np.asarray(x + apart(*x.shape))), {}) for x in (normal(), normal(0), normal(3, 2).T)
    ],
    "Where": [
        ((np.asarray(rng.random(c) < 0.5), normal(*a), normal(*b)), {})
        for c, a, b in (((), (), ()), ((2, 3), (3,), (2, 1)), ((3,), (2, 1), ()), ((0,), (1,), ()))
    ],
    **{name: layouts(normal) for name in ("Neg", "Clone", "Identity")},
    "Clamp": [
        ((x,), {"low": low, "high": high})
        for (x,), _ in layouts(apart)[:4]
        for low, high in ((-0.5, 0.7), (None, 0.5), (-0.3, None))
    ],
    "Move": [((x,), {"device": Device("cpu")}) for (x,), _ in layouts(normal)],
    "Cast": [((x,), {"dtype": np.float64}) for (x,), _ in layouts(normal)],
    "Index": indexed(),
    "IndexAdd": index_add(),
    "IndexSet": index_set(),
    "Reshape": [
        ((normal(2, 3),), {"shape": (3, 2)}),
        ((normal(2, 3),), {"shape": (-1,)}),
        ((normal(3, 2).T,), {"shape": (6,)}),
        ((normal(),), {"shape": (1, 1)}),
        ((normal(0, 3),), {"shape": (3, 0)}),
    ],
    "Permute": [
        ((normal(2, 3, 2),), {"axes": (2, 0, 1)}),
        ((normal(3, 2).T,), {"axes": (1, 0)}),
        ((normal(),), {"axes": ()}),
    ],
    "Expand": [
        ((normal(2, 1),), {"shape": (2, 3)}),
        ((normal(3),), {"shape": (2, 3)}),
        ((normal(),), {"shape": (2, 2)}),
        ((normal(1, 0),), {"shape": (2, 0)}),
        ((normal(2, 3),), {"shape": (2, 3)}),
    ],
    "Flip": [
        ((normal(2, 3),), {"axes": (1,)}),
        ((normal(3, 2).T,), {"axes": (0, 1)}),
        ((normal(0),), {"axes": (0,)}),
    ],
    "Cat": [
        ((normal(2, 3), normal(1, 3)), {"axis": 0}),
        ((normal(2, 1), normal(2, 0), normal(3, 2).T), {"axis": 1}),
        ((normal(2),), {"axis": 0}),
    ],
    "Split": [
        ((normal(5, 2),), {"sizes": (2, 0, 3), "axis": 0}),
        ((normal(3, 2).T,), {"sizes": (1, 1, 1), "axis": 1}),
        ((normal(2, 2),), {"sizes": (2,), "axis": 0}),
    ],
    "MatMul": [
        ((normal(2, 3), normal(3, 4)), {}),
        ((normal(3, 2).T, normal(2, 3).T), {}),
        ((normal(2, 2, 3), normal(3, 2)), {}),
        ((normal(2, 1, 2, 2), normal(3, 2, 1)), {}),
        ((normal(2, 0), normal(0, 3)), {}),
        ((normal(0, 2), normal(2, 1)), {}),
    ],
    "Linear": [
        ((normal(4, 3), normal(2, 3), normal(2)), {}),
        ((normal(4, 3), normal(2, 3), ABSENT), {}),
        ((normal(3), normal(2, 3), normal(2)), {}),
        ((normal(2, 2, 3), normal(2, 3), normal(2)), {}),
        ((normal(3, 4).T, normal(3, 2).T, normal(4)[::2]), {}),
        ((normal(0, 3), normal(2, 3), normal(2)), {}),
    ],
    "LinearActivation": [
        *(((normal(4, 3), normal(2, 3), normal(2)), {"activation": name}) for name in ACTIVATIONS),
        ((normal(4, 3), normal(2, 3), ABSENT), {"activation": "gelu"}),
        ((normal(2, 2, 3), normal(2, 3), normal(2)), {"activation": "tanh"}),
        ((normal(3, 4).T, normal(3, 2).T, normal(4)[::2]), {"activation": "silu"}),
        ((normal(0, 3), normal(2, 3), normal(2)), {"activation": "relu"}),
    ],
    "Sum": [*options(normal, *DIMS), ((normal(),), {}), ((normal(0, 2),), {"dim": 0})],
    "Mean": [*options(normal, *DIMS), ((normal(),), {}), ((normal(0, 2),), {"dim": 1})],
    "Amax": [*options(apart, *DIMS), ((normal(),), {})],
    "Amin": [*options(apart, *DIMS), ((normal(),), {})],
    "Prod": [*options(normal, *ONE_DIM), ((np.array([2.0, 0.0, 3.0]),), {}), ((normal(),), {})],
    "Variance": [
        *options(normal, *DIMS),
        ((normal(3, 2).T,), {"dim": 0, "correction": 0}),
        ((normal(2, 3, 4),), {"dim": (0, 2), "keepdim": True}),
    ],
    "Deviation": [
        *options(normal, *DIMS),
        ((normal(2, 3, 4),), {"dim": 1, "correction": 0}),
        ((normal(5),), {"correction": 0.5}),
    ],
    "Norm": [*options(normal, *DIMS), ((normal(2, 3, 4),), {"dim": (0, 2)})],
    "LogSumExp": [*options(normal, *DIMS), ((normal(2, 3, 4),), {"dim": (0, 2)})],
    "ExtremumWithIndex": [
        ((apart(3, 4),), {"axis": 1, "sign": 1, "indices": np.zeros(3, np.int64)}),
        ((apart(3, 4).T,), {"axis": 1, "sign": -1, "indices": np.zeros(4, np.int64)}),
        ((apart(2, 3, 4),), {"axis": 1, "sign": 1, "indices": np.zeros((2, 4), np.int64)}),
    ],
    "CumSum": [
        ((normal(2, 3),), {"axis": 0, "backwards": True}),
        ((normal(2, 3),), {"axis": 0}),
        ((normal(3, 2).T,), {"axis": 1}),
        ((normal(0),), {"axis": 0}),
    ],
    **{
        name: [
            ((normal(2, 3),), {"axis": 1}),
            ((normal(2, 3, 2),), {"axis": 0}),
            ((normal(3, 2).T,), {"axis": 0}),
            ((normal(),), {"axis": 0}),
            ((normal(2, 1),), {"axis": 1}),
            ((normal(0, 3),), {"axis": 1}),
        ]
        for name in ("Softmax", "LogSoftmax")
    },
    "Conv": [
        *(((normal(*x), normal(*w), normal(w[0])), {"sliding": how}) for x, w, how in SLIDINGS),
        ((normal(5, 4, 2, 2).T, normal(2, 3, 1, 4).T, ABSENT), {"sliding": SLIDINGS[0][2]}),
    ],
    "ConvBackwardInput": [
        ((normal(*outputs_of(sliding, x, w)), normal(*w)), {"sliding": sliding})
        for x, w, sliding in SLIDINGS
    ],
    "ConvBackwardWeight": [
        ((normal(*outputs_of(sliding, x, w)), normal(*x)), {"sliding": sliding, "bias": k == 0})
        for k, (x, w, sliding) in enumerate(SLIDINGS)
    ],
    "MaxPool": [
        ((apart(2, 4, 3),), {"windows": PEAKS, "dims": 2}),
        ((apart(3, 4, 2).T,), {"windows": PEAKS, "dims": 2}),
        ((apart(2, 3),), {"windows": Windows(ONE, PEAKS.column_windows), "dims": 1}),
    ],
    "MaxUnpool": [
        ((normal(2, 2, 2),), {"index": PLACES, "shape": (2, 4, 3), "dims": 2}),
        ((normal(2, 2, 2).T,), {"index": PLACES, "shape": (2, 4, 3), "dims": 2}),
    ],
    "AvgPool": [
        ((normal(2, 4, 3),), {"windows": SUMS, "dims": 2}),
        ((normal(3, 4, 2).T,), {"windows": SUMS, "dims": 2}),
        ((normal(2, 3),), {"windows": Windows(ONE, SUMS.column_windows), "dims": 1}),
    ],
    "AvgUnpool": [
        ((normal(2, 2, 3),), {"windows": SUMS, "dims": 2, "shape": (2, 4, 3)}),
        ((normal(3, 2, 2).T,), {"windows": SUMS, "dims": 2, "shape": (2, 4, 3)}),
    ],
    "BatchNorm": batch_norm(),
    "BatchNormDropout": batch_norm_dropout(),
    "BatchNormEval": batch_norm_eval(),
    "LayerNorm": layer_norm(),
    "CrossEntropy": cross_entropy(),
    "BceLogits": [
        ((normal(*shape), np.asarray(positive(*shape) / 3)), {}) for shape in ((), (3,), (2, 3))
    ],
    "BceLogitsWeighted": [
        ((normal(2, 3), positive(2, 3) / 3, positive(3)), {}),
        ((normal(3), positive(3) / 3, positive()), {}),
        ((normal(0, 3), positive(0, 3), positive(3)), {}),
    ],
    "BinaryCrossEntropy": [
        ((rng.uniform(0.1, 0.9, shape), rng.uniform(0, 1, shape)), {})
        for shape in ((), (3,), (2, 3), (0, 2))
    ],
    "Dropout": DROPOUT,
}


# ---------------------------------------------------------------- what is derived
def inside(*shape: int) -> Array:
    """Return a wave between -0.9 and 0.9."""
    return np.asarray(wave(*shape) * 0.45)


def above_one(*shape: int) -> Array:
    """Return a wave between 1.2 and 2.8."""
    return np.asarray(positive_wave(*shape) + 0.8)


def unit(*shape: int) -> Array:
    """Return a wave between 0.05 and 0.95."""
    return np.asarray(0.5 + wave(*shape) * 0.23)


DOMAINS: dict[str, Any] = {
    "reals": wave,
    "positive": positive_wave,
    "kinked": apart,
    "inside": inside,
    "above one": above_one,
}
SECOND: dict[str, Any] = {  # of operands, so that two of one shape are not alike
    "reals": partial(wave, phase=2.1),
    "positive": partial(positive_wave, phase=2.1),
    "kinked": apart,
}


def derived(cls: type[Op]) -> Samples | None:
    """Return the samples that an op states, or those of its domain; None where it has neither."""
    if cls.samples is not None:
        found: Samples = cls.samples(sys.modules[__name__])
        return found
    if issubclass(cls, Unary):
        return layouts(DOMAINS[cls.domain])
    if issubclass(cls, Binary):
        first, second = cls.domains
        return pairs(DOMAINS[first], SECOND[second])
    return None


def enter(cls: type[Op]) -> None:
    """Give an op of the registry samples, where it has none."""
    if cls.__name__ not in OP_SAMPLES:
        found = derived(cls)
        if found is not None:
            OP_SAMPLES[cls.__name__] = found


for_each_op(enter)
