"""Linear algebra as functions: `minigrad.linalg`, and the names of old in `minigrad` itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import Bridge
from minigrad.ops import decompositions as ops
from minigrad.ops import triangles
from minigrad.ops.arranging import beside, movedim
from minigrad.ops.common import axis_of
from minigrad.ops.elementwise import where
from minigrad.ops.grammar import host
from minigrad.ops.linalg import matmul, swapped
from minigrad.ops.products import chained
from minigrad.ops.registry import public
from minigrad.ops.results import result
from minigrad.ops.shape import Reshape, expand

Slogdet = result("slogdet", "sign", "logabsdet")
LinalgEigh = result("linalg_eigh", "eigenvalues", "eigenvectors")
LinalgSvd = result("linalg_svd", "U", "S", "Vh")
Svd = result("svd", "U", "S", "V")
Qr = result("qr", "Q", "R")
Lu = result("linalg_lu", "P", "L", "U")
LuFactor = result("linalg_lu_factor", "LU", "pivots")
Lstsq = result("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
TriangularSolve = result("triangular_solve", "solution", "cloned_coefficient")
InvEx = result("linalg_inv_ex", "inverse", "info")
CholeskyEx = result("linalg_cholesky_ex", "L", "info")
SolveEx = result("linalg_solve_ex", "result", "info")


def matrices(name: str, *tensors: Any, square: bool = False) -> None:
    """Refuse what are no floating matrices, or none as wide as high."""
    for t in tensors:
        if not isinstance(t, Bridge.tensor):
            raise ArgumentTypeError(f"{name}: expected tensors, got {type(t).__name__}")
        if t.array.dtype.kind != "f":
            raise ArgumentTypeError(
                f"{name}: expected floating matrices, got {t.dtype}; use .float()"
            )
        if t.ndim < 2:
            raise ArgumentError(f"{name}: expected matrices (..., M, N), got shape {t.shape}")
        if square and t.shape[-1] != t.shape[-2]:
            raise ArgumentError(f"{name}: expected square matrices (..., N, N), got {t.shape}")
    if len({t.array.dtype for t in tensors}) > 1:
        raise ArgumentTypeError(
            f"{name}: dtypes {[str(t.dtype) for t in tensors]} differ; convert one"
        )


# ---------------------------------------------------------------- solutions
@public("linalg")
def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """Return X with A X = B, or with left=False X A = B.

    Shape: A: (..., N, N), B: (..., N, K) or (..., N), a vector where it has A's leading sizes.
    Raises: LinAlgError for a singular A.

    >>> import minigrad as mg
    >>> solve(mg.tensor([[2.0, 0.0], [0.0, 4.0]]), mg.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    matrices("solve", A, square=True)
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    b = B.unsqueeze(-1) if vector else B
    if B.dtype != A.dtype:
        raise ArgumentTypeError(
            f"solve: dtypes {A.dtype} and {B.dtype} differ; convert one of them"
        )
    size = b.shape[-2 if left or vector else -1]
    if size != A.shape[-1]:
        raise ArgumentError(f"solve: shapes {A.shape} and {B.shape} do not fit")
    if left or vector:
        x = ops.Solve.apply(A if left else swapped(A), b)
    else:
        x = swapped(ops.Solve.apply(swapped(A), swapped(b)))
    return x.squeeze(-1) if vector else x


@public("linalg")
def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    """Return (X, info) with A X = B; info: 0.  A singular A raises here, whatever check_errors."""
    return SolveEx(solve(A, B, left=left), no_errors(A))


def no_errors(A: Any) -> Any:
    """Return a 0 for each matrix."""
    return beside(np.zeros(A.shape[:-2], np.int32), A)


@public("linalg")
def inv(A: Any) -> Any:
    """Return the inverse of a square matrix, or of each of a batch.

    Raises: LinAlgError for a singular one.

    >>> import minigrad as mg
    >>> inv(mg.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    matrices("inv", A, square=True)
    return ops.Inverse.apply(A)


@public("linalg")
def inv_ex(A: Any, *, check_errors: bool = False) -> Any:
    """Return (inverse, info); info: 0.  A singular A raises here, whatever check_errors."""
    return InvEx(inv(A), no_errors(A))


@public("tensor")
def inverse(input: Any) -> Any:
    """Return the inverse of a square matrix; see `linalg.inv`."""
    return inv(input)


@public("linalg")
def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """Return X with A X = B, or with left=False X A = B, of a triangle A; its other half is not
    looked at, nor with `unitriangular` its diagonal, which counts as 1.
    """
    matrices("solve_triangular", A, B)
    if A.shape[-1] != A.shape[-2] or B.shape[-2 if left else -1] != A.shape[-1]:
        raise ArgumentError(f"solve_triangular: shapes {A.shape} and {B.shape} do not fit")
    half = (
        triangles.triu(A, int(unitriangular)) if upper else triangles.tril(A, -int(unitriangular))
    )
    if unitriangular:
        half = half + ops.eye_like(A, A.shape[-1])
    if left:
        return ops.Solve.apply(half, B)
    return swapped(ops.Solve.apply(swapped(half), swapped(B)))


@public("tensor")
def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """Return (X, A) with A X = b of a triangle A; see `linalg.solve_triangular`."""
    used = swapped(A) if transpose else A
    x = solve_triangular(used, b, upper=upper != transpose, unitriangular=unitriangular)
    return TriangularSolve(x, A.clone())


@public("linalg")
def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """Return (solution, residuals, rank, singular_values): X with the least |A X - B|.

    rcond: a singular value up to this times the largest counts as 0.
    driver: "gelsy", "gelsd", "gelss" or "gels"; LAPACK's gelsd runs whatever is said, and rank and
        singular_values are returned where PyTorch returns them for that name.
    Shape: A: (..., M, N), B: (..., M, K) or (..., M) -> (..., N, K) or (..., N).

    >>> import minigrad as mg
    >>> A, b = mg.tensor([[1.0], [1.0]]), mg.tensor([[1.0], [3.0]])
    >>> round(lstsq(A, b).solution.item(), 4)
    2.0
    """
    matrices("lstsq", A)
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise ArgumentError(f"lstsq: driver {driver!r} is none of gels, gelsy, gelsd, gelss")
    driver = driver or "gelsy"
    vector = B.ndim == A.ndim - 1 and A.shape[:-1] == B.shape
    b = B.unsqueeze(-1) if vector else B
    if b.ndim != A.ndim or b.shape[-2] != A.shape[-2] or b.dtype != A.dtype:
        raise ArgumentError(
            f"lstsq: {A.dtype} {A.shape} and {B.dtype} {B.shape} do not fit: as many rows, and one "
            "dtype"
        )
    x = ops.LeastSquares.apply(A, b, rcond=rcond)
    with_values = driver in ("gelsd", "gelss")
    singular = svdvals(A.detach())
    floor = np.finfo(A.array.dtype).eps * max(A.shape[-2:]) if rcond is None else rcond
    large = host(singular) > floor * host(singular).max(-1, keepdims=True, initial=0)
    ranks = large.sum(-1)
    m, n = A.shape[-2:]
    empty = Reshape.apply(x, shape=(-1,))[:0]
    residuals = empty
    if m > n and driver != "gelsy" and (driver == "gels" or bool((ranks == n).all())):
        gap = matmul(A, x) - b
        residuals = (gap * gap).sum(-2)
    rank = beside(np.zeros(0, np.int64), A) if driver == "gels" else beside(ranks, A)
    solution = x.squeeze(-1) if vector else x
    values = singular if with_values else empty.detach()
    return Lstsq(solution, residuals, rank, values)


@public("linalg")
def pinv(
    A: Any,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Any:
    """Return the pseudo-inverse, by the singular values.

    rtol, atol: a singular value up to rtol times the largest, or up to atol, counts as 0.
    Shape: (..., M, N) -> (..., N, M).
    Source: Penrose, "A generalized inverse for matrices" (1955).
    """
    matrices("pinv", A, square=hermitian)
    rcond = rtol if rcond is None else rcond
    x = mirrored(A, False) if hermitian else A
    x = (x + swapped(x)) * 0.5 if hermitian else x
    return ops.PseudoInverse.apply(x, **limits(A, atol, rcond))


def limits(A: Any, atol: Any, rtol: Any) -> dict[str, Any]:
    """Return below what singular values count as 0: numbers, or one for each matrix."""

    def numbers(x: Any) -> Any:
        return host(x) if hasattr(x, "array") else np.asarray(float(x))

    if rtol is None:
        small = max(A.shape[-2:]) * float(np.finfo(A.array.dtype).eps)
        rtol = small if atol is None or not numbers(atol).any() else 0.0
    return {"rcond": numbers(rtol), "atol": numbers(0 if atol is None else atol)}


@public("tensor")
def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """Return the pseudo-inverse; see `linalg.pinv`."""
    return pinv(input, rcond)


# ---------------------------------------------------------------- determinants
@public("linalg", "tensor")
def det(A: Any) -> Any:
    """Return the determinant of a square matrix, or of each of a batch.

    >>> import minigrad as mg
    >>> mg.det(mg.tensor([[4.0, 0.0], [3.0, 2.0]]))
    tensor(8.)
    """
    matrices("det", A, square=True)
    return ops.Determinant.apply(A)


@public("linalg", "tensor")
def slogdet(A: Any) -> Any:
    """Return (sign, logabsdet): the determinant without overflow."""
    matrices("slogdet", A, square=True)
    return Slogdet(*ops.SignLogDeterminant.apply(A))


@public("tensor")
def logdet(input: Any) -> Any:
    """Return the logarithm of the determinant, NaN where that is negative."""
    sign, size = slogdet(input)
    none = sign.detach() <= 0
    if not bool(none.any()):
        return size
    return where(none, where(sign.detach() == 0, size, math.nan), size)


# ---------------------------------------------------------------- decompositions
def mirrored(A: Any, upper: bool) -> Any:
    """Return a symmetric matrix: itself, or of one that is none what one of its halves says; the
    gradient goes to both halves all the same, as PyTorch has it.
    """
    held = host(A)
    gap = np.abs(held - np.swapaxes(held, -1, -2)).max(initial=0)
    rounding = 16 * np.finfo(held.dtype).eps * np.abs(held).max(initial=0)
    if not gap > rounding:
        return A
    inner = triangles.triu(A, 1) if upper else triangles.tril(A, -1)
    half = triangles.triu(A) if upper else triangles.tril(A)
    return A + (half + swapped(inner) - A).detach()


@public("linalg")
def cholesky(A: Any, *, upper: bool = False) -> Any:
    """Return the triangle L with L L^T = A, A symmetric and positive definite; upper: U^T U = A.

    Raises: LinAlgError for a matrix that is not positive definite.

    >>> import minigrad as mg
    >>> cholesky(mg.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    matrices("cholesky", A, square=True)
    lower = ops.Cholesky.apply(mirrored(A, upper))
    return swapped(lower) if upper else lower


@public("linalg")
def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    """Return (L, info); info: 0.  What is not positive definite raises, whatever check_errors."""
    return CholeskyEx(cholesky(A, upper=upper), no_errors(A))


def triangle(L: Any, upper: bool) -> Any:
    """Return one half of a matrix: itself where the other is 0."""
    other = np.tril(host(L), -1) if upper else np.triu(host(L), 1)
    if not other.any():
        return L
    return triangles.triu(L) if upper else triangles.tril(L)


@public("tensor")
def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Any:
    """Return X with A X = B, from the triangle that `cholesky` gives of A."""
    half = triangle(L, upper)
    turned = swapped(half)
    first, second = (turned, half) if upper else (half, turned)
    return ops.Solve.apply(second, ops.Solve.apply(first, B))


@public("tensor")
def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """Return the inverse of A, from the triangle that `cholesky` gives of it."""
    return cholesky_solve(expand(ops.eye_like(L, L.shape[-1]), L.shape), L, upper)


@public("linalg")
def qr(A: Any, mode: str = "reduced") -> Any:
    """Return (Q, R): A = Q R, the columns of Q orthonormal, R an upper triangle.

    mode: "reduced", "complete" (Q square), or "r" (no Q, without gradients).
    """
    matrices("qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(f"qr: mode must be 'reduced', 'complete' or 'r', got {mode!r}")
    if mode == "r":
        if A.requires_grad:
            raise RuntimeError("qr: mode 'r' has no gradient; use 'reduced'")
        return Qr(beside(np.zeros(0, A.array.dtype), A), ops.QR.apply(A, mode="reduced")[1])
    return Qr(*ops.QR.apply(A, mode=mode))


@public("linalg")
def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """Return (U, S, Vh): A = U diag(S) Vh, S falling; full_matrices: U and Vh square.

    Gradients of U and Vh are those of one choice of signs, and not finite where singular values
    are equal.
    """
    matrices("svd", A)
    return LinalgSvd(*ops.SingularValues.apply(A, full=bool(full_matrices)))


@public("linalg")
def svdvals(A: Any, *, driver: str | None = None) -> Any:
    """Return the singular values, falling."""
    matrices("svdvals", A)
    return ops.SingularValues.apply(A, full=False)[1]


@public("linalg")
def eigh(A: Any, UPLO: str = "L") -> Any:
    """Return (eigenvalues, eigenvectors) of symmetric matrices: rising, and as columns.

    UPLO: which half of A is looked at, "L" or "U".  Gradients of eigenvectors are not finite where
    eigenvalues are equal.

    >>> import minigrad as mg
    >>> eigh(mg.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    matrices("eigh", A, square=True)
    if UPLO.upper() not in ("L", "U"):
        raise ArgumentError(f"eigh: UPLO must be 'L' or 'U', got {UPLO!r}")
    return LinalgEigh(*ops.SymmetricEigen.apply(mirrored(A, UPLO.upper() == "U")))


@public("linalg")
def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Return the eigenvalues of symmetric matrices, rising."""
    return eigh(A, UPLO).eigenvalues


@public("linalg")
def eig(A: Any) -> Any:
    """Refuse: eigenvalues of any matrix are complex, and there are no complex tensors.

    Raises: NotImplementedError, always.
    """
    raise NotImplementedError(
        "eig: eigenvalues of a matrix that need not be symmetric are complex, and minigrad has no "
        "complex tensors; linalg.eigh takes symmetric matrices, numpy.linalg.eig any"
    )


@public("linalg")
def eigvals(A: Any) -> Any:
    """Refuse, as `eig` does.

    Raises: NotImplementedError, always.
    """
    return eig(A)


@public("linalg")
def lu(A: Any, *, pivot: bool = True) -> Any:
    """Return (P, L, U): A = P L U, a permutation, a unit lower and an upper triangle."""
    matrices("lu", A)
    check_pivot(pivot)
    p, left, right = ops.LU.apply(A)
    return Lu(p.detach(), left, right)


def check_pivot(pivot: bool) -> None:
    """Refuse what PyTorch has on a GPU alone."""
    if not pivot:
        raise ArgumentError("lu: pivot=False is not stable, and PyTorch has it on a GPU alone")


@public("linalg")
def lu_factor(A: Any, *, pivot: bool = True) -> Any:
    """Return (LU, pivots): both triangles in one matrix, and with which row each was exchanged,
    counted from 1; for `lu_solve`.
    """
    matrices("lu_factor", A)
    check_pivot(pivot)
    p, left, right = ops.LU.apply(A)
    m, n = A.shape[-2:]
    k = min(m, n)
    below = triangles.tril(left, -1)
    if m > k or n > k:
        wide = ops.zeros_of((*A.shape[:-2], m, n), A)
        y = wide.clone()
        y[..., :, :k] = below
        y = y + (right if m == k else padded(right, m))
    else:
        y = below + right
    return LuFactor(y, beside(exchanges(host(p), k), A))


def padded(t: Any, rows: int) -> Any:
    """Return matrices with rows of zeros behind."""
    y = ops.zeros_of((*t.shape[:-2], rows, t.shape[-1]), t).clone()
    y[..., : t.shape[-2], :] = t
    return y


def exchanges(p: Any, k: int) -> Any:
    """Return which rows were exchanged one after another to make permutations."""
    order = p.argmax(-2)  # column j of p has its 1 in the row that came to place j
    lead, m = order.shape[:-1], order.shape[-1]
    found = np.zeros((*lead, k), np.int32)
    for i in np.ndindex(*lead):
        now = list(range(m))
        for j in range(k):
            at = now.index(int(order[i][j]))
            now[j], now[at] = now[at], now[j]
            found[i][j] = at + 1
    return found


@public("linalg")
def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """Return X with A X = B from `lu_factor` of A; left=False: X A = B; adjoint: A^T for A."""
    lower = triangles.tril(LU, -1) + ops.eye_like(LU, LU.shape[-1])
    upper = triangles.triu(LU)
    p = permutation(LU, host(pivots))
    A = matmul(p, matmul(lower, upper))
    return solve(swapped(A) if adjoint else A, B, left=left)


def permutation(LU: Any, pivots: Any) -> Any:
    """Return the permutations that pivots stand for, as matrices."""
    m = LU.shape[-2]
    found = np.zeros((*pivots.shape[:-1], m, m), LU.array.dtype)
    for i in np.ndindex(*pivots.shape[:-1]):
        order = np.arange(m)
        for j, at in enumerate(pivots[i]):
            order[[j, at - 1]] = order[[at - 1, j]]
        found[i][order, np.arange(m)] = 1
    return beside(found, LU)


# ---------------------------------------------------------------- products and powers
@public("linalg", "tensor")
def matrix_power(A: Any, n: int) -> Any:
    """Return A multiplied by itself n times, of its inverse for a negative n.

    >>> import minigrad as mg
    >>> mg.matrix_power(mg.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ArgumentError(f"matrix_power: expected square matrices, got {A.shape}")
    if n < 0:
        A, n = inv(A), -n
    y = None
    while n:
        if n & 1:
            y = A if y is None else matmul(y, A)
        n >>= 1
        A = matmul(A, A) if n else A
    if y is None:
        one = expand(ops.eye_like(A, A.shape[-1]), A.shape)
        return where(beside(np.zeros((), bool), A), A, one)  # a constant function of A
    return y


@public("linalg", "tensor")
def matrix_exp(A: Any) -> Any:
    """Return the exponential of square matrices: sum of A^k / k!, by squaring that of A / 2^s.

    Source: Moler and Van Loan, "Nineteen dubious ways to compute the exponential of a matrix"
        (2003), method 3.
    """
    matrices("matrix_exp", A, square=True)
    most = float(np.abs(host(A)).sum(-2).max(initial=0)) if A.array.size else 0.0
    halvings = max(0, math.ceil(math.log2(most)) + 2) if most > 0 and math.isfinite(most) else 0
    x = A / 2.0**halvings
    y = ops.eye_like(A, A.shape[-1])
    for k in range(16, 0, -1):  # Horner's scheme; |x| <= 1/4, so the rest is below 1e-24
        y = ops.eye_like(A, A.shape[-1]) + matmul(x, y) / k
    for _ in range(halvings):
        y = matmul(y, y)
    return y


@public("linalg")
def multi_dot(tensors: Sequence[Any]) -> Any:
    """Return the product of matrices in the order that needs the fewest multiplications; the first
    and the last may be vectors.
    """
    found = list(tensors)
    if len(found) < 2:
        raise ArgumentError(f"multi_dot: expected at least two tensors, got {len(found)}")
    first, last = found[0].ndim == 1, found[-1].ndim == 1
    found[0] = found[0].unsqueeze(0) if first else found[0]
    found[-1] = found[-1].unsqueeze(1) if last else found[-1]
    for t in found:
        if t.ndim != 2:
            raise ArgumentError(f"multi_dot: expected matrices, got shape {t.shape}")
    y = chained(found)
    y = y.squeeze(0) if first else y
    return y.squeeze(-1) if last else y


@public("linalg")
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Return the inner products of vectors along `dim`, both broadcast."""
    return (x * y).sum(dim).to(x.dtype)


@public("linalg")
def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """Return the cross product of vectors of three along `dim`."""
    return triangles.crossed("cross", input, other, dim)


@public("linalg")
def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Return a diagonal of matrices, a view; see `minigrad.diagonal`."""
    return triangles.diagonal(A, offset, dim1, dim2)


@public("linalg")
def vander(x: Any, N: int | None = None) -> Any:
    """Return the powers of vectors, rising, along a new last dimension."""
    x = x if x.ndim else Reshape.apply(x, shape=(1,))
    return triangles.powers(x, x.shape[-1] if N is None else N, True)


@public("linalg")
def tensorinv(A: Any, ind: int = 2) -> Any:
    """Return the inverse for `tensordot`, the first `ind` dimensions as rows."""
    if ind < 1:
        raise ArgumentError(f"tensorinv: ind must be positive, got {ind}")
    rows, columns = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(rows) != math.prod(columns):
        raise ArgumentError(f"tensorinv: {rows} and {columns} must have as many elements")
    flat = inv(Reshape.apply(A, shape=(math.prod(rows), -1)))
    return Reshape.apply(flat, shape=columns + rows)


@public("linalg")
def tensorsolve(A: Any, B: Any, dims: Sequence[int] | None = None) -> Any:
    """Return X with tensordot(A, X, X.ndim) = B; dims: of A, to bring to its end first."""
    if dims is not None:
        axes = [axis_of("tensorsolve", d, A.ndim) for d in dims]
        A = movedim(A, axes, list(range(A.ndim - len(axes), A.ndim)))
    shape = tuple(A.shape[B.ndim :])
    n = math.prod(shape)
    if n != B.array.size:
        raise ArgumentError(f"tensorsolve: shapes {A.shape} and {B.shape} do not fit")
    flat = solve(Reshape.apply(A, shape=(-1, n)), Reshape.apply(B, shape=(-1,)))
    return Reshape.apply(flat, shape=shape)
