"""numba.cuda as the host sees it: simulated kernels, and the process's memory as the device's."""
