"""Names that stand elsewhere in PyTorch than here: methods, functionals; and windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minigrad.engine.values import default_dtype
from minigrad.nn import functional, init
from minigrad.tensors.creation import as_tensor, tensor
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
    "is_nonzero": lambda self: bool(self),
    "layout": "torch.strided",
    "name": None,
    "record_stream": lambda self, stream: None,
    "resize_as_": lambda self, other: self.resize_(*other.shape),
    "resolve_conj": conj,
    "resolve_neg": conj,
    "volatile": False,
}
