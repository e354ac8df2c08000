"""Mutants of randomness/cuda_dropout.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

PLAIN = "randomness.cuda_dropout:drop"
VECTORS = "randomness.cuda_dropout:drop_vectors"
BLOCK = "cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x"

MUTANTS = (
    Own(PLAIN, "dropout", "bound loosened", "if index < n:", "if index <= n:", kinds=("bounds",)),
    Own(PLAIN, "dropout", "index off by one", "x[index] *", "x[index + uint32(1)] *", kinds=("bounds",)),
    Own(PLAIN, "dropout", "tail left out", "while uint32(block << uint32(2)) < n",
        "while uint32(uint32(block + uint32(1)) << uint32(2)) <= n", kinds=("wrong",)),
    Own(PLAIN, "dropout", "steps of one thread", "block + step", "block + uint32(1)",
        kinds=("race",)),
    Own(PLAIN, "dropout", "one word for four", "w[k]", "w[0]", kinds=("wrong",)),
    Own(PLAIN, "dropout", "counters swapped", "call, stream", "stream, call", kinds=("wrong",)),
    Own(PLAIN, "dropout", "zeros not written",
        "y[index] = x[index] * factor if w[k] >= least else zero",
        "if w[k] >= least:\n                    y[index] = x[index] * factor", kinds=("wrong",)),
    Own(VECTORS, "dropout", "vector misaligned", "ptx.load128(x, index)",
        "ptx.load128(x, index + uint32(1))", kinds=("misaligned", "bounds")),
    Own(VECTORS, "dropout", "bound loosened", "while block < n", "while block <= n",
        kinds=("bounds",)),
    Own(VECTORS, "dropout", "word used twice", "if d >= least", "if c >= least", kinds=("wrong",)),
    Own(VECTORS, "dropout", "factor left out", "v[2] * factor", "v[2]", kinds=("wrong",)),
    Own(VECTORS, "dropout", "vectors overlap", "block << uint32(2)", "block << uint32(1)",
        kinds=("misaligned", "race")),
    Own(VECTORS, "dropout", "block not counted", BLOCK, "cuda.threadIdx.x", kinds=("race",)),
)  # fmt: skip
