"""`capture`: a function whose calls are recorded, then replayed."""

from __future__ import annotations

import functools
import gc
import inspect
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.capturing.folding import fold_normalisations
from minigrad.capturing.guards import SIMPLE, Surroundings
from minigrad.capturing.guards import Captured as Base
from minigrad.capturing.on_gpu import Take as GraphTake
from minigrad.capturing.on_gpu import gpu_of
from minigrad.capturing.planning import plan, results_of
from minigrad.capturing.predicting import ByRows
from minigrad.capturing.program import INPUT, MADE, OUTSIDE, Operand, Program, difference
from minigrad.capturing.recorder import Recorder
from minigrad.capturing.replay import Effects, Fixed, Given, Leaf, Replay, Result
from minigrad.capturing.timing import time_launches
from minigrad.capturing.traced import Traced, plain
from minigrad.engine import arguments, random
from minigrad.engine.dispatch import dispatch
from minigrad.engine.grad_mode import mode
from minigrad.engine.recording import recording
from minigrad.engine.threads import Asked, renew_in_child
from minigrad.engine.values import default_dtype
from minigrad.nn.functional import means
from minigrad.nn.module import Module
from minigrad.tensors.creation import Default
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
MOST = 8  # recordings that one function keeps
STATE = ("function", "reports", "most", "memory", "fold")
TRIES = 4  # recordings of one kind of call, until two are the same


class Unfit(Exception):
    """A call that cannot be recorded, with the reason."""


