"""Mutants of reduce/cuda_kernels.py, reduce/cuda_centred.py and reduce/cuda_max_index.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

PLACE = "reduce.cuda_max_index:place"
EXACT = "reduce.cuda_centred:exact"
NEXT = "cuda.gridDim.x * cuda.blockDim.x"

FINISH = "reduce.cuda_products:finish_products"

MUTANTS = (
    Own("reduce.cuda_products:take_product", "sum_products", "one factor alone",
        "x[index] * m[index]", "x[index]", kinds=("wrong",)),
    Own("reduce.cuda_products:take_product", "sum_products", "a factor of the group",
        "m[index]", "m[group]", kinds=("wrong",)),
    Own(FINISH, "sum_products", "bound loosened", "while group < ", "while group <= ",
        kinds=("bounds",)),
    Own(FINISH, "sum_products", "steps of one thread", NEXT, "1", kinds=("race",)),
    Own("reduce.cuda_centred:square_fold.rows", "norm", "end of a run left out", "min(shape[4], ",
        "max(shape[4], ", kinds=("bounds", "wrong")),
    Own("reduce.cuda_centred:square_fold.rows", "norm", "four loads past the end",
        "uint32(r + uint32(3 * WARP)) < end", "r < end", kinds=("bounds", "wrong")),
    Own("reduce.cuda_centred:square_fold.rows", "norm", "bound loosened", "while r < end",
        "while r <= end", kinds=("bounds", "wrong")),
    Own("reduce.cuda_centred:square_fold.rows", "norm", "lanes not joined", "for lanes in HALVES",
        "for lanes in HALVES[1:]", kinds=("wrong",)),
    Own("reduce.cuda_centred:square_fold.rows", "norm", "every lane writes", "if lane == 0:",
        "if True:", kinds=("race",)),
    Own("reduce.cuda_centred:square_fold.rows", "norm", "accumulator not cleared",
        "held = begin(x)", "held = begin(x) if task == warp_of() else held", kinds=("wrong",)),
    Own("reduce.cuda_centred:square_fold.rows", "norm", "every warp takes every run",
        "uint32(task + warp_count())", "uint32(task + uint32(1))", kinds=("race",)),
    Own("reduce.cuda_kernels:shuffle_one", "norm", "mask narrowed", "FULL", "0xFFFF", kinds=("warp",)),
    Own("reduce.cuda_centred:square_fold.columns", "norm", "a step left out",
        "index = uint32(index + shape[6])", "index = index", 1, kinds=("wrong",)),
    Own("reduce.cuda_centred:square_fold.columns", "norm", "bound loosened", "while r < end",
        "while r <= end", kinds=("bounds", "wrong")),
    Own("reduce.cuda_centred:square_fold.columns", "norm", "runs overlap",
        "(line - outer * shape[1]) * shape[5]", "line - outer * shape[1]", kinds=("wrong",)),
    Own("reduce.cuda_centred:square_fold.columns", "norm", "every thread takes every run", NEXT, "1",
        kinds=("race",)),
    Own("reduce.cuda_centred:tie_fold.rows_again", "tie_count", "last run left out",
        "while r < end", "while uint32(r + uint32(1)) < end", kinds=("wrong",)),
    Own("reduce.cuda_max_index:foremost", "extreme", "the last of equal ones", "min(a[1], b[1])",
        "max(a[1], b[1])", kinds=("wrong",)),
    Own("reduce.cuda_max_index:foremost", "extreme", "NaN passed over", "or w != w else a", "else a",
        kinds=("wrong",)),
    Own("reduce.cuda_max_index:put", "extreme", "sign left in", "value[0] * sign", "value[0]",
        kinds=("wrong",)),
    Own(PLACE, "extreme_backward", "bound loosened", "while i <", "while i <=", kinds=("bounds",)),
    Own(PLACE, "extreme_backward", "rows of the outer group", "line - outer * shape[3]", "line",
        kinds=("wrong",)),
    Own(PLACE, "extreme_backward", "zeros not written", "else zero", "else dx[i]",
        kinds=("uninitialised",)),
    Own(EXACT, "prod_backward", "zeros left alone", "if not least <= size <= most:",
        "if size > most:", kinds=("wrong",)),
    Own(EXACT, "prod_backward", "groups mistaken", "outer * shape[0] * shape[1]",
        "outer * shape[1]", kinds=("race", "wrong", "bounds")),
    Own(EXACT, "prod_backward", "before and after mixed", "before = float64(1)",
        "before = float64(dy[group])", kinds=("wrong",)),
)  # fmt: skip
