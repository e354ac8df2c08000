"""Decompositions and solutions: LAPACK's by way of NumPy, gradients in tensor operations, so to any
order.

All take batches of matrices (..., M, N).  What is computed on a device is computed on the host.
Source of the gradients: Giles, "Collected matrix derivative results for forward and reverse mode
algorithmic differentiation" (2008); Townsend, "Differentiating the singular value decomposition"
(2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.engine.device import filled, to_current_device
from minigrad.engine.op import Bridge, Op, Slot
from minigrad.engine.overwrite import copy_of
from minigrad.ops.arranging import beside
from minigrad.ops.common import Array, op
from minigrad.ops.elementwise import where
from minigrad.ops.grammar import host
from minigrad.ops.linalg import MatMul, swapped
from minigrad.ops.shape import cat
from minigrad.ops.triangles import diag_embed, diagonal, tril, triu


class LinAlgError(RuntimeError):
    """A matrix has no inverse, no such decomposition, or the search for one did not end."""


def computed(name: str, function: Callable[..., Any], *arrays: Array) -> Any:
    """Return what a function of NumPy gives, in the dtype and where the arrays are.

    Raises: LinAlgError where LAPACK does.
    """
    try:
        found = function(*[host(a) for a in arrays])
    except np.linalg.LinAlgError as error:
        shown = " and ".join(str(a.shape) for a in arrays)
        raise LinAlgError(f"{name}: {error}, of shape {shown}") from None
    if isinstance(found, tuple):
        return tuple(placed(y, arrays[0]) for y in found)
    return placed(found, arrays[0])


def placed(y: Any, like: Array) -> Array:
    """Return a result as the op's output."""
    kind = like.dtype if np.asarray(y).dtype.kind == "f" else np.asarray(y).dtype
    found: Array = to_current_device(np.asarray(y, kind, order="C"))
    return found


def eye_like(t: Any, n: int) -> Any:
    """Return the identity of a size, otherwise like `t`."""
    return beside(np.eye(n, dtype=t.array.dtype), t)


def zeros_of(shape: tuple[int, ...], like: Any) -> Any:
    """Return zeros of a shape, otherwise like `like`."""
    return Bridge.new(filled(shape, 0, like.array.dtype, like.array))


def times(*matrices: Any) -> Any:
    """Return a product of matrices, from the left."""
    y = matrices[0]
    for m in matrices[1:]:
        y = MatMul.apply(y, m)
    return y


# ---------------------------------------------------------------- points at which they are tried
def invertible(draw: Any, n: int) -> Array:
    """Return a matrix far from singular."""
    return np.asarray(draw.normal(n, n) + 3 * np.eye(n))


def symmetric(draw: Any, n: int) -> Array:
    """Return a positive definite matrix with eigenvalues apart."""
    a = draw.normal(n, n) * 0.3
    return np.asarray(a @ a.T + np.diag(1.0 + np.arange(n)))


def apart(draw: Any, m: int, n: int) -> Array:
    """Return a matrix with singular values apart."""
    return np.asarray(draw.normal(m, n) * 0.3 + np.eye(m, n) * (1.0 + np.arange(n)))


# ---------------------------------------------------------------- solutions
@op
class Solve(Op):
    """x with a @ x = b.  a: (..., N, N), b: (..., N, K) -> (..., N, K), leading sizes broadcast

    lenient: NaN instead of an error where an a is singular.
    """

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((invertible(draw, 2), draw.normal(2, 3)), {}),
            ((np.stack([invertible(draw, 2)] * 2), draw.normal(2, 1)), {}),
            ((invertible(draw, 3).T, draw.normal(2, 3).T), {}),
            ((np.zeros((0, 0)), np.zeros((0, 2))), {}),
        ]

    def forward(self, a: Array, b: Array, lenient: bool = False) -> Array:
        def solved(x: Array, y: Array) -> Array:
            try:
                return np.linalg.solve(x, y)
            except np.linalg.LinAlgError:
                if not lenient:
                    raise
                return np.full(np.broadcast_shapes(y.shape, (*x.shape[:-1], 1)), np.nan, x.dtype)

        self.y: Array = computed("solve", solved, a, b)
        return self.y

    def backward(self, g: Any) -> tuple[Any, ...]:
        db = Solve.apply(swapped(self.saved(0)), g, **self.meta)
        if not self.needs(0):
            return None, db
        return -MatMul.apply(db, swapped(self.output())), db


