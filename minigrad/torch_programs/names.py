"""Which module of ours stands for which of PyTorch's."""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.distributed.zero import ZeroRedundancyOptimizer
from minigrad.engine import random
from minigrad.engine.dtypes import DType
from minigrad.nn.functional import activations
from minigrad.nn.module import Module
from minigrad.tensors.shapes import Size
from minigrad.tensors.tensor import Tensor
from minigrad.torch_programs import elsewhere, standin, top
from minigrad.torch_programs.absent import ABSENT, COMPILER, DISTRIBUTED, JIT, REFUSED
from minigrad.torch_programs.amp import AMP, autocast
from minigrad.torch_programs.attention import ATTENTION, BIAS
from minigrad.torch_programs.devices import ACCELERATOR, BACKENDS, CUDA, NONE_THERE, nothing
from minigrad.torch_programs.files import load, save
from minigrad.torch_programs.kinds import TENSORS, Variable
from minigrad.torch_programs.measuring import BENCHMARK, PROFILER
from minigrad.torch_programs.parallel import DataParallel, DistributedSampler
from minigrad.torch_programs.processes import PROCESSES, DistributedDataParallel, spawn, tell
from minigrad.torch_programs.random_state import RANDOM
from minigrad.torch_programs.testing import assert_close

Sources = Sequence[str | Mapping[str, Any]]
DATA: Sources = (
    "minigrad.torch_programs.loader",
    "minigrad.data",
    {"DistributedSampler": DistributedSampler},
)
NN: Sources = (
    "minigrad.nn",
    "minigrad.nn.layers.parameters",
    elsewhere.BASES,
    {"DataParallel": DataParallel},
)
PARALLEL = {
    "DataParallel": DataParallel,
    "DistributedDataParallel": DistributedDataParallel,
}
OPTIM: Sources = ("minigrad.optim",)
AUTOGRAD: Sources = (
    {"Variable": Variable},
    "minigrad.autograd",
    "minigrad.torch_programs.autograd",
    "minigrad",
)
UTILS: Sources = ("minigrad.nn.utils", "minigrad.optim.clip_grad", elsewhere.EARLIER_UTILS)
# Modules by name; sources that are not there are left out.
MODULES: dict[str, Sources] = {
    "torch": (
        TENSORS,
        {"save": save, "load": load, "autocast": autocast},
        "minigrad.torch_programs.top",
        "minigrad",
        elsewhere.TORCH,
        elsewhere.IN_TORCH,
        elsewhere.FROM_FUNCTIONAL,
    ),
    "torch.accelerator": (ACCELERATOR,),
    "torch.amp": (AMP,),
    "torch.amp.autocast_mode": (AMP,),
    "torch.amp.grad_scaler": (AMP,),
    "torch.autograd": AUTOGRAD,
    "torch.autograd.forward_ad": ("minigrad.autograd.forward_ad",),
    "torch.autograd.function": ("minigrad.autograd.function", *AUTOGRAD),
    "torch.autograd.functional": ("minigrad.autograd.functional", "minigrad.func"),
    "torch.autograd.gradcheck": AUTOGRAD,
    "torch.autograd.graph": ("minigrad.autograd.graph", *AUTOGRAD),
    "torch.autograd.profiler": (PROFILER,),
    "torch.autograd.variable": AUTOGRAD,
    "torch.backends": (),
    "torch.compiler": (COMPILER,),
    "torch.cuda": (CUDA, "minigrad.cuda"),
    "torch.cuda.amp": (AMP,),
    "torch.cpu": (NONE_THERE,),
    "torch.distributed": (PROCESSES, DISTRIBUTED),
    "torch.distributed.optim": ({"ZeroRedundancyOptimizer": ZeroRedundancyOptimizer},),
    "torch.distributions": ("minigrad.distributions",),
    "torch.distributions.constraints": ("minigrad.distributions.constraints",),
    "torch.export": (),
    "torch.fft": ("minigrad.fft",),
    "torch.func": ("minigrad.func",),
    "torch.functional": ("minigrad",),
    "torch.hub": (),
    "torch.jit": (JIT,),
    "torch.linalg": ("minigrad.linalg",),
    "torch.masked": ("minigrad.masked",),
    "torch.mps": (NONE_THERE,),
    "torch.multiprocessing": ("multiprocessing", {"set_sharing_strategy": nothing, "spawn": spawn}),
    "torch.nn": NN,
    "torch.nn.attention": (ATTENTION,),
    "torch.nn.attention.bias": (BIAS,),
    "torch.nn.functional": ("minigrad.nn.functional",),
    "torch.nn.init": ("minigrad.nn.init", elsewhere.INITIALISERS, elsewhere.FANS),
    "torch.nn.modules": NN,
    "torch.nn.modules.utils": (elsewhere.TUPLES,),
    "torch.nn.parallel": (PARALLEL,),
    "torch.nn.parallel.distributed": (PARALLEL,),
    "torch.nn.parameter": ("minigrad.nn", "minigrad.nn.parameter"),
    "torch.nn.utils": UTILS,
    "torch.nn.utils.clip_grad": UTILS,
    "torch.nn.utils.convert_parameters": UTILS,
    "torch.nn.utils.parametrizations": ("minigrad.nn.utils.parametrizations", *UTILS),
    "torch.nn.utils.parametrize": ("minigrad.nn.utils.parametrize", *UTILS),
    "torch.nn.utils.prune": ("minigrad.nn.utils.prune",),
    "torch.nn.utils.rnn": ("minigrad.nn.utils.rnn", *UTILS),
    "torch.nn.utils.spectral_norm": UTILS,
    "torch.nn.utils.weight_norm": UTILS,
    "torch.onnx": (),
    "torch.optim": OPTIM,
    "torch.optim.lr_scheduler": ("minigrad.optim.lr_scheduler", elsewhere.SCHEDULERS),
    "torch.optim.swa_utils": ("minigrad.optim.swa_utils", *OPTIM),
    "torch.profiler": (PROFILER,),
    "torch.random": (RANDOM,),
    "torch.return_types": ("minigrad.ops.results",),
    "torch.serialization": (
        {"save": save, "load": load, "safe_globals": top.safe_globals},
        {"add_safe_globals": nothing},
    ),
    "torch.special": ("minigrad.special", "minigrad"),
    "torch.storage": (),
    "torch.testing": ({"assert_close": assert_close, "assert_allclose": assert_close},),
    "torch.types": ({"Device": Any, "Number": int | float | bool, "Tensor": TENSORS["Tensor"]},),
    "torch.utils": (),
    "torch.utils.benchmark": (BENCHMARK,),
    "torch.utils.checkpoint": ("minigrad.autograd.checkpoint", *AUTOGRAD),
    "torch.utils.data": DATA,
    "torch.utils.data.dataloader": DATA,
    "torch.utils.data.dataset": DATA,
    "torch.utils.data.distributed": DATA,
    "torch.utils.data.sampler": DATA,
    "torch.utils.tensorboard": ("minigrad.torch_programs.tensorboard",),
    "torch.utils.tensorboard.writer": ("minigrad.torch_programs.tensorboard",),
    "torch.version": ({"__version__": top.__version__, "cuda": None, "hip": None},),
    "torch.xpu": (NONE_THERE,),
    "functorch": ("minigrad.func",),
}
DISTRIBUTIONS: Sources = ("minigrad.distributions",)
BELOW: dict[str, Sources] = {
    "torch.nn.modules": NN,
    "torch.optim": OPTIM,
    "torch.distributions": DISTRIBUTIONS,
}


