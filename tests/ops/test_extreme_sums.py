"""Sums, norms, variances, products, running sums, softmax and cross-entropy at the ends of their
range: every axis and layout, sizes on both sides of every change of way, against exact arithmetic.

BOUNDS: |got - exact| <= ulps eps (|exact| + floor), for the value and for the gradient, whose
floor is the largest of its group.  Subnormal results have fewer digits: `near` adds their unit.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.engine.dispatch import PARALLEL
from minigrad.optim import clip_grad_norm_

Array = np.ndarray[Any, Any]
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
BOUNDS = {  # ulps of the value, of the gradient
    "sum": (1, 0.51),
    "mean": (2, 1),
    "norm": (2, 4),
    "std": (4, 8),
    "var": (4, 8),
    "prod": (4, 8),
}
SIZES = (1, 2, 7, 1_000, 4_097, PARALLEL - 1, PARALLEL + 1)


def scales(dtype: np.dtype[Any]) -> list[float]:
    """Return sizes of numbers over the whole range: subnormal, tiny, small, 1, large, largest."""
    info = np.finfo(dtype)
    tiny, most = float(info.tiny), float(info.max)
    return [tiny * 1e-3, tiny * 10, tiny**0.5, 1.0, most**0.5, most / 20, most / 1.01]


def exact(name: str, x: list[float]) -> tuple[float, list[float]]:
    """Return a reduction of float64 numbers and its gradient, from rational arithmetic."""
    n = len(x)
    top = max(map(abs, x)) or 1.0
    unit = Fraction(top)
    parts = [Fraction(v) / unit for v in x]
    if name in ("sum", "mean"):
        total = sum(parts) / (n if name == "mean" else 1)
        return rounded(total, top), [1 / n if name == "mean" else 1.0] * n
    if name == "norm":
        size = root(sum(p * p for p in parts))
        return rounded(size, top), [float(p / size) if size else 0.0 for p in parts]
    if name in ("var", "std"):
        centre = sum(parts) / n
        apart = [p - centre for p in parts]
        square = sum(a * a for a in apart) / (n - 1)
        if name == "var":
            return rounded(square * unit, top), [rounded(2 * a / (n - 1), top) for a in apart]
        size = root(square)
        slope = [float(a / (size * (n - 1))) if size else 0.0 for a in apart]
        return rounded(size, top), slope
    product = math.prod(map(Fraction, x))
    rest = [product / Fraction(v) if v else math.prod(map(Fraction, x[:i] + x[i + 1 :]))
            for i, v in enumerate(x)]  # fmt: skip
    return rounded(product, 1.0), [rounded(r, 1.0) for r in rest]


def root(x: Fraction) -> Fraction:
    """Return a square root to 100 bits and more."""
    return Fraction(math.isqrt(x.numerator * x.denominator << 400), x.denominator << 200)


def rounded(x: Fraction, top: float) -> float:
    """Return x top as a float64, infinite where that is."""
    try:
        return float(x * Fraction(top))
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def near(
    got: Any,
    want: Any,
    ulps: float,
    dtype: Any,
    message: str,
    floor: float = 0.0,
    units: float = 0.0,
) -> None:
    """Hold results to eps (|want| + floor) `ulps` times; units: subnormals that may be added."""
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        got, want = np.asarray(got, np.longdouble), np.asarray(want, np.float64)
        limit = ulps * float(info.eps) * (np.abs(want) + floor)
        limit += (ulps + units) * float(info.smallest_subnormal)
        fits = (np.abs(got - want) <= limit) | (got == want.astype(dtype))
        edge = np.isinf(got) & (np.abs(want) >= float(info.max) * (1 - ulps * float(info.eps)))
    bad = ~(fits | edge)
    assert not bad.any(), f"{message}: {got[bad][:3]}, exactly {want[bad][:3]}"


def digits_lost(x: float, dtype: Any) -> float:
    """Return how many eps of x a subnormal's rounding is: less than one for normal numbers."""
    info = np.finfo(dtype)
    return float(info.smallest_subnormal) / x / float(info.eps)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", BOUNDS)
