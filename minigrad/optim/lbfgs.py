"""L-BFGS: Newton steps by what the last gradients say of the curvature."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import device_of, moved
from minigrad.engine.grad_mode import enable_grad, no_grad
from minigrad.engine.overwrite import check_writable, overwrite
from minigrad.optim.line_search import dot, strong_wolfe
from minigrad.optim.optimizer import Group, Optimizer
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
LEAST_CURVATURE = 1e-10  # of a pair that is remembered
NUMBERS = ("n_iter", "func_evals", "t", "h_diag", "prev_loss")


@dataclass
class Memory:
    """What is kept between iterations, all parameters laid end to end.

    steps, changes: the last moves, and how the gradient changed by each.
    """

    n_iter: int = 0
    func_evals: int = 0
    t: float = 0.0
    h_diag: float = 1.0
    prev_loss: float = 0.0
    d: Array | None = None
    gradient: Array | None = None
    steps: list[Array] = field(default_factory=list)
    changes: list[Array] = field(default_factory=list)

    def remember(self, step: Array, change: Array, most: int) -> None:
        """Add a pair where the function curves upwards along it, and forget the oldest."""
        along = dot(change, step)
        if along > LEAST_CURVATURE:
            self.steps = [*self.steps, step][-most:]
            self.changes = [*self.changes, change][-most:]
            self.h_diag = along / dot(change, change)

    def direction(self, gradient: Array) -> Array:
        """Return minus the gradient times the inverse Hessian that the pairs make up."""
        kind = gradient.dtype.type  # NumPy makes float64 of float32 times its own numbers
        q = -gradient
        taken = []
        pairs = list(zip(self.steps, self.changes, strict=True))
        for s, y in reversed(pairs):
            a = dot(s, q) / dot(y, s)
            q = q - kind(a) * y
            taken.append(a)
        r = q * kind(self.h_diag)
        for (s, y), a in zip(pairs, reversed(taken), strict=True):
            r = r + s * kind(a - dot(y, r) / dot(y, s))
        return r


class LBFGS(Optimizer):
    """L-BFGS: x = x + t d, d = -H g, H the inverse Hessian of the last moves.

    Every `step` takes a closure, which computes loss and gradients anew, and calls it up to
    `max_eval` times.  All parameters stand in one group; those without a gradient have zeros.

    lr: t where there is no line search, and what one begins with.  max_iter: a step's iterations.
    max_eval: a step's evaluations, 1.25 max_iter by default.  tolerance_grad: ends where no
        element of the gradient is larger.  tolerance_change: ends where no parameter moves
        further, or the loss changes less.  history_size: moves that are kept.
    line_search_fn: "strong_wolfe", or None for steps of lr.
    Raises: ValueError for several groups or another line search.
    Source: Nocedal and Wright, "Numerical optimization" (2006), algorithms 7.4, 3.5 and 3.6.

    >>> import minigrad as mg
    >>> w = mg.tensor([3.0], requires_grad=True)
    >>> opt = mg.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = ((w - 1.0) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> opt.step(closure).item(), round(w.item(), 4)
    (4.0, 1.0)
    """

    states = ()

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if max_eval is None:
            max_eval = arguments.whole("LBFGS", "max_iter", max_iter, 1) * 5 // 4
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        self._memory = Memory()

    def add_param_group(self, group: Group) -> None:
        """Take the one group there is; a second one is refused."""
        if self.param_groups:
            raise ValueError("LBFGS: expected one group of parameters, got another one")
        super().add_param_group(group)

    def check(self, group: Group) -> None:
        """Raise a ValueError for options out of range."""
        super().check(group)
        for name in ("max_iter", "max_eval", "history_size"):
            arguments.whole("LBFGS", name, group[name], 1)
        for name in ("tolerance_grad", "tolerance_change"):
            if arguments.number("LBFGS", name, group[name]) < 0:
                raise ValueError(f"LBFGS: expected {name} >= 0, got {group[name]!r}")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(
                "LBFGS: expected line_search_fn to be 'strong_wolfe' or None, got"
                f" {group['line_search_fn']!r}"
            )

    def kept(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state arrays of a group's parameters: none, see `state_dict`."""
        return ()

    # ------------------------------------------------------------ the flat parameters
    def _flat(self, values: Iterable[Tensor | None]) -> Array:
        """Return tensors laid end to end in their dtype; None counts as zeros."""
        parts = [
            np.zeros(slot.param.numel(), slot.param.array.dtype)
            if t is None
            else t.detach().cpu().numpy().reshape(-1)
            for slot, t in zip(self._slots, values, strict=True)
        ]
        return np.concatenate(parts)

    def _gradient(self) -> Array:
        return self._flat(slot.param.grad for slot in self._slots)

    def _place(self, x: Array) -> None:
        """Write values into the parameters."""
        begin = 0
        for slot in self._slots:
            p = slot.param
            check_writable(p.array, f"LBFGS: parameter {slot.name!r}")
            part = x[begin : begin + p.numel()].reshape(p.shape).astype(p.array.dtype)
            overwrite(p.array, moved(part, device_of(p.array)))
            p.bump_version("by LBFGS.step()")
            begin += p.numel()

    # ------------------------------------------------------------ the step
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Run up to `max_iter` iterations; return the loss before the first.

        closure: clears the gradients, computes the loss, calls backward() and returns the loss.
        """
        if closure is None:
            raise TypeError(
                "LBFGS.step() needs a closure that clears the gradients, computes the loss, calls"
                " backward() and returns the loss: it is evaluated several times a step"
            )
        group = self.param_groups[0]
        self.check(group)
        with enable_grad():
            first = closure()
        with no_grad():
            self._iterate(group, closure, float(first))
        return first

    def _iterate(self, group: Group, closure: Callable[[], Any], loss: float) -> None:
        m = self._memory
        lr, most = float(group["lr"]), int(group["max_eval"])
        m.func_evals += 1
        used, gradient = 1, self._gradient()
        if largest(gradient) <= group["tolerance_grad"]:
            return
        for i in range(int(group["max_iter"])):
            m.n_iter += 1
            if m.n_iter == 1 or m.d is None or m.gradient is None:
                m.d, m.steps, m.changes, m.h_diag = -gradient, [], [], 1.0
                m.t = min(1.0, 1.0 / float(np.abs(gradient).sum())) * lr
            else:
                m.remember(
                    m.d * m.d.dtype.type(m.t), gradient - m.gradient, int(group["history_size"])
                )
                m.d, m.t = m.direction(gradient), lr
            m.gradient, m.prev_loss = gradient, loss
            along = dot(gradient, m.d)
            if along > -group["tolerance_change"]:
                break
            last = i + 1 == group["max_iter"]
            loss, gradient, evaluated = self._move(group, closure, loss, gradient, along, last)
            used += evaluated
            m.func_evals += evaluated
            if last or used >= most or largest(gradient) <= group["tolerance_grad"]:
                break
            if largest(m.d * m.t) <= group["tolerance_change"]:
                break
            if abs(loss - m.prev_loss) < group["tolerance_change"]:
                break

    def _move(
        self,
        group: Group,
        closure: Callable[[], Any],
        loss: float,
        gradient: Array,
        along: float,
        last: bool,
    ) -> tuple[float, Array, int]:
        """Move along the direction; return the new loss and gradient, and the evaluations."""
        m = self._memory
        d: Any = m.d
        x = self._flat(slot.param for slot in self._slots)

        def at(t: float) -> tuple[float, Array]:
            self._place(x + d.dtype.type(t) * d)
            with enable_grad():
                value = float(closure())
            return value, self._gradient()

        if group["line_search_fn"] is not None:
            m.t, loss, gradient, count = strong_wolfe(at, m.t, d, loss, gradient, along)
            self._place(x + d.dtype.type(m.t) * d)
            return loss, gradient, count
        if last:
            self._place(x + d.dtype.type(m.t) * d)
            return loss, gradient, 0
        return *at(m.t), 1

    # ------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state; what the iterations remember stands at the first parameter,
        all parameters laid end to end.
        """
        saved = super().state_dict()
        m = self._memory
        entry = saved["state"][self._slots[0].name]
        entry["numbers"] = Tensor(np.array([getattr(m, name) for name in NUMBERS], np.float64))
        if m.d is not None and m.gradient is not None:
            entry["d"], entry["gradient"] = Tensor(m.d.copy()), Tensor(m.gradient.copy())
            shape = len(m.steps), m.d.size
            entry["steps"] = Tensor(np.array(m.steps, m.d.dtype).reshape(shape))
            entry["changes"] = Tensor(np.array(m.changes, m.d.dtype).reshape(shape))
        return saved

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state, options included, once all of it has been checked."""
        state = state["optimizer"] if "scheduler" in state else state
        entries = {name: dict(entry) for name, entry in state.get("state", {}).items()}
        found: dict[str, Array] = {}
        for entry in entries.values():
            for name in ("numbers", "d", "gradient", "steps", "changes"):
                if name in entry:
                    found[name] = np.array(entry.pop(name).array)
        count = sum(slot.param.numel() for slot in self._slots)
        if "numbers" not in found or found.get("d", np.empty(count)).shape != (count,):
            raise ValueError(
                f"LBFGS: this state does not fit and was not loaded: it is not of {count} numbers"
            )
        super().load_state_dict({**state, "state": entries})
        self._memory = m = Memory()
        for name, value in zip(NUMBERS, found["numbers"].tolist(), strict=True):
            setattr(m, name, int(value) if name in NUMBERS[:2] else value)
        if "d" in found:
            m.d, m.gradient = found["d"], found["gradient"]
            m.steps, m.changes = list(found["steps"]), list(found["changes"])


def largest(x: Array) -> float:
    """Return the largest size of an element, 0 of none.

    >>> largest(np.array([1.0, -3.0]))
    3.0
    """
    found = float(np.abs(x).max()) if x.size else 0.0
    return math.inf if math.isnan(found) else found
