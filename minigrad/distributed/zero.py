"""ZeRO-1: each rank keeps the optimizer's state of some parameters, and steps those."""

from __future__ import annotations

from typing import Any

from minigrad.distributed.collectives import begin_copy, objects
from minigrad.distributed.group import current
from minigrad.optim.optimizer import Optimizer


class Sharded:
    """What an optimizer does otherwise whose state is spread over the ranks."""

    param_groups: list[dict[str, Any]]

    def _owners(self) -> dict[int, int]:
        """Return, by the id of a parameter, the rank that steps it: evenly by size."""
        params = [p for group in self.param_groups for p in group["params"]]
        loads = [0] * current.group.size
        owners = {}
        for p in sorted(params, key=lambda p: -int(p.array.size)):  # equal ones in their order
            rank = loads.index(min(loads))
            owners[id(p)] = rank
            loads[rank] += int(p.array.size)
        return owners

    def step(self, closure: Any = None) -> Any:
        """Step the parameters that this rank owns, and take the others from theirs."""
        group = current.group
        if group.comm is None:
            return super().step(closure)  # type: ignore[misc]
        if closure is not None:
            raise ValueError(
                "ZeroRedundancyOptimizer: a closure would run on each rank as often as its own "
                "parameters ask for; step without one"
            )
        owners = self._owners()
        params = [p for one in self.param_groups for p in one["params"]]
        stepped = [p for p in params if p._grad is not None]
        hidden = [(p, p._grad) for p in stepped if owners[id(p)] != group.rank]
        try:
            for p, _ in hidden:
                p._grad = None
            super().step()  # type: ignore[misc]
        finally:
            for p, gradient in hidden:
                p._grad = gradient
        waiting = [begin_copy(p, owners[id(p)]) for p in stepped]
        for finish in waiting:
            finish()
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, put together from all ranks: all of them call it together.

        It is that of the plain optimizer, and goes on in one, or on another number of ranks.
        """
        state: dict[str, Any] = super().state_dict()  # type: ignore[misc]
        if current.group.comm is None:
            return state
        found = objects(state["state"], "the optimizer's state_dict")
        owners, slots = self._owners(), self._slots  # type: ignore[attr-defined]
        state["state"] = {s.name: found[owners[id(s.param)]][s.name] for s in slots}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a whole state; what belongs to parameters of other ranks is dropped."""
        super().load_state_dict(state)  # type: ignore[misc]
        if current.group.comm is not None:
            owners = self._owners()
            for slot in self._slots:  # type: ignore[attr-defined]
                if owners[id(slot.param)] != current.group.rank:
                    slot.arrays = {}


def ZeroRedundancyOptimizer(
    params: Any, optimizer_class: type[Optimizer], **defaults: Any
) -> Optimizer:
    """Return an optimizer whose state is spread over the ranks: ZeRO, stage 1.

    Each rank keeps state for its share of the parameters, steps these, and sends them to the
    others: the bits are those of the plain optimizer, and of its state, two numbers a weight with
    Adam, a rank holds one part in world_size.  A parameter is never cut.

    optimizer_class: the class of the plain one, of which the result is an instance.
    defaults: its options.
    Source: Rajbhandari et al., "ZeRO: memory optimizations toward training trillion parameter
    models" (SC 2020), stage 1.

    >>> import minigrad as mg
    >>> model = mg.nn.Linear(3, 1)
    >>> optimizer = ZeroRedundancyOptimizer(model.parameters(), mg.optim.AdamW, lr=0.1)
    >>> isinstance(optimizer, mg.optim.AdamW)
    True
    """
    if not (isinstance(optimizer_class, type) and issubclass(optimizer_class, Optimizer)):
        raise TypeError(
            "ZeroRedundancyOptimizer: expected a class of minigrad.optim, such as AdamW, got "
            f"{optimizer_class!r:.80}"
        )
    names = {"__module__": optimizer_class.__module__, "__qualname__": optimizer_class.__qualname__}
    made: Any = type(optimizer_class.__name__, (Sharded, optimizer_class), names)
    optimizer: Optimizer = made(params, **defaults)
    return optimizer
