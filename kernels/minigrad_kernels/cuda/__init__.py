"""The CUDA side of the kernels: device memory, streams, launches and inline PTX.

`array.py` holds arrays in device memory, `targets.py` the devices themselves (a GPU, and the
simulator
of minigrad_cudasim), `launch.py` what sizes and makes launches, `compile.py` what compiles without
a GPU.  The CUDA kernels stand in their families' rooms (`cuda_*.py`), under the names and with the
arguments of the table.  Nothing here is imported before a device is asked for.
"""
