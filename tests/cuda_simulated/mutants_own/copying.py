"""Mutants of elementwise/cuda_copy.py and elementwise/cuda_kernels.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

TILES = "elementwise.cuda_copy:transpose"
VECTORS = "elementwise.cuda_copy:copy_words.vectors"
STRIDED = "elementwise.cuda_copy:copy_words.strided"
TWO = "elementwise.cuda_rules:lifted_modulus.vectors"
BARRIER = "cuda.syncthreads()"
THREAD = "cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x"
NEXT = "cuda.gridDim.x * cuda.blockDim.x"

MUTANTS = (
    Own(TILES, "copy", "barrier before the writes removed", BARRIER, "pass"),
    Own(TILES, "copy", "barrier before the next tile removed", BARRIER, "pass", 1),
    Own(TILES, "copy", "barrier narrowed to a warp", BARRIER, "cuda.syncwarp()"),
    Own(TILES, "copy", "bound of the reads loosened", "j < columns", "j <= columns",
        kinds=("bounds",)),
    Own(TILES, "copy", "bound of the writes loosened", "j < columns", "True", 1,
        kinds=("bounds", "race", "uninitialised")),
    Own(TILES, "copy", "rows below not cut off", "i < rows", "True", 1,
        kinds=("bounds", "race", "uninitialised")),
    Own(TILES, "copy", "tile not turned", "tile[x, uint32(z + uint32(k))]",
        "tile[uint32(z + uint32(k)), x]", kinds=("wrong", "uninitialised")),
    Own(TILES, "copy", "column of the tile off by one", "tile[x, uint32(z + uint32(k))]",
        "tile[x, uint32(z + uint32(k + 1))]", kinds=("wrong", "uninitialised")),
    Own(TILES, "copy", "rows of a tile left out", "range(0, SIDE, ROWS)",
        "range(0, SIDE - ROWS, ROWS)", kinds=("uninitialised",)),
    Own(TILES, "copy", "every block takes every tile", "cuda.gridDim.x", "1", kinds=("race",)),
    Own(TILES, "copy", "batches mistaken", "(outer, middle, i, j), r", "(middle, outer, i, j), r",
        kinds=("wrong", "bounds", "race")),
    Own(VECTORS, "copy", "bound loosened", "while i <", "while i <=", kinds=("bounds",)),
    Own(VECTORS, "copy", "vector misaligned", "load128(a, k)", "load128(a, k + uint32(1))",
        kinds=("misaligned", "bounds")),
    Own(VECTORS, "copy", "an element used twice", "rule(v[1], *n)", "rule(v[0], *n)",
        kinds=("wrong",)),
    Own(STRIDED, "copy", "bound loosened", "while i <", "while i <=",
        kinds=("bounds", "race", "wrong")),
    Own(STRIDED, "copy", "steps of the other array", "y[offset_of(d, r)]", "y[offset_of(d, p)]",
        kinds=("bounds", "race", "wrong")),
    Own(STRIDED, "copy", "every thread takes every element", NEXT, "1", kinds=("race",)),
    Own(STRIDED, "copy", "first element left out", THREAD, f"{THREAD} + 1", kinds=("wrong",)),
    Own("elementwise.cuda_kernels:digits", "copy", "a digit not reduced", "uint32(j - a * shape[7])", "j",
        kinds=("bounds", "race", "wrong")),
    Own("elementwise.cuda_kernels:quotient", "copy", "rounding left out", "high + n", "high",
        kinds=("bounds", "race", "wrong")),
    Own("elementwise.cuda_kernels:offset_of", "copy", "start left out", "steps[0] +", "", kinds=("bounds", "wrong")),
    Own("elementwise.cuda_kernels:offset_of", "copy", "a dimension left out", "place[1] * steps[2]", "0",
        kinds=("race", "wrong")),
    Own(TWO, "remainder", "operand taken twice", "ptx.load128(b, k)", "ptx.load128(a, k)",
        kinds=("wrong",)),
    Own(TWO, "remainder", "bound loosened", "while i <", "while i <=", kinds=("bounds",)),
    Own(TWO, "remainder", "every thread takes every vector", NEXT, "1", kinds=("race",)),
)  # fmt: skip
