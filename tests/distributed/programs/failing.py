"""One rank does what it should not, while the others wait for it."""

from __future__ import annotations

import os
import signal
import sys
import time

import minigrad as mg

what = sys.argv[1]
mg.distributed.init(timeout=3 if what in ("hang", "stop") else 600)
mg.distributed.barrier()
if mg.distributed.rank() == 1:
    if what == "raise":
        raise ValueError("rank 1 has found no data")
    if what == "hang":
        time.sleep(10_000)
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if what == "vanish":
        os._exit(0)
    if what == "exit":
        sys.exit(3)
    if what == "part":
        mg.distributed.barrier()
x = mg.ones(3)
mg.distributed.all_reduce(x)
