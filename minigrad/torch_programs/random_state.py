"""`torch.random`: the state of the random numbers, set aside for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from minigrad.tensors.random_numbers import get_rng_state, set_rng_state
from minigrad.torch_programs.top import default_generator, initial_seed, manual_seed, seed


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **_: Any) -> Iterator[None]:
    """Draw inside without moving the random numbers outside on."""
    held = default_generator.state_dict()
    try:
        yield
    finally:
        if enabled:
            default_generator.load_state_dict(held)


RANDOM: dict[str, Any] = {
    "fork_rng": fork_rng,
    "get_rng_state": get_rng_state,
    "initial_seed": initial_seed,
    "manual_seed": manual_seed,
    "seed": seed,
    "set_rng_state": set_rng_state,
}
