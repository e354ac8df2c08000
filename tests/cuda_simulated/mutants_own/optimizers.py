"""Mutants of optim/cuda_multi_tensor.py, as Adam's kernels, and of optim/cuda_clip.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

STEP = "cuda_table:CUDA_KERNELS['adam_step'].single"
PLAIN = "cuda_table:CUDA_KERNELS['adam_step'].double"
NUMBERS = "cuda_table:CUDA_KERNELS['adam_step'].numbers"
NORMS = "optim.cuda_clip:norms_single"
JOIN = "optim.cuda_clip:block_joined"
FINISH = "optim.cuda_clip:finish_norm"
CLAMP = "optim.cuda_clip:clamp_single"
BARRIER = "cuda.syncthreads()"

MUTANTS = (
    Own(STEP, "adam_step", "tensor bound loosened", "while i < high", "while i <= high",
        kinds=("bounds",)),
    Own(STEP, "adam_step", "vector bound loosened", "while v < after", "while v <= after",
        kinds=("bounds", "race")),
    Own(STEP, "adam_step", "alignment not asked for", "if bits & int64(ALIGNED) == 0", "if True",
        kinds=("misaligned",)),
    Own(STEP, "adam_step", "state not asked for its alignment", "range(P, columns)",
        "range(columns, columns)", kinds=("misaligned",)),
    Own(STEP, "adam_step", "head left out", "if i < first", "if i < low", kinds=("wrong",)),
    Own(STEP, "adam_step", "tail from the start", "i = uint32(after + cuda.threadIdx.x)",
        "i = uint32(low + cuda.threadIdx.x)", kinds=("race",)),
    Own(STEP, "adam_step", "chunks overlap", "cuda.blockIdx.x * uint32(CHUNK)",
        "cuda.blockIdx.x * uint32(CHUNK // 2)", kinds=("race", "wrong")),
    Own(STEP, "adam_step", "next tensor left out", "k += 1", "k += 2",
        kinds=("wrong", "bounds", "race", "error")),
    Own(PLAIN, "adam_step", "end of the chunk ignored",
        "end = min(count, uint32(begin + uint32(CHUNK)))", "end = count",
        kinds=("race", "wrong")),
    Own(PLAIN, "adam_step", "state of the wrong column", "row[STATE + 1 if states > 1 else P]",
        "row[STATE]", kinds=("wrong", "race")),
    Own(NUMBERS, "adam_step", "bound loosened", "k < uint32(table.shape[0])",
        "k <= uint32(table.shape[0])", kinds=("bounds",)),
    Own(NUMBERS, "adam_step", "numbers not cleared", "held[k, j] = float64(0)", "pass",
        kinds=("uninitialised",)),
    Own(NUMBERS, "adam_step", "options of the first group", "hyper[row[GROUP]]", "hyper[0]",
        kinds=("wrong",)),
    Own(JOIN, "grad_norm", "first barrier removed", BARRIER, "pass",
        kinds=("race", "uninitialised")),
    Own(JOIN, "grad_norm", "second barrier removed", BARRIER, "pass", 1, ("race",)),
    Own(JOIN, "grad_norm", "barrier in a branch",
        "        parts[t >> uint32(5)] = value\n    cuda.syncthreads()",
        "        parts[t >> uint32(5)] = value\n        cuda.syncthreads()", kinds=("barrier",)),
    Own(JOIN, "grad_norm", "mask narrowed", "FULL", "0xFFFF", kinds=("warp",)),
    Own(JOIN, "grad_norm", "one warp left out", "range(1, WARPS)", "range(1, WARPS - 1)",
        kinds=("wrong",)),
    Own(JOIN, "grad_norm", "one warp too many", "range(1, WARPS)", "range(1, WARPS + 1)",
        kinds=("bounds",)),
    Own(JOIN, "grad_norm", "first warp twice", "range(1, WARPS)", "range(WARPS)",
        kinds=("wrong",)),
    Own(JOIN, "grad_norm", "last step of the shuffle left out", "(16, 8, 4, 2, 1)", "(16, 8, 4, 2)",
        kinds=("wrong",)),
    Own(NORMS, "grad_norm", "part of one thread", "if cuda.threadIdx.x == 0", "if True",
        kinds=("race",)),
    Own(NORMS, "grad_norm", "accumulator not cleared",
        "while chunk < uint32(parts.size):\n        begin = uint32(chunk * each)",
        "begin = uint32(0)\n    while chunk < uint32(parts.size):", kinds=("wrong",)),
    Own(NORMS, "grad_norm", "one chunk too many", "chunk < uint32(parts.size)",
        "chunk <= uint32(parts.size)", kinds=("bounds", "wrong")),
    Own(FINISH, "grad_norm", "first part left out", "i = uint32(cuda.threadIdx.x)",
        "i = uint32(cuda.threadIdx.x + uint32(1))", kinds=("wrong",)),
    Own(CLAMP, "grad_clamp", "bound loosened", "while i < stop", "while i <= stop",
        kinds=("bounds",)),
    Own(CLAMP, "grad_clamp", "vectors overlap", "uint32(4 * THREADS)", "uint32(THREADS)",
        kinds=("race", "misaligned", "wrong")),
    Own(CLAMP, "grad_clamp", "tail from the start", "i = uint32(after + cuda.threadIdx.x)",
        "i = uint32(left + cuda.threadIdx.x)", kinds=("race",)),
)  # fmt: skip
