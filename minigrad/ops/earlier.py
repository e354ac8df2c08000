"""Names of old of linear algebra: what `minigrad.linalg` has under its own, with other results."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError
from minigrad.ops import matrices, triangles
from minigrad.ops.arranging import beside
from minigrad.ops.grammar import host
from minigrad.ops.linalg import swapped
from minigrad.ops.registry import public
from minigrad.ops.results import result
from minigrad.ops.shape import expand

LuUnpack = result("lu_unpack", "P", "L", "U")
Geqrf = result("geqrf", "a", "tau")
LuFactorEx = result("linalg_lu_factor_ex", "LU", "pivots", "info")


@public("tensor")
def cholesky(input: Any, upper: bool = False) -> Any:
    """Return the triangle L with L L^T = input; see `linalg.cholesky`."""
    return matrices.cholesky(input, upper=upper)


@public("tensor")
def qr(input: Any, some: bool = True) -> Any:
    """Return (Q, R), Q square unless `some`; see `linalg.qr`."""
    return matrices.qr(input, "reduced" if some else "complete")


@public("tensor")
def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """Return (U, S, V), not V^T, U and V square unless `some`; see `linalg.svd`."""
    u, s, vh = matrices.svd(input, not some)
    if not compute_uv:
        u, vh = (t.detach() * 0 for t in (u, vh))
    return matrices.Svd(u, s, swapped(vh))


@public("tensor")
def lu(A: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    """Return (LU, pivots), with get_infos also zeros; see `linalg.lu_factor`."""
    found = matrices.lu_factor(A, pivot=pivot)
    return (*found, matrices.no_errors(A)) if get_infos else tuple(found)


@public("linalg")
def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """Return (LU, pivots, info); info: 0; see `lu_factor`."""
    return LuFactorEx(*matrices.lu_factor(A, pivot=pivot), matrices.no_errors(A))


@public("tensor")
def lu_solve(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """Return X with A X = b from `lu` of A; see `linalg.lu_solve`."""
    return matrices.lu_solve(LU_data, LU_pivots, b)


@public("function")
def lu_unpack(
    LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any:
    """Return (P, L, U) of what `lu` gives; what is not asked for is empty."""
    m, n = LU_data.shape[-2:]
    k = min(m, n)
    none = beside(np.zeros(0, LU_data.array.dtype), LU_data)
    p = matrices.permutation(LU_data, host(LU_pivots)) if unpack_pivots else none
    if not unpack_data:
        return LuUnpack(p, none, none)
    one = beside(np.eye(m, k, dtype=LU_data.array.dtype), LU_data)
    left = triangles.tril(LU_data[..., :, :k], -1) + one
    return LuUnpack(p, left, triangles.triu(LU_data[..., :k, :]))


# ---------------------------------------------------------------- reflections
@public("linalg")
def householder_product(A: Any, tau: Any) -> Any:
    """Return the first columns of a product of reflections I - tau_i v_i v_i^T, v_i the i-th column
    of A with 1 at its i-th place and 0 above; as `geqrf` gives them.

    Shape: A: (..., M, N), tau: (..., K), K <= N <= M -> (..., M, N).
    """
    matrices.matrices("householder_product", A)
    m, n = A.shape[-2:]
    k = tau.shape[-1]
    if not k <= n <= m or A.shape[:-2] != tau.shape[:-1] or A.dtype != tau.dtype:
        raise ArgumentError(f"householder_product: shapes {A.shape} and {tau.shape} do not fit")
    one = beside(np.eye(m, n, dtype=A.array.dtype), A)
    lines = triangles.tril(A, -1) + one
    y = expand(one, A.shape)
    for i in range(k - 1, -1, -1):
        v = lines[..., :, i : i + 1]
        y = y - tau[..., i].reshape(*tau.shape[:-1], 1, 1) * (v * (v * y).sum(-2, keepdim=True))
    return y


@public("tensor")
def orgqr(input: Any, input2: Any) -> Any:
    """Return the first columns of a product of reflections; see `linalg.householder_product`."""
    return householder_product(input, input2)


@public("tensor")
def geqrf(input: Any) -> Any:
    """Return (a, tau): R above the diagonal, the reflections whose product is Q below; without
    gradients.
    """
    matrices.matrices("geqrf", input)
    held = host(input)
    k = min(held.shape[-2:])
    packed, tau = np.empty_like(held), np.empty((*held.shape[:-2], k), held.dtype)
    for i in np.ndindex(*held.shape[:-2]):
        raw, found = np.linalg.qr(held[i], "raw")
        packed[i], tau[i] = raw.T, found
    return Geqrf(beside(packed, input), beside(tau, input))
