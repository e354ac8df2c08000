"""Mutants of norm/cuda_layer_norm.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

LANES = "norm.cuda_layer_norm:FORWARD.forms['float32', False, 1]"
VECTORS = "norm.cuda_layer_norm:FORWARD.forms['float32', True, 1]"
BACK = "norm.cuda_layer_norm:BACKWARD.forms['float32', False, 1]"
BACK_VECTORS = "norm.cuda_layer_norm:BACKWARD.forms['float32', True, 1]"
PARTS = "norm.cuda_layer_norm:column_parts"
TOTALS = "norm.cuda_layer_norm:column_totals"
FORWARD, BACKWARD = "layer_norm_forward", "layer_norm_backward"

MUTANTS = (
    Own("norm.cuda_layer_norm:affine", FORWARD, "first weight", "v * weight[j]", "v * weight[0]",
        kinds=("wrong",)),
    Own("norm.cuda_layer_norm:affine", FORWARD, "bias forgotten", "if bias.size", "if False",
        kinds=("wrong",)),
    Own(LANES, FORWARD, "total not joined", "total, _ = whole(total, kind(0), held)", "pass",
        kinds=("wrong", "warp")),
    Own(LANES, FORWARD, "deviations not joined", "square, rest = whole(square, rest, held)", "pass",
        kinds=("wrong",)),
    Own(LANES, FORWARD, "bound loosened", "while j < c", "while j <= c", 1, ("bounds", "wrong")),
    Own(LANES, FORWARD, "every lane writes", "if t == 0", "if True", kinds=("race",)),
    Own(VECTORS, FORWARD, "fourth left out", "(r * r + o * o)", "r * r", kinds=("wrong",)),
    Own(VECTORS, FORWARD, "third weight twice", "j + uint32(3)", "j + uint32(2)",
        kinds=("wrong",)),
    Own(VECTORS, FORWARD, "last vector left out", "while j < c", "while uint32(j + uint32(4)) < c",
        4),
    Own(VECTORS, FORWARD, "eps forgotten", "variance + eps", "variance", kinds=("wrong",)),
    Own(BACK, BACKWARD, "scaled once", "share * scale * scale", "share * scale", kinds=("wrong",)),
    Own(BACK, BACKWARD, "products not joined", "whole(total, product, held)",
        "whole(total, total, held)", kinds=("wrong",)),
    Own(BACK, BACKWARD, "every warp takes every row", "row + uint32(at_once)", "row + uint32(1)",
        kinds=("race",)),
    Own(BACK, BACKWARD, "every block takes every task", "task + uint32(cuda.gridDim.x)",
        "task + uint32(1)", kinds=("race",)),
    Own(BACK, BACKWARD, "tasks not bounded", "min(n, uint32(row + span))", "uint32(row + span)",
        kinds=("bounds",)),
    Own(BACK, BACKWARD, "warps share their sums", "uint32(copy * pair)", "uint32(0)",
        kinds=("race",)),
    Own(BACK, BACKWARD, "sums side by side", "sums[uint32(own + c + j)] += d",
        "sums[uint32(own + uint32(1) + j)] += d", kinds=("race", "wrong")),
    Own(BACK, BACKWARD, "no barrier before the sums are read", "cuda.syncthreads()", "pass",
        kinds=("race",)),
    Own(BACK, BACKWARD, "no barrier before the sums are cleared", "cuda.syncthreads()", "pass", 1,
        ("race",)),
    Own(BACK, BACKWARD, "first warp alone", "range(1, at_once)", "range(1, 1)", kinds=("wrong",)),
    Own(f"{BACK} > clear", BACKWARD, "not cleared", "kind(0)", "sums[uint32(own + j + uint32(k))]",
        kinds=("uninitialised",)),
    Own(f"{BACK_VECTORS} > clear", BACKWARD, "first of four cleared", "range(each)", "range(1)",
        kinds=("uninitialised",)),
    Own(BACK_VECTORS, BACKWARD, "half left out",
        "left + (r * (v[2] - centre) + o * (v[3] - centre))", "left", kinds=("wrong",)),
    Own(BACK_VECTORS, BACKWARD, "not normalised", "d[2] * (g * scale)", "d[2] * g",
        kinds=("wrong",)),
    Own("norm.cuda_layer_norm:add_four", BACKWARD, "third twice", "r + more[2]", "r + more[3]",
        kinds=("wrong",)),
    Own(PARTS, BACKWARD, "rows not bounded", "min(n, uint32(row + uint32(CHUNK)))",
        "uint32(row + uint32(CHUNK))", kinds=("bounds",)),
    Own(PARTS, BACKWARD, "first row's mean", "mean[row]", "mean[0]", kinds=("wrong",)),
    Own(PARTS, BACKWARD, "sums side by side", "uint32(index + c)", "uint32(index + uint32(1))",
        kinds=("race", "bounds", "uninitialised")),
    Own(PARTS, BACKWARD, "every thread takes every chunk",
        "cuda.gridDim.x * cuda.blockDim.x)", "1)", kinds=("race",)),
    Own(TOTALS, BACKWARD, "one part too many", "while k < count", "while k <= count",
        kinds=("bounds", "wrong")),
    Own(TOTALS, BACKWARD, "parts mixed", "k * pair + column", "k * c + column", kinds=("wrong",)),
    Own(TOTALS, BACKWARD, "first group alone", "range(1, GROUPS)", "range(1, 1)",
        kinds=("wrong",)),
    Own(TOTALS, BACKWARD, "barrier removed", "cuda.syncthreads()", "pass",
        kinds=("race", "uninitialised")),
    Own(TOTALS, BACKWARD, "columns not bounded", "group == 0 and column < pair", "group == 0",
        kinds=("bounds",)),
)  # fmt: skip