@op
class Inverse(Op):
    """y = a^-1"""

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((invertible(draw, 2),), {}),
            ((np.stack([invertible(draw, 2)] * 2),), {}),
            ((invertible(draw, 3).T,), {}),
        ]

    keeps = False

    def forward(self, a: Array) -> Array:
        self.y: Array = computed("inv", np.linalg.inv, a)
        return self.y

    def backward(self, g: Any) -> tuple[Any, ...]:
        back = swapped(self.output())
        return (-times(back, g, back),)


@op
class PseudoInverse(Op):
    """y = the inverse of a where it maps what it maps; a singular value up to `rcond` times the
    largest, or up to `atol`, counts as 0
    """

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((draw.normal(*s),), {"rcond": 1e-12, "atol": 0.0}) for s in ((3, 2), (2, 3), (2, 2))
        ]

    def forward(self, a: Array, rcond: Any, atol: Any) -> Array:
        def inverse(x: Array) -> Array:
            u, s, vh = np.linalg.svd(x, full_matrices=False)
            most = s.max(-1, keepdims=True) if s.size else s
            large = s > np.maximum(np.asarray(rcond)[..., None] * most, np.asarray(atol)[..., None])
            s = np.where(large, 1 / np.where(large, s, 1), 0)
            return np.asarray(np.swapaxes(vh, -1, -2) @ (s[..., None] * np.swapaxes(u, -1, -2)))

        self.y: Array = computed("pinv", inverse, a)
        return self.y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (pseudo_gradient(self.saved(0), self.output(), g),)


def pseudo_gradient(a: Any, p: Any, g: Any) -> Any:
    """Return the gradient for a matrix from that for its pseudo-inverse p."""
    pt, gt = swapped(p), swapped(g)
    m, n = a.shape[-2:]
    direct = -times(pt, g, pt)
    # What a change of the range, and one of the null space, do to the pseudo-inverse.
    range_ = MatMul.apply(eye_like(a, m) - times(a, p), times(gt, p, pt))
    null = MatMul.apply(times(pt, p, gt), eye_like(a, n) - times(p, a))
    return direct + range_ + null


@op
class LeastSquares(Op):
    """x with the least |a x - b|, and among those the least |x|.  b: (..., M, K) -> (..., N, K)"""

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((draw.normal(*s), draw.normal(s[0], 2)), {"rcond": None})
            for s in ((4, 2), (2, 3), (3, 3))
        ]

    def forward(self, a: Array, b: Array, rcond: float | None) -> Array:
        def solved(x: Array, y: Array) -> Array:
            lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
            found = np.empty((*lead, x.shape[-1], y.shape[-1]), x.dtype)
            left = np.broadcast_to(x, (*lead, *x.shape[-2:]))
            right = np.broadcast_to(y, (*lead, *y.shape[-2:]))
            for i in np.ndindex(lead):
                found[i] = np.linalg.lstsq(left[i], right[i], rcond=rcond)[0]
            return found

        found: Array = computed("lstsq", solved, a, b)
        return found

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b = self.saved(0), self.saved(1)
        limit = max(a.shape[-2:]) * float(np.finfo(a.array.dtype).eps)
        p = PseudoInverse.apply(a, rcond=limit, atol=0.0)
        da = pseudo_gradient(a, p, MatMul.apply(g, swapped(b))) if self.needs(0) else None
        return da, MatMul.apply(swapped(p), g)


