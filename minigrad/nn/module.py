"""Module: what holds parameters, buffers and other modules, and finds them again by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from minigrad.backend import Device, moved
from minigrad.dtypes import DTYPES, float32, float64, numpy_dtype
from minigrad.nn.members import MODULE, Members
from minigrad.nn.state import Loaded, gathered, load
from minigrad.ops.common import converted
from minigrad.tensors import Handle, Tensor, new

M = TypeVar("M", bound="Module")
Hook = Callable[..., Any]

MODULES: dict[str, type[Module]] = {}
DTYPE_NAMES = {d.name for d in DTYPES.values()}


def registered(cls: type[M]) -> type[M]:
    """Enter a module class into the registry that the battery walks."""
    if cls.__name__ in MODULES:
        raise ValueError(f"module {cls.__name__} is defined twice")
    MODULES[cls.__name__] = cls
    return cls


class Module(Members):
    """Base of all models: assign parameters and modules in `__init__`, compute in `forward`.

    >>> import minigrad as mg
    >>> from minigrad.nn import Parameter
    >>> class Double(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = Parameter(mg.tensor([2.0]))
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> model = Double()
    >>> [name for name, _ in model.named_parameters()], model(mg.ones(1)).tolist()
    (['scale'], [2.0])
    """

    training: bool
    _hooks: dict[int, tuple[str, Hook]] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["training"] = True

    # ------------------------------------------------------------ computing
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every module has its own."""
        raise NotImplementedError(
            f"Module {type(self).__name__} has no forward(); define what it computes"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hooks = tuple((self._hooks or {}).values())
        for when, hook in hooks:
            if when == "before":
                replaced = hook(self, args)
                if replaced is not None:
                    args = replaced if isinstance(replaced, tuple) else (replaced,)
        output = self.forward(*args, **kwargs)
        for when, hook in hooks:
            if when == "after":
                replaced = hook(self, args, output)
                output = output if replaced is None else replaced
        return output

    def register_forward_pre_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments."""
        return self._add_hook("before", hook)

    def register_forward_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, args, output)` after `forward`; what it returns replaces the
        output.
        """
        return self._add_hook("after", hook)

    def _add_hook(self, when: str, hook: Hook) -> Handle:
        hooks = self.__dict__.get("_hooks") or {}
        key = max(hooks, default=-1) + 1
        hooks[key] = (when, hook)
        self.__dict__["_hooks"] = hooks

        def remove() -> None:
            hooks.pop(key, None)
            if not hooks and self.__dict__.get("_hooks") is hooks:
                del self.__dict__["_hooks"]

        return Handle(remove)

    # ------------------------------------------------------------ state
    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Return {dotted name: tensor} of parameters and persistent buffers, sharing their memory.

        Copy the values (`{k: v.clone() ...}`) to keep them as they are now.
        """
        return {
            name: value if keep_vars else value.detach()
            for name, value in gathered(self, prefix).items()
        }

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> Loaded:
        """Copy values into the parameters and buffers by name.

        strict: names must agree both ways.  Values may be tensors or arrays.  Nothing is written
            unless all fits.

        Returns: the names that were missing and unexpected (both empty when strict).
        Raises: RuntimeError listing every missing, unexpected and misshapen name.
        """
        return load(self, state_dict, strict)

    # ------------------------------------------------------------ modes
    def train(self: M, mode: bool = True) -> M:
        """Switch this module and all below it to training (dropout, batch statistics), or away from
        it; each child by its own `train`, which may do otherwise, say keep a frozen part in eval.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be True or False, got {mode!r}")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: M) -> M:
        """Switch to evaluation; recording goes on: use `no_grad()` to stop it."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Freeze or unfreeze all parameters."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the parameters' gradients, or fill them with zeros."""
        for p in self.parameters():
            if set_to_none or p.grad is None:
                p.grad = None
            else:
                p.grad = p.grad.detach()
                p.grad.zero_()

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Call `fn` on every module below, then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ------------------------------------------------------------ dtypes
    def to(self: M, *args: Any, dtype: Any = None, device: Any = None) -> M:
        """Convert floating parameters and buffers in place, or move all to a device ("cpu", "cuda",
        "cuda-sim"); takes a dtype, a device or a tensor whose dtype and device are taken.
        """
        for a in args:
            if isinstance(a, Tensor):
                dtype, device = a.dtype, a.device
            elif isinstance(a, Device) or (isinstance(a, str) and a not in DTYPE_NAMES):
                device = a
            else:
                dtype = a
        if device is not None:
            self._move(Device(device))
        return self if dtype is None else self._convert(dtype)

    def _move(self, device: Device) -> None:
        """Move parameters, their gradients and buffers."""
        for t in (*self.parameters(), *self.buffers()):
            data = moved(t.array, device)
            if data is not t.array:
                t.array = data
                t.bump("by Module.to()")
                if t.grad is not None:
                    t.grad = new(moved(t.grad.array, device))

    def cuda(self: M, device: int | None = None) -> M:
        """Move parameters and buffers to an NVIDIA GPU; device: its number."""
        return self.to(Device("cuda", device))

    def cpu(self: M) -> M:
        """Move parameters and buffers to the CPU."""
        return self.to(Device("cpu"))

    def _convert(self: M, dtype: Any) -> M:
        wanted = numpy_dtype(dtype)
        if wanted.kind != "f":
            raise TypeError(f"{type(self).__name__}.to: expected a floating dtype, got {wanted}")
        for t in (*self.parameters(), *self.buffers()):
            if t.array.dtype.kind == "f" and t.array.dtype != wanted:
                t.array = converted(t.array, wanted)
                t.bump("by Module.to()")
                if t.grad is not None:
                    t.grad = new(converted(t.grad.array, wanted))
        return self

    def double(self: M) -> M:
        """Convert floating parameters and buffers to float64 in place."""
        return self._convert(float64)

    def float(self: M) -> M:
        """Convert floating parameters and buffers to float32 in place."""
        return self._convert(float32)

    # ------------------------------------------------------------ printing
    def extra_repr(self) -> str:
        """Return what stands between the brackets of the repr."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        inner = [f"({name}): {indented(repr(child))}" for name, child in self._own(MODULE)]
        if len(lines) <= 1 and not inner:
            return f"{self._get_name()}({extra})"
        return "\n  ".join([f"{self._get_name()}(", *lines, *inner]) + "\n)"


def indented(text: str) -> str:
    """Shift all lines but the first by two columns."""
    return text.replace("\n", "\n  ")
