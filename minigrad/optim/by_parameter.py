"""The base of optimizers whose step is of whole tensors, one after the other, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine import device
from minigrad.engine.overwrite import check_writable, overwrite
from minigrad.optim.optimizer import Array, Group, Optimizer, ParameterSlot


class ByParameter(Optimizer):
    """A subclass says what it keeps (`kept`, `state_shape`) and how a tensor is stepped
    (`stepped`).
    """

    def kept(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state arrays of a group's parameters."""
        return self.states or ()

    def kept_by(self, slot: ParameterSlot) -> tuple[str, ...]:
        """Return the names of the state arrays of one parameter."""
        return self.kept(self.param_groups[slot.group])

    def stepped(self, p: Array, g: Array, state: dict[str, Array], group: Group, t: int) -> Array:
        """Return a parameter after step t; the state is written in place."""
        raise NotImplementedError(f"{self._kind} has no stepped()")

    def _update(self) -> None:
        for group in self.param_groups:
            self.check(group)
        for i, slot in enumerate(self._slots):
            gradient = slot.param._grad
            if gradient is None:
                continue
            array: Any = slot.param.array
            check_writable(array, f"{self._kind}: parameter {slot.name!r}")
            self._prepare(i, slot, self.kept_by(slot))
            self._steps[i] += 1
            p, g = slot.param.detach().cpu().array, gradient.detach().cpu().array
            home = device.device_of(array)
            state = {name: np.asarray(on_host(a)) for name, a in slot.arrays.items()}
            group = self.param_groups[slot.group]
            g = -g if group["maximize"] else g
            made = self.stepped(p, g, state, group, int(self._steps[i]))
            overwrite(array, device.moved(made.astype(p.dtype, copy=False), home))
            slot.arrays = {name: device.moved(a, home) for name, a in state.items()}
            slot.param.bump_version(f"by {self._kind}.step()")


def on_host(array: Any) -> Any:
    """Return an array on the CPU."""
    return device.moved(array, device.CPU_DEVICE)