class Captured(Base):
    """A function whose launches are recorded, then replayed; see `capture`.

    gpu: where its tensors lie, if that is said; else it is read off the arguments.
    """

    gpu: Any = None

    def __init__(
        self,
        function: Callable[..., Any],
        explain: bool,
        most: int,
        memory: int | None,
        fold: bool,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.reports = explain
        self.most = most
        self.memory = memory
        self.fold = fold
        self.reset()
        renew_in_child(self)

    def reset(self) -> None:
        """Forget all recordings."""
        self.lock = threading.RLock()
        self.replays: dict[Any, list[Replay]] = {}
        self.graphs: dict[Any, list[GraphTake]] = {}
        self.pending: dict[Any, list[Replay]] = {}
        self.tries: dict[Any, int] = {}
        self.refused: dict[Any, str] = {}
        self.calls: dict[str, int] = {"eager": 0, "recorded": 0, "replayed": 0}
        self.last = "not called yet"
        self.failures = 0
        self.bound: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy takes over: the function, not its recordings."""
        return {name: getattr(self, name) for name in STATE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state.values())  # type: ignore[misc]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the captured method of an instance: each has recordings of its own."""
        if instance is None:
            return self
        held = instance.__dict__.setdefault("_captured_methods", Methods())
        name = self.function.__name__
        if name not in held.by_name:
            method = self.function.__get__(instance, owner)
            held.by_name[name] = Captured(method, *[getattr(self, name) for name in STATE[1:]])
        return held.by_name[name]

    # ------------------------------------------------------------ a call
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function: eagerly, recorded or replayed."""
        if recording.recorder is not None:
            return self.function(*args, **kwargs)  # inside another recording: a part of it
        with self.lock:
            try:
                target, leaves, key = self.laid_out(args, kwargs)
            except Unfit as why:
                return self.eagerly(str(why), args, kwargs)
            tensors = unique(leaves)
            result, reason = self.replayed(target, key, tensors)
            if reason is None:
                return result
            refused = self.refusal(target, key, tensors, kwargs, reason)
            if refused is not None:
                return self.eagerly(refused, args, kwargs)
            objects = [leaf for leaf in leaves if not isinstance(leaf, Tensor)]
            others = [(f"a {type(v).__name__} among the arguments", v) for v in objects]
            around = Surroundings(self.function, others, target)
            if target is not None:
                return self.record_graph(target, key, tensors, around, args, reason)
            return self.record(key, tensors, around, args, kwargs, reason)

    def laid_out(self, args: Any, kwargs: Any) -> tuple[Any, list[Any], Any]:
        """Return the GPU that a call is about (None: the CPU), its leaves, and its kind.

        Raises: Unfit with the reason why it cannot be recorded.
        """
        self.refuse_modes()
        leaves, key = self.flat(args, kwargs)
        target = self.gpu or gpu_of(leaves)
        return target, leaves, key if target is None else (target.name, key)

    def kept(self, target: Any) -> dict[Any, list[Any]]:
        """Return the recordings of the CPU, or of GPUs, by the kind of call."""
        found: dict[Any, list[Any]] = self.replays if target is None else self.graphs
        return found

    def replayed(self, target: Any, key: Any, tensors: list[Tensor]) -> tuple[Any, str | None]:
        """Return what a replay of this kind of call gives, or why there is none that can be run."""
        reason = "no call of this kind was recorded yet"
        for replay in self.kept(target).get(key, ()):
            found = replay.changed(tensors)
            if found is None:
                self.tell("replayed", "")
                return replay.run(tensors), None
            reason = found
        return None, reason

    def refusal(
        self, target: Any, key: Any, tensors: list[Tensor], kwargs: Any, reason: str
    ) -> str | None:
        """Return why a call that has no replay is not recorded either; None where it can be."""
        if not self.calls["eager"]:
            return "the first call makes what lasts, as optimizer state"
        if key in self.refused:
            return self.refused[key]
        if self.failures >= TRIES * self.most:
            return f"{self.failures} recordings failed: {reason}"
        if target is not None and any(gpu_of([t]) is not target for t in tensors):
            return f"an argument does not lie on {target.name}"
        if target is not None and kwargs:
            return f"it is called by keywords: {reason}"
        if sum(map(len, self.kept(target).values())) >= self.most:
            return f"{self.most} recordings are kept already: {reason}"
        return None

    def attempt(self, args: tuple[Any, ...]) -> tuple[Any, str | None]:
        """Replay a call; return its result, or why it cannot be replayed: nothing is run then."""
        if recording.recorder is not None:
            return None, "this is a part of another recording"
        with self.lock:
            try:
                target, leaves, key = self.laid_out(args, {})
            except Unfit as why:
                return None, str(why)
            return self.replayed(target, key, unique(leaves))

    def record_graph(
        self,
        target: Any,
        key: Any,
        tensors: list[Tensor],
        around: Surroundings,
        args: tuple[Any, ...],
        why: str,
    ) -> Any:
        """Run the function once while its launches become a graph of a GPU."""
        take = GraphTake(target, tensors, around)
        self.tell("recorded", why)
        result = take.record(self.function, args, tensors)
        if take.reason is None:
            self.graphs.setdefault(key, []).append(take)
        else:
            self.refused[key] = take.reason
            self.last = f"eager: {take.reason}"
            if self.reports:
                print(f"capture {self.name}: not kept: {take.reason}", file=sys.stderr)
        return result

    def refuse_modes(self) -> None:
        """Refuse to record while somebody looks at each op or launch."""
        if mode.tape is not None or mode.anomaly is not None or dispatch.checked:
            raise Unfit("a Tape, detect_anomaly or check_launches looks at each op")
        if means.watch.reports is not None or random.watch.refused is not None:
            raise Unfit("what the function computes is watched, by a trainer or a transformation")

    def flat(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], Any]:
        """Return the leaves of the arguments, and what tells this kind of call from others."""
        if kwargs:
            given = inspect.signature(self.function).bind(*args, **kwargs)
            args, kwargs = given.args, given.kwargs
        leaves: list[Any] = []
        key: list[Any] = [bool(mode.recording), default_dtype(), Default.device]
        key += [random.default.shared, Asked.threads]
        self.collect(args, leaves, key)
        for name in sorted(kwargs):
            key.append(name)
            self.collect((kwargs[name],), leaves, key)
        return leaves, tuple(key)

    def collect(self, values: Any, leaves: list[Any], key: list[Any]) -> None:
        """Add the leaves of arguments, and what is the same in all calls of their kind."""
        for value in values:
            if isinstance(value, Tensor):
                array: Any = value.array
                if isinstance(array, np.ndarray):
                    layout = array.strides
                elif getattr(array.target, "plans", False):
                    layout = array.layout()
                else:
                    raise Unfit(
                        "an argument lies on a device, or has lanes: captures are of the CPU, or "
                        "of a GPU"
                    )
                if value.node is not None:
                    raise Unfit("an argument is the result of an op that requires grad")
                if value._grad is not None or (value.hooks is not None and value.hooks.calls):
                    raise Unfit("an argument has a .grad already, or hooks")
                place = self.position(value, leaves)
                key.append((array.shape, array.dtype, layout, value.tracked, place))
                leaves.append(value)
            elif isinstance(value, SIMPLE):
                key.append((type(value), value))
            elif isinstance(value, list | tuple):
                key.append((type(value), len(value)))
                self.collect(value, leaves, key)
            elif isinstance(value, dict):
                key.append((type(value), *value))
                self.collect(value.values(), leaves, key)
            elif isinstance(value, np.ndarray):
                raise Unfit(
                    "an argument is a NumPy array: its numbers would be recorded; pass"
                    " minigrad.from_numpy(array)"
                )
            else:
                key.append(id(value))
                self.bound[id(value)] = value
                leaves.append(value)

    def position(self, value: Tensor, leaves: list[Any]) -> int | None:
        """Return where a tensor came up already among the arguments."""
        for i, leaf in enumerate(leaves):
            if leaf is value:
                return i
        return None

    def eagerly(self, reason: str, args: Any, kwargs: Any) -> Any:
        """Call the function as if it were not captured."""
        self.tell("eager", reason)
        return self.function(*args, **kwargs)

    def tell(self, how: str, reason: str) -> None:
        """Count a call, and say how it ran where that is asked for and news."""
        self.calls[how] += 1
        was, self.last = self.last, f"{how}: {reason}" if reason else how
        if self.reports and self.last != was:
            print(
                f"capture {self.name}, call {sum(self.calls.values())}: {self.last}",
                file=sys.stderr,
            )

    @property
    def name(self) -> str:
        """The function's name."""
        function = self.function
        while isinstance(function, functools.partial):
            function = function.func
        return getattr(function, "__qualname__", type(function).__name__)

    # ------------------------------------------------------------ a recording
    def record(
        self,
        key: Any,
        tensors: list[Tensor],
        around: Surroundings,
        args: Any,
        kwargs: Any,
        why: str,
    ) -> Any:
        """Run the function and write its launches down."""
        given = [(f"argument {i}", t) for i, t in enumerate(tensors)]
        take = Take(self.name, given, around, self.memory)
        self.tell("recorded", why)
        result = take.run(self.function, args, kwargs)
        reason = take.reason
        # Two calls that begin with other gradients are of two kinds.
        kind = key, tuple(entry[1] is None for entry in take.before.values())
        self.tries[kind] = tries = self.tries.get(kind, 0) + 1
        if reason is None:
            waiting = self.pending.setdefault(kind, [])
            found = [difference(other.program, take.replay.program) for other in waiting]
            if None in found:
                if self.fold:
                    fold_normalisations(take.replay, results_of(take.replay.result))
                plan(take.replay)
                self.replays.setdefault(key, []).append(take.replay)
                del waiting[found.index(None)], self.tries[kind]
            else:
                reason = found[-1] if found else None
                waiting.append(take.replay)
                take.replay.program.release()
        if reason is not None:
            self.failures += 1
            self.last = f"eager: {reason}"
            if self.reports:
                print(f"capture {self.name}: not kept: {reason}", file=sys.stderr)
            if tries >= TRIES or take.final:
                self.refused[key] = reason
        return result

    # ------------------------------------------------------------ looking at it
    @property
    def programs(self) -> list[Program]:
        """The recorded programs, one a kind of call: `print(step.programs[0])`."""
        return [replay.program for found in self.replays.values() for replay in found]

    def profile(self, calls: int = 50) -> str:
        """Return the programs with the time that each of their launches takes.

        calls: the median is over so many.  They run on the memory of the last call, and what they
        write outside of it, parameters say, is put back.

        Raises: RuntimeError where nothing has been replayed yet.
        """
        calls = arguments.whole("profile", "calls", calls, 1)
        with self.lock:
            ready = [r for found in self.replays.values() for r in found if r.ready]
            if not ready:
                raise RuntimeError(f"profile: {self.name} has not been replayed yet; call it first")
            for replay in ready:
                time_launches(replay, calls)
        return "\n\n".join(str(replay.program) for replay in ready)

    def explain(self) -> str:
        """Return how the calls so far ran, and why the last did not replay where it did not."""
        counts = ", ".join(f"{n} {how}" for how, n in self.calls.items())
        refused = [f"  not captured: {reason}" for reason in self.refused.values()]
        return "\n".join([f"{self.name}: {counts}; the last call: {self.last}", *refused])

    def __repr__(self) -> str:
        return f"<captured {self.name}: {self.last}>"


class Methods:
    """The captured methods of one instance, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Captured] = {}

    def __deepcopy__(self, memo: Any) -> Methods:
        return Methods()

    def __reduce__(self) -> Any:
        return Methods, ()


def unique(leaves: list[Any]) -> list[Tensor]:
    """Return the tensors among the leaves, each once."""
    return list({id(leaf): leaf for leaf in leaves if isinstance(leaf, Tensor)}.values())


class Take:
    """One recorded call.

    reason: why it cannot be replayed, None where it can.  final: whether no other call could.
    """

    replay: Replay

    def __init__(
        self,
        name: str,
        given: list[tuple[str, Tensor]],
        around: Surroundings,
        memory: int | None,
    ) -> None:
        self.around = around
        # By id of a tensor: its gradient, that one's array, and both versions.
        self.before: dict[int, tuple[Any, Any, int, int]] = {}
        known = around.tensors
        self.given = given
        self.recorder = Recorder(name, memory)
        self.tensors: dict[int, tuple[str, Tensor]] = {**known}
        for label, t in given:
            self.tensors.setdefault(id(t), (label, t))
        self.reason = around.reason
        self.final = around.reason is not None

    def run(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call the function; `replay` is what was recorded."""
        if self.reason is not None:
            return function(*args, **kwargs)
        recorder = self.recorder
        held = self.enter()
        try:
            with recorder:
                result = function(*args, **kwargs)
        finally:
            self.leave(held)
        if recorder.reason is None:
            self.build(result)
        self.free(result)
        if recorder.reason is None:
            recorder.reason = self.around.drawn()
        if recorder.reason is None:
            self.reason = self.around.changed()
            if self.reason is not None:
                self.reason = f"the function itself changes what it refers to: {self.reason}"
        self.reason = recorder.reason or self.reason
        if self.reason is None:
            left = recorder.survivors()
            if left:
                gc.collect()
                left = recorder.survivors()
            if left:
                self.reason = (
                    f"{len(left)} of the arrays that the call has made are kept beyond it, beside"
                    " its results and gradients"
                )
        return result

    def enter(self) -> list[tuple[Tensor, Array, Array]]:
        """Put arrays that tell of reads into all tensors that are known, and enter their memory."""
        inputs = {id(t) for _, t in self.given if id(t) not in self.around.tensors}
        items: list[tuple[str, str, Array]] = []
        held = []
        owners: list[tuple[Array, Any]] = []
        for label, t in self.tensors.values():
            kind = INPUT if id(t) in inputs else OUTSIDE
            items.append((kind, label, t.array))
            gradient = t._grad
            self.before[id(t)] = (
                gradient,
                None if gradient is None else gradient.array,
                0 if t.cell is None else t.cell[0],
                0 if gradient is None or gradient.cell is None else gradient.cell[0],
            )
            for x in (t, gradient):
                if x is not None and isinstance(x.array, np.ndarray):
                    if x is gradient:
                        # What owns the memory stays alive; to hold the array itself would tell the
                        # replay whose gradient it is that somebody has kept it.
                        owner = x.array if x.array.base is None else x.array.base
                        owners.append((x.array, owner))
                        items.append((OUTSIDE, f"{label}.grad", x.array))
                    traced = plain(x.array).view(Traced)
                    held.append((x, x.array, traced))
                    x.array = traced
        for optimizer in self.around.optimizers.values():
            kind = type(optimizer).__name__
            items.append((OUTSIDE, f"{kind}, step counts", optimizer._steps))
            for slot in optimizer._slots:
                items += [
                    (OUTSIDE, f"{kind}, {name} of {slot.name}", a)
                    for name, a in slot.arrays.items()
                ]
        self.recorder.enter(items)
        for array, owner in owners:
            buffer = self.recorder.lying(array)
            if buffer is not None and buffer.held is array:
                buffer.held = owner
        return held

    def leave(self, held: list[tuple[Tensor, Array, Array]]) -> None:
        """Give all tensors their arrays back."""
        for t, array, traced in held:
            if t.array is not traced:
                self.recorder.refuse("the function gives a tensor other memory")
                t.array = plain(t.array)
            else:
                t.array = array
        for optimizer in self.around.optimizers.values():
            optimizer._drop_launches()  # they hold the other arrays
        self.around.optimized = [(o, o._changes, o._steps) for o in self.around.optimizers.values()]

    # ------------------------------------------------------------ what the call leaves
    def build(self, result: Any) -> None:
        """Make the replay of what was recorded."""
        recorder = self.recorder
        if not recorder.program.launches:
            recorder.refuse("the function launches no kernel")
        effects = Effects()
        used = {b for launch in recorder.program for b in launch.buffers()}
        written = {b for launch in recorder.program for b in launch.writes}
        order = [t for _, t in self.given]
        inputs: list[Operand | None] = []
        for i, t in enumerate(order):
            operand = None
            if id(t) not in self.around.tensors and t.array.size:
                operand = recorder.operand(t.array)
                if operand is not None and operand.buffer in written:
                    effects.written.append(i)
            inputs.append(operand)
        for label, t in self.tensors.values():
            self.gradient(label, t, used, effects, order)
            count = (0 if t.cell is None else t.cell[0]) - self.before[id(t)][2]
            if count and id(t) in self.around.tensors:
                effects.versions.append((t, count))
            elif count:
                at = next(i for i, given in enumerate(order) if given is t)
                effects.of_inputs.append((at, count))
        tree = self.results(result, order)
        self.replay = Replay(recorder, self.around, inputs, tree, effects)

    def gradient(
        self, label: str, t: Tensor, used: set[Any], effects: Effects, order: list[Tensor]
    ) -> None:
        """Note what becomes of a tensor's gradient."""
        recorder = self.recorder
        before, array, _, version = self.before[id(t)]
        after = t._grad
        is_input = id(t) not in self.around.tensors
        entered = before is not None and before.array.size > 0
        operand = recorder.operand(before.array) if entered else None
        touched = operand is not None and operand.buffer in used
        if not is_input:
            kept = (weakref.ref(before), weakref.ref(array)) if touched else (None, None)
            effects.entry.append((t, before is not None, *kept))
        if after is before:
            count = 0 if after is None or after.cell is None else after.cell[0] - version
            if count:
                effects.gradient_versions.append((t, count))
            return
        if is_input:
            recorder.refuse(f"{label} gets a .grad: only tensors that the function refers to may")
        elif after is None:
            effects.gradients.append((t, None, None))
        else:
            place = recorder.operand(after.array)
            if place is None or place.buffer.kind != MADE or after.node is not None:
                recorder.refuse(f"the gradient of {label} is not made by the function")
                return
            if place.buffer.lasting:
                recorder.refuse(f"the gradient of {label} is another's too")
            place.buffer.lasting = True
            place.buffer.label = f"{label}.grad"
            after.array = place.of(place.buffer.held)
            effects.gradients.append((t, after, place))

    def results(self, value: Any, order: list[Tensor]) -> Any:
        """Return the tree of what is returned, with what each tensor is made from."""
        recorder = self.recorder
        if isinstance(value, Tensor):
            for _, t in self.tensors.values():
                if t._grad is value:
                    return Leaf(t)
            if id(value) in self.around.tensors:
                return value
            for i, t in enumerate(order):
                if t is value:
                    return Given(i)
            if value.tracked and getattr(value.node, "edges", 1) is not None:
                recorder.refuse(
                    "the function returns a tensor that backward() could still be called on: call"
                    " it inside, return it detach()ed, or compute it under no_grad()"
                )
                return None
            operand = recorder.operand(value.array)
            if operand is None or operand.buffer.kind != MADE:
                recorder.refuse("the function returns a view of memory that was there before")
                return None
            return Result(operand, value.tracked, value.node)
        if isinstance(value, tuple) and all(isinstance(v, SIMPLE) for v in value):
            return Fixed(value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*[self.results(v, order) for v in value])
        if isinstance(value, list | tuple):
            return type(value)(self.results(v, order) for v in value)
        if isinstance(value, dict):
            return {k: self.results(v, order) for k, v in value.items()}
        if not isinstance(value, SIMPLE):
            recorder.refuse(
                f"the function returns a {type(value).__name__}: expected tensors, numbers, None,"
                " and lists, tuples and dicts of them"
            )
        return value

    def free(self, value: Any) -> None:
        """Give results memory of their own: that of the recording is the program's."""
        if isinstance(value, Tensor):
            lies = self.recorder.lying(value.array)
            if isinstance(value.array, Traced) or (lies and lies.kind == MADE and not lies.lasting):
                value.array = np.array(plain(value.array), order="C")
        elif isinstance(value, list | tuple):
            for v in value:
                self.free(v)
        elif isinstance(value, dict):
            for v in value.values():
                self.free(v)


def capture(
    function: Callable[..., Any] | None = None,
    *,
    explain: bool = False,
    most: int = MOST,
    memory: int | None = None,
    fold: bool | None = None,
    rows: int | None = None,
) -> Any:
    """Return a function that does what `function` does, with its launches recorded once and then
    replayed: a training step without the time that Python takes between the kernels.

    The first call runs as ever, the next two are recorded and compared, all after that replay,
    where shapes, dtypes, modes and all that the function refers to are as they were.  What differs
    is recorded anew; what cannot be recorded, because it reads numbers in Python (`item()`, `if
    loss > 1:`), runs as ever.  The bits are the same in each case.

    function: of tensors, and of numbers and the like, which are a part of what is recorded; also a
        decorator, `@mg.capture` or `@mg.capture(explain=True)`, of functions and methods.
    explain: say on standard error how each call runs, where that changes, and why.
    most: recordings to keep.
    memory: bytes; what makes more on its way, all of which a recording holds, runs as ever.
    fold: fold batch normalisations in evaluation into the product or convolution before them, which
        changes results by rounding, about 1e-7 of their size; by default of modules alone.
    rows: see `ByRows`: a batch of at most so many rows runs as one of the next power of two.

    `predict = mg.capture(model.eval())` is a model for predictions, under `no_grad()`.  Two threads
    that call it wait for each other.

    `print(step.programs[0])` lists launches and buffers, `step.explain()` says what happened so
    far, `step.reset()` forgets.

    >>> import minigrad as mg
    >>> def made():
    ...     w = mg.ones(2, requires_grad=True)
    ...     @mg.capture
    ...     def step(x):
    ...         w.grad = None
    ...         loss = (w * x).sum()
    ...         loss.backward()
    ...         return loss.detach()
    ...     return step, w
    >>> step, w = made()
    >>> [step(mg.full((2,), float(i))).item() for i in range(5)], w.grad.tolist()
    ([0.0, 2.0, 4.0, 6.0, 8.0], [4.0, 4.0])
    >>> step.calls  # doctest: +SKIP
    {'eager': 1, 'recorded': 2, 'replayed': 2}
    """
    if function is None:
        return functools.partial(
            capture, explain=explain, most=most, memory=memory, fold=fold, rows=rows
        )
    if not callable(function):
        raise TypeError(
            f"capture: expected a function, got {type(function).__name__}: {function!r:.60}"
        )
    folds = isinstance(function, Module) if fold is None else fold
    if rows is None:
        return Captured(function, explain, most, memory, folds)
    limit = arguments.whole("capture", "rows", rows, 1)
    return ByRows(
        Captured(function, explain, max(most, limit.bit_length() + 1), memory, folds), limit
    )
