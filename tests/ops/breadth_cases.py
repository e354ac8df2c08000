"""Functions in PyTorch's own spelling: `CASES[name]` holds the calls of one function.

What a call draws depends on the function's name and the call's place alone, so that a new case
leaves the recorded answers of the others as they are.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
INF, NAN = math.inf, math.nan
GOLDEN = Path(__file__).parent.parent / "golden" / "breadth.json.gz"


@dataclass(frozen=True)
class Drawn:
    """An array that is drawn when its case is made: `kind` of `shape`, transposed if `turned`."""

    kind: str
    shape: tuple[int, ...]
    turned: bool = False
    moving: bool = True

    def make(self, rng: np.random.Generator) -> Array:
        shape = self.shape[::-1] if self.turned else self.shape
        n = math.prod(shape)
        if self.kind == "normal":
            x = rng.normal(size=shape)
        elif self.kind == "positive":
            x = rng.uniform(0.4, 2.0, shape)
        elif self.kind == "inside":
            x = rng.uniform(-0.9, 0.9, shape)
        elif self.kind == "unit":
            x = rng.uniform(0.05, 0.95, shape)
        elif self.kind in ("apart", "between"):  # no two are alike, those of the other kind neither
            shift = 0.07 if self.kind == "apart" else 0.16
            values = (0.23 * (1 + np.arange(n)) - shift) * np.where(np.arange(n) % 2, 1, -1)
            x = rng.permutation(values).reshape(shape)
        elif self.kind == "ties":
            x = np.rint(rng.normal(size=shape) * 1.5) + 0.0
        elif self.kind == "whole":
            x = rng.integers(-9, 10, shape)
        elif self.kind == "counts":
            x = rng.integers(1, 7, shape)
        else:
            x = rng.random(shape) < 0.5
        return np.asarray(x.T if self.turned else x)


def drawn(kind: str) -> Any:
    def make(*shape: int, turned: bool = False, moving: bool = True) -> Drawn:
        return Drawn(kind, shape, turned, moving)

    return make


normal, positive, inside, unit = (drawn(k) for k in ("normal", "positive", "inside", "unit"))
apart, between, ties, whole, counts, truth = (
    drawn(k) for k in ("apart", "between", "ties", "whole", "counts", "truth")
)


@dataclass(frozen=True)
class Call:
    """One call of a function.

    smooth: whether second derivatives are checked, at points that are drawn.
    """

    args: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    smooth: bool = True


def call(*args: Any, smooth: bool = True, **options: Any) -> Call:
    return Call(args, options, smooth and not any(isinstance(x, np.ndarray) for x in args))


def layouts(kind: Any, **options: Any) -> list[Call]:
    """Return calls of one operand: no dimensions, none of an element, several, transposed."""
    shapes = ((), (0,), (2, 3))
    return [*(call(kind(*s), **options) for s in shapes), call(kind(3, 2, turned=True), **options)]


def pairs(first: Any, second: Any, **options: Any) -> list[Call]:
    """Return calls of two operands that broadcast."""
    shapes = (((), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((0, 3), (3,)))
    found = [call(first(*a), second(*b), **options) for a, b in shapes]
    return [*found, call(first(3, 2, turned=True), second(3, 2), **options)]


def exactly(*values: Any) -> Array:
    """Return given numbers."""
    return np.array(values)


AWKWARD = exactly(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 1e4, -1e4, INF, -INF, NAN)

CASES: dict[str, list[Call]] = {
    "deg2rad": layouts(normal),
    "rad2deg": layouts(normal),
    "atan2": [*pairs(normal, normal), call(exactly(0.0, 1.0, -0.0), exactly(-1.0, 0.0, -2.0))],
    "hypot": pairs(normal, normal),
    "round": [*layouts(normal), call(normal(4), decimals=2), call(normal(4), decimals=-1)],
    "frac": [*layouts(normal), call(AWKWARD)],
    "positive": layouts(normal),
    "heaviside": [call(ties(4, moving=False), normal(4, moving=False)), call(whole(3), counts(3))],
    "div": [
        *pairs(normal, positive),
        *(call(normal(4), positive(4), rounding_mode=m) for m in ("trunc", "floor")),
        *(call(whole(6), counts(6), rounding_mode=m) for m in (None, "trunc", "floor")),
        call(whole(6), -2, rounding_mode="trunc"),
    ],
    "true_divide": pairs(normal, positive),
    "divide": [call(normal(3), positive(3), rounding_mode="floor")],
    "fmod": [*pairs(normal, positive), call(whole(9), counts(9)), call(whole(5), -3)],
    "multiply": pairs(normal, normal),
    "subtract": [call(normal(3), normal(3), alpha=2)],
    "rsub": [call(normal(3), normal(3), alpha=2), call(normal(3), 2.5)],
    "pow": [call(2.0, normal(3)), call(positive(3), normal(3)), call(2, counts(3))],
    "float_power": [call(positive(3), 2), call(counts(3), 0.5), call(2, normal(3))],
    "ldexp": [call(normal(2, 3), whole(3)), call(normal(3), normal(3))],
    "xlogy": [
        *pairs(normal, positive),
        call(exactly(0.0, 2.0, NAN), exactly(3.0, 1.0, 1.0)),
        call(2.0, positive(3)),
        call(normal(3), 2.0),
    ],
    "fmax": [*pairs(apart, between), call(exactly(NAN, 1.0, 2.0), exactly(1.0, NAN, 2.0))],
    "fmin": [*pairs(apart, between), call(exactly(NAN, 1.0, 2.0), exactly(1.0, NAN, 2.0))],
    "copysign": [*pairs(apart, between), call(exactly(0.0, 2.0), exactly(-1.0, -0.0))],
    "nextafter": [call(normal(3, moving=False), normal(3, moving=False))],
    "gcd": [call(whole(8), whole(8))],
    "lcm": [call(whole(8), whole(8))],
    "lerp": [
        *pairs(normal, normal, weight=0.3),
        call(normal(2, 3), normal(3), unit(2, 1)),
    ],
    "addcmul": [call(normal(2, 3), normal(3), normal(2, 1), value=0.5), call(*[normal(0)] * 3)],
    "addcdiv": [call(normal(2, 3), normal(3), positive(2, 1), value=0.5), call(*[normal(0)] * 3)],
    "clamp": [
        call(apart(2, 3), between(3), ties(2, 1)),
        call(apart(4), None, between(4)),
        call(exactly(1.0, 2.0), exactly(1.0, 3.0)),
    ],
    "clamp_min": [call(apart(4), 0.1), call(apart(4), between(4))],
    "clamp_max": [call(apart(4), 0.1), call(apart(4), between(4))],
    "threshold": [call(apart(4), 0.1, -2.0)],
    "F.threshold": [call(apart(2, 3), -0.1, 20)],
    "logaddexp": [
        *pairs(normal, normal),
        call(exactly(1000.0, -1000.0, 3.0), exactly(999.0, -INF, 3.0)),
    ],
    "logaddexp2": pairs(normal, normal),
    "logit": [
        *layouts(unit),
        call(exactly(0.0, 0.05, 0.5, 0.95, 1.0), 0.1),
        call(exactly(0.25, -1.0, 2.0)),
    ],
    "greater": [call(ties(5), ties(5))],
    "less_equal": [call(ties(5), 1)],
    "not_equal": [call(whole(5), whole(5))],
    "absolute": layouts(apart),
    "negative": layouts(normal),
    "sum": [
        call(normal(2, 3), 1, dtype=None),
        call(normal(2, 3), axis=0, keepdims=True),
        call(truth(2, 3), dim=1),
    ],
    "mean": [call(normal(2, 3), axis=1, keepdims=True)],
    "prod": [call(normal(2, 3), axis=1, keepdims=True)],
    "max": [call(apart(2, 3), axis=1, keepdims=True), call(apart(2, 3), 0), call(whole(3), 0)],
    "min": [call(apart(2, 3), axis=1, keepdims=True)],
    "argmax": [call(apart(2, 3), axis=1, keepdims=True)],
    "std": [call(normal(2, 3), axis=1, keepdims=True, correction=None)],
    "softmax": [call(normal(2, 3), axis=1)],
    "unsqueeze": [call(normal(2, 3), axis=1)],
    "cumsum": [call(normal(2, 3), axis=1), call(truth(3), 0), call(whole(), 0)],
    "all": [call(truth(2, 3), axis=1), call(truth(2, 3), (0, 1), True)],
    "cumprod": [
        call(normal(2, 3), 1),
        call(normal(4, 2, turned=True), -1),
        call(exactly(2.0, 0.0, 3.0, 4.0), 0),
        call(exactly(2.0, 0.0, 3.0, 0.0, 5.0), 0),
        call(normal(0, 3), 0),
        call(normal(), 0),
        call(whole(4), 0),
    ],
    "cummax": [
        call(apart(2, 4), 1),
        call(ties(6), 0, smooth=False),
        call(exactly(1.0, NAN, 3.0, NAN), 0),
        call(whole(3, 4, turned=True), 0),
    ],
    "cummin": [
        call(apart(2, 4), 1),
        call(ties(6), 0, smooth=False),
        call(exactly(1.0, NAN, 0.0, NAN), 0),
    ],
    "logcumsumexp": [
        call(normal(2, 3), 1),
        call(normal(4, 2, turned=True), 0),
        call(exactly(100.0, -100.0, 0.0), 0),
        call(exactly(-INF, -INF, 0.0), 0),
        call(normal(0), 0),
        call(normal(), 0),
    ],
    "nansum": [call(exactly(1.0, NAN, 2.0)), call(normal(2, 3), 1, True), call(whole(3))],
    "nanmean": [call(exactly(1.0, NAN, 2.0)), call(normal(2, 3), 1, True)],
    "count_nonzero": [call(ties(3, 4), 1), call(whole(2, 3)), call(ties(2, 3), (0, 1))],
    "var_mean": [call(normal(2, 3), 1), call(normal(3), correction=0), call(normal(2, 3), 0, True)],
    "std_mean": [call(normal(2, 3), dim=1, keepdim=True), call(normal(3), False)],
    "aminmax": [call(apart(2, 3)), call(apart(2, 3), dim=1, keepdim=True)],
    "median": [
        call(apart(6)),
        call(apart(5)),
        call(apart(2, 4), 1),
        call(apart(2, 3), 0, True),
        call(exactly(3.0, 1.0, 3.0, 3.0)),
        call(exactly(3.0, NAN, 1.0)),
        call(whole(5)),
    ],
    "nanmedian": [
        call(apart(4)),
        call(exactly(3.0, NAN, 1.0)),
        call(exactly([3.0, NAN, 1.0], [NAN, NAN, 2.0]), 1),
    ],
    "mode": [call(ties(9), smooth=False), call(whole(3, 5), 1, True), call(counts(4, 6), 0)],
    "quantile": [
        *(
            call(apart(5), 0.3, interpolation=how)
            for how in ("linear", "lower", "higher", "midpoint", "nearest")
        ),
        call(apart(2, 4), unit(3), 1),
        call(apart(2, 4), 0.5, 0, True),
        call(exactly(1.0, NAN, 3.0), 0.5),
    ],
    "nanquantile": [
        call(exactly(1.0, NAN, 3.0, 2.0), 0.4),
        call(exactly([1.0, NAN, 3.0], [NAN, NAN, NAN]), 0.5, 1),
        call(apart(2, 4), unit(3), 1),
    ],
    "renorm": [call(normal(3, 4), 2, 0, 1.0), call(normal(2, 3, 2), 1, 1, 0.5)],
    "diff": [
        call(normal(5)),
        call(normal(3, 4), 2, 0),
        call(normal(3), 1, -1, normal(1), normal(2)),
        call(truth(5)),
        call(whole(5), 3),
    ],
    "trapezoid": [
        call(normal(5)),
        call(normal(2, 4), normal(4)),
        call(normal(2, 4), dx=0.5, dim=0),
        call(normal(2, 4), normal(2, 4)),
    ],
    "trapz": [call(normal(5), dx=2)],
    "cumulative_trapezoid": [call(normal(5)), call(normal(2, 4), normal(4))],
    "cov": [
        call(normal(3, 5)),
        call(normal(5)),
        call(normal(2, 5), correction=0),
        call(whole(2, 4)),
    ],
    "corrcoef": [call(normal(3, 5)), call(normal(4))],
    **{
        f"F.{name}": [*layouts(apart), call(AWKWARD[:9])]
        for name in ("selu", "celu", "mish", "tanhshrink", "softsign", "hardswish", "hardsigmoid")
    },
    "F.relu6": [call(apart(2, 3))],
    "F.hardshrink": [*layouts(apart), call(apart(4), 0.1), call(AWKWARD[:9])],
    "F.softshrink": [*layouts(apart), call(apart(4), 0.2), call(AWKWARD[:9])],
    "F.prelu": [
        call(apart(2, 3), unit(1)),
        call(apart(2, 3), unit(3)),
        call(apart(2, 3, 2), unit(3)),
        call(apart(4), unit()),
        call(apart(0, 3), unit(3)),
    ],
    "F.rrelu": [call(apart(2, 3)), call(apart(3), 0.1, 0.3)],
    "F.glu": [call(normal(2, 4)), call(normal(4, 2, turned=True), 0), call(normal(0, 4))],
    "F.softmin": [call(normal(2, 3), 1), call(normal(2, 3), 0)],
    "F.dropout2d": [call(normal(2, 3, 2), 0.4, False), call(normal(2, 3, 2), 1.0)],
    "F.alpha_dropout": [call(normal(2, 3), 0.4)],
    "F.feature_alpha_dropout": [call(normal(2, 3), 0.4)],
    "erfc": [call(exactly(0.5, 5.0, -3.0, 20.0, NAN))],
    "erfinv": [call(inside(5)), call(exactly(-1.0, 1.0, 2.0, 0.0, 0.999999, -1e-9))],
    "lgamma": [call(exactly(0.3, 1.0, 2.0, 30.0, -1.5))],
    "digamma": [call(exactly(0.3, 1.0, 30.0, -1.5, -0.25, INF))],
    "polygamma": [*(call(n, positive(3)) for n in range(4)), call(1, exactly(-1.5, 20.0))],
    "mvlgamma": [call(exactly(2.5, 4.0), 3), call(exactly(2.5, 4.0), p=1)],
    "sinc": [*layouts(normal), call(exactly(0.0, 1.0, -2.0, 0.5, 100.25))],
    "i0": [*layouts(normal), call(exactly(0.0, 25.0, -3.0))],
    "special.i0e": [call(normal(2, 3)), call(exactly(30.0, -25.0))],
    "special.i1": [call(normal(2, 3)), call(exactly(0.0, 25.0, -3.0))],
    "special.i1e": [call(normal(2, 3)), call(exactly(30.0, -25.0))],
    "special.zeta": [call(counts(3), positive(3, moving=False))],
    "special.xlog1py": [*pairs(normal, positive), call(exactly(0.0, 2.0), exactly(3.0, NAN))],
    "special.entr": [call(positive(2, 3)), call(exactly(0.5, 1.0, -1.0))],
    "special.ndtr": layouts(normal),
    "special.log_ndtr": [*layouts(normal), call(exactly(-30.0, -5.0, 0.0, 3.0))],
    "special.ndtri": layouts(unit),
    "special.erfcx": [*layouts(normal), call(exactly(-3.0, 0.5, 4.9, 5.1, 100.0))],
    "special.expit": [call(normal(3))],
    "special.psi": [call(positive(3))],
    "special.logit": [call(unit(3)), call(unit(3), 0.2, smooth=False)],
    "angle": [*layouts(apart), call(exactly(1.0, -2.0, NAN, 0.0)), call(whole(3))],
    "frexp": [*layouts(normal), call(exactly(0.0, 6.0, -0.3))],
    "conj": [call(normal(2))],
    "gradient": [
        call(normal(5)),
        call(normal(3, 4), spacing=0.5),
        call(normal(3, 4), dim=1, edge_order=2),
    ],
    "isclose": [
        call(exactly(1.0, 1.0, INF, INF, NAN, 0.0), exactly(1.0, 1.0001, INF, -INF, NAN, 1e-9)),
        call(exactly(1.0, NAN), exactly(1.05, NAN), 0.1, 0.0, True),
        call(whole(5), whole(5), rtol=0.5),
    ],
    "allclose": [call(exactly(1.0, 2.0), exactly(1.0, 2.1), 0.2), call(whole(2), whole(2))],
    "equal": [call(whole(2), whole(2)), call(exactly(1.0), exactly(1.0)), call(ties(2), ties(3))],
    "isinf": [call(AWKWARD), call(whole(3))],
    "isposinf": [call(AWKWARD), call(whole(3))],
    "isneginf": [call(AWKWARD), call(whole(3))],
    "isreal": [call(AWKWARD), call(whole(3))],
    "signbit": [call(AWKWARD), call(whole(3)), call(truth(3))],
    "nan_to_num": [
        *layouts(normal),
        call(exactly(NAN, INF, -INF, 1.0)),
        call(exactly(NAN, INF, -INF, 1.0), 2.0, 3.0, -4.0),
        call(whole(3)),
    ],
}


def found_in(lib: Any, functional: Any, name: str) -> Any:
    """Return a function by its path: of the library, of nn.functional ("F.mish"), a method."""
    place, _, last = name.rpartition(".")
    if place == "F":
        return getattr(functional, last)
    if place == "Tensor":
        return getattr(lib.Tensor, last)
    return getattr(getattr(lib, place) if place else lib, last)


def arrays_of(name: str, k: int) -> list[Any]:
    """Return the arguments of a call, with its arrays drawn."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), k])

    def made(x: Any) -> Any:
        if isinstance(x, list | tuple):
            return type(x)(made(y) for y in x)
        return x.make(rng) if isinstance(x, Drawn) else x

    return [made(x) for x in CASES[name][k].args]


