"""Pruning: parameters some of whose elements are held at zero by a mask."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from minigrad.engine.grad_mode import no_grad
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.nn.utils.weight_norm import drop_hook, hook_of
from minigrad.tensors.creation import ones_like, rand, rand_like
from minigrad.tensors.functions import cat
from minigrad.tensors.tensor import Tensor

M = TypeVar("M", bound=Module)


class BasePruningMethod:
    """A way to choose the elements that become zero; also the hook that keeps them so.

    A subclass has `compute_mask(t, default_mask)`, which returns a mask of 0 and 1 like t, and
    PRUNING_TYPE: "unstructured" sees only the elements that are left, "structured" the slices
    along `dim` that are left, "global" all.
    The parameter `weight` becomes the parameter `weight_orig` and the buffer `weight_mask`;
    `weight` is their product, made anew before each call.
    """

    PRUNING_TYPE = "unstructured"
    name = ""

    @property
    def _tensor_name(self) -> str:
        return self.name

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask of a tensor, where `default_mask` is what is left of it."""
        raise NotImplementedError(f"{type(self).__name__}.compute_mask")

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.apply_mask(module))

    def apply_mask(self, module: Module) -> Tensor:
        """Return the masked parameter."""
        original: Tensor = getattr(module, self.name + "_orig")
        mask: Tensor = getattr(module, self.name + "_mask")
        return mask.to(original.dtype) * original

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **options: Any,
    ) -> Any:
        """Prune a parameter by this method, after those by which it is pruned already.

        importance_scores: what the elements are judged by, in place of their values.
        Raises: ValueError for scores of another shape.
        """
        method: BasePruningMethod = cls(*args, **options)
        method.name = name
        found = hook_of(module, BasePruningMethod, name)
        if found is not None:
            drop_hook(module, found[0])
            before = found[1]
            if isinstance(before, PruningContainer):
                held = before
            else:
                held = PruningContainer(before)
                held.name = name
            held.add_pruning_method(method)
            method = held
        original: Any = getattr(module, name)  # masked, where it is pruned already
        with no_grad():
            default = ones_like(original) if found is None else getattr(module, name + "_mask")
            scores = original if importance_scores is None else importance_scores
            if tuple(scores.shape) != tuple(original.shape):
                raise ValueError(
                    f"{cls.__name__}: importance_scores have shape {tuple(scores.shape)}, "
                    f"{name} has {tuple(original.shape)}"
                )
            mask = method.compute_mask(scores.detach(), default)
        if found is None:
            delattr(module, name)
            module.register_parameter(name + "_orig", original)
            module.register_buffer(name + "_mask", mask)
        else:
            setattr(module, name + "_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """Return a tensor with the elements that the method chooses set to zero."""
        scores = t if importance_scores is None else importance_scores
        left = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores.detach(), left)

    def remove(self, module: Module) -> None:
        """Make the masked parameter an ordinary one; what is zero stays so at first."""
        weight = self.apply_mask(module).detach()
        original: Parameter = getattr(module, self.name + "_orig")
        for part in (self.name, self.name + "_orig", self.name + "_mask"):
            delattr(module, part)
        module.register_parameter(self.name, Parameter(weight, original.requires_grad))


class PruningContainer(BasePruningMethod):
    """Several methods, each of which prunes what those before it have left."""

    PRUNING_TYPE = "container"

    def __init__(self, *methods: BasePruningMethod) -> None:
        self._pruning_methods = tuple(methods)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Append a method."""
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, i: int) -> BasePruningMethod:
        return self._pruning_methods[i]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask after the last method, the others having been applied already."""
        method, mask = self._pruning_methods[-1], default_mask.to(t.dtype)
        at: Any
        if method.PRUNING_TYPE == "unstructured":
            at = mask == 1
        elif method.PRUNING_TYPE == "structured":
            dim: int = getattr(method, "dim", -1) % t.ndim
            at = (slice(None),) * dim + (~empty_slices(mask, dim),)
        elif method.PRUNING_TYPE == "global":
            at = (slice(None),) * t.ndim
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        found = mask.clone()
        found[at] = method.compute_mask(t[at], mask[at])
        return found


def empty_slices(mask: Tensor, dim: int) -> Tensor:
    """Return which slices along a dimension are all zero."""
    others = tuple(d for d in range(mask.ndim) if d != dim)
    return (mask.sum(others) if others else mask) == 0


def count(amount: float, size: int) -> int:
    """Return how many of `size` elements to prune: a number of them, or a fraction.

    Raises: ValueError for a fraction outside [0, 1], or more than there are.
    """
    fraction = isinstance(amount, float)
    if amount < 0 or (fraction and amount > 1):
        raise ValueError(
            f"amount={amount} should be a non-negative integer or a float in the range [0, 1]"
        )
    if not fraction and amount > size:
        raise ValueError(
            f"amount={amount} should be smaller than the number of parameters to prune={size}"
        )
    return round(amount * size) if fraction else int(amount)


class Identity(BasePruningMethod):
    """Prune nothing: the mask is ones."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return what is left as it is."""
        return default_mask


class CustomFromMask(BasePruningMethod):
    """Prune where a given mask is 0."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask, also 0 where nothing is left."""
        return default_mask * self.mask.to(default_mask.dtype)


