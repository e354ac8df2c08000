"""Mutants of reduce/cuda_sums.py; those of the folds themselves are in groups.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

WALKED = "reduce.cuda_sums:walked"
SUMS = "reduce.cuda_sums:chunk_sums"
BEFORE = "reduce.cuda_sums:sums_before"
RUNNING = "reduce.cuda_sums:running_sums"
NEXT = "cuda.gridDim.x * cuda.blockDim.x)"

MUTANTS = (
    Own("reduce.cuda_sums:grouped", "sum", "axes in the wrong order", "(*kept, *axes)",
        "(*axes, *kept)", kinds=("wrong",)),
    Own("reduce.cuda_sums:grouped", "sum", "groups miscounted", "for axis in kept]", "for axis in axes]",
        kinds=("wrong", "bounds", "uninitialised", "error")),
    Own("reduce.cuda_sums:one_wide", "prod", "begins at nothing", "float64(1)", "float64(0)",
        kinds=("wrong",)),
    Own("reduce.cuda_sums:highest", "min", "begins at nothing", "type(np.inf)", "type(0)",
        kinds=("wrong",)),
    Own("reduce.cuda_sums:least_integer", "max", "begins at nothing", "-0x8000000000000000", "9",
        kinds=("wrong",)),
    Own("reduce.cuda_sums:larger", "max", "the smaller", "a >= b", "a <= b", kinds=("wrong",)),
    Own("reduce.cuda_sums:larger", "max", "NaN passed over", "a if a >= b or a != a else b",
        "b if b > a else a", kinds=("wrong",)),
    Own("reduce.cuda_sums:smaller", "min", "NaN passed over", "a if a <= b or a != a else b",
        "b if b < a else a", kinds=("wrong",)),
    Own("reduce.cuda_sums:FOLDS['sum'].rows", "sum", "bound loosened", "while r < end", "while r <= end",
        kinds=("bounds", "wrong")),
    Own(WALKED, "cumsum", "chunks overlap", "k * uint32(CHUNK)", "k * uint32(CHUNK - 1)",
        kinds=("race", "wrong")),
    Own(WALKED, "cumsum", "chunk not bounded", "min(uint32(CHUNK), uint32(reduced - first))",
        "uint32(CHUNK)", kinds=("bounds", "race")),
    Own(WALKED, "cumsum", "backwards from the end", "uint32(reduced - uint32(1) - first)",
        "uint32(reduced - first)", kinds=("bounds", "race", "uninitialised")),
    Own(WALKED, "cumsum", "forwards", "uint32(uint32(0) - inner)", "inner",
        kinds=("bounds", "race", "uninitialised", "wrong")),
    Own(WALKED, "cumsum", "lines mixed", "outer * reduced + row", "line * reduced + row",
        kinds=("bounds", "wrong")),
    Own(SUMS, "cumsum", "first left out", "k = uint32(0)", "k = uint32(1)", kinds=("wrong",)),
    Own(SUMS, "cumsum", "every thread takes every chunk", NEXT, "1)", kinds=("race",)),
    Own(BEFORE, "cumsum", "own chunk counted", "parts[index] = total", "parts[index] = total + own",
        kinds=("wrong",)),
    Own(BEFORE, "cumsum", "columns mixed", "uint32(index + inner)", "uint32(index + uint32(1))",
        kinds=("race", "wrong")),
    Own(BEFORE, "cumsum", "one chunk too many", "while k < chunks", "while k <= chunks",
        kinds=("bounds", "race")),
    Own(RUNNING, "cumsum", "begins at nothing", "total = parts[task]", "total = x.dtype.type(0)",
        kinds=("wrong",)),
    Own(RUNNING, "cumsum", "written before it is added", "type(total)",
        "type(total - x[index])", kinds=("wrong",)),
    Own(RUNNING, "cumsum", "last left out", "while k < count",
        "while uint32(k + uint32(1)) < count"),
)  # fmt: skip
