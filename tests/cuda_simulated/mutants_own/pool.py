"""Mutants of conv/cuda_pool_windows.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

PAIRS = "conv.cuda_pool_windows:max_pairs"
WINDOWS = "conv.cuda_pool_windows:max_windows"
SCATTER = "conv.cuda_pool_windows:max_scatter"
GATHER = "conv.cuda_pool_windows:mean_gather"
MAX, MAX_BACKWARD, MEAN_BACKWARD = "max_pool", "max_pool_backward", "avg_pool_backward"

MUTANTS = (
    Own(PAIRS, MAX, "bound loosened", "while i < uint32(y.size)", "while i <= uint32(y.size)",
        kinds=("bounds",)),
    Own(PAIRS, MAX, "vectors overlap", "uint32(upper + uint32(4))", "uint32(upper + uint32(2))",
        kinds=("misaligned",)),
    Own(PAIRS, MAX, "upper row twice", "lower = uint32(upper + w)", "lower = upper",
        kinds=("wrong",)),
    Own("conv.cuda_pool_windows:max_of_pairs", MAX, "place of its neighbour", "c, uint32(position + w)",
        "c, uint32(position + w + uint32(1))", kinds=("wrong",)),
    Own(WINDOWS, MAX, "window bound loosened", "while c < right", "while c <= right",
        kinds=("wrong", "bounds")),
    Own(WINDOWS, MAX, "dilation ignored", "c = uint32(c + e)", "c = uint32(c + uint32(1))",
        kinds=("wrong",)),
    Own(WINDOWS, MAX, "steps of one thread", "uint32(cuda.gridDim.x * cuda.blockDim.x))",
        "uint32(1))", kinds=("race",)),
    Own(SCATTER, MAX_BACKWARD, "zeros not awaited", "cuda.syncwarp(FULL)", "pass",
        kinds=("race",)),
    Own(SCATTER, MAX_BACKWARD, "turns not awaited", "cuda.syncwarp(FULL)", "pass", 1, ("race",)),
    Own(SCATTER, MAX_BACKWARD, "turns not kept", "waits == turn", "waits >= turn",
        kinds=("race", "wrong")),
    Own(SCATTER, MAX_BACKWARD, "second turn left out", "waits >= turn", "turn < uint32(1)",
        kinds=("wrong",)),
    Own(SCATTER, MAX_BACKWARD, "not cleared", "dx[uint32(start + i)] = dx.dtype.type(0)", "pass",
        kinds=("uninitialised",)),
    Own(SCATTER, MAX_BACKWARD, "mask narrowed", "match_any_sync(FULL", "match_any_sync(0xFFFF",
        kinds=("warp",)),
    Own(SCATTER, MAX_BACKWARD, "bound loosened", "first + lane) < outputs",
        "first + lane) <= outputs", kinds=("bounds", "wrong", "race")),
    Own("conv.cuda_pool_windows:mean_windows", "avg_pool", "first row alone", "while r < bottom",
        "while r < min(bottom, uint32(row_windows[k] + uint32(1)))", kinds=("wrong",)),
    Own("conv.cuda_pool_windows:mean_pairs_back", MEAN_BACKWARD, "lower row left out",
        "ptx.store128(dx, lower, (a, a, b, b))", "pass", kinds=("uninitialised", "wrong")),
    Own(GATHER, MEAN_BACKWARD, "last window left out", "uint32(m + uint32(1))",
        "uint32(m + uint32(2))", kinds=("wrong",)),
    Own(GATHER, MEAN_BACKWARD, "window bound loosened", "c < column_windows[uint32(b",
        "c <= column_windows[uint32(b", kinds=("wrong",)),
)  # fmt: skip
