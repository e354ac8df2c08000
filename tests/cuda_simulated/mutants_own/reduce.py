"""Mutants of reduce/cuda_sums.py; those of the folds themselves are in groups.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

CUMSUM = "reduce.cuda_cumsum"
WALKED = f"{CUMSUM}:walked"
SUMS = f"{CUMSUM}:chunk_sums"
SCANS = f"{CUMSUM}:CHUNK_SCANS[False]"
TILES = f"{CUMSUM}:TILE_SCANS[False]"
TILES_BEFORE = f"{CUMSUM}:TILE_SCANS[True]"
TILES_WIDE = f"{CUMSUM}:tile_scans_vectors"
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
    Own(WALKED, "cumsum", "chunks overlap", "* uint32(CHUNK))", "* uint32(CHUNK - 1))",
        kinds=("race", "wrong")),
    Own(WALKED, "cumsum", "chunk not bounded", "min(uint32(CHUNK), uint32(reduced - first))",
        "uint32(CHUNK)", kinds=("bounds", "race")),
    Own(f"{CUMSUM}:place", "cumsum", "backwards from behind the end",
        "uint32(reduced - uint32(1) - r)", "uint32(reduced - r)",
        kinds=("bounds", "race", "uninitialised")),
    Own(WALKED, "cumsum", "forwards", "uint32(uint32(0) - inner)", "inner",
        kinds=("bounds", "race", "uninitialised", "wrong")),
    Own(WALKED, "cumsum", "lines mixed", "outer * reduced", "line * reduced",
        kinds=("bounds", "wrong")),
    Own(SUMS, "cumsum", "first left out", "k = uint32(0)", "k = uint32(1)", kinds=("wrong",)),
    Own(SUMS, "cumsum", "third twice", "x[third], x[fourth]", "x[third], x[third]",
        kinds=("wrong",)),
    Own(SUMS, "cumsum", "every thread takes every chunk", NEXT, "1)", kinds=("race",)),
    Own(SCANS, "cumsum", "begins at nothing", "before[task] if before.size else", "",
        kinds=("wrong",)),
    Own(SCANS, "cumsum", "own value left out", "total if exclusive else p", "total",
        kinds=("wrong",)),
    Own(SCANS, "cumsum", "last left out", "while k < count", "while uint32(k + uint32(1)) < count"),
    Own(f"{CUMSUM}:tile_of", "cumsum", "tile not bounded",
        "min(reduced, uint32(first + uint32(TILE)))", "uint32(first + uint32(TILE))",
        kinds=("bounds", "race", "wrong")),
    Own(f"{CUMSUM}:tile_of", "cumsum", "lines mixed", "outer * reduced", "task * reduced",
        kinds=("bounds", "wrong")),
    Own(f"{CUMSUM}:up_to_each", "cumsum", "first lane takes its own", "lane >= step", "True",
        kinds=("wrong",)),
    Own(f"{CUMSUM}:up_to", "cumsum", "one lane too few", "lane >= step", "lane > step",
        kinds=("wrong",)),
    Own(f"{CUMSUM}:last_of", "cumsum", "last lane but one", "value, 31", "value, 30",
        kinds=("wrong",)),
    Own(f"{CUMSUM}:one_before", "cumsum", "first lane takes its own", "if lane > 0 else zero", "",
        kinds=("wrong",)),
    Own(f"{CUMSUM}:four_of", "cumsum", "not turned", "zero + d, zero + c, zero + b, zero + a",
        "zero + a, zero + b, zero + c, zero + d", kinds=("wrong",)),
    Own(TILES, "cumsum", "second not moved on", "second = total + last_of(a)", "second = total",
        kinds=("wrong",)),
    Own(TILES, "cumsum", "begins at nothing", "before[task] if before.size else zero", "zero",
        kinds=("wrong",)),
    Own(TILES, "cumsum", "every warp takes every tile", "task + warp_count()", "task + uint32(1)",
        kinds=("race",)),
    Own(f"{TILES_BEFORE} > shown", "cumsum", "own tile counted",
        "one_before(grown, lane, zero) if exclusive", "grown if exclusive", kinds=("wrong",)),
    Own(TILES_WIDE, "cumsum", "third twice", "kind(low + d)", "kind(low + c)", kinds=("wrong",)),
    Own(TILES_WIDE, "cumsum", "not bounded", "if r < end", "if True", 1, ("bounds", "race")),
    Own(TILES_WIDE, "cumsum", "misaligned", "uint32(reduced - uint32(4) - r)",
        "uint32(reduced - uint32(3) - r)", kinds=("misaligned", "bounds")),
    Own(f"{CUMSUM}:tile_sums", "cumsum", "every lane writes", "if lane == 0", "if True",
        kinds=("race",)),
    Own(f"{CUMSUM}:tile_sums_vectors", "cumsum", "lanes overlap", "lane * uint32(4)", "lane",
        kinds=("misaligned", "bounds", "wrong")),
)  # fmt: skip
