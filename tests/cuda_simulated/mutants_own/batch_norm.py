"""Mutants of norm/cuda_channels.py, norm/cuda_batch_norm_passes.py and norm/cuda_batch_norm_dropout.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

JOIN = "norm.cuda_channels:block_merged"
ADD = "norm.cuda_channels:block_added"
MOMENTS = "norm.cuda_channels:moments_4"
PLAIN = "norm.cuda_channels:moments_double"
PRODUCTS = "norm.cuda_channels:products_4"
FINISH = "norm.cuda_channels:all_merged"
NORMALISE = "norm.cuda_batch_norm_passes:normalise_4"
GRADIENT = "norm.cuda_batch_norm_passes:gradient"
SUMS = "norm.cuda_batch_norm_dropout:sums_4"
DROPPED = "norm.cuda_batch_norm_dropout:forward"
BARRIER = "cuda.syncthreads()"
FORWARD, BACKWARD = "batch_norm_forward", "batch_norm_backward"
BOTH_FORWARD, BOTH_BACKWARD = "batch_norm_dropout_forward", "batch_norm_dropout_backward"

MUTANTS = (
    Own(JOIN, FORWARD, "first barrier removed", BARRIER, "pass", kinds=("race", "uninitialised")),
    Own(JOIN, FORWARD, "second barrier removed", BARRIER, "pass", 1, ("race",)),
    Own(JOIN, FORWARD, "barrier in a branch",
        "part[2]\n    cuda.syncthreads()", "part[2]\n        cuda.syncthreads()",
        kinds=("barrier",)),
    Own(JOIN, FORWARD, "mask narrowed", "FULL, part[1]", "0xFFFF, part[1]", kinds=("warp",)),
    Own(JOIN, FORWARD, "one warp left out", "range(1, WARPS)", "range(1, WARPS - 1)",
        kinds=("wrong",)),
    Own(JOIN, FORWARD, "one warp too many", "range(1, WARPS)", "range(1, WARPS + 1)",
        kinds=("wrong", "bounds", "race", "uninitialised")),
    Own(JOIN, FORWARD, "last shuffle left out", "while step >= row_lanes", "while step > row_lanes",
        kinds=("wrong",)),
    Own(JOIN, FORWARD, "halves of shared memory overlap", "uint32(t + uint32(2 * THREADS))",
        "uint32(t + uint32(THREADS))", kinds=("uninitialised", "wrong")),
    Own(ADD, BACKWARD, "first barrier removed", BARRIER, "pass", kinds=("race", "uninitialised")),
    Own("norm.cuda_channels:merged", FORWARD, "distance left out", "+ d * d * (p[2] * share)", "",
        kinds=("wrong",)),
    Own(MOMENTS, FORWARD, "bound of the rows loosened", "while e < end", "while e <= end",
        kinds=("bounds", "wrong")),
    Own(MOMENTS, FORWARD, "bound of four loosened", "uint32(uint32(3) * step)) < end",
        "uint32(uint32(2) * step)) < end", kinds=("bounds", "wrong")),
    Own(MOMENTS, FORWARD, "columns not bounded", "if channel < c:", "if True:",
        kinds=("bounds", "wrong", "race")),
    Own(MOMENTS, FORWARD, "chunks overlap", "begin = uint32(chunk * each)", "begin = uint32(0)",
        kinds=("wrong",)),
    Own(PLAIN, FORWARD, "count not cleared", "seen = kind(0)",
        "seen = kind(0) if task == cuda.blockIdx.x else seen", kinds=("wrong",)),
    Own(PRODUCTS, BACKWARD, "odd row left out", "if e < end", "if uint32(e + step) < end",
        kinds=("wrong",)),
    Own(PRODUCTS, BACKWARD, "row counted twice", "place(uint32(e + step), channel, c, s)",
        "place(e, channel, c, s)", kinds=("wrong",)),
    Own(FINISH, FORWARD, "first chunks of a warp alone", "while k < chunks",
        "while k < min(chunks, uint32(1))", kinds=("wrong",)),
    Own(FINISH, FORWARD, "one chunk too many", "while k < chunks", "while k <= chunks",
        kinds=("bounds", "wrong", "uninitialised")),
    Own(NORMALISE, FORWARD, "bound loosened", "while index < uint32(x.size)",
        "while index <= uint32(x.size)", kinds=("bounds",)),
    Own(NORMALISE, FORWARD, "vectors overlap", "cuda.threadIdx.x) * uint32(lanes)",
        "cuda.threadIdx.x) * uint32(2)", kinds=("misaligned", "race", "bounds")),
    Own(GRADIENT, BACKWARD, "channel of the plane before", "% c)", "% uint32(c - uint32(1)))",
        kinds=("wrong", "error")),
    Own(SUMS, BOTH_BACKWARD, "mask of the row before", "g = mask(index,", "g = mask(uint32(index - c),",
        kinds=("wrong",)),
    Own(SUMS, BOTH_BACKWARD, "bound loosened", "while row < end", "while row <= end",
        kinds=("bounds", "race", "wrong")),
    Own(DROPPED, BOTH_FORWARD, "block not counted",
        "cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x", "cuda.threadIdx.x",
        kinds=("race",)),
    Own("norm.cuda_batch_norm_dropout:masks", BOTH_FORWARD, "word of its neighbour", "uint32(3)",
        "uint32(2)", kinds=("wrong",)),
)  # fmt: skip
