"""Mutants of norm/cuda_layer_norm.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

LANES = "norm.cuda_layer_norm:FORWARD.forms['float32', False, 1]"
VECTORS = "norm.cuda_layer_norm:FORWARD.forms['float32', True, 1]"
BACK = "norm.cuda_layer_norm:BACKWARD.forms['float32', False, 1]"
BACK_VECTORS = "norm.cuda_layer_norm:BACKWARD.forms['float32', True, 1]"
PARTS = "norm.cuda_layer_norm:column_parts"
JOINED = "norm.cuda_layer_norm:joined_parts"
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
    Own(BACK, BACKWARD, "every warp takes every row", "row + step", "row + uint32(1)",
        kinds=("race",)),
    Own(BACK_VECTORS, BACKWARD, "half left out",
        "left + (r * (v[2] - centre) + o * (v[3] - centre))", "left", kinds=("wrong",)),
    Own(PARTS, BACKWARD, "chunks overlap", "min(n, uint32(row + uint32(CHUNK)))", "n",
        kinds=("wrong",)),
    Own(PARTS, BACKWARD, "rows not bounded", "min(n, uint32(row + uint32(CHUNK)))",
        "uint32(row + uint32(CHUNK))", kinds=("bounds",)),
    Own(PARTS, BACKWARD, "first row's mean", "mean[row]", "mean[0]", kinds=("wrong",)),
    Own(PARTS, BACKWARD, "sums side by side", "uint32(index + c)", "uint32(index + uint32(1))",
        kinds=("race", "bounds", "uninitialised")),
    Own(PARTS, BACKWARD, "every thread takes every chunk",
        "cuda.gridDim.x * cuda.blockDim.x)", "1)", kinds=("race",)),
    Own(JOINED, BACKWARD, "one chunk too many", "while k < chunks", "while k <= chunks",
        kinds=("bounds", "wrong")),
    Own(JOINED, BACKWARD, "chunks mixed", "uint32(k * uint32(2))", "uint32(k)", kinds=("wrong",)),
    Own(JOINED, BACKWARD, "what was lost taken twice", "parts[uint32(index + c)] - missed",
        "parts[uint32(index + c)] - total", kinds=("wrong",)),
)  # fmt: skip
