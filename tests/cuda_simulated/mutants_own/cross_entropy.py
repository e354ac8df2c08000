"""Mutants of softmax/cuda_cross_entropy.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

DIVISOR = "softmax.cuda_cross_entropy:DIVIDING['float32']"
LAST = "cuda.last_block:is_last"
LANES = "softmax.cuda_cross_entropy:FORWARD.forms['float32', False, 1]"
VECTORS = "softmax.cuda_cross_entropy:FORWARD.forms['float32', True, 1]"
BACK = "softmax.cuda_cross_entropy:BACKWARD.forms['float32', False, 1]"
BACK_BLOCK = "softmax.cuda_cross_entropy:BACKWARD.forms['float32', False, 4] > sums_of"
SLOPE = "softmax.cuda_cross_entropy:slope"
FORWARD, BACKWARD = "cross_entropy_forward", "cross_entropy_backward"

MUTANTS = (
    Own(DIVISOR, FORWARD, "ignored rows counted", "if k != ignored", "if True",
        kinds=("bounds", "wrong")),
    Own(DIVISOR, FORWARD, "first row left out", "uint32(first + t)",
        "uint32(first + t + uint32(1))", 1, ("wrong",)),
    Own(DIVISOR, FORWARD, "weights not counted", "weight[k] if classes else kind(1)",
        "kind(1)", kinds=("wrong",)),
    Own(DIVISOR, FORWARD, "bound of the weights loosened", "min(classes, uint32(first + uint32(PART)))",
        "uint32(first + uint32(PART))", kinds=("bounds",)),
    Own(DIVISOR, BACKWARD, "parts overlap", "uint32(part * uint32(PART))",
        "uint32(part * uint32(PART - 1))", kinds=("wrong",)),
    Own(DIVISOR, FORWARD, "ticket not set", "ticket[0] = uint32(0)", "pass",
        kinds=("uninitialised", "wrong")),
    Own(BACK_BLOCK, BACKWARD, "one part alone", "while j < uint32(parts.size)",
        "while j < uint32(2)", kinds=("wrong",)),
    Own(LANES, FORWARD, "no mean asked for", "by if mean else kind(1)", "by", kinds=("wrong",)),
    Own(f"{DIVISOR} > whole", FORWARD, "first barrier removed", "cuda.syncthreads()", "pass",
        kinds=("race", "uninitialised")),
    Own(f"{LANES} > total_of", FORWARD, "bound loosened", "while j < tasks", "while j <= tasks",
        kinds=("bounds", "uninitialised")),
    Own(f"{LANES} > total_of", FORWARD, "every thread writes", "if cuda.threadIdx.x == 0",
        "if True", kinds=("race",)),
    Own(f"{LANES} > total_of", FORWARD, "not divided", "found / by", "found", kinds=("wrong",)),
    Own(LANES, FORWARD, "every block adds up", "if is_last(ticket, last)", "if True",
        kinds=("race", "uninitialised")),
    Own(LANES, FORWARD, "losses not added over warps", "sum_, _ = block", "_, _ = block",
        kinds=("wrong",)),
    Own(LANES, FORWARD, "tasks not bounded", "min(n, uint32(row + span))", "uint32(row + span)",
        kinds=("bounds",)),
    Own(LAST, FORWARD, "no fence before the ticket", "cuda.threadfence()", "pass", kinds=("race",)),
    Own(LAST, FORWARD, "first block taken for the last", "uint32(cuda.gridDim.x - 1)", "uint32(0)",
        kinds=("race", "uninitialised", "wrong")),
    Own(SLOPE, FORWARD, "another element's one", "if j == target", "if uint32(j + 1) == target",
        kinds=("wrong",)),
    Own(SLOPE, FORWARD, "weights left out", "weight[j] if weight.size else one", "one",
        kinds=("wrong",)),
    Own(SLOPE, BACKWARD, "smoothing left out", " + each * rest", "", kinds=("wrong",)),
    Own(f"{VECTORS} > slopes", FORWARD, "places mixed", "slope(v[2], high, low, o,",
        "slope(v[2], high, low, k,", kinds=("wrong",)),
    Own(f"{VECTORS} > zeros", FORWARD, "last zeros left out", "while j < c",
        "while uint32(j + uint32(4)) < c"),
    Own(f"{LANES} > zeros", FORWARD, "bound loosened", "while j < c", "while j <= c", 1,
        ("bounds", "race")),
    Own(LANES, FORWARD, "spread not joined", "spread, _ = whole", "_, _ = whole", kinds=("wrong",)),
    Own(LANES, FORWARD, "ignored row's target read",
        "kind(math.nan)\n                if counts:", "kind(math.nan)\n                if True:",
        kinds=("bounds", "wrong")),
    Own(LANES, FORWARD, "every lane writes", "if t == 0", "if True", kinds=("race",)),
    Own(LANES, FORWARD, "ignored row's gradient left out", "zeros(dx, first, c,",
        "zeros(dx, first, uint32(0),"),
    Own(BACK, BACKWARD, "rest of logsum left out", "kind(logsum[row] - float64(high))", "kind(0)",
        kinds=("wrong",)),
    Own(BACK, BACKWARD, "first row's scale", "scale[row]", "scale[0]", kinds=("wrong",)),
    Own(BACK, BACKWARD, "every warp takes every row", "row + step", "row + uint32(1)",
        kinds=("race",)),
)  # fmt: skip