def test_reductions_at_every_scale(name: str, dtype: np.dtype[Any]) -> None:
    ulps, slope_ulps = BOUNDS[name]
    rng = np.random.default_rng(3)
    for scale in scales(dtype):
        for shape, dim in (((5,), 0), ((5, 4), 0), ((4, 5), 1), ((2, 5, 3), 1)):
            x = (rng.uniform(0.2, 1.0, shape) * scale).astype(dtype)
            for layout in (x, np.asfortranarray(x), np.repeat(x, 2, axis=-1)[..., ::2]):
                t = mg.Tensor(layout, requires_grad=True)
                y = getattr(t, name)(dim=dim)
                y.sum().backward()
                rows = np.moveaxis(x, dim, -1).reshape(-1, 5)
                found = [exact(name, row.astype(float).tolist()) for row in rows]
                message = f"{name} of {shape} along {dim} at {scale}"
                near(y.detach().numpy().ravel(), [f[0] for f in found], ulps, dtype, message)
                slopes = np.moveaxis(t.grad.numpy(), dim, -1).reshape(-1, 5)
                top = np.abs([f[1] for f in found]).max(axis=1, keepdims=True)
                top = np.where(np.isfinite(top), top, 0)
                if dtype == np.float64 and name in ("norm", "std"):
                    # Their y is the one in the gradient: of infinite ones it is 0; of subnormal
                    # ones a norm's has no more digits than y, and a deviation's overflows.
                    finite = np.isfinite([f[0] for f in found])
                    assert finite.all() or not slopes[~finite].any()
                    slopes, found = slopes[finite], [f for f in found if np.isfinite(f[0])]
                    top = top[finite]
                    if not found or (scale < np.finfo(dtype).tiny and name == "std"):
                        continue
                limit = slope_ulps + digits_lost(0.2 * scale, dtype) * (name == "norm")
                near(slopes, [f[1] for f in found], limit, dtype, message + ", slope", top)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_long_sums(size: int, dtype: np.dtype[Any]) -> None:
    # Nearly all cancels: what is left is right to float64's roundings of what was added.  A chunk
    # of 4,096 adds 256 to a lane, chunks come on top: their roundings mostly cancel, to below 40.
    x = np.tile(np.array([0.1, 1e7, -1e7], dtype), size // 3 + 1)[:size]
    line = mg.Tensor(x)
    exactly = math.fsum(x.astype(float))
    eps = 2.0**-53 * math.fsum(np.abs(x.astype(float)))
    for got in (line.sum(), line.reshape(1, -1).sum(1), line.reshape(-1, 1).sum(0)):
        assert abs(got.item() - exactly) <= 40 * eps + np.finfo(dtype).eps * abs(exactly)
    mean = line.mean().item()
    assert abs(mean - exactly / size) <= (40 * eps + np.finfo(dtype).eps * abs(exactly)) / size
    wide = mg.Tensor(np.broadcast_to(x[:, None], (size, 3)))
    for got in (wide.sum(0)[1], wide.t().sum(1)[2], wide[:, 1].sum()):
        assert abs(got.item() - exactly) <= 40 * eps + np.finfo(dtype).eps * abs(exactly)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("shape", "dim"),
    [((1_000_003,), 0), ((66_000, 3), 0), ((3, 66_000), 1), ((2, 9_000, 2), 1), ((63,), 0),
     ((64,), 0), ((65_537,), 0), ((700, 1_030), 0)],
)  # fmt: skip
def test_running_sums(shape: tuple[int, ...], dim: int, dtype: np.dtype[Any]) -> None:
    x = np.full(shape, 0.1, dtype)
    t = mg.Tensor(x, requires_grad=True)
    y = t.cumsum(dim)
    count = np.arange(1, shape[dim] + 1).reshape([-1 if i == dim else 1 for i in range(len(shape))])
    want = np.broadcast_to(count * float(x.flat[0]), shape)
    info = np.finfo(dtype)
    # In float64 a block of 64 is added in order, 32 eps at worst, and carried on to full digits.
    slack = 1.0 if dtype == np.float32 else 40.0
    assert (np.abs(y.detach().numpy() - want) <= slack * info.eps * want).all()
    y.sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), np.broadcast_to(np.flip(count, dim), shape))
    gaps = mg.Tensor(np.repeat(x, 2, axis=-1)[..., ::2]).cumsum(dim)
    np.testing.assert_array_equal(gaps.numpy(), y.detach().numpy())


