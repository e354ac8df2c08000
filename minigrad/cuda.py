"""NVIDIA GPUs: whether there are any, waiting for them, and what of their memory is held.

    >>> import minigrad as mg
    >>> device = "cuda" if mg.cuda.is_available() else "cpu"
    >>> mg.ones(2).to(device).sum().item()
    2.0
"""

from __future__ import annotations

from typing import Any

from minigrad.backend import Device, targets


def is_available() -> bool:
    """Return whether tensors can go to "cuda": a GPU, its driver, and the `cuda` extra are there.

    >>> is_available() == (device_count() > 0)
    True
    """
    return device_count() > 0


def device_count() -> int:
    """Return the number of GPUs that can be used, 0 where something is missing."""
    try:
        return len(targets().driver().gpus)
    except RuntimeError:
        return 0


def get_device_name(device: Any = None) -> str:
    """Return the name of a GPU; device: "cuda:1" or a number, the first one by default.

    Raises: RuntimeError that says what is missing where there is none.
    """
    return str(_target(device).device_name)


def synchronize(device: Any = None) -> None:
    """Wait until all that was launched on a device has ended: kernels run behind the program."""
    _target(device).synchronize()


def memory_allocated(device: Any = None) -> int:
    """Return the bytes that living tensors of a device hold."""
    return int(_target(device).allocated)


def memory_reserved(device: Any = None) -> int:
    """Return the bytes held of a device, those of freed tensors, kept for the next, among them."""
    return int(_target(device).reserved)


def empty_cache(device: Any = None) -> None:
    """Give memory that no tensor holds back to the device."""
    _target(device).empty_cache()


def memory_summary(device: Any = None) -> str:
    """Return a table of what a device's memory is held by, the most first."""
    return str(_target(device).summary())


def _target(device: Any) -> Any:
    if isinstance(device, int):
        return Device("cuda", device).target()
    chosen = Device("cuda" if device is None else device)
    if chosen.type == "cpu":
        raise ValueError("expected a CUDA device, got 'cpu'")
    return chosen.target()
