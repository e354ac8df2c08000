"""Compare kernels with their references, with each other's targets and with other libraries.

See `minigrad_kernels.compare.api`.
"""

from minigrad_kernels.jit import plain

if plain.ON:
    plain.import_kernels("minigrad_kernels.compare.command")