def fixed(x: Any) -> bool:
    """Say whether an argument is no input of the gradient."""
    return isinstance(x, Drawn) and not x.moving


def tensors_of(lib: Any, name: str, k: int, dtype: str) -> tuple[list[Any], list[Any]]:
    """Return the arguments of a call as a library's tensors, and those that are differentiated."""
    moving: list[Any] = []

    def tensor(x: Any, still: bool) -> Any:
        if isinstance(x, list | tuple):
            return type(x)(tensor(y, still) for y in x)
        if not isinstance(x, np.ndarray):
            return x
        if x.dtype.kind != "f":
            return lib.from_numpy(x.copy() if x.ndim == 0 else x)
        made = lib.from_numpy(np.asarray(x.astype(dtype)))
        if not still:
            moving.append(made.requires_grad_())
        return made

    own = CASES[name][k].args
    args = [tensor(x, fixed(a)) for x, a in zip(arrays_of(name, k), own, strict=True)]
    return args, moving


def outputs_of(found: Any) -> list[Any]:
    """Return the tensors of a result."""
    if isinstance(found, list | tuple):
        return [y for x in found for y in outputs_of(x)]
    return [found]


def weights(shape: tuple[int, ...]) -> Any:
    """Return what an output is weighted by: no two alike, none zero."""
    return (1 + np.arange(int(np.prod(shape))) % 7 / 4).reshape(shape)