# ---------------------------------------------------------------- determinants
@op
class Determinant(Op):
    """y = the determinant of a"""

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((invertible(draw, 2),), {}),
            ((np.stack([invertible(draw, 2)] * 2),), {}),
            ((invertible(draw, 3).T,), {}),
            ((np.array([[1.0, 2.0], [2.0, 4.0]]),), {}),  # singular: smooth all the same
        ]

    def forward(self, a: Array) -> Array:
        self.y: Array = computed("det", np.linalg.det, a)
        return self.y

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, wide = self.saved(0), (*self.shape, 1, 1)
        if bool((host(self.y) == 0).any()):
            return (g.reshape(wide) * cofactors(a),)
        y = self.output()
        return ((g * y).reshape(wide) * swapped(Inverse.apply(a)),)


def cofactors(a: Any) -> Any:
    """Return the derivatives of a determinant that may be 0, from the singular values."""
    u, s, vh = SingularValues.apply(a, full=False)
    n = s.shape[-1]
    spread = where(eye_like(a, n) == 1, 1.0, s.unsqueeze(-2))
    others = spread.prod(-1)
    turn = Determinant.apply(u.detach()) * Determinant.apply(vh.detach())
    return turn.reshape(*turn.shape, 1, 1) * times(u * others.unsqueeze(-2), vh)


@op
class SignLogDeterminant(Op):
    """(sign, log |det a|)"""

    several = True

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((invertible(draw, 2),), {}),
            ((-np.stack([invertible(draw, 3)] * 2),), {}),
        ]

    def forward(self, a: Array) -> tuple[Array, Array]:
        sign, size = computed("slogdet", lambda x: tuple(np.linalg.slogdet(x)), a)
        return sign, size

    def backward(self, _: Any, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        if g is None:
            return (a * 0,)
        return (g.reshape(*g.shape, 1, 1) * swapped(Inverse.apply(a)),)


# ---------------------------------------------------------------- of symmetric matrices
@op
class Cholesky(Op):
    """y = the lower triangle with y y^T = (a + a^T) / 2"""

    keeps = False

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((symmetric(draw, 2),), {}),
            ((np.stack([symmetric(draw, 3)] * 2),), {}),
        ]

    def forward(self, a: Array) -> Array:
        def lower(x: Array) -> Array:
            return np.linalg.cholesky((x + np.swapaxes(x, -1, -2)) / 2)

        self.y: Array = computed("cholesky", lower, a)
        return self.y

    def backward(self, g: Any) -> tuple[Any, ...]:
        y = self.output()
        turned = swapped(y)
        inner = tril(MatMul.apply(turned, g))
        inner = inner - diag_embed(diagonal(inner, 0, -2, -1)) * 0.5
        left = Solve.apply(turned, inner)
        both = swapped(Solve.apply(turned, swapped(left)))
        return ((both + swapped(both)) * 0.5,)


@op
class SymmetricEigen(Op):
    """(w, v): eigenvalues, rising, and eigenvectors, as columns, of (a + a^T) / 2"""

    several = True
    keeps = False

    @staticmethod
    def samples(draw: Any) -> Any:
        return [((symmetric(draw, 2),), {}), ((np.stack([symmetric(draw, 3)] * 2),), {})]

    def forward(self, a: Array) -> tuple[Array, ...]:
        def eigen(x: Array) -> tuple[Array, ...]:
            return tuple(np.linalg.eigh((x + np.swapaxes(x, -1, -2)) / 2))

        self.kept = computed("eigh", eigen, a)
        return tuple(copy_of(y) for y in self.kept)

    def backward(self, gw: Any, gv: Any) -> tuple[Any, ...]:
        w, v = outputs_of(self, self.kept)
        inner = None if gw is None else diag_embed(gw)
        if gv is not None:
            n = w.shape[-1]
            gaps = where(eye_like(w, n) == 1, 1.0, w.unsqueeze(-2) - w.unsqueeze(-1))
            turns = where(eye_like(w, n) == 1, 0.0, MatMul.apply(swapped(v), gv) / gaps)
            inner = turns if inner is None else inner + turns
        found = times(v, inner, swapped(v))
        return ((found + swapped(found)) * 0.5,)


