"""Names of old of linear algebra: what `minigrad.linalg` has under its own, with other results."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.ops import matrices, triangles
from minigrad.ops.arranging import beside
from minigrad.ops.grammar import host
from minigrad.ops.linalg import swapped
from minigrad.ops.registry import public
from minigrad.ops.results import result

LuUnpack = result("lu_unpack", "P", "L", "U")
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
