"""Mutants of indexing/cuda_index.py and indexing/cuda_sort.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

RUNS = "indexing.cuda_index:add_runs"
BARRIER = "cuda.syncthreads()"
NEXT = "cuda.gridDim.x * cuda.blockDim.x"
ROWS = "scatter_add_rows"
BROKEN = ("bounds", "race", "wrong", "uninitialised")

MUTANTS = (
    Own("indexing.cuda_index:take", "take_rows", "bound loosened", "while k <", "while k <=",
        kinds=("bounds",)),
    Own("indexing.cuda_index:take", "take_rows", "column of another row", "k - i * width[0]",
        "k & uint32(1)", kinds=("wrong", "bounds")),
    Own("indexing.cuda_index:take_vectors", "take_rows", "vector misaligned", "uint32(index << uint32(2))",
        "uint32(uint32(index << uint32(2)) + uint32(2))", kinds=("misaligned", "bounds")),
    Own("indexing.cuda_index:clear", ROWS, "bound loosened", "while i <", "while i <=", kinds=("bounds",)),
    Own(RUNS, ROWS, "every key begins a run", "if k == 0 or", "if True or", kinds=("race",)),
    Own(RUNS, ROWS, "end of the keys left out", "k < n and", "", kinds=("bounds",)),
    Own(RUNS, ROWS, "sum not begun again", "held = dy[uint32(values[k] * width[0] + column)]",
        "held = dw[uint32(key * width[0] + column)] + dy[uint32(column)]", kinds=("wrong",)),
    Own(RUNS, ROWS, "keys for values", "held += dy[uint32(values[k]", "held += dy[uint32(k",
        kinds=("wrong",)),
    Own("indexing.cuda_sort:tally", ROWS, "barrier before the counts removed", BARRIER, "pass"),
    Own("indexing.cuda_sort:tally", ROWS, "barrier behind the counts removed", BARRIER, "pass", 1),
    Own("indexing.cuda_sort:tally", ROWS, "every lane counts", "before == 0 and", "True and",
        kinds=("race",)),
    Own("indexing.cuda_sort:tally", ROWS, "later lanes counted too", "same & cuda.lanemask_lt()", "same",
        kinds=BROKEN),
    Own("indexing.cuda_sort:tally", ROWS, "counts not cleared", "= uint32(0)", "+= uint32(0)",
        kinds=("uninitialised",)),
    Own("indexing.cuda_sort:same_digit", ROWS, "mask narrowed", "FULL", "0xFFFF", kinds=("warp",)),
    Own("indexing.cuda_sort:digit_of", ROWS, "bound loosened", "if i < n", "if i <= n",
        kinds=("bounds",)),
    Own("indexing.cuda_sort:count", ROWS, "barrier before the next tile removed", BARRIER, "pass",
        kinds=("race",)),
    Own("indexing.cuda_sort:count", ROWS, "one warp left out", "range(WARPS)", "range(WARPS - 1)",
        kinds=BROKEN),
    Own("reduce.cuda_cumsum:TILE_SCANS[True] > shown", ROWS, "own count added",
        "one_before(grown, lane, zero) if exclusive", "grown if exclusive", kinds=BROKEN),
    Own("indexing.cuda_sort:move", ROWS, "barrier before the next tile removed", BARRIER, "pass",
        kinds=("race",)),
    Own("indexing.cuda_sort:move", ROWS, "warps before left out", "while warp < uint32(t >> uint32(5))",
        "while warp < uint32(0)", kinds=("race", "wrong", "uninitialised")),
    Own("indexing.cuda_sort:move", ROWS, "order of equal keys lost", "values[i]", "values[uint32(0)]",
        kinds=("wrong",)),
    Own("indexing.cuda_index:find_last", "scatter_flat", "maximum not atomic",
        "cuda.atomic.max(last, uint32(indices[i]), int32(i))",
        "last[uint32(indices[i])] = max(last[uint32(indices[i])], int32(i))", kinds=("race",)),
    Own("indexing.cuda_index:put_last", "scatter_flat", "every one writes", "if last[index] == int32(i):",
        "if True:", kinds=("race",)),
    Own("indexing.cuda_index:forget", "scatter_flat", "bound loosened", "while i <", "while i <=",
        kinds=("bounds",)),
    Own("indexing.cuda_index:find_last", "scatter_flat", "one index in two", NEXT,
        f"uint32(2) * {NEXT}", kinds=("wrong", "uninitialised")),
)  # fmt: skip
