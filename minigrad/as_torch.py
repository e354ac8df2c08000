"""PyTorch's names for the programs of this process, which then run on minigrad.

    import minigrad.as_torch
    import torch  # is minigrad

`minigrad run script.py` does so for a script as it stands.  A name that minigrad has not raises an
AttributeError, or an ImportError, that gives the nearest; what cannot be had (TorchScript, export,
half precision) says so where it is used.  `torch.distributed` is by MPI.  Random numbers are
PyTorch's own: a seed gives the same numbers as there, on a CPU.

Raises: ImportError where PyTorch itself is imported already.

Importing this is a switch for the whole process: `minigrad.default` random numbers, the names with
which dtypes are printed, and `Tensor.shape`, a `Size`, follow PyTorch from then on.
"""

from __future__ import annotations

from minigrad.torch_programs.names import install

__all__ = ["install"]
install()
