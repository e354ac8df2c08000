"""The names of `torch` itself that minigrad has not: settings, dtypes, what does nothing here."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.engine import random
from minigrad.engine.device import Device
from minigrad.engine.dtypes import AbsentDType, DType
from minigrad.engine.grad_mode import no_grad
from minigrad.engine.mersenne import MersenneTwister
from minigrad.engine.op import Op
from minigrad.engine.values import default_dtype, set_default_dtype
from minigrad.tensors import creation
from minigrad.tensors.conveniences import dtype_of_kind
from minigrad.tensors.tensor import Tensor

__version__ = "2.13.0+minigrad"
Generator = MersenneTwister
inference_mode = no_grad
default_generator = MersenneTwister()
strided, sparse_coo = "strided", "sparse_coo"
contiguous_format, preserve_format = "contiguous_format", "preserve_format"
channels_last = "channels_last"
layout = memory_format = str
pi, e, inf, nan = np.pi, np.e, np.inf, np.nan
newaxis = None


class DTypeKind(type):
    """The class of `torch.dtype`, of which all dtypes are instances."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, DType | AbsentDType)


class dtype(metaclass=DTypeKind):
    """The class of dtypes."""


class TorchDevice(type):
    """The class of `torch.device`: other accelerators than NVIDIA's have a name here, no more."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, Device)

    def __call__(cls, type: Any = "cpu", index: int | None = None) -> Any:
        if isinstance(type, int):
            return Device("cuda", type)
        if index is None and isinstance(type, str) and type == "cpu:0":
            return Device("cpu")
        return Device(type, index)


class device(metaclass=TorchDevice):
    """Where tensors lie: "cpu", "cuda", "cuda:1"."""


# ---------------------------------------------------------------- random numbers
def manual_seed(seed: int) -> MersenneTwister:
    """Start all random numbers anew, PyTorch's own of that seed."""
    seed = int(seed)
    random.manual_seed(seed % 2**64)
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed with a number that differs every time; return it."""
    found = int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) >> 1
    manual_seed(found)
    return found


def initial_seed() -> int:
    """Return the seed that was last set."""
    return default_generator.initial_seed()


# ---------------------------------------------------------------- settings
def set_default_tensor_type(kind: Any) -> None:
    """Let new tensors be of a kind, `torch.DoubleTensor`."""
    set_default_dtype(dtype_of_kind(kind))


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Do nothing: results are the same bits in every run anyway."""


def are_deterministic_algorithms_enabled() -> bool:
    """Return True: results are the same bits in every run."""
    return True


def set_num_interop_threads(n: int) -> None:
    """Do nothing: ops run one after the other."""


def get_num_interop_threads() -> int:
    """Return 1: ops run one after the other."""
    return 1


def set_warn_always(on: bool) -> None:
    """Let each warning be given every time."""
    warnings.simplefilter("always" if on else "default")


def get_device(x: Any) -> int:
    """Return the number of the GPU where a tensor lies, -1 on the CPU."""
    return int(x.get_device())


def is_warn_always_enabled() -> bool:
    """Return False."""
    return False


def typename(x: Any) -> str:
    """Return the kind of a tensor, or the class of anything else."""
    kind: Any = type(x)
    held: Any = x
    return str(held.type()) if isinstance(x, Tensor) else f"{kind.__module__}.{kind.__name__}"


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield


def compile(model: Any = None, **options: Any) -> Any:
    """Return the function or the module as it is, with one note: nothing is compiled here."""
    if model is None:
        return compile
    note_once("torch.compile", "returns what it is given: minigrad's kernels are compiled already")
    return model


NOTED: set[str] = set()


def note_once(name: str, text: str) -> None:
    """Warn of something once in a process."""
    if name not in NOTED:
        NOTED.add(name)
        warnings.warn(f"minigrad as torch: {name} {text}", UserWarning, stacklevel=3)


# ---------------------------------------------------------------- making tensors
def range(start: Any, end: Any = None, step: Any = 1, **options: Any) -> Tensor:
    """Return start, start + step, ... up to `end`, which is included."""
    count = int(np.floor((end - start) / step)) + 1
    options.setdefault("dtype", default_dtype())
    return creation.tensor([start + i * step for i in np.arange(count)], **options)


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0) -> Tensor:
    """Return a tensor over the memory of a buffer."""
    return creation.from_numpy(np.frombuffer(buffer, dtype.dtype, count, offset))


def compiled_with_cxx11_abi() -> bool:
    """Return False: nothing here is C++."""
    return False


NODE: Callable[..., Any] = Op


@contextlib.contextmanager
def safe_globals(classes: Any) -> Iterator[None]:
    """Do nothing: files hold no code."""
    yield
