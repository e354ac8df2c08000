"""Mutants of softmax/cuda_cross_entropy.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

DIVISOR = "softmax.cuda_cross_entropy:DIVIDING['float32']"
TOTAL = "softmax.cuda_cross_entropy:TOTALLING['float32']"
LANES = "softmax.cuda_cross_entropy:FORWARD.forms['float32', False, 1]"
VECTORS = "softmax.cuda_cross_entropy:FORWARD.forms['float32', True, 1]"
BACK = "softmax.cuda_cross_entropy:BACKWARD.forms['float32', False, 1]"
SLOPE = "softmax.cuda_cross_entropy:slope"
FORWARD, BACKWARD = "cross_entropy_forward", "cross_entropy_backward"

MUTANTS = (
    Own(DIVISOR, FORWARD, "ignored rows counted", "if k != ignored", "if True",
        kinds=("bounds", "wrong")),
    Own(DIVISOR, FORWARD, "first row left out", "j = t", "j = uint32(t + uint32(1))", 1,
        ("wrong",)),
    Own(DIVISOR, FORWARD, "weights not counted", "weight[k] if weight.size else kind(1)",
        "kind(1)", kinds=("wrong",)),
    Own(DIVISOR, FORWARD, "no mean asked for", "some if mean else kind(1)", "some",
        kinds=("wrong",)),
    Own(DIVISOR, FORWARD, "bound of the weights loosened", "< uint32(weight.size)",
        "<= uint32(weight.size)", kinds=("bounds",)),
    Own(f"{DIVISOR} > whole", FORWARD, "first barrier removed", "cuda.syncthreads()", "pass",
        kinds=("race", "uninitialised")),
    Own(TOTAL, FORWARD, "bound loosened", "< uint32(loss.size)", "<= uint32(loss.size)",
        kinds=("bounds",)),
    Own(TOTAL, FORWARD, "every thread writes", "if t == 0", "if True", kinds=("race",)),
    Own(TOTAL, FORWARD, "not divided", "found / divisor[0]", "found", kinds=("wrong",)),
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
        "kind(math.nan)\n            if counts:", "kind(math.nan)\n            if True:",
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
