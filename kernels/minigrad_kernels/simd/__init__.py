"""Vector registers, lanes and prefetching from Numba."""
