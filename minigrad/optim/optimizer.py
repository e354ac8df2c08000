"""The base of all optimizers: parameter groups, state by name, one launch for all parameters.

A subclass says which options a group has (the signature of `__init__`), which kernels step it
(`steps`; `rule` chooses among several) and what it refuses (`check`).  The rows of the kernels say
the rest: which numbers they read, by the options' names, and what is kept for a parameter.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, ClassVar

import numpy as np

from minigrad.engine import arguments, device
from minigrad.engine import dispatch as backend
from minigrad.engine.grad_mode import enable_grad
from minigrad.engine.hooks import Handle
from minigrad.engine.overwrite import Spans, check_writable, turns
from minigrad.engine.recording import each_call
from minigrad.nn.parameter import Uninitialized
from minigrad.optim.saved_state import States, load_state, save_state
from minigrad.tensors.tensor import Tensor
from minigrad_kernels.jit.address_table import INDEX, G, address, build_table

Array = np.ndarray[Any, Any]
Group = dict[str, Any]
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
NON_NEGATIVE = {
    *("alpha", "eps", "initial_accumulator_value", "lambd", "lr", "lr_decay", "t0"),
    *("momentum", "momentum_decay", "weight_decay"),
}
SWITCHES = {"amsgrad", "centered", "decoupled_weight_decay", "maximize", "nesterov"}
PAIRS = {  # options of two numbers, and how a kernel calls these
    "betas": ("beta1", "beta2"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("step_min", "step_max"),
}
# PyTorch's ways to do the same: here it is always one launch for all parameters.
WAYS = {"foreach", "fused", "capturable", "differentiable"}


# ---------------------------------------------------------------- parameters
def contiguous(array: Array) -> Array:
    """Return an array itself where it is C-contiguous, else a copy that is.

    >>> contiguous(np.zeros((2, 3)).T).flags.c_contiguous
    True
    """
    return array if array.flags.c_contiguous else array.copy(order="C")


@dataclass(eq=False, slots=True)
class ParameterSlot:
    """One parameter of an optimizer: its name, its group's number and its state arrays."""

    name: str
    named: bool  # by the user, not by its position
    param: Tensor
    group: int
    shape: tuple[int, ...] | None  # None: of a lazy module before its first input
    arrays: dict[str, Array] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)  # what a class of the user's keeps


def as_pair(kind: str, entry: Any) -> tuple[str | None, Tensor]:
    """Return a tensor with its name or None, after checking that it can be stepped."""
    name, p = entry if isinstance(entry, tuple) and len(entry) == 2 else (None, entry)
    if not isinstance(p, Tensor) or not (name is None or isinstance(name, str)):
        raise TypeError(
            f"{kind}: expected tensors or (name, tensor) pairs, got {type(entry).__name__}:"
            f" {entry!r:.80}"
        )
    label = "a parameter" if name is None else f"parameter {name!r}"
    if not p.is_leaf:
        raise ValueError(
            f"{kind}: {label} of shape {tuple(p.shape)} is the result of an op, not a leaf, so it"
            " never gets a .grad; pass the tensors that it was computed from"
        )
    if p.array.dtype not in FLOATS:
        raise TypeError(f"{kind}: expected {label} in float32 or float64, got {p.array.dtype}")
    return name, p


# ---------------------------------------------------------------- launches
def fitting_gradient(slot: ParameterSlot, gradient: Tensor) -> Array:
    """Return a parameter's gradient as a C-contiguous array, or say why it cannot be used."""
    data = slot.param.array
    grad = gradient.array
    if grad.shape != data.shape:
        raise ValueError(
            f"the gradient of parameter {slot.name!r} has shape {grad.shape}, the parameter"
            f" {data.shape}; assign a .grad of the parameter's shape"
        )
    if grad.dtype != data.dtype:
        raise TypeError(
            f"the gradient of parameter {slot.name!r} is {grad.dtype}, the parameter {data.dtype};"
            " assign a .grad of the parameter's dtype"
        )
    return contiguous(grad)


