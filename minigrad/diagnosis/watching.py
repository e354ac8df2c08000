"""Looking at a program that trains in its own way: its loops, and the Trainers in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from minigrad.data.loader import DataLoader
from minigrad.diagnosis import doctor as doctors
from minigrad.diagnosis.case import KEPT, Case
from minigrad.diagnosis.doctor import Doctor, failed_loss, moving, probe
from minigrad.diagnosis.findings import Report
from minigrad.diagnosis.looking import Listener, Look, host, named_parameters
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import LEAF, SLOT
from minigrad.engine.trace import user_line
from minigrad.nn.layers.loss import Loss
from minigrad.nn.module import Module
from minigrad.optim.lr_scheduler import LRScheduler
from minigrad.optim.optimizer import Optimizer
from minigrad.tensors.tensor import Tensor

HEARD = 60  # steps whose tape is heard, for their rows, beside those that are looked at
PARTS = 20  # of the steps, where no epochs are known


class Loop:
    """A model that a program calls by itself, and the doctor beside it."""

    def __init__(self, model: Module, ignore: Iterable[str]) -> None:
        self.doctor = Doctor("collect", ignore)
        self.case = Case(model, "script")
        self.doctor.begin(self.case)
        self.steps = 0
        self.called = False  # since its last backward()
        self.due = False  # whether the step that is heard is to be looked at
        self.pending = False  # whether a backward() waits for its step
        self.open: tuple[Look, Listener, Any, ExitStack] | None = None
        self.closed: Look | None = None
        self.first: Any = None  # the input of the first step
        self.full_batch = True
        self.epochs = 0

    def event(self, name: str) -> None:
        """Note that the program did something, and where."""
        self.case.events.setdefault(name, []).append(user_line())


class Program:
    """What a program does, while it is watched.

    ignore: codes of checks to leave out.
    """

    def __init__(self, ignore: Iterable[str] = ()) -> None:
        self.ignore = tuple(ignore)
        self.loops: dict[int, Loop] = {}  # by the id of their model
        self.optimizers: list[Optimizer] = []
        self.schedules: list[LRScheduler] = []
        self.fits: list[Doctor] = []
        self.depth = 0
        self.inside = 0  # fits of Trainers that are running
        self.batch: tuple[Any, ...] = ()
        self.passes: dict[int, int] = {}
        self.stepped: set[int] = set()  # parameters whose gradients a step has used
        self.zeroed_last = False  # whether gradients were forgotten since the last backward()
        self.idle: list[Optimizer] = []  # that stepped without gradients
        self.error: BaseException | None = None

    # ------------------------------------------------------------ the model
    def called(self, module: Any, args: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        """Run a module's call; look at it where a program calls a model."""
        outermost = not self.depth and not self.inside
        if not outermost or isinstance(module, Loss) or not has_parameters(module):
            if outermost and isinstance(module, Loss):
                for loop in self.loops.values():
                    if loop.open is not None:
                        loop.case.loss = module
            return self._within(call)
        if id(module) not in self.loops:
            self.loops[id(module)] = Loop(module, self.ignore)
        loop = self.loops[id(module)]
        if not mode.recording:
            changing = [m for m in module.modules() if m.training and moving(m)]
            if changing and loop.steps:
                loop.event("no_grad in training mode")
            self._rows(loop.case.validation, args, None)
            return self._within(call)
        self._close(loop)
        loop.called = True
        step = loop.steps + 1
        due = loop.doctor.due(step)
        if due or step <= HEARD:
            self._listen(loop, module, args, step)
            loop.due = due
        output = self._within(call)
        if loop.open is not None and isinstance(output, Tensor):
            loop.open[0].output = output
        return output

    def _within(self, call: Callable[[], Any]) -> Any:
        self.depth += 1
        try:
            return call()
        finally:
            self.depth -= 1

    def _listen(self, loop: Loop, module: Any, args: tuple[Any, ...], step: int) -> None:
        look = Look(step, {id(p): name for name, p in module.named_parameters()})
        look.named = named_parameters(module)
        doctors.note_modes(loop.case, look)
        if not look.training:
            loop.event("training in eval mode")
        stack = ExitStack()
        listener = stack.enter_context(Listener())
        loop.open = look, listener, args[0] if args else None, stack

    def _close(self, loop: Loop) -> None:
        """Stop to listen to a step that came to nothing."""
        if loop.open is not None:
            loop.open[3].close()
            loop.open = None

    def _rows(self, sample: Any, args: tuple[Any, ...], target: Any) -> None:
        x = args[0] if args else None
        if not isinstance(x, Tensor) or not x.ndim:
            return
        if target is None and len(self.batch) == 2 and self.batch[0] is x:
            target = self.batch[1]
        if isinstance(target, Tensor) and sample.rows < KEPT and not sample.whole:
            sample.take(x, target)

    # ------------------------------------------------------------ the step
    def backward(self, loss: Any) -> None:
        """Take a loss whose gradients are about to be computed."""
        if self.inside:
            return
        self.zeroed_last = False
        called = [loop for loop in self.loops.values() if loop.called]
        leaves = leaves_of(loss) if len(called) > 1 else None
        for loop in called:
            parameters = list(loop.case.model.parameters())
            if leaves is not None and not any(id(p) in leaves for p in parameters):
                continue  # the loss is another model's
            loop.called, loop.pending = False, True
            loop.event("backward")
            own = {id(p) for p in parameters if p.grad is not None}
            if own & self.stepped:
                loop.event("backward into stepped gradients")
            if loss.numel() == 1:
                loop.case.losses.append((loop.steps + 1, float(loss.detach().item())))
            if loop.open is not None:
                self._heard(loop, loss)

    def _heard(self, loop: Loop, loss: Any) -> None:
        assert loop.open is not None
        if loop.closed is not None:  # weights are written by hand
            loop.steps += 1
            before, loop.closed = loop.closed, None
            read(loop, before)
        look, listener, x, stack = loop.open
        stack.close()
        loop.open = None
        look.loss = loss
        look.heard(listener.nodes)
        own = {id(node) for node in look.leads_to(loss)}
        if own:  # not what another model did meanwhile
            look.heard([node for node in listener.nodes if id(node) in own])
        look.target = target_of(look, x)
        case = loop.case
        if look.target is None and len(self.batch) == 2 and isinstance(self.batch[1], Tensor):
            look.target = self.batch[1]
        if loop.first is None and isinstance(x, Tensor):
            loop.first = x
        if isinstance(x, Tensor) and x.array is not loop.first.array:
            loop.full_batch = False
        if look.target is not None and not (loop.full_batch and case.train.rows):
            self._rows(case.train, (x,), look.target)
        loop.closed = look
        case.optimizers = self._optimizers_of(case.model)
        loop.doctor.set_up()

    def _optimizers_of(self, model: Any) -> list[Any]:
        own = {id(p) for p in model.parameters()}
        found = [
            o
            for o in self.optimizers
            if own & {id(p) for group in o.param_groups for p in group["params"]}
        ]
        return found

    def before_step(self, optimizer: Any) -> None:
        """See the gradients that an optimizer is about to use."""
        if self.inside:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        ids = {id(p) for p in parameters}
        empty = all(p.grad is None for p in parameters)
        if not empty and self.zeroed_last:
            empty = not any(host(p.grad, None).any() for p in parameters if p.grad is not None)
        loops = self._stepped_by(ids)
        if empty and not loops and not any(optimizer is o for o in self.idle):
            self.idle.append(optimizer)
        for loop in loops:
            if empty:
                loop.event("step without gradients")
            if loop.closed is not None:
                loop.closed.take_gradients()

    def after_step(self, optimizer: Any) -> None:
        """Finish the look at a step."""
        if self.inside:
            return
        ids = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self.stepped |= ids
        for loop in self._stepped_by(ids):
            loop.event("step")
            loop.steps += 1
            loop.called = loop.pending = False
            look, loop.closed = loop.closed, None
            if look is not None:
                look.step = loop.steps
                read(loop, look)

    def _stepped_by(self, ids: set[int]) -> list[Loop]:
        return [
            loop
            for loop in self.loops.values()
            if (loop.called or loop.pending) and ids & {id(p) for p in loop.case.model.parameters()}
        ]

    def zeroed(self, optimizer: Any) -> None:
        """Note that gradients were forgotten."""
        self.zeroed_last = True
        self.stepped -= {id(p) for group in optimizer.param_groups for p in group["params"]}

    def zeroed_by(self, module: Any) -> None:
        """Note that a module's gradients were forgotten."""
        self.zeroed_last = True
        self.stepped -= {id(p) for p in module.parameters()}

    # ------------------------------------------------------------ other events
    def iterated(self, loader: Any, batches: Iterator[Any]) -> Iterator[Any]:
        """Give a loader's batches on, and remember the last one."""
        before = {i: loop.steps for i, loop in self.loops.items()}
        for batch in batches:
            self.batch = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
            yield batch
        for i, loop in self.loops.items():
            taken = loop.steps - before.get(i, 0)
            if taken:
                loop.epochs += 1
                loop.case.train_loader = loader
                loop.case.steps_per_epoch = taken
                loop.case.train.whole = True
            elif loop.case.validation.rows:
                loop.case.validation.whole = True
                loop.case.val_loader = loader

    def loaded(self, module: Any, state: Any) -> None:
        """Note weights that are loaded from themselves."""
        loop = self.loops.get(id(module))
        if loop is None or not loop.steps or not hasattr(state, "values"):
            return
        own = {id(p.array) for p in module.parameters()}
        given = [t.array if isinstance(t, Tensor) else t for t in state.values()]
        if any(id(array) in own for array in given):
            loop.event("own weights loaded")

    # ------------------------------------------------------------ the end
    def _failed(self, loop: Loop) -> None:
        """Look at a step in whose loss the program has come to an error."""
        if loop.open is None or self.error is None:
            return
        look, listener, x, stack = loop.open
        stack.close()
        loop.open = None
        look.heard(listener.nodes)
        loop.case.probe["failed loss"] = failed_loss(self.error)
        look.target = target_of(look, x)
        if look.target is None and len(self.batch) == 2 and isinstance(self.batch[1], Tensor):
            look.target = self.batch[1]
        if not loop.case.train.rows:
            self._rows(loop.case.train, (x,), look.target)
        loop.doctor._read(look)

    def report(self) -> Report:
        """Look at what was trained; return all that was found."""
        found = []
        for fit in self.fits:
            found += fit.report.findings
        for loop in self.loops.values():
            self._failed(loop)
            self._close(loop)
            case = loop.case
            trained = {"backward", "step without gradients"} & case.events.keys()
            if not trained and not case.train.rows:
                continue
            case.error = self.error
            case.steps = loop.steps
            finish(loop)
            case.optimizers = self._optimizers_of(case.model)
            if not case.optimizers and not case.events.get("step") and self.idle:
                case.optimizers = self.idle  # meant for this model
                loop.doctor.examine("setup")
            if not case.looks:
                loop.doctor.examine("setup")
            probe(case)
            loop.doctor.end()
            found += loop.doctor.report.findings
        return Report({(f.code, f.layer): f for f in found}.values())