def there(source: str | Mapping[str, Any]) -> bool:
    """Return whether a source is a module that there is, or a dict of names."""
    if not isinstance(source, str):
        return True
    try:
        return importlib.util.find_spec(source) is not None
    except ModuleNotFoundError:
        return False


def size(self: Tensor) -> Size:
    """Return the shape, which counts elements."""
    return Size(self.array.shape)


def state_dict(
    self: Module, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
) -> Any:
    """Return the state as an OrderedDict, as it is printed in PyTorch."""
    found = OrderedDict() if destination is None else destination
    return STATE_DICT(self, destination=found, prefix=prefix, keep_vars=keep_vars)


STATE_DICT = Module.state_dict


def install() -> None:
    """Let `import torch` find minigrad in this process, printed and seeded as PyTorch.

    Raises: ImportError where PyTorch itself is imported already.
    """
    if standin.KNOWN:
        return standin.put_up()
    standin.put_up()
    tell()
    modules = MODULES | {f"torch.backends.{name}": (names,) for name, names in BACKENDS.items()}
    for name, sources in modules.items():
        found = tuple(source for source in sources if there(source))
        standin.KNOWN[name] = found, REFUSED.get(name, {})
    standin.BELOW.update(BELOW)
    standin.ABSENT.update(ABSENT)
    DType.package = "torch"
    Tensor.shape = property(size)  # type: ignore[method-assign,assignment]
    for name, value in elsewhere.ATTRIBUTES.items():
        if not hasattr(Tensor, name):
            setattr(Tensor, name, value)
    for name, when in elsewhere.HOOKS.items():
        setattr(Module, name, elsewhere.hooks_by_key(when))
    Module.state_dict = state_dict  # type: ignore[method-assign]
    activations.implied = elsewhere.implied_dim
    random.default = top.default_generator