def layout_of(array: Any) -> Any:
    """Return the strides of a NumPy array; of one on a device, None where it is contiguous."""
    return array.layout() if type(array) is device.DeviceArray else array.strides


class Stepped(Spans):
    """The memory of all parameters of a step, which a gradient may be a part of.

    owners: ids of the arrays that own it, one of which such a gradient is, or is a view of.
    """

    def __init__(self, arrays: list[Array]) -> None:
        super().__init__(arrays)
        self.owners = {id(a) for a in arrays} | {id(a.base) for a in arrays}


class Launch:
    """Parameters of one dtype that one kernel steps, with the table that says where they are."""

    def __init__(
        self,
        kernel: str,
        table: Array,
        slots: list[ParameterSlot],
        buffers: list[Array],
        stepped: Stepped,
    ) -> None:
        self.stepped = stepped
        self.kernel = kernel
        self.table = table
        self.params = [slot.param for slot in slots]
        self.like = backend.empty(0, buffers[0].dtype, buffers[0])
        self.members = [
            (slot, slot.param, slot.param.array, buffer.shape, layout_of(buffer))
            for slot, buffer in zip(slots, buffers, strict=True)
        ]
        # A parameter that is not C-contiguous is stepped in a copy.
        self.copied = [
            (p, buffer)
            for p, buffer in zip(self.params, buffers, strict=True)
            if buffer is not p.array
        ]
        self.held: list[Array] = []

    def gather(self) -> bool:
        """Write the gradients' addresses into the table; False where a parameter has moved."""
        addresses = []
        held = []
        dtype = self.like.dtype
        owners = self.stepped.owners
        for slot, p, data, shape, layout in self.members:
            if p.array is not data or not data.flags.writeable:
                return False
            grad = p._grad
            if grad is None:
                return False  # another thread has taken it away
            g: Any = grad.array
            there = type(g) is device.DeviceArray
            now = g.layout() if there else g.strides
            if now != layout or g.shape != shape or g.dtype != dtype:
                g = fitting_gradient(slot, grad)
            own = g.whole if there else g.base is None
            if (not own or id(g) in owners) and self.stepped.touch(g):
                g = g.copy()  # it is read as it was before the step
            held.append(g)  # maybe a copy, and `.grad` may be replaced: it must outlive the launch
            addresses.append(g.address if there else address(g))
        self.table[:, G] = addresses
        self.held = held
        return True

    def run(self, hyper: Array, steps: Array) -> None:
        """Step the parameters, and mark them as written."""
        for p, buffer in self.copied:
            buffer[...] = p.array
        backend.launch(self.kernel, self.table, hyper, self.like, steps)
        for p, buffer in self.copied:
            p.array[...] = buffer
        for p in self.params:
            p.bump_version()
        self.held = []


