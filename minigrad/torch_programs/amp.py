"""`torch.amp`: autocast and the scaler, which change nothing in float32."""

from __future__ import annotations

from typing import Any

from minigrad.engine.decorators import within
from minigrad.engine.dtypes import float32
from minigrad.torch_programs.top import note_once


class autocast:
    """Compute in float32 as ever, with one note: there are no smaller dtypes here.

    A context manager and a decorator, with PyTorch's arguments.
    """

    def __init__(self, *args: Any, enabled: bool = True, **options: Any) -> None:
        self.enabled = enabled and (not args or args[0] is not False)
        dtype = options.get("dtype")
        self.lower = self.enabled and dtype is not float32

    def __enter__(self) -> autocast:
        if self.lower:
            note_once("torch.autocast", "computes in float32: there are no smaller dtypes")
        return self

    def __exit__(self, *_: Any) -> None:
        """Nothing is to be undone."""

    def __call__(self, function: Any) -> Any:
        """Return a function whose body runs so."""
        return within("autocast", lambda: self, function)


class GradScaler:
    """Scale nothing: gradients of float32 do not vanish."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take PyTorch's arguments."""

    def scale(self, outputs: Any) -> Any:
        """Return the loss as it is."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Do nothing."""

    def step(self, optimizer: Any, *args: Any, **options: Any) -> Any:
        """Step the optimizer."""
        return optimizer.step(*args, **options)

    def update(self, new_scale: Any = None) -> None:
        """Do nothing."""

    def get_scale(self) -> float:
        """Return 1."""
        return 1.0

    def is_enabled(self) -> bool:
        """Return False."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: there is no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing."""


def same(function: Any = None, **_: Any) -> Any:
    """Return a function as it is, or a decorator that does."""
    return same if function is None else function


AMP: dict[str, Any] = {
    "GradScaler": GradScaler,
    "autocast": autocast,
    "custom_bwd": same,
    "custom_fwd": same,
    "is_autocast_available": lambda device_type: False,
}
