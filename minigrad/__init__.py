"""minigrad: a small deep-learning framework with kernels in Python.

>>> import minigrad as mg
>>> x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

import typing as _typing

from minigrad import cuda as cuda
from minigrad import data as data
from minigrad import fft as fft
from minigrad import linalg as linalg
from minigrad import nn as nn
from minigrad import optim as optim
from minigrad import scalar as scalar
from minigrad import special as special
from minigrad import train as train
from minigrad.engine import fast as _fast
from minigrad.engine import random as random
from minigrad.engine.anomaly import check_launches as check_launches
from minigrad.engine.anomaly import detect_anomaly as detect_anomaly
from minigrad.engine.device import device as device
from minigrad.engine.device import get_float32_matmul_precision as get_float32_matmul_precision
from minigrad.engine.device import set_float32_matmul_precision as set_float32_matmul_precision
from minigrad.engine.dtypes import DType as DType
from minigrad.engine.dtypes import bfloat16 as bfloat16
from minigrad.engine.dtypes import bool_ as bool
from minigrad.engine.dtypes import complex64 as cfloat
from minigrad.engine.dtypes import complex64 as complex64
from minigrad.engine.dtypes import complex128 as cdouble
from minigrad.engine.dtypes import complex128 as complex128
from minigrad.engine.dtypes import float16 as float16
from minigrad.engine.dtypes import float16 as half
from minigrad.engine.dtypes import float32 as float
from minigrad.engine.dtypes import float32 as float32
from minigrad.engine.dtypes import float64 as double
from minigrad.engine.dtypes import float64 as float64
from minigrad.engine.dtypes import int8 as int8
from minigrad.engine.dtypes import int16 as int16
from minigrad.engine.dtypes import int16 as short
from minigrad.engine.dtypes import int32 as int
from minigrad.engine.dtypes import int32 as int32
from minigrad.engine.dtypes import int64 as int64
from minigrad.engine.dtypes import int64 as long
from minigrad.engine.dtypes import uint8 as uint8
from minigrad.engine.grad_mode import enable_grad as enable_grad
from minigrad.engine.grad_mode import is_grad_enabled as is_grad_enabled
from minigrad.engine.grad_mode import no_grad as no_grad
from minigrad.engine.grad_mode import set_grad_enabled as set_grad_enabled
from minigrad.engine.op import Op as Op
from minigrad.engine.random import Generator as Generator
from minigrad.engine.random import initial_seed as initial_seed
from minigrad.engine.random import manual_seed as manual_seed
from minigrad.engine.threads import get_num_threads as get_num_threads
from minigrad.engine.threads import set_num_threads as set_num_threads
from minigrad.engine.trace import Tape as Tape
from minigrad.engine.values import set_default_dtype as set_default_dtype
from minigrad.lazy import lazy as _lazy
from minigrad.scalar import Value as Value
from minigrad.serialization import load as load
from minigrad.serialization import save as save
from minigrad.tensors import registry as _registry
from minigrad.tensors.conveniences import finfo as finfo
from minigrad.tensors.conveniences import iinfo as iinfo
from minigrad.tensors.creation import arange as arange
from minigrad.tensors.creation import as_tensor as as_tensor
from minigrad.tensors.creation import empty as empty
from minigrad.tensors.creation import empty_like as empty_like
from minigrad.tensors.creation import eye as eye
from minigrad.tensors.creation import from_dlpack as from_dlpack
from minigrad.tensors.creation import from_numpy as from_numpy
from minigrad.tensors.creation import full as full
from minigrad.tensors.creation import full_like as full_like
from minigrad.tensors.creation import get_default_device as get_default_device
from minigrad.tensors.creation import linspace as linspace
from minigrad.tensors.creation import logspace as logspace
from minigrad.tensors.creation import ones as ones
from minigrad.tensors.creation import ones_like as ones_like
from minigrad.tensors.creation import rand as rand
from minigrad.tensors.creation import rand_like as rand_like
from minigrad.tensors.creation import randint as randint
from minigrad.tensors.creation import randint_like as randint_like
from minigrad.tensors.creation import randn as randn
from minigrad.tensors.creation import randn_like as randn_like
from minigrad.tensors.creation import randperm as randperm
from minigrad.tensors.creation import set_default_device as set_default_device
from minigrad.tensors.creation import tensor as tensor
from minigrad.tensors.creation import zeros as zeros
from minigrad.tensors.creation import zeros_like as zeros_like
from minigrad.tensors.functions import *  # noqa: F403
from minigrad.tensors.printing import set_printoptions as set_printoptions
from minigrad.tensors.shapes import Size as Size
from minigrad.tensors.tensor import Tensor as Tensor
from minigrad.tensors.transforms import grad as grad
from minigrad.train.trainer import Trainer as Trainer

if _typing.TYPE_CHECKING:
    from minigrad import autograd as autograd
    from minigrad import checking as checking
    from minigrad import compare as compare
    from minigrad import diagnosis as diagnosis
    from minigrad import distributed as distributed
    from minigrad import distributions as distributions
    from minigrad import func as func
    from minigrad import masked as masked
    from minigrad import onnx as onnx
    from minigrad import utils as utils
    from minigrad.capturing.captured import capture as capture
    from minigrad.checking.gradcheck import GradcheckError as GradcheckError
    from minigrad.checking.gradcheck import gradcheck as gradcheck
    from minigrad.checking.gradcheck import gradgradcheck as gradgradcheck
    from minigrad.checking.watching import checked as checked
    from minigrad.diagnosis.static import doctor as doctor
    from minigrad.engine.profiling import profile as profile
    from minigrad.func import vmap as vmap
    from minigrad.published.functions import *  # noqa: F403
    from minigrad.tables.model import TableModel as TableModel
    from minigrad.tables.model import load_model as load_model
    from minigrad.tables.recipe import from_table as _of_tables
    from minigrad.train.recipe import recipe as _of_sizes
    from minigrad.train.verifying import ResumeError as ResumeError
    from minigrad.train.verifying import verify_resume as verify_resume

    class _Recipe:
        """What type checkers see of `recipe`, a function with another one as its attribute."""

        __call__ = staticmethod(_of_sizes)
        from_table = staticmethod(_of_tables)

    recipe = _Recipe()
else:
    from minigrad.train.recipe import recipe as recipe

    autograd = _lazy("minigrad.autograd")
    checking = _lazy("minigrad.checking")
    compare = _lazy("minigrad.compare")
    diagnosis = _lazy("minigrad.diagnosis")
    distributed = _lazy("minigrad.distributed")
    distributions = _lazy("minigrad.distributions")
    func = _lazy("minigrad.func")
    masked = _lazy("minigrad.masked")
    onnx = _lazy("minigrad.onnx")
    utils = _lazy("minigrad.utils")

    _LATER = {
        "GradcheckError": _lazy("minigrad.checking.gradcheck"),
        "TableModel": _lazy("minigrad.tables.model"),
        "capture": _lazy("minigrad.capturing.captured"),
        "checked": _lazy("minigrad.checking.watching"),
        "doctor": _lazy("minigrad.diagnosis.static"),
        "gradcheck": _lazy("minigrad.checking.gradcheck"),
        "gradgradcheck": _lazy("minigrad.checking.gradcheck"),
        "ResumeError": _lazy("minigrad.train.verifying"),
        "load_model": _lazy("minigrad.tables.model"),
        "verify_resume": _lazy("minigrad.train.verifying"),
        "profile": _lazy("minigrad.engine.profiling"),
        "vmap": func,
    }

    def _from_table(*args: _typing.Any, **options: _typing.Any) -> _typing.Any:
        """Build a recipe for a table; see `minigrad.tables.recipe.from_table`."""
        return _lazy("minigrad.tables.recipe").from_table(*args, **options)

    recipe.from_table = _from_table

    def __getattr__(name: str) -> _typing.Any:
        """Return what a program may never ask for: its module is loaded when it does."""
        if name not in _LATER:
            raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
        value = globals()[name] = getattr(_LATER[name], name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATER})


_registry.share(globals(), "tensor")

__version__ = "0.1.0"