# ---------------------------------------------------------------- the optimizer
def options_of(kind: type) -> list[str]:
    """Return the options of an optimizer: what it and its bases take beside the parameters."""
    bases = [base for base in kind.__mro__ if issubclass(base, Optimizer) and base is not Optimizer]
    makers = [vars(base)["__init__"] for base in bases if "__init__" in vars(base)]
    given = [p for init in makers for p in list(inspect.signature(init).parameters.values())[2:]]
    names = [p.name for p in given if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return list(dict.fromkeys(names))


def kept_by(kernel: str) -> tuple[str, ...]:
    """Return the names of what a kernel keeps for a parameter, in the order of its table.

    >>> kept_by("nadam_step")
    ('exp_avg', 'exp_avg_sq', 'mu_product')
    """
    row: Any = backend.KERNELS[kernel]
    return (*row.states, *row.scalars)


def counted(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step that counts itself, once, for the schedulers."""

    @functools.wraps(step)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = self._step_count
        result = step(self, *args, **kwargs)
        self._step_count = before + 1
        return result

    return run


class Optimizer:
    """The base of the optimizers; use one of its subclasses.

    params: tensors, (name, tensor) pairs as `model.named_parameters()` gives them, or dicts with
        "params" holding either and options that differ from the defaults.  With names, the state is
        saved by name, else by position.
    defaults: the options of groups that do not set them.
    Raises: TypeError or ValueError for what is no list of floating leaf tensors, for a parameter or
        a name given twice, and for options out of range.
    """

    steps: tuple[str, ...] = ()  # the kernels that may step a group
    other_options: tuple[str, ...] = ()  # options that are no number of the step
    # Read off the rows of the kernels:
    numbers: tuple[str, ...] = ()  # what a kernel takes of a group, in its order
    states: tuple[str, ...] | None = None  # all state that any of the kernels keeps
    scalars: ClassVar[dict[str, float]] = {}  # of it, what is one float64: its first value
    _values: Callable[[Group], Any] = staticmethod(len)  # a group's options that are such numbers
    _changes = 0  # how often what was prepared was dropped: recordings hold until then

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Hold the options of a class to the numbers that its kernels read, by their names.

        Raises: TypeError where a kernel reads what is no option, or none reads an option.
        """
        super().__init_subclass__(**keywords)
        if "step" in vars(cls):
            cls.step = counted(cls.step)  # type: ignore[method-assign]
        if not vars(cls).get("steps"):
            return  # what it inherits is held already
        rows: list[Any] = [backend.KERNELS[name] for name in cls.steps]
        options = options_of(cls)
        numbers = {name for option in options for name in PAIRS.get(option, (option,))}
        for name, row in zip(cls.steps, rows, strict=True):
            unknown = sorted(set(row.numbers) - numbers)
            unread = sorted(numbers - set(row.numbers) - set(cls.other_options))
            if unknown or unread or row.numbers != rows[0].numbers:
                raise TypeError(
                    f"{cls.__name__}: its options do not fit the numbers {row.numbers} that"
                    f" {name} reads: no option {unknown}, not read {unread}; all kernels of a class"
                    " read the same, and an option that is no number stands in `other_options`"
                )
        cls.numbers = rows[0].numbers
        cls.states = tuple(dict.fromkeys(state for row in rows for state in row.states))
        cls.scalars = {name: first for row in rows for name, first in row.scalars.items()}
        read = [option for option in options if option not in cls.other_options]
        cls._values = staticmethod(itemgetter(*read))

    def __init__(
        self, params: Iterable[Any], defaults: Group, ways: dict[str, Any] | None = None
    ) -> None:
        self.defaults = defaults
        self._check_ways(ways or {})
        self.param_groups: list[Group] = []
        self._slots: list[ParameterSlot] = []
        self._steps = np.zeros(0, np.int64)
        self._step_count = 0
        self._hooks: dict[int, tuple[str, Callable[..., Any]]] = {}
        self._forget()
        if isinstance(params, Tensor):
            raise TypeError(
                f"{self._kind}: expected an iterable of tensors, got one tensor of shape"
                f" {tuple(params.shape)}; put it in a list"
            )
        given = self._listed(params)
        if not given:
            raise ValueError(
                f"{self._kind}: expected at least one parameter, got none; a generator such as"
                " model.parameters() can be read only once"
            )
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    # ------------------------------------------------------------ what a subclass says
    def rule(self, group: Group) -> str:
        """Return the kernel that steps the group, by default the first of `steps`."""
        if not self.steps:
            raise NotImplementedError(f"{self._kind} names no kernel in `steps`")
        return self.steps[0]

    def kept(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state arrays of a group's parameters."""
        return kept_by(self.rule(group))

    def check(self, group: Group) -> None:
        """Raise a ValueError for options out of range, a TypeError for what is no number."""
        for name in NON_NEGATIVE & group.keys():
            value = group[name]
            try:
                good = bool(value >= 0)
            except (TypeError, ValueError):
                arguments.number(self._kind, name, value)
                raise
            if not good:
                raise ValueError(f"{self._kind}: expected {name} >= 0, got {value!r}")
        betas = group.get("betas", (0.0, 0.0))
        try:
            first, second = betas
            good = bool(0 <= first < 1 and 0 <= second < 1)
        except (TypeError, ValueError):
            raise TypeError(
                f"{self._kind}: expected betas to be two numbers in [0, 1), got {betas!r}"
            ) from None
        if not good:
            raise ValueError(f"{self._kind}: expected betas in [0, 1), got {betas!r}")

    def _check_kinds(self, group: Group) -> None:
        """Refuse options of the wrong type whose range `check` does not compare."""
        if "dampening" in group:
            arguments.number(self._kind, "dampening", group["dampening"])
        for name in SWITCHES & group.keys():
            if not isinstance(group[name], bool | np.bool_ | int):
                raise TypeError(
                    f"{self._kind}: expected {name} to be True or False, got {group[name]!r}"
                )

    def _check_ways(self, ways: dict[str, Any]) -> None:
        """Refuse keywords that PyTorch has not either, and a step that is differentiated."""
        unknown = sorted(ways.keys() - WAYS)
        if unknown:
            raise TypeError(f"{self._kind}: unexpected options {', '.join(unknown)}")
        if ways.get("differentiable"):
            raise NotImplementedError(
                f"{self._kind}: differentiable=True is not there, a step is not recorded; write it"
                " in tensor operations, p - lr * g, with create_graph=True"
            )
        if ways.get("foreach") and ways.get("fused"):
            raise RuntimeError(f"{self._kind}: foreach and fused cannot both be True")

    def fresh(self, name: str, param: Tensor, group: Group) -> Array:
        """Return a state array as it is before the first step."""
        shape, array = self.state_shape(name, param.array.shape), param.array
        first: float = self.scalars.get(name, 0.0)
        kind = np.float64 if name in self.scalars else array.dtype
        made: Array = device.filled(shape, first, kind, array)
        return made

    def state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a state array of a parameter of a shape."""
        return (1,) if name in self.scalars else shape

    @property
    def _kind(self) -> str:
        return type(self).__name__

    # ------------------------------------------------------------ parameters
    def _listed(self, params: Any) -> list[Any]:
        """Return parameters as a list; a set has another order in every process, so it is none."""
        if isinstance(params, set | frozenset) or not hasattr(params, "__iter__"):
            raise TypeError(
                f"{self._kind}: expected a list of parameters, or what gives them in a fixed order,"
                f" such as model.parameters(), got {type(params).__name__}"
            )
        return list(params)

    def add_param_group(self, group: Group) -> None:
        """Add parameters with options of their own, say when layers are unfrozen during training.

        group: {"params": tensors or (name, tensor) pairs, and options}; the defaults fill it up.
        """
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(
                f'{self._kind}: expected every group to be a dict with "params", got'
                f" {type(group).__name__}; do not mix groups with plain tensors"
            )
        entries = group["params"]
        entries = [entries] if isinstance(entries, Tensor) else self._listed(entries)
        pairs = [as_pair(self._kind, entry) for entry in entries]
        new = {**self.defaults, **group, "params": [p for _, p in pairs]}
        self._check_kinds(new)
        self.check(new)
        slots = self._new_slots(pairs)
        self._slots += slots
        self._steps = np.append(self._steps, np.zeros(len(slots), np.int64))
        self.param_groups.append(new)
        self._forget()

    def _new_slots(self, pairs: list[tuple[str | None, Tensor]]) -> list[ParameterSlot]:
        """Name the parameters of a new group; refuse one, or a name, that is there already."""
        slots: list[ParameterSlot] = []
        by_id = {id(slot.param): slot.name for slot in self._slots}
        names = set(by_id.values())
        named = {slot.named for slot in self._slots}
        for i, (name, p) in enumerate(pairs, len(self._slots)):
            label = str(i) if name is None else name
            if id(p) in by_id:
                raise ValueError(
                    f"{self._kind}: one parameter of shape {tuple(p.shape)} is listed twice, as"
                    f" {by_id[id(p)]!r} and as {label!r}; it would be stepped twice: list it once"
                )
            if label in names:
                raise ValueError(f"{self._kind}: two parameters have the name {label!r}")
            named.add(name is not None)
            if len(named) == 2:
                raise ValueError(
                    f"{self._kind}: some parameters have a name and some have none; pass all from"
                    " named_parameters() or all from parameters()"
                )
            by_id[id(p)] = label
            names.add(label)
            slots.append(
                ParameterSlot(
                    label,
                    name is not None,
                    p,
                    len(self.param_groups),
                    None if isinstance(p, Uninitialized) else p.array.shape,
                )
            )
        return slots

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; the next backward() then starts from nothing.

        set_to_none: False fills them with zeros instead: step() then sees a gradient of zero where
            there would be none, and weight decay and momentum still act.
        """
        for slot in self._slots:
            if set_to_none:
                slot.param._grad = None
                continue
            grad = slot.param._grad
            if grad is not None:
                check_writable(grad.array, f"the gradient of parameter {slot.name!r}")
                grad.array[...] = 0
                grad.bump_version()

    # ------------------------------------------------------------ the step
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient, in one launch; leave the others alone whole.

        closure: computes the loss and its gradients anew; what it returns is returned.
        """
        for when, hook in tuple(self._hooks.values()):
            if when == "before":
                hook(self, (closure,), {})
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._update()
        self._step_count += 1
        for when, hook in tuple(self._hooks.values()):
            if when == "after":
                hook(self, (closure,), {})
        return loss

    def _update(self) -> None:
        """Step the parameters that have a gradient, by the kernels of their groups."""
        self._read_options()
        if device.USED:
            each_call(self._begin, self._hyper)
        while True:  # once, or twice after a change; more only while other threads change it
            active = [i for i, slot in enumerate(self._slots) if slot.param._grad is not None]
            if active == self._active and self._gather():
                break
            self._plan(active)
        for launch in self._launches:
            launch.run(self._hyper, self._steps)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(optimizer, args, kwargs)` before each step."""
        return self._add_hook("before", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return self._add_hook("after", hook)

    def _add_hook(self, when: str, hook: Callable[..., Any]) -> Handle:
        key = max(self._hooks, default=-1) + 1
        self._hooks[key] = when, hook
        return Handle(lambda: self._hooks.pop(key, None))

    def _begin(self, hyper: Array) -> None:
        """Begin a step whose launches are replayed: write the groups' numbers of now, count."""
        self._read_options()
        hyper[...] = self._hyper
        self._step_count += 1

    def _forget(self) -> None:
        """Drop what was prepared; the next step prepares it anew, and recordings hold no more."""
        self._changes += 1
        self._rows: list[Any] = []
        self._rules: list[str] = []
        self._drop_launches()

    def _drop_launches(self) -> None:
        """Drop the launches alone, and the arrays that they hold."""
        self._active: list[int] | None = None
        self._launches: list[Launch] = []

    def _gather(self) -> bool:
        """Bring all tables up to date; False where a parameter's memory is another than before."""
        return all(launch.gather() for launch in self._launches)

    def _read_options(self) -> None:
        """Take over the groups' options, which anyone may have edited since the last step."""
        rows = [*map(self._values, self.param_groups)]
        if rows == self._rows:
            return
        for group in self.param_groups:
            self.check(group)
        rules = [self.rule(group) for group in self.param_groups]
        if rules != self._rules:
            self._forget()
            self._rules = rules
            self._hyper = np.empty((len(rows), len(self.numbers)))
        self._hyper[...] = [self._numbers(group) for group in self.param_groups]
        # A pair that is no tuple may be edited in place: it is read anew at each step.
        pairs = [group[pair] for group in self.param_groups for pair in PAIRS.keys() & group.keys()]
        self._rows = rows if all(type(pair) is tuple for pair in pairs) else []

    def _numbers(self, group: Group) -> list[float]:
        """Return a group's numbers in the order of the kernel's columns."""
        values = dict(group)
        for pair, names in PAIRS.items():
            if pair in group:
                values.update(zip(names, group[pair], strict=True))
        return [values[name] for name in self.numbers]

    def _plan(self, active: list[int]) -> None:
        """Sort the parameters with a gradient into launches: one a kernel, dtype and device.

        Those that share memory are stepped one after another, in launches of their own.
        """
        arrays = [self._slots[i].param.array for i in active]
        for i, array in zip(active, arrays, strict=True):
            check_writable(array, f"{self._kind}: parameter {self._slots[i].name!r}")
        stepped = Stepped(arrays)
        members: dict[tuple[int, str, Any, Any], list[int]] = {}
        for i, turn in zip(active, turns(arrays), strict=True):
            slot = self._slots[i]
            kernel = self._rules[slot.group]
            self._prepare(i, slot, kept_by(kernel))
            place = slot.param.array.dtype, device.target_of((slot.param.array,))
            members.setdefault((turn, kernel, *place), []).append(i)
        self._launches = []
        for (_, kernel, *_), indices in sorted(members.items(), key=lambda item: item[0][0]):
            slots = [self._slots[i] for i in indices]
            states = kept_by(kernel)
            buffers = [contiguous(slot.param.array) for slot in slots]
            rows = [
                (buffer, buffer, *(slot.arrays[name] for name in states))
                for slot, buffer in zip(slots, buffers, strict=True)
            ]
            table = build_table(rows, [slot.group for slot in slots])
            table[:, INDEX] = indices
            self._launches.append(Launch(kernel, table, slots, buffers, stepped))
        self._active = active

    def _prepare(self, i: int, slot: ParameterSlot, states: tuple[str, ...]) -> None:
        """Make a parameter's state where it is missing, and follow a change of its dtype."""
        data = slot.param.array
        if slot.shape is None:
            slot.shape = data.shape
        if data.shape != slot.shape:
            raise ValueError(
                f"{self._kind}: parameter {slot.name!r} has shape {data.shape} now, but had"
                f" {slot.shape} when the optimizer was made; make a new optimizer"
            )
        if states and not slot.arrays.keys() & set(states):
            self._steps[i] = 0  # state begins now, say because momentum was switched on
        for name in states:
            if name not in slot.arrays:
                slot.arrays[name] = self.fresh(name, slot.param, self.param_groups[slot.group])
            elif name not in self.scalars:
                slot.arrays[name] = slot.arrays[name].astype(data.dtype, copy=False)
            slot.arrays[name] = device.moved(slot.arrays[name], device.device_of(data))

    # ------------------------------------------------------------ state
    @property
    def state(self) -> States:
        """What is kept for each parameter, by the parameter: its step count and its tensors.

        A class of your own keeps there what it likes.
        """
        return States(self._slots, None if self.states is None else self._steps)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy takes over: all but the launches, which hold addresses of memory."""
        prepared: dict[str, Any] = {"_rows": [], "_rules": [], "_active": None, "_launches": []}
        return {**vars(self), **prepared}

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state: `{"optimizer", "step_count", "state", "param_groups"}`.

        state: by parameter name, its step count and its tensors.  param_groups: the options, and
        the names of the parameters.  **Ours:** a snapshot, which later steps do not change, with
        names instead of positions where the optimizer was given names.
        """
        return save_state(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state, options included, once all of it has been checked.

        From what `minigrad.save(scheduler)` wrote it takes the optimizer's part.

        Raises: ValueError that lists what is missing, what is not known and what has another shape;
            nothing has been changed then.
        """
        load_state(self, state)
        self._forget()

    def __repr__(self) -> str:
        lines = [f"{self._kind} ("]
        for i, group in enumerate(self.param_groups):
            count = sum(p.array.size for p in group["params"])
            lines.append(f"  group {i}: {len(group['params'])} tensors, {count:,} numbers")
            options = {k: v for k, v in group.items() if k != "params"}
            lines.append("    " + ", ".join(f"{k}={v!r}" for k, v in options.items()))
        return "\n".join([*lines, ")"])
