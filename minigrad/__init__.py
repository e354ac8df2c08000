"""minigrad: a small deep-learning framework with kernels in Python.

>>> import minigrad as mg
>>> x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from minigrad import compare as compare
from minigrad import cuda as cuda
from minigrad import data as data
from minigrad import nn as nn
from minigrad import optim as optim
from minigrad import scalar as scalar
from minigrad import train as train
from minigrad.autodiff import grad as grad
from minigrad.backend import device as device
from minigrad.backend import get_float32_matmul_precision as get_float32_matmul_precision
from minigrad.backend import get_num_threads as get_num_threads
from minigrad.backend import set_float32_matmul_precision as set_float32_matmul_precision
from minigrad.backend import set_num_threads as set_num_threads
from minigrad.checking import GradcheckError as GradcheckError
from minigrad.checking import gradcheck as gradcheck
from minigrad.checking import gradgradcheck as gradgradcheck
from minigrad.creation import arange as arange
from minigrad.creation import as_tensor as as_tensor
from minigrad.creation import empty as empty
from minigrad.creation import eye as eye
from minigrad.creation import from_dlpack as from_dlpack
from minigrad.creation import from_numpy as from_numpy
from minigrad.creation import full as full
from minigrad.creation import full_like as full_like
from minigrad.creation import linspace as linspace
from minigrad.creation import ones as ones
from minigrad.creation import ones_like as ones_like
from minigrad.creation import rand as rand
from minigrad.creation import rand_like as rand_like
from minigrad.creation import randint as randint
from minigrad.creation import randn as randn
from minigrad.creation import randn_like as randn_like
from minigrad.creation import randperm as randperm
from minigrad.creation import tensor as tensor
from minigrad.creation import zeros as zeros
from minigrad.creation import zeros_like as zeros_like
from minigrad.dtypes import DType as DType
from minigrad.dtypes import bool_ as bool
from minigrad.dtypes import float32 as float32
from minigrad.dtypes import float64 as float64
from minigrad.dtypes import int8 as int8
from minigrad.dtypes import int16 as int16
from minigrad.dtypes import int32 as int32
from minigrad.dtypes import int64 as int64
from minigrad.dtypes import uint8 as uint8
from minigrad.functions import *  # noqa: F403
from minigrad.modes import Tape as Tape
from minigrad.modes import check_launches as check_launches
from minigrad.modes import detect_anomaly as detect_anomaly
from minigrad.modes import enable_grad as enable_grad
from minigrad.modes import is_grad_enabled as is_grad_enabled
from minigrad.modes import no_grad as no_grad
from minigrad.modes import set_grad_enabled as set_grad_enabled
from minigrad.random import Generator as Generator
from minigrad.random import initial_seed as initial_seed
from minigrad.random import manual_seed as manual_seed
from minigrad.recipes import recipe as recipe
from minigrad.scalar import Value as Value
from minigrad.serialization import load as load
from minigrad.serialization import save as save
from minigrad.tensors import Tensor as Tensor
from minigrad.train.trainer import Trainer as Trainer

__version__ = "0.1.0"