def evaluate(
    lib: Any, functional: Any, name: str, k: int, dtype: str = "float64"
) -> dict[str, Array]:
    """Return the outputs of a call and the gradients of its inputs as arrays."""
    args, moving = tensors_of(lib, name, k, dtype)
    result = found_in(lib, functional, name)(*args, **CASES[name][k].options)
    outputs = outputs_of(result)
    found: dict[str, Array] = {}
    loss: Any = None
    for i, y in enumerate(outputs):
        if not hasattr(y, "requires_grad"):
            found[f"y{i}"] = np.array(y)
            continue
        found[f"y{i}"] = np.array(y.detach().numpy())
        if y.requires_grad:
            part = (y * lib.from_numpy(np.asarray(weights(tuple(y.shape)).astype(dtype)))).sum()
            loss = part if loss is None else loss + part
    if loss is not None:
        loss.backward()
        for i, x in enumerate(moving):
            none = x.grad is None
            found[f"d{i}"] = np.zeros(tuple(x.shape), dtype) if none else np.array(x.grad.numpy())
    return found


# ---------------------------------------------------------------- the golden file
def write_recorded(found: dict[str, Array]) -> None:
    """Write arrays by name: dtype, shape and elements of each."""
    rows = {
        name: [a.dtype.name, list(a.shape), a.reshape(-1).tolist()] for name, a in found.items()
    }
    with gzip.GzipFile(GOLDEN, "wb", mtime=0) as file:
        file.write(json.dumps(rows).encode())


def read_recorded() -> dict[str, Array]:
    """Return the arrays of the golden file by name."""
    with gzip.open(GOLDEN, "rt") as file:
        rows = json.load(file)
    return {name: np.array(a, dtype).reshape(shape) for name, (dtype, shape, a) in rows.items()}
