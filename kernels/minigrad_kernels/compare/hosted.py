"""Run a host function of numba.cuda's on the devices of minigrad.

A host function takes device arrays as numba.cuda has them, launches kernels on them,
`kernel[grid, block](x, y)`, makes temporaries, `cuda.device_array(...)`, and returns nothing.  On a
GPU it gets views of the arrays; under the simulator, or where launches are only written down, it
runs as `minigrad_cudasim.simulate` runs a program, and its launches are the device's.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import minigrad_cudasim
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.launch import target_of
from minigrad_kernels.cuda.simulator import Simulator


def hosted(function: Callable[..., Any], *args: Any) -> None:
    """Call a host function with device arrays of ours, given to it as numba.cuda's.

    Raises: minigrad_cudasim.Fault under the simulator; what the function raises.
    """
    target = target_of(args)
    if isinstance(target, Simulator):
        simulated(function, target, args)
        return
    cuda = importlib.import_module("numba.cuda")
    view = importlib.import_module("minigrad_kernels.cuda.targets").Interface
    target.synchronize()  # numba.cuda's streams wait for none of ours
    function(*[cuda.as_cuda_array(view(a)) if isinstance(a, DeviceArray) else a for a in args])
    cuda.synchronize()


def simulated(function: Callable[..., Any], target: Simulator, args: Sequence[Any]) -> None:
    """Call a host function whose launches a simulated device runs, or writes down."""
    arrays = importlib.import_module("minigrad_cudasim.host.arrays")

    def launch(kernel: Any, grid: Any, block: Any, shared: int, given: Any, *_: Any) -> None:
        if 0 not in grid and 0 not in block:
            held = [DeviceArray(a, target) if isinstance(a, np.ndarray) else a for a in given]
            target.run(kernel_of(kernel, function), grid, block, held, shared)

    with minigrad_cudasim.simulate() as session:
        session.launch = launch  # each launch of numba.cuda's comes by here
        function(
            *[arrays.DeviceArray(a.geometry) if isinstance(a, DeviceArray) else a for a in args]
        )


def kernel_of(plain: Any, function: Callable[..., Any]) -> Any:
    """Return what `cuda.jit` made of a function, where the host function's module has it, or its
    own; else the function.
    """
    places = [
        *getattr(function, "__globals__", {}).values(),
        *vars(sys.modules.get(plain.__module__, object)).values(),
    ]
    return next((v for v in places if getattr(v, "py_func", None) is plain), plain)
