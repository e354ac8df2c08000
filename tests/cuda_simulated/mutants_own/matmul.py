"""Mutants of matmul/cuda_*.py: kernels are named by the call that makes them."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

FROM = "matmul.cuda_checks"
NAIVE = f"{FROM}:naive('plain', '', False)"
TILED = f"{FROM}:tiled('plain', '', True, float32)"
WORDS = f"{FROM}:registers('plain', '', False, 64, False, False)"
VECTORS = f"{FROM}:registers('plain', '', False, 64, True, True)"
ELEMENTS = "matmul.cuda_registers:fetcher(64, False)"
LINES = "matmul.cuda_registers:fetcher(64, True)"
WRITE = "matmul.cuda_parts:writer('plain', '', 32, 64, 68, 64)"
PARTS = "matmul.cuda_parts:combine_vectors('activation', 'tanh')"
SYNC = "cuda.syncthreads()"

MUTANTS = (
    Own(NAIVE, "gemm", "one product too many", "while d < k", "while d <= k",
        kinds=("bounds", "wrong")),
    Own(NAIVE, "gemm", "bound loosened", "while e < total", "while e <= total",
        kinds=("bounds", "error")),
    Own(TILED, "gemm_sums", "barrier after loads removed", SYNC, "pass", which=1,
        kinds=("race", "uninitialised")),
    Own(TILED, "gemm_sums", "barrier before loads removed", SYNC, "pass", which=2,
        kinds=("race",)),
    Own(TILED, "gemm_sums", "chunks overlap", "row < m and d < end", "row < m and d <= end",
        kinds=("bounds", "wrong")),
    Own(TILED, "gemm_sums", "bound loosened", "if row < m and column < n",
        "if row <= m and column < n", kinds=("bounds", "wrong", "race")),
    Own("matmul.cuda_parts:located", "gemm_sums", "last chunk not cut",
        "min(k, uint32(start + chunk))", "uint32(start + chunk)", kinds=("bounds", "wrong")),
    Own(PARTS, "gemm_activation_saved", "a part left out", "range(uint32(1), splits)",
        "range(uint32(2), splits)", kinds=("wrong",)),
    Own(PARTS, "gemm_activation_saved", "bound loosened", "while i < total", "while i <= total",
        kinds=("bounds",)),
    Own(WORDS, "gemm_bias", "tile read before it is known", SYNC, "pass", which=0,
        kinds=("race", "uninitialised")),
    Own(WORDS, "gemm_bias", "barrier after copies removed", SYNC, "pass", which=1,
        kinds=("race", "uninitialised")),
    Own(WORDS, "gemm_bias", "copies not waited for", "ptx.wait_copies(0)", "pass",
        kinds=("uninitialised", "race")),
    Own(WORDS, "gemm_bias", "c over operands in use", SYNC, "pass", which=2, kinds=("race",)),
    Own(WORDS, "gemm_bias", "c read before it is there", SYNC, "pass", which=3,
        kinds=("race", "uninitialised")),
    Own(WORDS, "gemm_bias", "second half over the first", SYNC, "pass", which=4, kinds=("race",)),
    Own(WORDS, "bmm", "accumulators not cleared", "acc = ptx.zeros(64)",
        "acc = ptx.zeros(64) if w == 0 else acc", kinds=("wrong", "error")),
    Own(WORDS, "gemm_bias", "step taken twice", "p + 3 * pitch", "p + 2 * pitch",
        kinds=("wrong",)),
    Own(VECTORS, "gemm_accumulate", "operands exchanged", "fetch_b(held, to, b, from_b",
        "fetch_b(held, to, a, from_b", kinds=("wrong", "bounds")),
    Own(ELEMENTS, "gemm_bias", "a row too many", "left = rows_left(count, row0, r)",
        "left = 1 + rows_left(count, row0, r)", kinds=("bounds",)),
    Own(ELEMENTS, "gemm_bias", "one of k too many", "if index < end", "if index <= end",
        kinds=("bounds", "wrong")),
    Own(LINES, "gemm_accumulate", "bound loosened", "< count", "<= count", kinds=("bounds",)),
    Own(LINES, "gemm_accumulate", "vector misaligned", "uint32(to + uint32(d * uint32(pitch)) + r)",
        "uint32(to + uint32(d * uint32(pitch)) + r + uint32(1))", kinds=("misaligned",)),
    Own(WRITE, "gemm_accumulate", "bound loosened", "if row < m", "if row <= m",
        kinds=("bounds",)),
    Own(WRITE, "gemm_accumulate", "steps of one thread", "v + step", "v + step // step",
        kinds=("race",)),
)  # fmt: skip
