"""The CUDA kernels of the kernels, and what they run on: a GPU, or the simulator.

`array.py` holds arrays in device memory, `targets.py` the devices themselves, `launching.py` what
every CUDA kernel stands on; each other file holds the CUDA kernels of one family, under the names
and with the arguments of the table.  Nothing here is imported before a device is asked for.
"""