def test_sums_do_not_stick_at_24_bits() -> None:
    n = 2**24 + 1_000
    ones = mg.ones(n)
    assert ones.sum().item() == n and ones.cumsum(0)[-1].item() == n
    assert ones.reshape(n // 8, 8)[:, :1].sum(0).item() == n // 8
    assert ones.mean().item() == 1.0 and ones.norm().item() == np.float32(math.sqrt(n))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("far", [1e4, 1e6, 1e8])
def test_variance_far_from_zero(far: float, dtype: np.dtype[Any]) -> None:
    rng = np.random.default_rng(4)
    for n in (5, 1_000, PARALLEL + 1):
        apart = far * (3e-5 if dtype == np.float32 else 1e-6)
        x = (far + rng.normal(size=n) * apart).astype(dtype)
        wide = x.astype(np.longdouble)
        want = np.square(wide - wide.mean()).sum() / (n - 1)
        t = mg.Tensor(x)
        near(t.var().item(), want, 8, dtype, f"var of {n} about {far}")
        near(t.std().item(), np.sqrt(want), 8, dtype, f"std of {n} about {far}")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_products_leave_the_range_and_come_back(dtype: np.dtype[Any]) -> None:
    big = 1e30 if dtype == np.float32 else 1e300
    for some in ([big, big, 1 / big, 1 / big], [1 / big, 1 / big, big, big, 3.0], [0.0, big, big]):
        x = np.array(some, dtype)
        t = mg.Tensor(x, requires_grad=True)
        y = t.prod()
        near(y.item(), exact("prod", x.astype(float).tolist())[0], 8, dtype, f"prod of {some}")
        if dtype == np.float32:
            y.backward()
            near(t.grad.numpy(), exact("prod", x.astype(float).tolist())[1], 8, dtype, f"{some}")


LOGITS = (0.0, 1.0, 5.0, 12.0, 15.0, 20.0, 40.0, 80.0, 100.0, 700.0, 1e4)


SURE: dict[str, Any] = {
    "cross_entropy": lambda t, target, v: F.cross_entropy(t, target, reduction="sum"),
    "none": lambda t, target, v: F.cross_entropy(t, target, reduction="none").sum(),
    "nll": lambda t, target, v: F.nll_loss(F.log_softmax(t, 1), target, reduction="sum"),
    "logsumexp": lambda t, target, v: (t - v).logsumexp(1).sum(),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("classes", [2, 3, 600])
def test_sure_rows(classes: int, dtype: np.dtype[Any]) -> None:
    """Of a row ahead by v: log(1 + r), r = (C - 1) e^-v, gradient -r / (1 + r)."""
    for rows in (1, PARALLEL // classes + 2):
        for v in LOGITS:
            x = np.zeros((rows, classes), dtype)
            x[:, 1] = v
            rest = (classes - 1) * math.exp(-v)
            loss, slope = math.log1p(rest), rest / (1 + rest)
            target = mg.Tensor(np.ones(rows, np.int64))
            for name, call in SURE.items():
                t = mg.Tensor(x, requires_grad=True)
                y = call(t, target, v)
                y.backward()
                message = f"{name} of {rows} rows of {classes} ahead by {v}"
                # The total of a batch is added in float64, row by row: half an eps a row at worst.
                # Exponentials below the normal numbers are rounded to half a unit each.
                ulps = 12 + (rows / 2 if dtype == np.float64 else 0)
                near(y.item(), rows * loss, ulps, dtype, message, units=rows * classes)
                if name != "logsumexp":
                    message += ", slope"
                    near(-t.grad.numpy()[:, 1], slope, 12, dtype, message, units=classes)
            t = mg.Tensor(x, requires_grad=True)
            F.softmax(t, 1)[:, 1].sum().backward()
            message = f"softmax, slope at {v}"
            near(t.grad.numpy()[:, 1], slope / (1 + rest), 14, dtype, message, units=classes)


def test_infinite_rows_as_pytorch() -> None:
    inf, nan = math.inf, math.nan
    rows = [[-inf, -inf], [inf, 0.0], [inf, inf], [-inf, 0.0], [nan, 0.0], [-inf, nan], [inf, -inf]]
    x = mg.tensor(rows)
    want = [[nan, nan], [nan, nan], [nan, nan], [0, 1], [nan, nan], [nan, nan], [nan, nan]]
    np.testing.assert_array_equal(F.softmax(x, 1).numpy(), want)
    np.testing.assert_array_equal(x.logsumexp(1).numpy(), [-inf, inf, inf, 0.0, nan, nan, inf])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, 10.0, math.inf])
def test_clipping_at_every_scale(order: float, dtype: np.dtype[Any]) -> None:
    for scale in scales(dtype)[:-1]:
        p = mg.Tensor(np.zeros(2, dtype), requires_grad=True)
        g = np.array([3 * scale / 4, scale], dtype)
        p.grad = mg.Tensor(g.copy())
        norm = clip_grad_norm_([p], 1.0, order).item()
        top = float(np.abs(g).max())
        shares = g.astype(float) / top
        want = 1.0 if order == math.inf else float((shares**order).sum() ** (1 / order))
        ulps = 40 + digits_lost(top, dtype)
        near(norm / top, want, ulps, dtype, f"norm of order {order} at {scale}")
        factor = min(1.0, 1.0 / (want * top + 1e-6))
        np.testing.assert_allclose(p.grad.numpy(), g * factor, rtol=1e-5)
        x = mg.Tensor(g, requires_grad=True)
        y = x.norm(order)
        y.backward()
        near(y.item() / top, want, ulps, dtype, f"x.norm({order}) at {scale}")
        assert np.isfinite(x.grad.numpy()).all()


def test_pytorch_agrees_where_it_is_right() -> None:
    torch = pytest.importorskip("torch")
    x = np.array([[3.0, -4.0, 12.0], [1e-3, 2.0, -1e3]])
    for name in BOUNDS:
        ours, theirs = mg.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        a, b = getattr(ours, name)(dim=1), getattr(theirs, name)(dim=1)
        a.sum().backward()
        b.sum().backward()
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-13)
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-12)
