"""Mutants of cuda/rows.py and softmax/cuda_softmax.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

FORM = "softmax.cuda_softmax:{}.holding('{}', {}, {})"
ROWS = FORM.format("FORWARD", "float32", True, 12)
LANES = FORM.format("FORWARD", "float32", False, 130)
VECTORS = FORM.format("FORWARD", "float32", True, 300)
BLOCK = f"{FORM.format('FORWARD', 'float32', False, 1_027)} > shares > whole"
TOP = f"{FORM.format('FORWARD', 'float32', False, 1_027)} > shares > top"
SUMMING = FORM.format("SUMMING", "float32", True, 12)
BACK = FORM.format("BACKWARD", "float32", False, 130)
BACK_VECTORS = FORM.format("BACKWARD", "float32", True, 300)
WALK = FORM.format("FORWARD", "float64", False, 1_027)
WALK_VECTORS = FORM.format("FORWARD", "float32", True, 4_104)
WALK_SUMMING = FORM.format("SUMMING", "float32", True, 4_104)
WALK_BACK = FORM.format("BACKWARD", "float64", False, 1_027)
WALK_BACK_VECTORS = FORM.format("BACKWARD", "float32", True, 4_104)
FOUR, ONE = " > less > less", " > less > less > less > less"  # down to one access
CROSS_ENTROPY = "cross_entropy_forward"
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
    Own(TOP, "softmax", "first barrier removed", BARRIER, "pass", kinds=("race", "uninitialised")),
    Own(TOP, "softmax", "second barrier removed", BARRIER, "pass", 1, ("race",)),
    Own("cuda.rows:warp_place", CROSS_ENTROPY, "lanes overlap", "uint32(WARP)",
        "uint32(WARP // 2)", kinds=("race", "wrong")),
    Own("cuda.rows:block_place", "softmax", "every block takes every row",
        "uint32(cuda.gridDim.x)", "uint32(1)", kinds=("race",)),
    # rows held in registers
    Own(f"{LANES} > shares > whole", "softmax", "lanes not joined", "in HALVES", "in HALVES[1:]",
        kinds=("wrong",)),
    Own(f"{LANES} > shares > top", "softmax", "lanes not joined", "in HALVES", "in HALVES[1:]",
        kinds=("wrong",)),
    Own(f"{ROWS} > shares > largest", "softmax", "half left out", "a[half:], b[half:]",
        "a[:half], b[:half]", kinds=("wrong",)),
    Own(f"{VECTORS} > shares > counted", "softmax", "half counted twice", "a[half:], b[half:]",
        "a[:half], b[:half]", kinds=("wrong",)),
    Own(f"{VECTORS} > scale", "softmax", "half written twice", "a[half:], b[half:]",
        "a[:half], b[:half]", kinds=("wrong",)),
    Own(f"{VECTORS} > read", "softmax", "halves overlap", "uint32(step)", "uint32(step - 4)",
        kinds=("wrong",)),
    Own(f"{VECTORS} > read{FOUR}", "softmax", "bound loosened", "j < c", "j <= c",
        kinds=("bounds",)),
    Own(f"{LANES} > read{ONE}", "softmax", "bound loosened", "j < c", "j <= c", kinds=("bounds",)),
    Own(f"{VECTORS} > write", "softmax", "halves in one place", "uint32(step)", "uint32(0 * step)",
        kinds=("race", "wrong")),
    Own(f"{VECTORS} > write{FOUR}", "softmax", "bound loosened", "j < c", "j <= c",
        kinds=("bounds",)),
    Own(f"{VECTORS} > write{FOUR}", "softmax", "misaligned", "uint32(first + j)",
        "uint32(first + j + uint32(1))", kinds=("misaligned", "bounds")),
    Own(f"{LANES} > write{ONE}", "softmax", "bound loosened", "j < c", "j <= c",
        kinds=("bounds",)),
    Own(LANES, "softmax", "filled up with zeros", "kind(-np.inf)", "kind(0)", kinds=("wrong",)),
    Own(ROWS, "softmax", "every warp takes every row", "row + step", "row + uint32(1)",
        kinds=("race",)),
    Own(ROWS, "softmax", "infinite maximum passed over", "s += m - m", "pass", kinds=("wrong",)),
    Own(ROWS, "log_softmax", "logarithm left out", "-math.log1p(s)", "kind(0)", kinds=("wrong",)),
    Own(ROWS, "softmax", "second column by lanes", "uint32(width)", "uint32(width // 4)",
        kinds=("misaligned", "bounds")),
    Own("softmax.cuda_softmax:share_and_tie", "softmax", "maximum counted twice",
        "(like(x, 0), like(x, 1)) if", "(e, like(x, 1)) if", kinds=("wrong",)),
    Own("softmax.cuda_softmax:share_and_tie", "softmax", "equal maxima taken for one",
        "like(x, 1)) if", "like(x, 0)) if", kinds=("wrong",)),
    Own("softmax.cuda_softmax:kept", "log_softmax", "exponential kept", "x - m if log else e", "e",
        kinds=("wrong",)),
    Own(SUMMING, "logsumexp", "every lane writes", "if t == 0", "if True", kinds=("race",)),
    Own("softmax.cuda_softmax:unknown_of", "logsumexp", "NaN beside infinity passed over",
        "x == x", "True", kinds=("wrong",)),
    Own(BACK, "softmax_backward", "total not joined",
        "whole(sum_(g, v, log), kind(0), held)", "whole and (sum_(g, v, log), 0)",
        kinds=("wrong",)),
    Own(BACK, "log_softmax_backward", "filled up with ones", "c, kind(0)", "c, kind(1)",
        kinds=("wrong",)),
    Own(f"{BACK_VECTORS} > sum_", "softmax_backward", "half left out",
        "a[half:], b[half:], d)", "a[half:], b[half:], d) * float32(0)", kinds=("wrong",)),
    Own("softmax.cuda_softmax:log_gradient", "log_softmax_backward", "total not weighed",
        "math.exp(y) * total", "total", kinds=("wrong",)),
    # longer rows, walked
    Own("softmax.cuda_softmax:share", CROSS_ENTROPY, "maximum counted twice",
        "like(x, 0) if x == m else", "", kinds=("wrong",)),
    Own("softmax.cuda_softmax:tie", CROSS_ENTROPY, "equal maxima taken for one", "like(x, 1) if",
        "like(x, 0) if", kinds=("wrong",)),
    Own(f"{WALK_VECTORS} > peak", "softmax", "fourth left out", "share(r, m) + share(o, m)",
        "share(r, m)", kinds=("wrong",)),
    Own(f"{WALK_VECTORS} > peak", "softmax", "bound loosened", "while j < c", "while j <= c",
        kinds=("bounds", "wrong")),
    Own(f"{WALK_VECTORS} > peak", "softmax", "lanes overlap", "threads * uint32(4)",
        "threads * uint32(3)", 1, ("wrong", "misaligned")),
    Own(f"{WALK} > peak", "softmax", "bound loosened", "while j < c", "while j <= c", 3,
        ("bounds", "wrong")),
    Own(WALK, "softmax", "bound loosened", "while j < c", "while j <= c", 1, ("bounds", "race")),
    Own(WALK, "softmax", "every block takes every row", "row + step", "row + uint32(1)",
        kinds=("race",)),
    Own(WALK_VECTORS, "softmax", "misaligned", "store128(y, uint32(first + j)",
        "store128(y, uint32(first + j + uint32(1))", kinds=("misaligned", "bounds")),
    Own(WALK_VECTORS, "softmax", "last vector left out", "while j < c",
        "while uint32(j + uint32(4)) < c"),
    Own(WALK_VECTORS, "log_softmax", "third twice", "normalised(o,", "normalised(r,",
        kinds=("wrong",)),
    Own(WALK_SUMMING, "logsumexp", "every thread writes", "if t == 0", "if True", kinds=("race",)),
    Own(WALK_BACK, "softmax_backward", "total not joined",
        "total, _ = whole", "_, _ = whole", kinds=("wrong",)),
    Own(WALK_BACK, "softmax_backward", "accumulator not cleared", "total = kind(0)",
        "total = kind(0) if row < step else total", kinds=("wrong",)),
    Own(WALK_BACK_VECTORS, "log_softmax_backward", "half left out",
        "total += left + (weighed(g[2], v[2], log) + weighed(g[3], v[3], log))", "total += left",
        kinds=("wrong",)),
)  # fmt: skip