class _ByAmount(BasePruningMethod):
    """Prune a number of elements, or a fraction of them."""

    def __init__(self, amount: float) -> None:
        count(amount, 2**62)
        self.amount = amount

    def scores(self, t: Tensor) -> Tensor:
        """Return the numbers of which the smallest or largest are pruned."""
        raise NotImplementedError

    largest = False

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask of a tensor, where `default_mask` is what is left of it."""
        number = count(self.amount, t.numel())
        mask = default_mask.clone()
        if number:
            at = self.scores(t).reshape(-1).topk(number, largest=self.largest)[1]
            flat = mask.reshape(-1)
            flat[at] = 0
            mask = flat.reshape(*t.shape)
        return mask


class RandomUnstructured(_ByAmount):
    """Prune elements at random."""

    largest = True

    def scores(self, t: Tensor) -> Tensor:
        """Return random numbers."""
        return rand_like(t)


class L1Unstructured(_ByAmount):
    """Prune the elements of smallest absolute value."""

    def scores(self, t: Tensor) -> Tensor:
        """Return absolute values."""
        return t.abs()


class _Structured(BasePruningMethod):
    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        count(amount, 2**62)
        self.amount, self.dim = amount, dim

    def kept(self, t: Tensor, dim: int, number: int) -> Tensor:
        """Return which slices are kept where `number` are pruned, as a bool vector."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask of a tensor, where `default_mask` is what is left of it."""
        if t.ndim < 2:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors, got "
                f"{tuple(t.shape)}"
            )
        dim = self.dim % t.ndim
        number = count(self.amount, t.shape[dim])
        if not number:
            return default_mask
        sizes = [1] * t.ndim
        sizes[dim] = t.shape[dim]
        return default_mask * self.kept(t, dim, number).to(default_mask.dtype).reshape(*sizes)


class RandomStructured(_Structured):
    """Prune slices along a dimension at random."""

    def kept(self, t: Tensor, dim: int, number: int) -> Tensor:
        """Return which slices are kept."""
        odds = rand(t.shape[dim])
        return odds > odds.sort()[0][number - 1]


class LnStructured(_Structured):
    """Prune the slices along a dimension of smallest norm."""

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def kept(self, t: Tensor, dim: int, number: int) -> Tensor:
        """Return which slices are kept."""
        norms = t.norm(self.n, tuple(d for d in range(t.ndim) if d != dim))
        keep = norms.topk(t.shape[dim] - number)[1]
        found = norms.detach() * 0
        found[keep] = 1
        return found > 0


# ---------------------------------------------------------------- functions
def identity(module: M, name: str) -> M:
    """Let a parameter have a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: M, name: str, amount: float) -> M:
    """Prune elements of a parameter at random: a number of them, or a fraction.

    >>> from minigrad import nn
    >>> layer = random_unstructured(nn.Linear(2, 3), "weight", 2)
    >>> int((layer.weight_mask == 0).sum()), list(layer.state_dict())
    (2, ['bias', 'weight_orig', 'weight_mask'])
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: M, name: str, amount: float, importance_scores: Tensor | None = None
) -> M:
    """Prune the elements of a parameter of smallest absolute value: a number, or a fraction.

    Source: Han et al., "Learning both weights and connections" (NeurIPS 2015).
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: M, name: str, amount: float, dim: int) -> M:
    """Prune slices of a parameter along a dimension at random: a number, or a fraction."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: M,
    name: str,
    amount: float,
    n: Any,
    dim: int,
    importance_scores: Tensor | None = None,
) -> M:
    """Prune the slices of a parameter along a dimension of smallest n-norm."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: M, name: str, mask: Tensor) -> M:
    """Prune a parameter where a mask is 0."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: Mapping[tuple[Module, str], Tensor] | None = None,
    **options: Any,
) -> None:
    """Prune several parameters together, given as (module, name): the smallest of all of them.

    Raises: TypeError for a method that is not of single elements.

    >>> from minigrad import nn
    >>> a, b = nn.Linear(2, 3), nn.Linear(3, 2)
    >>> global_unstructured([(a, "weight"), (b, "weight")], L1Unstructured, amount=0.5)
    >>> int((a.weight_mask == 0).sum() + (b.weight_mask == 0).sum())
    6
    """
    if pruning_method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`, got '
            f"{pruning_method.PRUNING_TYPE}"
        )
    pairs = [(module, name) for module, name in parameters]
    given = importance_scores or {}
    values = [given.get((m, n), getattr(m, n)) for m, n in pairs]
    masks = [getattr(m, n + "_mask", ones_like(getattr(m, n))) for m, n in pairs]
    with no_grad():
        container = PruningContainer(pruning_method(**options))
        flat = cat([v.detach().reshape(-1) for v in values])
        whole = container.compute_mask(flat, cat([m.reshape(-1) for m in masks]))
    start = 0
    for (module, name), value in zip(pairs, values, strict=True):
        size = math.prod(value.shape)
        custom_from_mask(module, name, whole[start : start + size].reshape(*value.shape))
        start += size


def remove(module: M, name: str) -> M:
    """Make a pruned parameter an ordinary one; what is zero stays so at first.

    Raises: ValueError where it is not pruned.

    >>> from minigrad import nn
    >>> list(remove(l1_unstructured(nn.Linear(2, 3), "weight", 2), "weight").state_dict())
    ['bias', 'weight']
    """
    found = hook_of(module, BasePruningMethod, name)
    if found is None:
        raise ValueError(
            f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
        )
    drop_hook(module, found[0])
    found[1].remove(module)
    return module


def is_pruned(module: Module) -> bool:
    """Return whether a module, or one in it, has a pruned parameter.

    >>> from minigrad import nn
    >>> is_pruned(nn.Linear(2, 2))
    False
    """
    held = (entry.hook for m in module.modules() for entry in (m._hooks or {}).values())
    return any(isinstance(hook, BasePruningMethod) for hook in held)
