"""The types of numbers in a kernel by Numba's rules, and kernels rewritten to compute in them."""
