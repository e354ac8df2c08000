"""Mutants of randomness/cuda_random.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

WORDS = "randomness.cuda_random:draw_words"
UNIFORM = "randomness.cuda_random:draw_uniforms"
BLOCK = "cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x"

MUTANTS = (
    Own(WORDS, "random_bits", "bound loosened", "+ uint32(k)) < n", "+ uint32(k)) <= n",
        kinds=("bounds",)),
    Own(WORDS, "random_bits", "vector bound loosened", "uint32(index + uint32(each)) <= n", "index < n",
        kinds=("bounds",)),
    Own(WORDS, "random_bits", "steps of one thread", "block + step", "block + uint32(1)",
        kinds=("race",)),
    Own(WORDS, "random_bits", "counters swapped", "call, stream", "stream, call",
        kinds=("wrong",)),
    Own(WORDS, "random_bits", "block not counted", BLOCK, "cuda.threadIdx.x", kinds=("race",)),
    Own(WORDS, "random_bits", "tail left out", "while index < n",
        "while uint32(index + uint32(each)) <= n", kinds=("wrong",)),
    Own(UNIFORM, "uniform", "one word for all", "made[k]", "made[0]", kinds=("wrong",)),
    Own("randomness.cuda_random:unit", "uniform", "a bit too many", "uint32(8)", "uint32(7)",
        kinds=("wrong",)),
    Own("randomness.cuda_random:cosine_and_sine", "normal", "half a turn lost", "-b if", "b if", kinds=("wrong",)),
    Own("randomness.cuda_random:two_normals", "normal", "radius of its complement", "like(u, 1) - u", "u",
        kinds=("wrong",)),
)  # fmt: skip
