"""Names that stand elsewhere in PyTorch than here: methods, functionals; and windows."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from minigrad.engine.values import default_dtype
from minigrad.nn import Linear, functional, init
from minigrad.nn.init import fans
from minigrad.nn.layers.conv import Convolution
from minigrad.nn.layers.norm import BatchNorm
from minigrad.nn.utils import clip_grad_norm_
from minigrad.optim.lr_scheduler import LRScheduler
from minigrad.tensors.creation import as_tensor, tensor
from minigrad.tensors.functions import mm
from minigrad.tensors.tensor import Tensor

METHODS = ("clone", "clip", "conj", "detach", "is_same_size", "is_signed", "resolve_conj")
FUNCTIONALS = frozenset(
    [
        "adaptive_avg_pool1d",
        "adaptive_max_pool1d",
        "affine_grid_generator",
        "batch_norm",
        "bilinear",
        "binary_cross_entropy_with_logits",
        "cosine_embedding_loss",
        "ctc_loss",
        "embedding",
        "embedding_bag",
        "feature_alpha_dropout",
        "group_norm",
        "hinge_embedding_loss",
        "instance_norm",
        "kl_div",
        "layer_norm",
        "margin_ranking_loss",
        "poisson_nll_loss",
        "triplet_margin_loss",
    ]
)


class Names(Mapping[str, Any]):
    """Names that are looked up when they are asked for."""

    def __init__(self, find: Callable[[str], Any], names: Callable[[], Any]) -> None:
        self._find, self._names = find, names

    def __getitem__(self, name: str) -> Any:
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(list(self._names()))


def method(name: str) -> Any:
    """Return a method of tensors as a function: those in place, and some others."""
    known = name in METHODS or (name.endswith("_") and not name.startswith("_"))
    return getattr(Tensor, name, None) if known else None


def functional_named(name: str) -> Any:
    """Return a function of nn.functional that stands in `torch`, too."""
    return getattr(functional, name, None) if name in FUNCTIONALS else None


def initialiser(name: str) -> Any:
    """Return an initialisation by the name it once had, without the underscore."""
    return getattr(init, f"{name}_", None)


def conj(self: Tensor) -> Tensor:
    """Return x: there are no complex tensors."""
    return self


def window(values: Callable[[Any], Any]) -> Callable[..., Tensor]:
    """Return the function that makes a window of a size: `values` at 0 to 2 pi."""

    def made(
        window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None
    ) -> Tensor:
        count = window_length if periodic else window_length - 1
        found = values(2 * np.pi * np.arange(window_length) / max(count, 1))
        kind = default_dtype() if dtype is None else dtype
        return tensor(np.asarray(found), dtype=kind, device=device)

    return made


def implied_dim(name: str, input: Tensor) -> int:
    """Return the dimension that PyTorch takes where none is given, with its warning."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        UserWarning,
        stacklevel=5,
    )
    return 0 if input.ndim in (0, 1, 3) else 1


def correct_fan(tensor: Tensor, mode: str) -> int:
    """Return the number of inputs or of outputs of a weight, `mode` "fan_in" or "fan_out"."""
    return fans(tensor)[("fan_in", "fan_out").index(mode.lower())]


def repeated(n: int) -> Callable[[Any], tuple[Any, ...]]:
    """Return the function that makes n of one number, and a tuple of several as they are."""
    return lambda x: tuple(x) if isinstance(x, Iterable) else (x,) * n


# What PyTorch's own modules and those built on them inherit from or call, by its private names.
BASES: dict[str, Any] = {
    "_BatchNorm": BatchNorm,
    "_ConvNd": Convolution,
    "NonDynamicallyQuantizableLinear": Linear,
}
HOOKS = {"_forward_pre_hooks": "before", "_forward_hooks": "after"}  # when they are called


def hooks_by_key(when: str) -> property:
    """Return the property that gives a module's hooks of one kind, in their order."""
    return property(
        lambda self: OrderedDict(
            (key, entry.hook) for key, entry in (self._hooks or {}).items() if entry.when == when
        )
    )


TUPLES: dict[str, Any] = {
    "_ntuple": repeated,
    "_single": repeated(1),
    "_pair": repeated(2),
    "_triple": repeated(3),
    "_quadruple": repeated(4),
}
FANS: dict[str, Any] = {
    "_calculate_fan_in_and_fan_out": fans,
    "_calculate_correct_fan": correct_fan,
}
SCHEDULERS: dict[str, Any] = {"_LRScheduler": LRScheduler}
EARLIER_UTILS: dict[str, Any] = {"clip_grad_norm": clip_grad_norm_}
TORCH: dict[str, Any] = {
    "asarray": as_tensor,
    "bartlett_window": window(lambda x: 1 - np.abs(x / np.pi - 1)),
    "blackman_window": window(lambda x: 0.42 - 0.5 * np.cos(x) + 0.08 * np.cos(2 * x)),
    "conj": conj,
    "hamming_window": window(lambda x: 0.54 - 0.46 * np.cos(x)),
    "hann_window": window(lambda x: 0.5 - 0.5 * np.cos(x)),
    "is_autocast_enabled": lambda *_: False,
    "is_inference_mode_enabled": lambda: False,
    "real": conj,
    "set_flush_denormal": lambda mode: False,
    "spmm": mm,
}
IN_TORCH = Names(method, lambda: [n for n in dir(Tensor) if method(n)])
FROM_FUNCTIONAL = Names(functional_named, lambda: [n for n in FUNCTIONALS if functional_named(n)])
INITIALISERS = Names(initialiser, lambda: [n[:-1] for n in dir(init) if n.endswith("_")])
ATTRIBUTES: dict[str, Any] = {
    "as_subclass": lambda self, cls: self,
    "conj": conj,
    "is_conj": lambda self: False,
    "is_inference": lambda self: False,
    "is_neg": lambda self: False,
    "is_nested": False,
    "is_xpu": False,
    "is_nonzero": lambda self: bool(self),
    "layout": "torch.strided",
    "name": None,
    "record_stream": lambda self, stream: None,
    "resize_as_": lambda self, other: self.resize_(*other.shape),
    "resolve_conj": conj,
    "resolve_neg": conj,
    "volatile": False,
}
