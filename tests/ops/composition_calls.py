"""Calls of functions that are compositions, in PyTorch's own spelling: `CALLS[family]`.

Each is an expression of `mg` and `F`, which are minigrad or torch.  What it draws: `n` normals, `p`
positive numbers, `a` numbers of which no two are alike, `s` symmetric and `m` invertible matrices,
all of which are differentiated; `c(...)` are constants, `i` integers below the first number.
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
GOLDEN = Path(__file__).parent.parent / "golden" / "compositions.json.gz"

CALLS: dict[str, tuple[str, ...]] = {
    "arranging": (
        "n(2, 3).repeat(2, 1, 2)",
        "mg.tile(n(2, 3), (2, 2))",
        "mg.repeat_interleave(n(2, 3), 2, dim=1)",
        "mg.repeat_interleave(n(3), mg.tensor([0, 2, 1]))",
        "mg.roll(n(3, 4), (1, -2), (0, 1))",
        "n(2, 3).T.roll(1)",
        "mg.rot90(n(2, 3), 3)",
        "mg.fliplr(n(2, 3)) + mg.flipud(n(2, 3))",
        "mg.movedim(n(2, 3, 4), (0, 1), (2, 0))",
        "mg.swapaxes(n(2, 3), 0, 1)",
        "mg.narrow(n(4, 3), 0, 1, 2)",
        "n(4, 3).select(1, -1)",
        "n(2, 7).unfold(1, 3, 2)",
        "n(7, 2).T.unfold(1, 3, 1)",
        "mg.unflatten(n(2, 6), 1, (2, -1))",
        "n(2, 3).view_as(n(6))",
        "mg.hstack((n(2, 1), n(2, 2))) ** 2",
        "mg.dstack((n(2, 3), n(2, 3)))",
        "mg.column_stack((n(3), n(3, 2)))",
        "mg.concatenate((n(2, 3), n(2, 1)), axis=1)",
        "mg.tensor_split(n(5, 2), (1, 3))[1]",
        "mg.hsplit(n(2, 4), 2)[1] ** 2",
        "mg.cartesian_prod(n(2), n(3))",
        "mg.combinations(n(4), 2)",
        "mg.broadcast_tensors(n(2, 1), n(3))[0]",
        "mg.select_scatter(n(2, 3), n(3), 0, 1)",
        "mg.slice_scatter(n(4, 3), n(2, 3), 0, 0, 4, 2)",
        "mg.as_strided(n(3, 4), (2, 2), (4, 1), 1)",
        "mg.as_strided(n(6), (3, 2), (1, 1))",
    ),
    "triangles": (
        "mg.tril(n(3, 4), 1)",
        "mg.triu(n(2, 3, 3), -1)",
        "(n(3, 3) * 1).tril_()",
        "mg.diag(n(3), 1)",
        "mg.diag(n(3, 4), -1)",
        "mg.diagonal(n(2, 3, 4), 1, 2, 1) ** 2",
        "mg.diag_embed(n(2, 3), -1, 0, 2)",
        "mg.diagonal_scatter(n(3, 3), n(3))",
        "mg.trace(n(3, 4))",
        "mg.block_diag(n(2, 1), n(3))",
        "mg.kron(n(2, 2), n(1, 3))",
        "mg.vander(c(1.0, 2.0, 3.0), 3)",
        "mg.cross(n(2, 3), n(2, 3), dim=1)",
    ),
    "products": (
        "mg.einsum('ij,jk->ik', n(2, 3), n(3, 4))",
        "mg.einsum('bij,bjk,bl->bil', n(2, 2, 3), n(2, 3, 2), n(2, 4))",
        "mg.einsum('...ij,...kj->...ik', n(2, 1, 2, 3), n(3, 2, 3))",
        "mg.einsum('ii->i', n(3, 3)) ** 2",
        "mg.einsum('ij,j', n(2, 3), n(3))",
        "mg.einsum('i,j->ij', n(2), n(3))",
        "mg.einsum('bhqd,bhkd->bhqk', n(1, 2, 3, 2), n(1, 2, 2, 2))",
        "mg.einsum('ijk->', n(2, 3, 2)) ** 2",
        "mg.tensordot(n(2, 3, 2), n(3, 2, 4), 2)",
        "mg.tensordot(n(2, 3), n(4, 3), ([1], [1]))",
        "mg.inner(n(2, 3), n(4, 3))",
        "mg.addmm(n(4), n(2, 3), n(3, 4), beta=0.5, alpha=2)",
        "mg.addmv(n(2), n(2, 3), n(3))",
        "mg.baddbmm(n(2, 2, 2), n(2, 2, 3), n(2, 3, 2), beta=0)",
        "mg.addbmm(n(2, 2), n(2, 2, 3), n(2, 3, 2), alpha=3)",
        "mg.addr(n(2, 3), n(2), n(3))",
        "mg.cdist(n(2, 3), n(4, 3))",
        "mg.cdist(a(2, 3), a(3, 3) * 1.1, p=1.5)",
        "mg.dist(n(3), n(3))",
        "mg.matmul(i(9, 2, 3), i(9, 3, 2))",
    ),
    "scatter": (
        "n(3, 4).scatter(1, mg.tensor([[0, 2], [3, 1]]), n(2, 2))",
        "n(3, 4).scatter(0, mg.tensor([[0, 2, 1]]), 1.5)",
        "n(3).scatter_add(0, mg.tensor([2, 0, 2]), n(3)) ** 2",
        "n(3).scatter_reduce(0, mg.tensor([2, 0, 2]), n(3), 'prod')",
        "n(3).scatter_reduce(0, mg.tensor([2, 0, 2]), n(3), 'mean', include_self=False)",
        "a(3).scatter_reduce(0, mg.tensor([2, 0, 2]), a(3) * 1.3, 'amax')",
        "(n(2, 3) * 1).scatter_(1, mg.tensor([[1], [0]]), 0.0) ** 2",
        "n(3, 2).index_add(0, mg.tensor([1, 1]), n(2, 2), alpha=2)",
        "n(3, 2).index_copy(0, mg.tensor([2, 0]), n(2, 2)) ** 2",
        "n(3, 2).index_fill(0, mg.tensor([2, 0]), 1.0) ** 2",
        "mg.fill(n(2, 3), n()) ** 2",
        "n(3, 2).index_put((mg.tensor([0, 0]),), n(2, 2), accumulate=True)",
        "(n(3) * 1).masked_fill_(mg.tensor([True, False, True]), -1.0) ** 2",
        "mg.masked_select(n(2, 3), mg.tensor([True, False, True])) ** 2",
        "n(2, 3).masked_scatter(mg.tensor([True, False, True]), n(4)) ** 2",
        "mg.take(n(2, 3), mg.tensor([[5, 0], [1, 1]])) ** 2",
        "mg.take_along_dim(n(2, 3), mg.tensor([[2], [0]]), 1)",
        "n(2, 3).put(mg.tensor([5, 0]), n(2)) ** 2",
        "mg.nonzero(c(0.0, 2.0, 0.0, 1.0), as_tuple=True)[0]",
    ),
    "sorting": (
        "mg.sort(a(3, 4), 1, descending=True).values ** 2",
        "mg.sort(a(3, 4), 0).indices",
        "mg.topk(a(3, 4), 2).values ** 2",
        "mg.topk(a(5), 3, largest=False)[1]",
        "mg.topk(a(40), 3)[0] ** 2",
        "mg.topk(a(2, 40).T, 2, 0, largest=False)[1]",
        "mg.kthvalue(a(3, 4), 2, 0).values",
        "mg.msort(a(3, 2))",
        "mg.argsort(a(5))",
        "mg.unique(c(3.0, 1.0, 3.0), return_counts=True)[1]",
        "mg.unique_consecutive(c(1.0, 1.0, 2.0, 1.0))",
        "mg.searchsorted(c(1.0, 2.0, 3.0), c(2.0, 0.5), right=True)",
        "mg.bucketize(c(2.0, 0.5), c(1.0, 2.0, 3.0))",
        "mg.histc(c(1.0, 2.0, 1.0), 4, 0, 3)",
        "mg.bincount(i(5, 8), minlength=7)",
    ),
    "linalg": (
        "mg.linalg.solve(m(3), n(3, 2))",
        "mg.linalg.solve(m(3), n(2, 3), left=False)",
        "mg.linalg.inv(m(3)) ** 2",
        "mg.linalg.solve_triangular(m(3), n(3, 2), upper=True)",
        "mg.linalg.lstsq(n(4, 2), n(4, 1)).solution",
        "mg.linalg.pinv(n(3, 2))",
        "mg.linalg.pinv(n(2, 3))",
        "mg.det(m(3))",
        "mg.slogdet(m(3)).logabsdet",
        "mg.logdet(s(3))",
        "mg.linalg.cholesky(s(3))",
        "mg.cholesky_solve(n(3, 1), mg.linalg.cholesky(s(3)))",
        "mg.linalg.qr(n(4, 2)).Q ** 2",
        "mg.linalg.qr(n(2, 3)).R ** 2",
        "mg.linalg.svd(n(3, 2), full_matrices=False).S",
        "mg.linalg.svd(n(2, 4), full_matrices=False).Vh ** 2",
        "mg.linalg.eigvalsh(s(3))",
        "mg.linalg.eigh(s(3)).eigenvectors ** 2",
        "mg.linalg.lu(n(3, 3))[2]",
        "mg.linalg.lu(n(4, 2))[1]",
        "mg.linalg.lu_factor(n(2, 3))[0]",
        "mg.linalg.matrix_power(m(2), -2)",
        "mg.linalg.matrix_exp(n(3, 3))",
        "mg.linalg.multi_dot((n(2), n(2, 3), n(3, 4)))",
        "mg.linalg.norm(n(2, 3), 'nuc')",
        "mg.linalg.norm(n(2, 3), 2)",
        "mg.linalg.vector_norm(n(2, 3), 3, 1)",
        "mg.linalg.matrix_norm(a(2, 3), 1)",
        "mg.linalg.cond(m(3))",
        "mg.linalg.matrix_rank(m(3))",
        "mg.linalg.vecdot(n(2, 3), n(2, 3))",
        "mg.linalg.tensorinv(m(6).reshape(6, 2, 3), 1)",
        "mg.linalg.tensorsolve(m(6).reshape(2, 3, 6), n(2, 3))",
    ),
    "fft": (
        "mg.fft.irfft(n(3)) ** 2",
        "mg.fft.hfft(n(2, 3), 5, norm='ortho')",
        "mg.fft.irfftn(n(3, 2), (2, 3), norm='forward') ** 2",
        "mg.fft.fftshift(n(2, 3))",
        "mg.fft.fftfreq(5, 0.5)",
    ),
    "distances": (
        "F.cosine_similarity(n(3, 4), n(3, 4))",
        "F.pairwise_distance(n(3, 4), n(4))",
        "F.pdist(n(3, 2))",
        "F.bilinear(n(2, 3), n(2, 2), n(4, 3, 2), n(4))",
        "F.normalize(n(2, 3), 1.5)",
        "F.scaled_dot_product_attention(n(2, 3, 4), n(2, 5, 4), n(2, 5, 2))",
        "F.scaled_dot_product_attention(n(1, 3, 2), n(1, 3, 2), n(1, 3, 2), is_causal=True)",
        "F.scaled_dot_product_attention(n(1, 2, 2), n(1, 2, 2), n(1, 2, 2), attn_mask="
        "mg.tensor([[True, False], [False, False]]))",
        "F.scaled_dot_product_attention(n(4, 2, 2), n(2, 3, 2), n(2, 3, 2), enable_gqa=True)",
        "F.embedding_bag(i(4, 2, 3), n(4, 2))",
        "F.embedding_bag(i(4, 5), a(4, 2), mg.tensor([0, 2]), mode='max')",
    ),
    "masked": (
        "mg.masked.sum(n(2, 3), 1, mask=c(1.0, 0.0, 1.0) > 0)",
        "mg.masked.prod(n(2, 3), mask=c(1.0, 0.0, 1.0) > 0)",
        "mg.masked.mean(n(2, 3), (0, 1), keepdim=True, mask=c(1.0, 0.0, 1.0) > 0)",
        "mg.masked.var(n(4, 3), 0, correction=0, mask=c(1.0, 0.0, 1.0, 1.0).reshape(4, 1) > 0)",
        "mg.masked.std(n(4, 3), 0, False)",
        "mg.masked.amax(a(2, 3), 1, mask=c(0.0, 1.0, 1.0) > 0)",
        "mg.masked.amin(a(2, 3), mask=c(0.0, 1.0, 1.0) > 0)",
        "mg.masked.median(a(2, 4), 1, mask=c(0.0, 1.0, 1.0, 1.0) > 0)",
        "mg.masked.norm(n(2, 3), 3.0, 1, mask=c(0.0, 1.0, 1.0) > 0)",
        "mg.masked.logsumexp(n(2, 3), 1, mask=c(0.0, 1.0, 1.0) > 0)",
        "mg.masked.logaddexp(n(2, 3), n(3))",
        "mg.masked.softmax(n(2, 3), 1, mask=c(0.0, 1.0, 1.0) > 0)",
        "mg.masked.softmin(n(2, 3), 1)",
        "mg.masked.log_softmax(n(2, 3), 1)",
        "mg.masked.normalize(n(2, 3), 2.0, 1, mask=c(0.0, 1.0, 1.0) > 0)",
        "mg.masked.cumsum(n(2, 3), 1, mask=c(0.0, 1.0, 1.0) > 0)",
        "mg.masked.cumprod(n(2, 3), 1, mask=c(0.0, 1.0, 1.0) > 0)",
    ),
    "losses": (
        "F.kl_div(n(2, 3), p(2, 3), reduction='batchmean')",
        "F.kl_div(n(3), n(3), log_target=True)",
        "F.poisson_nll_loss(n(3), p(3), full=True)",
        "F.gaussian_nll_loss(n(3), n(3), p(3))",
        "F.hinge_embedding_loss(a(4), c(1.0, -1.0, 1.0, -1.0))",
        "F.margin_ranking_loss(n(3), n(3), c(1.0, -1.0, 1.0), 0.1)",
        "F.cosine_embedding_loss(n(3, 2), n(3, 2), c(1.0, -1.0, 1.0))",
        "F.soft_margin_loss(n(3), c(1.0, -1.0, 1.0))",
        "F.multi_margin_loss(n(2, 3), mg.tensor([0, 2]), p=2)",
        "F.multilabel_margin_loss(a(2, 3), mg.tensor([[0, 2, -1], [1, -1, 0]]))",
        "F.multilabel_soft_margin_loss(n(2, 3), c(1.0, 0.0, 1.0).expand(2, 3))",
        "F.triplet_margin_loss(n(2, 3), n(2, 3), n(2, 3), swap=True)",
        "F.linear_cross_entropy(n(2, 3), n(4, 3), mg.tensor([1, 3]), linear_bias=n(4))",
        "F.linear_cross_entropy(n(2, 3), n(4, 2, 3), mg.tensor([[1, 3], [0, -100]]), "
        "reduction='none', label_smoothing=0.1)",
        "F.mse_loss(n(3), n(3), size_average=False)",
        "F.cross_entropy(n(2, 3), mg.tensor([0, 2]), reduce=False)",
        "F.ctc_loss(mg.log_softmax(n(4, 2, 3), -1), mg.tensor([[1, 2], [2, 2]]), "
        "mg.tensor([4, 3]), mg.tensor([2, 2]))",
    ),
    "normalising": (
        "F.group_norm(n(2, 4, 3), 2, n(4), n(4))",
        "F.instance_norm(n(2, 3, 4))",
        "F.rms_norm(n(2, 3), (3,), n(3))",
        "F.local_response_norm(n(2, 4, 3), 3)",
    ),
    "images": (
        "F.conv_transpose1d(n(2, 3, 4), n(3, 2, 3), n(2), stride=2, output_padding=1)",
        "F.conv_transpose2d(n(1, 2, 3, 3), n(2, 2, 2, 3), padding=1, groups=2)",
        "F.conv_transpose3d(n(1, 2, 2, 2, 3), n(2, 1, 2, 2, 2), n(1), stride=2)",
        "F.conv3d(n(1, 2, 3, 3, 3), n(2, 2, 2, 2, 2), n(2), padding=1, stride=2)",
        "F.unfold(n(1, 2, 4, 3), (2, 2), padding=1, stride=2)",
        "F.fold(n(1, 8, 6), (3, 4), 2)",
        "F.pixel_shuffle(n(1, 4, 2, 2), 2)",
        "F.pixel_unshuffle(n(1, 1, 4, 2), 2)",
        "F.channel_shuffle(n(1, 4, 2), 2)",
        "F.interpolate(n(1, 2, 3), scale_factor=2.5, mode='linear')",
        "F.interpolate(n(1, 1, 3, 4), (5, 2), mode='nearest')",
        "F.interpolate(n(1, 1, 3, 4), (5, 2), mode='bilinear', align_corners=True)",
        "F.interpolate(n(1, 1, 6, 4), (3, 3), mode='bicubic', antialias=True)",
        "F.interpolate(n(1, 1, 3, 4), 5, mode='bicubic')",
        "F.interpolate(n(1, 1, 2, 3, 2), 3, mode='trilinear')",
        "F.interpolate(n(1, 1, 5, 4), (2, 3), mode='area')",
        "F.grid_sample(n(1, 2, 3, 3), a(1, 2, 2, 2) / 1.5)",
        "F.grid_sample(n(1, 1, 3, 3), a(1, 2, 1, 2), padding_mode='reflection', mode='bicubic')",
        "F.affine_grid(n(1, 2, 3), (1, 1, 2, 3))",
        "F.max_pool3d(a(1, 1, 3, 4, 4), 2, 1)",
        "F.fractional_max_pool2d(a(2, 7, 9), (2, 3), (3, 5), "
        "_random_samples=c(0.1, 0.6, 0.3, 0.9).reshape(1, 2, 2))",
        "F.fractional_max_pool3d(a(1, 2, 5, 6, 7), (2, 1, 3), (3, 4, 2), "
        "_random_samples=c(0.1, 0.6, 0.3, 0.9, 0.5, 0.2).reshape(1, 2, 3))",
        "F.fractional_max_pool2d(a(1, 4, 6), 2, output_ratio=(0.5, 0.5), return_indices=True, "
        "_random_samples=c(0.7, 0.2).reshape(1, 1, 2))[1]",
        "F.avg_pool3d(n(1, 1, 3, 4, 4), 2, padding=1)",
        "F.adaptive_avg_pool3d(n(1, 1, 3, 4, 3), 2)",
        "F.adaptive_max_pool3d(a(1, 1, 3, 4, 3), (1, 2, 2))",
        "F.lp_pool1d(p(1, 2, 5), 2, 2)",
        "F.lp_pool2d(p(1, 2, 4, 4), 3, 2)",
        "F.max_unpool2d(n(1, 1, 2, 2), mg.tensor([[[[0, 3], [9, 14]]]]), 2)",
        "F.max_unpool1d(n(1, 1, 2), mg.tensor([[[1, 2]]]), 2)",
    ),
}


class Draws:
    """The drawn tensors of one call, the same for every library."""

    def __init__(self, lib: Any, call: str, dtype: str) -> None:
        self.lib = lib
        self.rng = np.random.default_rng(zlib.crc32(call.encode()))
        self.dtype = dtype
        self.leaves: list[Any] = []

    def leaf(self, a: Array) -> Any:
        kind = getattr(self.lib, self.dtype)
        self.leaves.append(self.lib.tensor(a.tolist(), dtype=kind).reshape(a.shape))
        return self.leaves[-1].requires_grad_()

    def names(self) -> dict[str, Any]:
        rng, lib = self.rng, self.lib

        def apart(*shape: int) -> Any:
            n = int(np.prod(shape))
            values = (0.23 * (1 + np.arange(n)) - 0.07) * np.where(np.arange(n) % 2, 1, -1)
            return self.leaf(rng.permutation(values).reshape(shape))

        def symmetric(n: int) -> Any:
            a = rng.normal(size=(n, n)) * 0.4
            return self.leaf(a @ a.T + np.diag(1.0 + np.arange(n)))

        return {
            "n": lambda *shape: self.leaf(rng.normal(size=shape)),
            "p": lambda *shape: self.leaf(rng.uniform(0.4, 2, shape)),
            "a": apart,
            "s": symmetric,
            "m": lambda n: self.leaf(rng.normal(size=(n, n)) + 3 * np.eye(n)),
            "c": lambda *values: lib.tensor(values, dtype=getattr(lib, self.dtype)),
            "i": lambda most, *shape: lib.tensor(rng.integers(0, most, shape).tolist()),
        }


def weights(shape: tuple[int, ...]) -> Array:
    """Return what an output is weighted by: no two neighbours alike, none zero."""
    return np.asarray((1 + np.arange(int(np.prod(shape))) % 7 / 4).reshape(shape))


def evaluate(lib: Any, functional: Any, call: str, dtype: str = "float64") -> dict[str, Array]:
    """Return the value of a call, its gradients, and theirs along another direction.

    The last are left out where PyTorch has none.
    """
    draws = Draws(lib, call, dtype)
    y = eval(call, {"mg": lib, "F": functional, **draws.names()})
    found = {"y": np.array(y.detach().numpy())}
    if not y.requires_grad:
        return found
    try:
        return {**found, **slopes(lib, draws, y, dtype, True)}
    except RuntimeError:
        draws = Draws(lib, call, dtype)
        y = eval(call, {"mg": lib, "F": functional, **draws.names()})
        return {**found, **slopes(lib, draws, y, dtype, False)}


def slopes(lib: Any, draws: Draws, y: Any, dtype: str, twice: bool) -> dict[str, Array]:
    """Return the gradients of a value, and theirs."""
    grad = getattr(lib, "grad", None) or lib.autograd.grad
    leaves, kind, found = draws.leaves, getattr(lib, dtype), {}

    def constant(shape: Any) -> Any:
        return lib.tensor(weights(tuple(shape)).tolist(), dtype=kind).reshape(tuple(shape))

    first = grad(y, leaves, constant(y.shape), create_graph=twice, allow_unused=True)
    total = None
    for k, g in enumerate(first):
        found[f"d{k}"] = held(g, leaves[k])
        if g is not None and g.requires_grad:
            part = (g * constant(g.shape)).sum()
            total = part if total is None else total + part
    if total is not None:
        for k, g in enumerate(grad(total, leaves, allow_unused=True)):
            found[f"s{k}"] = held(g, leaves[k])
    return found


def held(g: Any, leaf: Any) -> Array:
    """Return a gradient as an array, zeros where there is none."""
    try:
        return np.array(g.detach().numpy())
    except (AttributeError, RuntimeError):  # none, or one of PyTorch's tensors of zeros
        return np.zeros(tuple(leaf.shape))


def write_recorded(found: dict[str, dict[str, Array]]) -> None:
    """Write the golden file: shapes and numbers."""
    held = {
        call: {part: [list(a.shape), str(a.dtype), a.reshape(-1).tolist()] for part, a in r.items()}
        for call, r in found.items()
    }
    with gzip.GzipFile(GOLDEN, "wb", mtime=0) as file:
        file.write(json.dumps(held).encode())


def recorded() -> dict[str, dict[str, Array]]:
    """Read the golden file."""
    with gzip.open(GOLDEN) as file:
        held = json.loads(file.read())
    return {
        call: {part: np.array(v, d).reshape(shape) for part, (shape, d, v) in r.items()}
        for call, r in held.items()
    }
