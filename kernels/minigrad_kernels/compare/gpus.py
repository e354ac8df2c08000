"""Public figures of GPUs that are not here, and how many blocks of a kernel their processors hold.

Sources: NVIDIA's data sheets and architecture papers (A100 2021, H100 2022, H200 2023, Ada 2022, T4
2018) for clocks, peaks, memory and caches; the CUDA C++ Programming Guide 13.0, table "Technical
Specifications per Compute Capability", for what a multiprocessor holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

REGISTERS = 65_536  # of a multiprocessor, of all of these
GRANULE = 256  # registers that a warp is given at once
RESERVED = 1_024  # bytes of shared memory that the system keeps of a block, from 8.0 on


@dataclass(frozen=True)
class Figures:
    """What a data sheet says of a GPU.

    target: what is compiled for.  processors: multiprocessors.  clock: GHz, boost.  float32,
    float64: TFLOP/s without tensor cores.  memory: GB/s.  cache: MB of L2.  link: GB/s of PCIe each
    way.  threads, blocks, shared: that a multiprocessor holds, shared in KB.  lanes: float32 units
    of one.
    """

    name: str
    target: str
    processors: int
    clock: float
    float32: float
    float64: float
    memory: float
    cache: float
    link: float
    threads: int
    blocks: int
    shared: int
    lanes: int = 128

    def peak(self, dtype: str) -> float:
        """Return FLOP/s of a dtype."""
        return 1e12 * (self.float64 if dtype == "float64" else self.float32)


GPUS = {
    gpu.name: gpu
    for gpu in (
        Figures("A100", "sm_80", 108, 1.41, 19.5, 9.7, 2_039, 40, 31.5, 2_048, 32, 164, 64),
        Figures("H100", "sm_90a", 132, 1.98, 66.9, 33.5, 3_350, 50, 63.0, 2_048, 32, 228),
        Figures("H200", "sm_90a", 132, 1.98, 66.9, 33.5, 4_800, 50, 63.0, 2_048, 32, 228),
        Figures("RTX 4090", "sm_89", 128, 2.52, 82.6, 1.29, 1_008, 72, 31.5, 1_536, 24, 100),
        Figures("T4", "sm_75", 40, 1.59, 8.1, 0.254, 320, 4, 15.75, 1_024, 16, 64, 64),
    )
}


def resident(gpu: Figures, threads: int, registers: int, shared: int) -> int:
    """Return how many blocks a multiprocessor holds at once.

    threads, shared: of a block; registers: of a thread.

    >>> [resident(GPUS[name], 256, 64, 0) for name in ("H100", "T4")]
    [4, 4]
    >>> resident(GPUS["A100"], 128, 32, 48 * 1024)
    3
    """
    warps = -(-threads // 32)
    each = math.ceil(max(registers, 1) * 32 / GRANULE) * GRANULE * warps
    limits = [gpu.blocks, gpu.threads // (32 * warps), REGISTERS // each]
    if shared:
        reserved = 0 if gpu.target == "sm_75" else RESERVED
        limits.append(gpu.shared * 1_024 // (shared + reserved))
    return max(0, min(limits))
