"""How a tensor leaves the framework: as a number, a list, an array, through DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.dispatch import DeviceArray, targets

Array = np.ndarray[Any, Any]


class Interop:
    """Numbers and arrays out."""

    def item(self: Any) -> Any:
        """Return the one element as a Python number."""
        if self.array.size != 1:
            raise ValueError(
                f"item: expected one element, got shape {self.shape}; use tolist() or reduce it "
                "first"
            )
        return self.array.item()

    def tolist(self: Any) -> Any:
        """Return nested lists of Python numbers."""
        return self.array.tolist()

    def numpy(self: Any) -> Array:
        """Return the memory itself as an array.  A write to it is not seen by the tape
        (`detect_anomaly` catches it).
        """
        if self.requires_grad:
            raise RuntimeError(
                "numpy: the tensor requires grad, an array cannot; use .detach().numpy()"
            )
        if type(self.array) is DeviceArray:
            raise TypeError(f"numpy: the tensor lies on {self.device}; use .cpu().numpy()")
        return self.array

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> Array:
        a = self.numpy()
        if dtype is not None and np.dtype(dtype) != a.dtype:
            if copy is False:
                raise ValueError(f"an array of {np.dtype(dtype)} from {a.dtype} needs a copy")
            return a.astype(dtype)
        return a.copy() if copy else a

    @property
    def __cuda_array_interface__(self: Any) -> dict[str, Any]:
        """The memory of a tensor on a GPU, for PyTorch, CuPy and Numba to share without a copy."""
        if self.device.type != "cuda":
            raise AttributeError(f"a tensor on {self.device} has no memory of a GPU")
        if self.requires_grad:
            raise AttributeError("the tensor requires grad; share .detach()")
        self.array.target.synchronize()
        interface: dict[str, Any] = targets().Interface(self.array).__cuda_array_interface__
        return interface

    def __dlpack__(
        self: Any,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Return a capsule over the memory, for other libraries' `from_dlpack`.

        stream: on a GPU, the stream where the memory will be used; that stream waits for what has
            been launched here.

        Raises: BufferError where the memory cannot be shared as asked, or the tensor on a GPU
            requires grad; RuntimeError for one on the CPU that does.
        """
        if type(self.array) is DeviceArray:
            if self.requires_grad:
                raise BufferError(
                    "the tensor requires grad, and what other libraries do with its memory is not "
                    "recorded: share .detach()"
                )
            return targets().exported(self.array, stream, dl_device, copy)
        asked = {"max_version": max_version, "dl_device": dl_device, "copy": copy}
        chosen = {name: value for name, value in asked.items() if value is not None}
        return self.numpy().__dlpack__(stream=stream, **chosen)

    def __dlpack_device__(self: Any) -> tuple[int, int]:
        """Return DLPack's numbers for where the memory lies: (1, 0), or (2, the GPU's number)."""
        if type(self.array) is DeviceArray and self.device.type == "cuda":
            return (2, self.device.index or 0)
        found: tuple[int, int] = self.numpy().__dlpack_device__() if self.is_cuda else (1, 0)
        return found

    def __bool__(self: Any) -> bool:
        if self.array.size != 1:
            raise ValueError(
                f"a tensor of shape {self.shape} has no single truth value; use .any() or .all()"
            )
        return bool(self.array.item())

    def __float__(self: Any) -> float:
        return float(self.item())

    def __int__(self: Any) -> int:
        return int(self.item())

    def __index__(self: Any) -> int:
        if self.array.dtype.kind not in "iub":
            raise TypeError(f"only an integer tensor can be an index, got {self.array.dtype}")
        return int(self.item())

    def __contains__(self: Any, x: Any) -> bool:
        found = self == x
        if isinstance(found, bool):
            raise TypeError(f"in: expected a number or a tensor, got {type(x).__name__}")
        return bool(found.any())
