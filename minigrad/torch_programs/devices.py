"""`torch.cuda`, `torch.mps`, `torch.backends` ...: what a program asks before it uses a device."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from minigrad import cuda
from minigrad.engine.device import (
    Device,
    get_float32_matmul_precision,
    set_float32_matmul_precision,
)
from minigrad.torch_programs.top import default_generator, manual_seed, seed


def no(*_: Any, **__: Any) -> bool:
    """Return False."""
    return False


def none_there(*_: Any, **__: Any) -> int:
    """Return 0."""
    return 0


def nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def seed_all(seed: int) -> None:
    """Do nothing: there is one sequence for all devices, which `torch.manual_seed` starts."""


def current_accelerator(check_available: bool = False) -> Device | None:
    """Return "cuda" where there is an NVIDIA GPU, else None."""
    return Device("cuda") if cuda.is_available() else None


def get_device_properties(device: Any = None) -> Any:
    """Return the name of a GPU."""
    return SimpleNamespace(name=cuda.get_device_name(device))


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Refuse where there is no GPU; the oldest that kernels are for where there is one."""
    cuda.get_device_name(device)
    return (7, 0)


class set_device:
    """Do nothing: tensors say where they lie; also a context."""

    def __init__(self, device: Any = None, **settings: Any) -> None:
        self.device = device

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, *_: Any) -> None:
        """Do nothing."""


def rng_state(device: Any = None) -> Any:
    """Return the state of the one sequence there is."""
    return default_generator.get_state()


CUDA: dict[str, Any] = {
    "current_device": none_there,
    "device": set_device,
    "get_device_capability": get_device_capability,
    "get_device_properties": get_device_properties,
    "get_rng_state": rng_state,
    "init": nothing,
    "ipc_collect": nothing,
    "is_bf16_supported": no,
    "is_initialized": no,
    "manual_seed": seed_all,
    "manual_seed_all": seed_all,
    "max_memory_reserved": none_there,
    "memory_cached": none_there,
    "reset_max_memory_allocated": nothing,
    "seed": seed,
    "seed_all": seed,
    "set_device": set_device,
    "set_rng_state": nothing,
}
NONE_THERE: dict[str, Any] = {
    "current_allocated_memory": none_there,
    "current_device": none_there,
    "device_count": none_there,
    "driver_allocated_memory": none_there,
    "empty_cache": nothing,
    "is_available": no,
    "is_initialized": no,
    "manual_seed": seed_all,
    "manual_seed_all": seed_all,
    "memory_allocated": none_there,
    "set_device": nothing,
    "synchronize": nothing,
}
ACCELERATOR: dict[str, Any] = {
    "current_accelerator": current_accelerator,
    "current_device_index": none_there,
    "device_count": cuda.device_count,
    "is_available": cuda.is_available,
    "set_device_index": nothing,
    "synchronize": nothing,
}


def backend(**settings: Any) -> dict[str, Any]:
    """Return a backend that is not there, with settings that may be read and written."""
    return {"is_available": no, "is_built": no, "version": nothing, **settings}


matmul = SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=False)
BACKENDS: dict[str, dict[str, Any]] = {
    "cuda": backend(
        matmul=matmul,
        enable_flash_sdp=nothing,
        enable_math_sdp=nothing,
        enable_mem_efficient_sdp=nothing,
        flash_sdp_enabled=no,
    ),
    "cudnn": backend(
        allow_tf32=False, benchmark=False, deterministic=True, enabled=False, flags=set_device
    ),
    "mkl": backend(),
    "mkldnn": backend(enabled=False, flags=set_device),
    "mps": backend(is_macos13_or_newer=no),
    "openmp": backend(),
    "opt_einsum": backend(enabled=False),
    "quantized": {"engine": "none", "supported_engines": ["none"]},
    "xnnpack": backend(),
    "cpu": {"get_cpu_capability": lambda: "numba"},
}
SETTINGS: dict[str, Any] = {
    "get_float32_matmul_precision": get_float32_matmul_precision,
    "set_float32_matmul_precision": set_float32_matmul_precision,
    "manual_seed": manual_seed,
}