def outputs_of(node: Any, arrays: tuple[Array, ...]) -> tuple[Any, ...]:
    """Return kept outputs of an op of several, as tensors that are functions of its inputs."""
    made = []
    for i, array in enumerate(arrays):
        t = Bridge.new(array)
        t.tracked = True
        t.node = Slot(node, i, array)
        made.append(t)
    return tuple(made)


# ---------------------------------------------------------------- of any matrices
@op
class SingularValues(Op):
    """(u, s, vh): a = u diag(s) vh, s falling; full: u and vh square"""

    several = True
    keeps = False

    @staticmethod
    def samples(draw: Any) -> Any:
        return [((apart(draw, *s),), {"full": False}) for s in ((3, 2), (2, 3), (2, 2))]

    def forward(self, a: Array, full: bool) -> tuple[Array, ...]:
        def values(x: Array) -> tuple[Array, ...]:
            return tuple(np.linalg.svd(x, full_matrices=full))

        self.kept = computed("svd", values, a)
        return tuple(copy_of(y) for y in self.kept)

    def backward(self, gu: Any, gs: Any, gvh: Any) -> tuple[Any, ...]:
        u, s, vh = outputs_of(self, self.kept)
        k = s.shape[-1]
        u, vh = u[..., :, :k], vh[..., :k, :]
        gu = None if gu is None else gu[..., :, :k]
        gv = None if gvh is None else swapped(gvh[..., :k, :])
        v = swapped(vh)
        total = None if gs is None else times(u * gs.unsqueeze(-2), vh)
        if gu is None and gv is None:
            return (total,)
        one = eye_like(s, k) == 1
        squares = s * s
        gaps = where(one, 1.0, squares.unsqueeze(-2) - squares.unsqueeze(-1))
        inner = None
        for g, basis, left in ((gu, u, True), (gv, v, False)):
            if g is None:
                continue
            skew = MatMul.apply(swapped(basis), g)
            skew = where(one, 0.0, (skew - swapped(skew)) / gaps)
            part = skew * s.unsqueeze(-2) if left else skew * s.unsqueeze(-1)
            inner = part if inner is None else inner + part
        found = times(u, inner, vh)
        if gu is not None and u.shape[-2] > k:
            rest = gu / s.unsqueeze(-2)
            found = found + MatMul.apply(rest - times(u, swapped(u), rest), vh)
        if gv is not None and v.shape[-2] > k:
            rest = gv / s.unsqueeze(-2)
            found = found + MatMul.apply(u, swapped(rest - times(v, vh, rest)))
        return (found if total is None else total + found,)


@op
class QR(Op):
    """(q, r): a = q r, q's columns orthonormal, r an upper triangle; mode: reduced or complete"""

    several = True
    keeps = False

    @staticmethod
    def samples(draw: Any) -> Any:
        return [((apart(draw, *s),), {"mode": "reduced"}) for s in ((3, 2), (2, 3), (3, 3))]

    def forward(self, a: Array, mode: str) -> tuple[Array, ...]:
        self.was = a.shape

        def factors(x: Array) -> tuple[Array, ...]:
            return tuple(np.linalg.qr(x, mode))  # type: ignore[call-overload]

        self.kept = computed("qr", factors, a)
        return tuple(copy_of(y) for y in self.kept)

    def backward(self, gq: Any, gr: Any) -> tuple[Any, ...]:
        m, n = self.was[-2:]
        if self.meta["mode"] == "complete" and m > n:
            raise RuntimeError(
                "qr: mode 'complete' has no gradient where there are more rows than columns; use "
                "'reduced'"
            )
        q, r = outputs_of(self, self.kept)
        if gq is None:
            gq = zeros_of(q.shape, q)
        if gr is None:
            gr = zeros_of(r.shape, r)
        if m >= n:
            return (self.of_tall(q, r, gq, gr),)
        u, v = r[..., :, :m], r[..., :, m:]
        gu, gv = gr[..., :, :m], gr[..., :, m:]
        rest = MatMul.apply(q, v)
        first = self.of_tall(q, u, gq + MatMul.apply(rest, swapped(gv)), gu)
        return (cat([first, MatMul.apply(q, gv)], -1),)

    def of_tall(self, q: Any, r: Any, gq: Any, gr: Any) -> Any:
        """Return the gradient where r is square."""
        inner = MatMul.apply(r, swapped(gr)) - MatMul.apply(swapped(gq), q)
        lower = tril(inner)
        mirrored = lower + swapped(tril(inner, -1))
        whole = gq + MatMul.apply(q, mirrored)
        return swapped(Solve.apply(r, swapped(whole), lenient=True))


