"""Mutants of cuda/rows.py and softmax/cuda_softmax.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

LANES = "softmax.cuda_softmax:FORWARD.forms['float32', False, 1]"
VECTORS = "softmax.cuda_softmax:FORWARD.forms['float32', True, 1]"
BLOCK = "softmax.cuda_softmax:FORWARD.forms['float32', False, 4] > peak > whole"
TOP = "softmax.cuda_softmax:FORWARD.forms['float32', False, 4] > peak > top"
SUMMING = "softmax.cuda_softmax:SUMMING.forms['float32', False, 1]"
SUMMING_VECTORS = "softmax.cuda_softmax:SUMMING.forms['float32', True, 1]"
BACK_LANES = "softmax.cuda_softmax:BACKWARD.forms['float32', False, 1]"
BACK_VECTORS = "softmax.cuda_softmax:BACKWARD.forms['float32', True, 1]"
BARRIER = "cuda.syncthreads()"

MUTANTS = (
    Own(BLOCK, "softmax", "first barrier removed", BARRIER, "pass",
        kinds=("race", "uninitialised")),
    Own(BLOCK, "softmax", "second barrier removed", BARRIER, "pass", 1, ("race",)),
    Own(BLOCK, "softmax", "barrier in a branch",
        "= b\n        cuda.syncthreads()", "= b\n            cuda.syncthreads()",
        kinds=("barrier", "uninitialised")),
    Own(BLOCK, "softmax", "mask narrowed", "FULL, b", "0xFFFF, b", kinds=("warp",)),
    Own(BLOCK, "softmax", "one warp left out", "range(1, WARPS)", "range(1, WARPS - 1)"),
    Own(BLOCK, "softmax", "one warp too many", "range(1, WARPS)", "range(1, WARPS + 1)",
        kinds=("bounds", "wrong")),
    Own(BLOCK, "softmax", "halves of shared memory overlap", "uint32(w + uint32(WARPS))",
        "uint32(w + uint32(WARPS - 1))", kinds=("race", "uninitialised")),
    Own(f"{LANES} > peak > whole", "softmax", "lanes not joined", "in HALVES", "in HALVES[1:]",
        kinds=("wrong",)),
    Own("cuda.rows:warp_place", "softmax", "lanes overlap", "uint32(WARP)", "uint32(WARP // 2)",
        kinds=("race",)),
    Own("cuda.rows:block_place", "softmax", "every block takes every row",
        "uint32(cuda.gridDim.x)", "uint32(1)", kinds=("race",)),
    Own("softmax.cuda_softmax:share", "softmax", "maximum counted twice",
        "like(x, 0) if x == m else", "", kinds=("wrong",)),
    Own("softmax.cuda_softmax:tie", "softmax", "equal maxima taken for one", "like(x, 1) if",
        "like(x, 0) if", kinds=("wrong",)),
    Own(f"{LANES} > peak > top", "softmax", "lanes not joined", "in HALVES", "in HALVES[1:]",
        kinds=("wrong",)),
    Own(TOP, "softmax", "first barrier removed", BARRIER, "pass", kinds=("race", "uninitialised")),
    Own(TOP, "softmax", "second barrier removed", BARRIER, "pass", 1, ("race",)),
    Own(f"{VECTORS} > peak", "softmax", "fourth left out", "share(r, m) + share(o, m)",
        "share(r, m)", kinds=("wrong",)),
    Own(f"{VECTORS} > peak", "softmax", "bound loosened", "while j < c", "while j <= c",
        kinds=("bounds", "wrong")),
    Own(f"{VECTORS} > peak", "softmax", "lanes overlap", "threads * uint32(4)", "uint32(4)", 1,
        ("wrong",)),
    Own(f"{LANES} > peak", "softmax", "bound loosened", "while j < c", "while j <= c", 3,
        ("bounds", "wrong")),
    Own(LANES, "softmax", "bound loosened", "while j < c", "while j <= c", 1, ("bounds", "race")),
    Own(LANES, "softmax", "every warp takes every row", "row + step", "row + uint32(1)",
        kinds=("race",)),
    Own(VECTORS, "softmax", "misaligned", "store128(y, uint32(first + j)",
        "store128(y, uint32(first + j + uint32(1))", kinds=("misaligned", "bounds")),
    Own(VECTORS, "softmax", "last vector left out", "while j < c",
        "while uint32(j + uint32(4)) < c"),
    Own(VECTORS, "log_softmax", "third twice", "normalised(o,", "normalised(r,", kinds=("wrong",)),
    Own(SUMMING, "logsumexp", "every lane writes", "if t == 0", "if True", kinds=("race",)),
    Own(SUMMING_VECTORS, "logsumexp", "NaN beside infinity passed over", "if v != v:", "if False:",
        kinds=("wrong",)),
    Own(BACK_LANES, "softmax_backward", "total not joined",
        "total, _ = whole", "_, _ = whole", kinds=("wrong",)),
    Own(BACK_LANES, "softmax_backward", "accumulator not cleared", "total = kind(0)",
        "total = kind(0) if row < step else total", kinds=("wrong",)),
    Own(BACK_VECTORS, "log_softmax_backward", "half left out",
        "total += left + (weighed(g[2], v[2], log) + weighed(g[3], v[3], log))", "total += left",
        kinds=("wrong",)),
    Own("softmax.cuda_softmax:gradient", "log_softmax_backward", "total not weighed", "math.exp(y) * total",
        "total", kinds=("wrong",)),
)  # fmt: skip
