"""Compare a kernel as NumPy reference, on the CPU and in CUDA with each other and with libraries:
see `minigrad_kernels.compare.api`.
"""

from minigrad_kernels.jit import plain

if plain.ON:
    plain.import_kernels("minigrad_kernels.compare.command")