@op
class LU(Op):
    """(p, l, u): a = p l u, p a permutation, l a unit lower and u an upper triangle"""

    several = True
    keeps = False

    @staticmethod
    def samples(draw: Any) -> Any:
        return [((apart(draw, *s),), {}) for s in ((3, 2), (2, 3), (3, 3))]

    def forward(self, a: Array) -> tuple[Array, ...]:
        self.kept = computed("lu", factored, a)
        return tuple(copy_of(y) for y in self.kept)

    def backward(self, _: Any, gl: Any, gu: Any) -> tuple[Any, ...]:
        p, left, right = outputs_of(self, self.kept)
        m, n = left.shape[-2], right.shape[-1]
        k = min(m, n)
        gl = zeros_of(left.shape, left) if gl is None else gl
        gu = zeros_of(right.shape, right) if gu is None else gu
        l1, u1 = left[..., :k, :], right[..., :, :k]
        gl1, gu1 = gl[..., :k, :], gu[..., :, :k]
        inner = tril(MatMul.apply(swapped(l1), gl1), -1) + triu(MatMul.apply(gu1, swapped(u1)))
        if m > k:
            l2, gl2 = left[..., k:, :], gl[..., k:, :]
            inner = inner - triu(MatMul.apply(swapped(l2), gl2))
        if n > k:
            u2, gu2 = right[..., :, k:], gu[..., :, k:]
            inner = inner - tril(MatMul.apply(gu2, swapped(u2)), -1)
        lt, ut = swapped(l1), u1
        core = swapped(Solve.apply(ut, swapped(Solve.apply(lt, inner)), lenient=True))
        if m > k:
            core = cat([core, swapped(Solve.apply(ut, swapped(gl[..., k:, :]), lenient=True))], -2)
        if n > k:
            core = cat([core, Solve.apply(lt, gu[..., :, k:])], -1)
        return (MatMul.apply(p.detach(), core),)


def factored(a: Array) -> tuple[Array, Array, Array]:
    """Return p, l, u of matrices, by elimination with the largest pivot of each column."""
    *lead, m, n = a.shape
    k = min(m, n)
    p, left = np.zeros((*lead, m, m), a.dtype), np.zeros((*lead, m, k), a.dtype)
    right = np.zeros((*lead, k, n), a.dtype)
    for i in np.ndindex(*lead):
        rows, x = pivoted(a[i])
        p[i][rows, np.arange(m)] = 1
        left[i] = np.tril(x[:, :k], -1) + np.eye(m, k)
        right[i] = np.triu(x[:k])
    return p, left, right


def pivoted(a: Array) -> tuple[Array, Array]:
    """Return the order of the rows, and l below u in one matrix."""
    x, order = np.array(a), np.arange(len(a))
    for j in range(min(x.shape)):
        best = j + int(np.argmax(np.abs(x[j:, j]))) if len(x) > j else j
        if best != j:
            x[[j, best]], order[[j, best]] = x[[best, j]], order[[best, j]]
        if x[j, j]:
            x[j + 1 :, j] /= x[j, j]
            x[j + 1 :, j + 1 :] -= np.outer(x[j + 1 :, j], x[j, j + 1 :])
    return order, x