def finish(loop: Loop) -> None:
    """Say how long an epoch of a loop was, as far as that is known."""
    case = loop.case
    if loop.full_batch and case.train.rows:
        case.train.whole = True
        case.steps_per_epoch = max(1, loop.steps // 200)
        case.epochs = loop.steps
    elif loop.epochs:
        case.epochs = loop.epochs
    else:
        case.steps_per_epoch = max(1, loop.steps // PARTS)
        case.epochs = 0
        case.train.sizes = case.train.sizes[:2]  # nothing is known of its order


def read(loop: Loop, look: Look) -> None:
    """Have the doctor look at a step that was heard."""
    doctor, case = loop.doctor, loop.case
    if loop.due:
        value = case.losses[-1] if case.losses else None
        case.steps = loop.steps
        doctor._read(look)
        if value is not None and len(case.losses) > 1 and case.losses[-2] == value:
            case.losses.pop()  # it was noted at backward() already
    else:
        look.forget()


def leaves_of(loss: Any) -> set[int]:
    """Return the ids of the leaves that a tensor was computed from."""
    found: set[int] = set()
    seen: set[int] = set()
    waiting = [loss.node or loss]
    while waiting:
        edge = waiting.pop()
        if edge is None or id(edge) in seen:
            continue
        seen.add(id(edge))
        if edge.kind == LEAF:
            found.add(id(edge))
        elif edge.kind == SLOT:
            waiting.append(edge.op)
        else:
            waiting += edge.edges or ()
    return found


def has_parameters(module: Any) -> bool:
    """Return whether a module is one to be trained."""
    return next(iter(module.parameters()), None) is not None


def target_of(look: Look, x: Any) -> Any:
    """Return the tensor that the outputs were held against, None where none is found."""
    if look.output is None or not look.output.ndim:
        return None
    rows = look.output.shape[0]
    for node in look.follows(look.output):
        for t in node.inputs:
            if look.producer(t) is not None or id(t) in look.names or not t.ndim:
                continue
            if t.shape[0] == rows and not t.requires_grad and t is not look.output:
                return t
    return None


# ---------------------------------------------------------------- where it listens
@contextmanager
def watched(program: Program) -> Iterator[Program]:
    """Listen to all modules, losses, optimizers and loaders of this process meanwhile."""
    with ExitStack() as stack:
        for owner, name, around in listeners(program):
            was = owner.__dict__[name]
            setattr(owner, name, around(was))
            stack.callback(setattr, owner, name, was)
        yield program


def listeners(program: Program) -> list[tuple[Any, str, Callable[[Any], Any]]]:
    """Return the methods that are listened to, each with what makes a listening one of it."""

    def call(was: Any) -> Any:
        @functools.wraps(was)
        def listening(self: Any, *args: Any, **kwargs: Any) -> Any:
            return program.called(self, args, lambda: was(self, *args, **kwargs))

        return listening

    def backward(was: Any) -> Any:
        @functools.wraps(was)
        def listening(self: Any, *args: Any, **kwargs: Any) -> Any:
            program.backward(self)
            return was(self, *args, **kwargs)

        return listening

    def made(was: Any) -> Any:
        @functools.wraps(was)
        def listening(self: Any, *args: Any, **kwargs: Any) -> None:
            was(self, *args, **kwargs)
            program.optimizers.append(self)
            self.register_step_pre_hook(lambda *_: program.before_step(self))
            self.register_step_post_hook(lambda *_: program.after_step(self))

        return listening

    def after(act: Callable[..., None]) -> Callable[[Any], Any]:
        def around(was: Any) -> Any:
            @functools.wraps(was)
            def listening(self: Any, *args: Any, **kwargs: Any) -> Any:
                act(self, *args)
                return was(self, *args, **kwargs)

            return listening

        return around

    def iterate(was: Any) -> Any:
        @functools.wraps(was)
        def listening(self: Any) -> Any:
            return program.iterated(self, was(self))

        return listening

    def choose(was: Any) -> Any:
        @functools.wraps(was)
        def listening(_: Any) -> Any:
            found = FitDoctor(program)
            program.fits.append(found)
            return found

        return listening

    modules = vars(doctors)
    return [
        (Module, "__call__", call),
        (Tensor, "backward", backward),
        (Optimizer, "__init__", made),
        (Optimizer, "zero_grad", after(lambda self, *_: program.zeroed(self))),
        (Module, "zero_grad", after(lambda self, *_: program.zeroed_by(self))),
        (Module, "load_state_dict", after(lambda self, state, *_: program.loaded(self, state))),
        (DataLoader, "__iter__", iterate),
        *([(doctors, "as_doctor", choose)] if "as_doctor" in modules else []),
    ]


class FitDoctor(Doctor):
    """The doctor of a Trainer in a program: it collects, and the program's loops are not heard."""

    def __init__(self, program: Program) -> None:
        super().__init__("collect", program.ignore)
        self.program = program
        self.earlier: list[Any] = []

    def fit_begins(self, *args: Any) -> None:
        self.earlier += self._found
        self.program.inside += 1
        super().fit_begins(*args)

    def fit_ends(self, *args: Any) -> Any:
        self.program.inside -= 1
        return super().fit_ends(*args)

    @property
    def report(self) -> Report:
        """Return what was found in all fits."""
        return Report([*self.earlier, *self._found])
