"""Trainer: the five-step loop, validation, prediction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import Device
from minigrad.engine.grad_mode import no_grad
from minigrad.lazy import lazy
from minigrad.nn.functional import cross_entropy
from minigrad.nn.module import Module
from minigrad.optim.optimizer import Optimizer
from minigrad.tensors.functions import cat
from minigrad.tensors.tensor import Tensor
from minigrad.train import checks as batches
from minigrad.train import resuming
from minigrad.train.callbacks.base import HOOKS, Callback, hooks_of, ordered
from minigrad.train.callbacks.history import History
from minigrad.train.limits import Limits, steps_of
from minigrad.train.metrics import named_metrics
from minigrad.train.modes import modes_kept, to_training
from minigrad.train.ranks import Alone, ranks
from minigrad.train.reading import Reading
from minigrad.train.scores import Scored, Scores
from minigrad.train.steps import WAYS, Computation, Steps, detached, output_of

if TYPE_CHECKING:
    from minigrad.train.lr_finder import LRCurve

lr_finder = lazy("minigrad.train.lr_finder")
doctors = lazy("minigrad.diagnosis.doctor")


class Trainer:
    """Fit a model: forward, loss, backward, step, zero_grad, for every batch of every epoch.

    model: a Module.  optimizer: over its parameters.
    loss: a function of (output, target) that returns the mean over the batch, or (mean, weight)
        where the mean is over something else than the rows.
    metrics: a dict of such functions by name, or a sequence of them.
    callbacks: what else is to happen, and when; see `Callback`.
    device: where to train, "cuda" say: the model moves there, and each batch; by default, where
        they are.
    accumulate: of how many batches a step takes the gradient, the exact mean over all their rows
        (or over what the loss's mean is divided by), as one big batch has it to rounding; the last
        step of an epoch takes what is left.  Steps, clipping, schedules and hooks then count and
        see optimizer steps, and `batch_loss` is that of all the step's batches.  Batch-norm still
        normalises each batch by itself.
    capture: whether `fit` captures its steps, as `mg.capture` does, where a kind of batch comes
        often enough for that to pay; "explain" says on standard error how they run.  The bits are
        the same; what cannot be captured runs as ever, and `explain()` says why.
    doctor: whether to look for mistakes in model, data, loss and training while it is fitted:
        True warns of them (`DoctorWarning`), "raise" raises, "collect" only keeps them in
        `trainer.doctor.report`, False does not look; or a `minigrad.diagnosis.Doctor`, which may
        ignore some by their codes.  The training has the same bits.

    Losses and metrics are those of the whole set, whatever its batches: every batch weighs as many
    rows as it has; or, with class weights or ignore_index in a loss of `mg.nn`, what its mean was
    divided by; of a sum-reduced loss the mean is shown.  A metric of your own gets all outputs and
    targets of the set at once (in parts from 256 MiB on), unless it returns (mean, weight).

    Modes: `fit` calls `model.train()` once, before the first epoch; modules that you have put in
    `eval()` below a training model stay in it, batch statistics and all.  `fit`, `evaluate` and
    `predict` give every module its mode back in the end, after an error too.  All go through
    `train()`, which a module may override.

    >>> import minigrad as mg
    >>> _ = mg.manual_seed(0)
    >>> train, validation, test = mg.data.load_iris().split(seed=0)
    >>> model = mg.nn.Linear(4, 3)
    >>> optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = Trainer(model, optimizer, mg.nn.functional.cross_entropy)
    >>> loader = mg.data.DataLoader(train, batch_size=16, shuffle=True)
    >>> history = trainer.fit(loader, epochs=5)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        *,
        metrics: Any = None,
        callbacks: Iterable[Callback] = (),
        device: Any = None,
        accumulate: int = 1,
        capture: bool | str = True,
        doctor: Any = True,
    ) -> None:
        if capture not in WAYS:
            raise ValueError(f"Trainer: expected capture to be one of {WAYS}, but got {capture!r}")
        if not isinstance(model, Module):
            raise TypeError(f"Trainer: expected a Module as model, but got {type(model).__name__}")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"Trainer: expected an optimizer as second argument, but got {optimizer!r:.80}; "
                "write Trainer(model, mg.optim.AdamW(model.parameters()), loss)"
            )
        if not callable(loss):
            raise TypeError(f"Trainer: expected a function as loss, but got {loss!r:.80}")
        self.device = None if device is None else Device(device)
        self.model = model if self.device is None else model.to(self.device)
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = named_metrics(metrics)
        self.callbacks = [batches.as_callback(callback) for callback in callbacks]
        self.history = History()
        self.epoch = self.epochs = self.step = 0
        self.steps_per_epoch: int | None = None
        self.max_steps: int | None = None
        self.train_loader: Any = None
        self.val_loader: Any = None
        self.accumulate = arguments.whole("Trainer", "accumulate", accumulate, 1)
        self.batch_loss: Any = None
        self.capture = capture
        self.doctor = doctors.as_doctor(doctor)
        self._doctor: Any = None  # of the running fit
        self._steps: Steps | None = None
        self._said = ""
        self._norms: list[Tensor] = []
        self._clip: float | None = None
        self._validates = False
        self.stopping = False
        self.limit_reached = ""  # what cuts the running epoch short
        self.ending = ""  # which limit ends the fit with this epoch
        self.run = ""  # a name of its own, and what it was begun with, as checkpoints have them
        self.configuration: dict[str, Any] = {}
        self.reading: Any = None  # where the pass over the training loader stands
        self.attributes: Any = None  # of the fit's objects, where checkpoints are to hold them
        self.epoch_scores: Scores | None = None  # of the running epoch; None between epochs
        self.epoch_started = 0.0
        self._running = False
        self._ranks = Alone()
        self._may_stop = False  # whether a callback may stop the fit within an epoch
        self._batch: tuple[Any, ...] = ()

    # ------------------------------------------------------------ training
    def fit(
        self,
        train_loader: Any,
        val_loader: Any = None,
        *,
        epochs: int,
        max_steps: int | None = None,
        max_seconds: float | None = None,
        overfit_batches: int = 0,
        fast_dev_run: bool | int = False,
        resume: Any = None,
    ) -> History:
        """Train for at most `epochs` epochs; return what happened, one row an epoch.

        train_loader, val_loader: DataLoaders, or anything that can be iterated over more than once
            and gives (x, target).  Without val_loader there are no `val_` metrics.
        max_steps, max_seconds: end the fit after so many optimizer steps, or with the first step
            that ends after that time; the epoch that they cut short is validated and has its row.
        overfit_batches: train on the first so many batches of the loader, the same ones in every
            epoch, and validate on them: a model that cannot learn them by heart has a fault.
        fast_dev_run: run one epoch of so many batches (True: one) with all hooks, to see that
            nothing fails; callbacks that write files are left out.
        resume: "auto" goes on from the newest whole checkpoint in the folder of the callbacks'
            `ModelCheckpoint`, and begins anew where there is none; a path goes on from that file,
            or from the newest whole one in that folder.  All is then as if the fit had never been
            interrupted, to the bit; also where a limit had cut it short.
        Ctrl-C ends the fit like a stop: callbacks finish their work, best weights come back, and
        the history is returned with `interrupted` set.  An unfinished epoch has no row.

        Raises: ValueError for loaders without a batch, NaN in the data, batches that the model
            cannot train on, an optimizer of another model, a checkpoint that is damaged or of a run
            that was set up differently; RuntimeError within a fit of the same trainer; whatever
            model, loss and callbacks raise, with the batch's shapes.
        Warns: UserWarning where the optimizer leaves out parameters that require a gradient.
        """
        epochs = batches.check_fit(train_loader, epochs)
        resuming.check_resume(resume, self.callbacks)
        if self._running:
            raise RuntimeError(
                "fit: this trainer is in a fit already; give the inner one a Trainer of its own"
            )
        limits = Limits(max_steps, max_seconds, overfit_batches, fast_dev_run)
        train_loader, val_loader = limits.loaders(train_loader, val_loader)
        self.history = History()
        self.steps_per_epoch = steps_of(train_loader, self.accumulate)
        self.epoch, self.epochs, self.step = 0, limits.epochs(epochs, self.steps_per_epoch), 0
        self.train_loader, self.val_loader, self.max_steps = train_loader, val_loader, max_steps
        self._limits = limits
        self._ranks = ranks()
        trial = limits.overfit or limits.dev or self._ranks.several  # each rank has other rows
        self._doctor = None if trial else self.doctor
        self._validates = val_loader is not None
        self.stopping = False
        self.limit_reached = self.ending = ""
        self.reading = Reading(train_loader)
        self.epoch_scores = None
        everywhere = limits.callbacks(self.callbacks)
        # Of all ranks, also where only the first has such a callback.
        self._may_stop = any(hooks_of(everywhere, n) for n in ("on_step_end", "after_backward"))
        self._active = self._ranks.callbacks(everywhere)
        self._hooks = {name: hooks_of(self._active, name) for name in HOOKS}
        self._running = True
        begun: list[Callback] = []
        try:
            with modes_kept(self.model), self._ranks.dealing(train_loader, val_loader):
                try:
                    self._ranks.begin(self.model)
                    self._begin(begun)
                    to_training(self.model)
                    if resuming.begin(self, None if limits.dev else resume, self._active):
                        self._call("on_resume")
                    self._epochs(val_loader)
                except BaseException as error:
                    self._end(begun, error)
                else:
                    self._end(begun, None)
        finally:
            self._running = False
            self._doctor = None
            self._batch = ()
            self.reading = self.epoch_scores = None
            self._said = "" if self._steps is None else self._steps.explain()
            self._steps = None  # what was captured goes, with its memory
        return self.history

    def _computations(self) -> Steps:
        """Return what is computed on batches: of a fit, until somebody gives it other parts."""
        parts = self.model, self.loss, self.metrics, self.optimizer
        if self._steps is not None and all(map(is_, parts, self._steps.parts)):
            return self._steps
        if not self._running:
            return Steps(parts, self.capture)  # of one evaluation, where it has so many batches
        looking = self._hooks["after_backward"]
        norms = any(hook.__self__.reads_norm for hook in looking)
        options = {"update": not looking, "norms": norms, "reducer": self._ranks.reducer}
        self._steps = Steps(parts, self.capture, summed=self.accumulate > 1, **options)
        self._steps.begin(self.epochs - self.epoch + 1)
        return self._steps

    def explain(self) -> str:
        """Return how the steps of the last fit ran, and why where they were not captured.

        >>> import minigrad as mg
        >>> model = mg.nn.Linear(4, 3)
        >>> trainer = Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))
        >>> batches = [(mg.zeros(2, 4), mg.tensor([0, 1]))] * 200
        >>> _ = trainer.fit(batches, epochs=1)
        >>> trainer.explain()
        'whole_step: 150 eager, 2 recorded, 48 replayed'
        """
        return self._said if self._steps is None else self._steps.explain()

    def _begin(self, begun: list[Callback]) -> None:
        """Call the callbacks' first hooks; a callback counts as begun from its call on."""
        for callback in ordered(self._active):
            begun.append(callback)
            callback.on_fit_begin(self)
        batches.check_optimizer(self.model, self.optimizer, self.loss)
        if self._doctor is not None:
            self._doctor.fit_begins(self)
        self.optimizer.zero_grad()  # gradients from before the fit are not this fit's

    def _end(self, begun: list[Callback], error: BaseException | None) -> None:
        """Call the last hook of all that have begun, whatever happens; raise the first error.

        Ctrl-C is none: it is noted in the history, here as in the fit.
        """
        if isinstance(error, KeyboardInterrupt) and not self._ranks.several:
            self._note_interrupt()
            error = None
        if self._doctor is not None:
            error = self._doctor.fit_ends(self, error)
        for callback in begun:
            try:
                callback.on_fit_end(self)
            except KeyboardInterrupt:
                self._note_interrupt()
            except BaseException as another:
                if error is None:
                    error = another
                else:
                    what = f"{type(another).__name__}: {another}"
                    error.add_note(f"({type(callback).__name__}.on_fit_end raised {what})")
        if error is not None:
            raise error

    def _note_interrupt(self) -> None:
        self.history.interrupted = True
        self.history.stop_reason = f"interrupted in epoch {self.epoch}"

    @property
    def limited(self) -> bool:
        """Whether this fit may end within an epoch by a limit."""
        return self._limits.max_steps is not None or self._limits.deadline is not None

    def go_on(self, epoch: int, step: int, stopping: bool, scores: Scores | None) -> None:
        """Stand where a checkpoint was written: within an epoch, or where `scores` is None, after
        it; for the resume.
        """
        self.epoch, self.step, self.stopping, self.epoch_scores = epoch, step, stopping, scores

    def _epochs(self, val_loader: Any) -> None:
        """Run the epochs that are left, from the middle of one where the fit was resumed there."""
        while not self.stopping and (self.epoch < self.epochs or self.epoch_scores is not None):
            if self.epoch_scores is None:
                self.epoch += 1
                self.epoch_scores = Scores(self.metrics)
                batches.tell_epoch(self.train_loader, self.epoch - 1)
                self._call("on_epoch_begin")
                self.epoch_started = time.perf_counter()
            try:
                scores = self._epoch(val_loader)
            except Exception as error:
                batches.add_place(error, self.epoch, self.step, self._batch)
                raise
            if scores:
                lr = float(self.optimizer.param_groups[0]["lr"])
                seconds = time.perf_counter() - self.epoch_started
                self.epoch_scores = None
                self.history.append({"epoch": self.epoch, **scores, "lr": lr, "seconds": seconds})
                # Now, so that the epoch's hooks know that it is the last one.
                self.ending = self.limit_reached or self._reached()
                if self._doctor is not None:
                    self._doctor.epoch_ends(self)
                self._call("on_epoch_end")
            if self.ending and not self.stopping:
                self.stop(self.ending)
            self._agree()
            self._ranks.check(self.model)
        if not self.stopping:
            self.history.stop_reason = "all epochs done"

    def _epoch(self, val_loader: Any) -> dict[str, float]:
        """Return the scores of one epoch, none when it was stopped in its middle."""
        scores = self._train_epoch(self.epoch_scores)
        if self.stopping:
            return {}
        self._call("on_train_epoch_end")
        if val_loader is not None:
            validated = self._evaluate(val_loader, "validation")
            scores.update({f"val_{name}": score for name, score in validated.items()})
        return scores

    def _train_epoch(self, scores: Any) -> dict[str, float]:
        self._computations().begin(self.epochs - self.epoch + 1)
        parts: list[Scored] = []  # of a step of several batches
        if scores.batches:  # of an epoch that was resumed
            self.limit_reached = self._reached()
        for x, target in () if self.limit_reached else self._batches(self.reading, "training"):
            if not parts:
                self.step += 1

            steps = self._computations()
            first = self.epoch == 1 and not scores.batches
            if self._doctor is not None and self._doctor.due(self.step):
                found = self._doctor.watch(self, steps, x, target)
            else:
                last = len(parts) + 1 == self.accumulate
                found = self._ranks.step(steps, x, target, first, last)
            if steps.summed:
                loss = detached(found.loss)
                if self._ranks.has_rows():
                    scores.add(found.output, target, loss, found.metrics)
                parts.append(loss)
                if len(parts) < self.accumulate:
                    continue
                self._finish(steps, parts)
                parts = []
            else:
                self.batch_loss = found.loss.value
                if not steps.updates:
                    self._look(found.norms)
                    self._update(steps)

                if self._doctor is not None:
                    self._doctor.stepped()
                loss = detached(found.loss)
                scores.add(found.output, target, loss, found.metrics)
            self.limit_reached = self._reached()
            self._call("on_step_end")
            if self._may_stop:
                self._agree()
            if self.stopping:
                return {}
            if self.limit_reached:
                break
        if parts:
            self._finish(self._computations(), parts)
            self._call("on_step_end")
            self._agree()
        return {} if self.stopping else self._ranks.gathered(scores).results()

    def _finish(self, steps: Steps, parts: list[Scored]) -> None:
        """End a step of several batches: step the optimizer with the mean of their gradients."""
        self.batch_loss, weight = self._ranks.whole(steps, parts)
        norms = steps.finish(Tensor(np.array(1 / weight)).to(self.batch_loss.device))
        if not steps.updates:
            self._look(norms)
            self._update(steps)

    def _reached(self) -> str:
        """Return which limit ends the fit after this step; time is that of the first rank."""
        reached = self._limits.reached(self.step)
        return reached if self._limits.deadline is None else str(self._ranks.decided(reached))

    def _agree(self) -> None:
        """Stop where any rank stops."""
        if self._ranks.any(self.stopping) and not self.stopping:
            self.stop("another rank stopped")

    def scores_state(self) -> dict[str, Any]:
        """Return what has been scored of the running epoch, by all ranks, for a checkpoint."""
        assert self.epoch_scores is not None
        return self._ranks.gathered(self.epoch_scores).state_dict()

    def own_scores(self, scores: Scores) -> Scores:
        """Return what this rank goes on with of the scores of all; for the resume."""
        return self._ranks.own(scores)

    @property
    def is_first(self) -> bool:
        """Whether this process, of several that fit together, prints and saves."""
        return self._ranks.first

    def decided(self, value: Any) -> Any:
        """Return the first rank's value, on all; for callbacks that decide by clocks or files."""
        return self._ranks.decided(value)

    def _look(self, norms: list[Tensor]) -> None:
        """Call the hooks between backward() and the optimizer's step."""
        self._norms = norms
        if self._doctor is not None:
            self._doctor.before_update()
        for hook in self._hooks["after_backward"]:
            hook(self)
            if not hook.__self__.reads_norm:
                self._norms = []  # it may have changed the gradients

    def gradient_norms(self) -> list[float]:
        """Return the norms of the gradients as they are in `after_backward`, one a dtype; none
        where they have not been computed: see `Callback.reads_norm`.
        """
        return [norm.item() for norm in self._norms]

    def clip_in_step(self, callback: Callback, max_norm: float) -> bool:
        """Have the gradients clipped as a part of the optimizer's step; False where a hook after
        this callback's would see them before that, or their norm is not known.
        """
        last = self._hooks["after_backward"][-1].__self__
        if last is not callback or len(self._norms) != 1:
            return False
        self._clip = max_norm
        return True

    def _update(self, steps: Steps) -> None:
        """Step the optimizer; forget the gradients."""
        max_norm, self._clip = self._clip, None
        if max_norm is None:
            steps.plain_update(False)
        else:
            steps.update(self._norms[0], max_norm)

    def _batches(self, loader: Any, which: str) -> Iterator[tuple[Any, Any]]:
        """Yield (x, target) of every batch; in the first epoch each is looked at before its use."""
        count = 0
        for batch in loader:
            count = loader.done if loader is self.reading else count + 1
            x, target = batches.pair(self._ranks.part(loader, batch), which)
            self._batch = (which, count, x, target)
            if not self._ranks.has_rows() and which != "training":
                continue
            if self.epoch <= 1 or which == "evaluation":
                batches.check_finite(x, target, which, count)
                if count == 1 and which == "training" and self._ranks.has_rows():
                    batches.check_last(self.reading.loader, self.model, x)
                if self._doctor is not None and which != "evaluation":
                    self._doctor.saw(which, x, target)
            yield batches.to_device(x, self.device), batches.to_device(target, self.device)
        if count == 0 and not (loader is self.reading and loader.done):
            loader = loader.loader if loader is self.reading else loader
            raise ValueError(batches.no_batch(which, loader))

    def _call(self, name: str) -> None:
        for hook in self._hooks[name]:
            hook(self)

    @property
    def batch(self) -> tuple[Any, Any]:
        """Return (x, target) of the last batch, as its loader gave it; for callbacks.

        Raises: RuntimeError where there was none yet.
        """
        if not self._batch:
            raise RuntimeError("batch: the trainer has not come to a batch yet")
        return self._batch[2], self._batch[3]

    def stop(self, reason: str) -> None:
        """End the fit after the running hook, epoch or step; for callbacks.

        reason: ends up in `history.stop_reason`.
        """
        self.stopping = True
        self.history.stop_reason = reason

    def require_metric(self, name: str, asker: str) -> None:
        """Raise a ValueError unless the fit's history will have a column `name`: a score, or one of
        a callback's `columns`; for callbacks.
        """
        trained = ["loss", *self.metrics]
        if name.startswith("val_") and name[4:] in trained and not self._validates:
            raise ValueError(
                f"{asker} monitors {name!r}, but fit() got no val_loader; pass one, or monitor one "
                f"of {', '.join(trained)}"
            )
        known = trained + [f"val_{n}" for n in trained] * self._validates
        known += [column for callback in self._active for column in callback.columns]
        if name not in known:
            raise ValueError(
                f"{asker} monitors {name!r}, which this fit does not measure; it measures "
                f"{', '.join(known)}"
            )

    def find_lr(
        self,
        loader: Any,
        *,
        min_lr: float = 1e-6,
        max_lr: float = 10.0,
        steps: int = 100,
        stop_factor: float = 4.0,
    ) -> LRCurve:
        """Train with a learning rate that rises from step to step; return how the loss went.

        The search leaves no trace: weights, buffers, gradients, the optimizer's state, modes, the
        loader's order and all random numbers are as before, to the bit.  Each step takes batches
        as the fit does, with its gradients clipped where a GradientClipping is among the callbacks;
        other callbacks take no part.  Groups of parameters keep the proportions of their rates.

        min_lr, max_lr: the rates rise geometrically from one to the other in so many `steps`.
        stop_factor: end where the running mean of the losses has risen to so many times its
            lowest value.
        Raises: ValueError for rates and steps out of range, for a model with lazy layers that have
            seen no batch, and for a loss that is not finite at the first step.
        Source: Smith 2017, "Cyclical learning rates for training neural networks", section 3.3.

        >>> import minigrad as mg
        >>> _ = mg.manual_seed(0)
        >>> model = mg.nn.Linear(4, 3)
        >>> trainer = Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))
        >>> loader = mg.data.DataLoader(mg.data.load_iris(), batch_size=16, shuffle=True)
        >>> curve = trainer.find_lr(loader)
        >>> 0.001 < curve.suggestion < 0.1, len(curve.lrs) == len(curve.losses)
        (True, True)
        """
        if self._running:
            raise RuntimeError("find_lr: this trainer is in a fit; look for the rate before it")
        return lr_finder.find_lr(self, loader, min_lr, max_lr, steps, stop_factor)

    # ------------------------------------------------------------ after training
    def evaluate(self, loader: Any) -> dict[str, float]:
        """Return loss and metrics over a loader, in eval mode and without a tape.

        Raises: ValueError for a loader without a batch.
        """
        return self._evaluate(loader, "evaluation")

    def _evaluate(self, loader: Any, which: str) -> dict[str, float]:
        scores = Scores(self.metrics)
        steps = self._computations()
        if not self._running:
            steps.begin(steps_of(loader, 1) or 1)
        if not self._running:
            self._ranks = ranks()
        with modes_kept(self.model), no_grad(), self._ranks.dealing(loader):
            self.model.eval()
            for x, target in self._batches(loader, which):
                found = steps.score(x, target, not scores.batches)
                scores.add(found.output, target, found.loss, found.metrics)
        return self._ranks.gathered(scores).results()

    def predict(self, data: Any, batch_size: int = 1024) -> Tensor:
        """Return the model's outputs for all rows, in eval mode and without a tape.

        Shape: `data: (N, ...)` -> `(N, ...)`.
        data: a Tensor, an array, a list of rows or a dataset, run in parts of `batch_size`; or a
            loader, of whose batches the first field is taken.  A DataLoader's rows all come, in the
            order of its dataset, also where it shuffles or drops the last batch.
            Arrays and lists are converted to the dtype of the model's parameters.

        Raises: ValueError for NaN or infinity in the rows, for no rows, and where the outputs are
            not one a row.

        >>> import minigrad as mg
        >>> model = mg.nn.Sequential(mg.nn.Linear(4, 3), mg.nn.Dropout(0.5))
        >>> trainer = Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))
        >>> trainer.predict(mg.ones(5, 4)).shape
        (5, 3)
        """
        with modes_kept(self.model), no_grad():
            self.model.eval()
            rows = batches.inputs(data, batch_size)
            convert = not isinstance(data, Tensor)
            run = Computation(partial(output_of, self.model), self.capture)
            outputs = [batches.predicted(self.model, run, x, self.device, convert) for x in rows]
        if not outputs:
            raise ValueError(batches.no_batch("prediction", data))
        return outputs[0] if len(outputs) == 1 else cat(outputs, 0)

    def __repr__(self) -> str:
        parts = [type(self.model).__name__, type(self.optimizer).__name__]
        parts += [f"loss={getattr(self.loss, '__name__', type(self.loss).__name__)}"]
        parts += [f"metrics={list(self.metrics)}", f"callbacks={self.callbacks}"]
        return f"Trainer({', '.join(parts)})"
