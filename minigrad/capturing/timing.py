"""How long each launch of a program takes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from minigrad.capturing.program import MADE


def time_launches(replay: Any, calls: int) -> None:
    """Run a program on the memory of its last call, so many times; note how long each launch takes,
    called from Python, by the median.  What it writes outside is put back.
    """
    program = replay.program
    kept = []
    for buffer in dict.fromkeys(b for launch in program for b in launch.writes):
        if buffer.kind != MADE or buffer.lasting:
            bytes_of = np.frombuffer(replay.memory[buffer], np.uint8)
            kept.append((bytes_of, bytes_of.copy()))
    found = np.zeros((calls, len(program)))

    def run() -> None:
        clock = time.perf_counter
        for row in found:
            for i, (kernel, args) in enumerate(replay.calls):
                start = clock()
                kernel(*args)
                row[i] = clock() - start

    try:
        replay.context.run(run)
    finally:
        for now, before in kept:
            now[...] = before
    for launch, seconds in zip(program, np.median(found, axis=0), strict=True):
        launch.seconds = float(seconds)
