"""From a table to a trained model: what `mg.recipe.from_table` builds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.data.dataset import TensorDataset
from minigrad.data.splitting import random_split
from minigrad.data.tabular import STREAM
from minigrad.engine.random import Generator, manual_seed
from minigrad.nn.functional import cross_entropy, mse_loss
from minigrad.tables.baselines import (
    MOST_ROWS,
    baselines,
    frequent,
    ridge,
    softmax_weights,
    some,
    spread,
)
from minigrad.tables.columns import USED, Taken, take_columns
from minigrad.tables.frame import Frame, as_frame
from minigrad.tables.model import TableModel, finite
from minigrad.tables.network import Averaged, Embedded, Shape, rates_for
from minigrad.tables.preparation import TablePreprocessor
from minigrad.tables.scores import confusion, softmax
from minigrad.tables.sharing import SHARES, Begun, best_share
from minigrad.tables.strong import (
    EPOCHS,
    HIDDEN,
    MEMBERS,
    RATES,
    StrongNetwork,
    StrongShape,
    batch_for,
    numeric_places,
    strong_recipe,
)
from minigrad.tables.targets import Amount, Classes, take_target
from minigrad.tensors.tensor import Tensor
from minigrad.train.callbacks.base import Callback
from minigrad.train.callbacks.history import History
from minigrad.train.metrics import accuracy
from minigrad.train.recipe import Recipe, around, for_one_column

Array = np.ndarray[Any, Any]
TASKS = ("classes", "regression")
RECIPES = ("plain", "strong")
FEWEST_ROWS = 10
# Of the linear model that a network begins with: all where folds choose, as few rows choose badly
# among many; else those between.
DECAYS = (0.1, 1.0, 10.0, 100.0, 1000.0)
BETWEEN = DECAYS[1:-1]
FOLDS = 5  # networks of a table whose training and validation rows are
FOLDED = range(40, 1000)  # so many
PARTS = ("training", "validation", "test")


def from_table(
    data: Any,
    target: str | int = -1,
    *,
    task: str | None = None,
    types: Mapping[str, str] | None = None,
    drop: Iterable[str] = (),
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str | None = None,
    recipe: str = "plain",
    hidden: Sequence[int] | None = None,
    activation: str | None = None,
    dropout: float | None = None,
    last_dropout: float | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    members: int | None = None,
    periodic: bool = False,
    class_weights: str | Mapping[str, float] | None = None,
    patience: int | None = None,
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    folds: int | None = None,
    seed: int = 0,
    device: Any = None,
) -> TableRecipe:
    """Read a table and build the recipe for it: what its columns are is found by looking.

    data: the path of a file (CSV, TSV and the like, gzip too; Parquet with pandas), a DataFrame, a
        dict of columns, a list of dicts, or rows as lists or an array.
    target: the column to predict, by name or number; the last by default.
    task: "classes" or "regression"; by default what the target's values tell: words and few whole
        numbers are classes, others amounts.
    types: kinds by column, where you know better: number, category, date, text or drop.
    drop: columns to leave out.  delimiter, header, encoding: of a file, found by looking.
    recipe: "plain", that of `mg.recipe`; or "strong", which takes two to four times as long: an
        ensemble in one network, with smooth clipping and rates of its own for groups of parameters
        (the papers are named in minigrad/tables/strong.py).
    hidden, activation, lr, weight_decay, patience: of the network, see `mg.recipe` (strong: layers
        of 128 and 128, SELU or Mish, 0.04 or 0.07, 0, none); beside its layers stands a linear one,
        with which it begins: the model that it has to be better than.
    dropout, last_dropout: 0.2 and 0.5 for classes, as in `mg.recipe`; 0.1 and 0 for amounts;
        strong: 0 after each layer.
    members, periodic: of the strong recipe: networks in the ensemble, 8; cosines beside numbers.
    class_weights: "balanced" weighs classes by their rarity; or weights by class name.
    fractions: of training, validation and test rows; classes in proportion.  seed: of the split,
        the weights and the order.
    folds: networks, of which each has another part of the training and validation rows held out,
        and which are averaged; if nothing is said 5 for 40 to 999 of these rows, else 1, as in the
        strong recipe, whose network is an ensemble already.

    Raises: ValueError naming line and column of what cannot be read, for an unknown target (with
        the nearest name), and for one with nothing to learn.

    >>> table = {"size": [1, 2, 3, 4] * 5, "price": [1.5, 2.5, 3.5, 4.5] * 5}
    >>> built = from_table(table, target="price", hidden=(8,))
    >>> built.task, built.preprocessor.columns
    ('regression', ['size'])
    """
    if task is not None and task not in TASKS:
        raise ValueError(f"from_table: expected task to be one of {TASKS}, but got {task!r}")
    if recipe not in RECIPES:
        raise ValueError(f"from_table: expected recipe to be one of {RECIPES}, but got {recipe!r}")
    if recipe == "plain" and (members is not None or periodic):
        raise ValueError('from_table: members and periodic are for recipe="strong"')
    is_path = isinstance(data, str | PathLike)
    options: dict[str, Any] = {"delimiter": delimiter, "header": header, "encoding": encoding}
    frame = as_frame(data, **(options if is_path else {}))
    name = frame.names[frame.find(target, numbers=True)]
    if len(frame) < FEWEST_ROWS:
        raise ValueError(
            f"{frame.source} has {len(frame)} rows; expected at least {FEWEST_ROWS}, to be split "
            "into training, validation and test rows"
        )
    manual_seed(seed)
    found, y, notes = take_target(frame, name, task)
    there = np.flatnonzero(y >= 0 if isinstance(found, Classes) else ~np.isnan(y))
    taken = take_columns(frame, types, drop, [name])
    parts = _split(y[there], isinstance(found, Classes), fractions, seed)
    rows = [there[part] for part in parts]
    preprocessor = TablePreprocessor.fit(frame, rows[0], taken, found, smooth=recipe == "strong")
    shares: Array | None = None
    if class_weights is not None and not isinstance(found, Classes):
        raise ValueError("from_table: class_weights are for classes, but the target holds amounts")
    if class_weights is not None:
        assert isinstance(found, Classes)
        shares = weights_of(class_weights, found, y[rows[0]])
    n_dense = len(preprocessor.outputs) - len(preprocessor.tables)
    tables, classes = tuple(preprocessor.tables), isinstance(found, Classes)
    shape: Shape | StrongShape
    make: Callable[[], Recipe]
    if recipe == "strong":
        shape = StrongShape(
            n_dense,
            numeric_places(preprocessor.dense),
            tables,
            tuple(HIDDEN if hidden is None else hidden),
            found.n_out,
            activation or ("selu" if classes else "mish"),
            dropout or 0.0,
            MEMBERS if members is None else members,
            periodic,
            classes,
            True,
        )
        make = partial(
            strong_recipe,
            shape,
            lr or RATES[found.task],
            weight_decay or 0.0,
            shares,
            patience,
            device,
        )
    else:
        widths = (256, 128) if hidden is None else tuple(hidden)
        rates = rates_for(
            widths,
            (0.2 if classes else 0.1) if dropout is None else dropout,
            (0.5 if classes else 0.0) if last_dropout is None else last_dropout,
        )
        shape = Shape(n_dense, tables, widths, found.n_out, activation or "relu", rates, True, True)
        loss: Any = for_one_column(mse_loss)
        if classes:
            weights = None if shares is None else Tensor(shares)
            moved = weights if weights is None or device is None else weights.to(device)
            loss = cross_entropy if moved is None else partial(cross_entropy, weight=moved)
        one = shape

        def make() -> Recipe:
            return around(
                one.build(),
                loss,
                {"accuracy": accuracy} if classes else {},
                1e-3 if lr is None else lr,
                0.01 if weight_decay is None else weight_decay,
                patience=patience or 30,
                device=device,
            )

    known = len(rows[0]) + len(rows[1])
    if folds is None:
        folds = FOLDS if known in FOLDED and recipe == "plain" else 1
    if folds < 1 or (folds > 1 and (len(rows[0]) < 2 * folds or len(rows[1]) < 2)):
        raise ValueError(
            f"from_table: expected folds of at least 1, and for more than 1 two rows for each of "
            f"them to be held out, but got folds={folds} with {known} training and validation rows"
        )
    said = [*frame.notes, *notes]
    return TableRecipe(frame, taken, preprocessor, shape, make, rows, y, said, seed, shares, folds)


def _split(y: Array, classes: bool, fractions: Sequence[float], seed: int) -> list[Array]:
    """Return the numbers of the rows of each part, classes in proportion."""
    if len(fractions) != 3:
        raise ValueError(
            f"from_table: expected three fractions (training, validation, test), got {fractions}"
        )
    generator = Generator(seed, stream=STREAM)
    parts = random_split(y, fractions, generator, stratify=y if classes else None)
    return [part.indices for part in parts]


def weights_of(wanted: str | Mapping[str, float], target: Classes, y: Array) -> Array:
    """Return one weight a class: (C,) float32.

    >>> weights_of("balanced", Classes("y", ("a", "b")), np.array([0, 1, 1, 1])).round(3)
    array([2.   , 0.667], dtype=float32)
    """
    counts = np.bincount(y, minlength=len(target.labels))
    if wanted == "balanced":
        return (len(y) / (len(counts) * np.maximum(counts, 1))).astype(np.float32)
    if not isinstance(wanted, Mapping) or set(map(str, wanted)) != set(target.labels):
        raise ValueError(
            "from_table: expected class_weights to be 'balanced' or a dict with a weight for each "
            f"of {target.labels[:10]}, but got {wanted!r:.200}"
        )
    by_name = {str(name): weight for name, weight in wanted.items()}
    return np.array([by_name[label] for label in target.labels], np.float32)


class TableRecipe:
    """A table, what its columns were taken for, and the recipe that learns from it.

    frame: the table.  taken: what each column is.  preprocessor: fitted on the training rows.
    recipe: model, optimizer and callbacks.  notes: what is to be known of the reading.
    rows: the numbers of the training, validation and test rows.
    share: after a fit, how much of what the network has learnt is kept beside the linear model that
        it began with, from 0 to 1; the validation rows decide, see `sharing.best_share`.
    network: what predicts: the recipe's model, or after a fit the mean of `folds` such networks.
        Each has seen other rows; every training and validation row was held out once, and together
        they decide on the share, which a sixth of a small table would leave to chance.
    """

    def __init__(
        self,
        frame: Frame,
        taken: list[Taken],
        preprocessor: TablePreprocessor,
        shape: Shape | StrongShape,
        make: Callable[[], Recipe],
        rows: list[Array],
        y: Array,
        notes: list[str],
        seed: int,
        class_weights: Array | None = None,
        folds: int = 1,
    ) -> None:
        self.frame = frame
        self.taken = taken
        self.preprocessor = preprocessor
        self.shape = shape
        self.recipe = make()
        self.network: nn.Module = self.recipe.model
        self.rows = rows
        self.notes = notes
        self.seed = seed
        self.class_weights = class_weights
        self.folds = folds
        self.history: History | None = None
        self.share: float | None = None
        self._make = make
        self._decays = DECAYS if folds > 1 else BETWEEN
        self._decay = self._decays[0]
        assert preprocessor.target is not None
        self.target: Classes | Amount = preprocessor.target
        self._y = y
        values = {t.name: t.values for t in taken if t.kind in USED}
        x = preprocessor.encode(values)
        known = y if isinstance(self.target, Classes) else self.target.encode(y)
        self.train, self.validation, self.test = (
            TensorDataset(x[part], known[part]) for part in rows
        )
        self._decay_losses = self._begin_linear(self.recipe, self.train, self.validation)

    def _begin_linear(self, recipe: Recipe, train: TensorDataset, held: TensorDataset) -> Array:
        """Let a network begin as the linear model that it has to be better than, with the decay
        that is best on the rows held out; return their losses with each, (decays, rows).
        """
        network = recipe.model
        if isinstance(network, StrongNetwork) and isinstance(self.target, Amount):
            network.reach.array[...] = train.arrays[1].min(), train.arrays[1].max()
        decays = self._decays
        losses = np.zeros((len(decays), len(held)))
        if not isinstance(network, Embedded) or len(train) < 2:
            return losses
        begun = []
        for i, decay in enumerate(decays):
            begun.append(self._linear(network, [train], decay))
            network.begin_linear(*begun[i])
            if len(held):
                losses[i] = self._losses(recipe, held)
        best = int(losses.sum(1).argmin()) if len(held) else decays.index(1.0)
        self._decay = decays[best]
        network.begin_linear(*begun[best])
        return losses

    def _linear(self, network: Embedded, parts: Sequence[TensorDataset], decay: float) -> Any:
        """Return the linear model of some rows, as `Embedded.begin_linear` takes it."""
        x, y = (np.concatenate(arrays) for arrays in zip(*(p.arrays for p in parts), strict=True))
        x, y = some(x, y, MOST_ROWS)
        seen = frequent(x, len(network.wide))
        x = spread(x, seen)
        if isinstance(self.target, Amount):
            weights, bias = ridge(x, y, decay)
            weights = weights[:, None]
        else:
            shares = None if self.class_weights is None else self.class_weights[y]
            found = softmax_weights(x, y, self.target.n_out, decay, shares=shares)
            weights, bias = found[:-1], found[-1]
        ends = np.cumsum([network.n_dense, *map(len, seen)])[:-1]
        dense, *wide = np.split(weights, ends)
        places = [codes.astype(np.int64) for codes in seen]
        return dense.T, bias, list(zip(places, wide, strict=True))

    @property
    def task(self) -> str:
        """Return "classes" or "regression"."""
        return self.target.task

    @property
    def batch_size(self) -> int:
        """Return how many rows a step takes where nothing is said: 32 up to some 4,000 rows, more
        of larger tables, up to 512; in the strong recipe a quarter of them, from 32 to 256.
        """
        if isinstance(self.shape, StrongShape):
            return min(batch_for(len(self.train)), len(self.train))
        wanted = len(self.train) / 96
        return min(32 if wanted < 48 else 1 << min(round(math.log2(wanted)), 9), len(self.train))

    @property
    def epochs(self) -> int:
        """Return how many epochs it trains at most where nothing is said."""
        return EPOCHS if isinstance(self.shape, StrongShape) else 200

    def fit(
        self,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        callbacks: Iterable[Callback] = (),
        resume: Any = None,
    ) -> History:
        """Train until the validation loss stops improving, at most `epochs` epochs, 200 if nothing
        is said; the strong recipe trains 96, or `epochs`, and keeps the best.

        Return the history of the first network; callbacks, of which some write files, see no other.
        resume: "auto" or a path: see `Trainer.fit`.
        """
        epochs = self.epochs if epochs is None else epochs
        size = self.batch_size if batch_size is None else batch_size
        begun = self._begun(self.recipe)
        self.history = self.recipe.fit(
            self.train,
            self.validation,
            epochs=epochs,
            batch_size=min(size, len(self.train)),
            callbacks=callbacks,
            resume=resume,
        )
        networks = [self.recipe.model.eval()]
        if begun is not None and len(self.validation) > 1:
            networks += self._fold(begun, epochs, size)
        self.network = networks[0] if len(networks) == 1 else Averaged(networks).eval()
        self.shape = replace(self.shape, networks=len(networks))
        self.__dict__.pop("table_model", None)
        return self.history

    def _begun(self, recipe: Recipe) -> Begun | None:
        """Return the linear part of a network as it begins, if it has one."""
        network = recipe.model
        if not isinstance(network, Embedded) or network.skip is None:
            return None
        return Begun(network.linear_part(), network.last_part())

    def _fold(self, begun: Begun, epochs: int, size: int) -> list[nn.Module]:
        """Train the networks that have other rows held out; let what all say of the rows that they
        have not seen decide on the share; return the networks.
        """
        members = [(self.recipe.model, begun)]
        losses = [begun.losses(partial(self._losses, self.recipe, self.validation))]
        decay_losses = [self._decay_losses]
        assert self.history is not None
        for train, held in [] if self.history.interrupted else self._parts():
            recipe = self._make()
            recipe.doctor = False  # it has looked at the first
            found = self._begin_linear(recipe, train, held)
            other = self._begun(recipe)
            assert other is not None
            told = recipe.fit(train, held, epochs=epochs, batch_size=min(size, len(train)))
            if told.interrupted:
                break
            recipe.model.eval()
            members.append((recipe.model, other))
            losses.append(other.losses(partial(self._losses, recipe, held)))
            decay_losses.append(found)
        self.share = SHARES[best_share(np.concatenate(losses, 1))]
        self._decay = self._decays[int(sum(found.sum(1) for found in decay_losses).argmin())]
        if self.share < 1:  # the linear model has no epochs to choose: all rows may teach it
            for network, one in members:
                assert isinstance(network, Embedded)
                both = self._linear(network, [self.train, self.validation], self._decay)
                one.begin_anew(partial(network.begin_linear, *both))
                one.keep(self.share)
        return [network for network, _ in members[1:]]

    def _parts(self) -> Iterable[tuple[TensorDataset, TensorDataset]]:
        """Yield the rows to train on and those held out, of all networks but the first, whose are
        the validation rows; classes in proportion.
        """
        if self.folds < 2:
            return
        x, y = self.train.arrays
        more_x, more_y = self.validation.arrays
        order = Generator(self.seed, stream=STREAM).permutation(len(y))
        if isinstance(self.target, Classes):
            order = order[np.argsort(y[order], kind="stable")]
        for k in range(self.folds - 1):
            held = np.zeros(len(y), bool)
            held[order[k :: self.folds - 1]] = True
            rest = np.concatenate([x[~held], more_x]), np.concatenate([y[~held], more_y])
            yield TensorDataset(*rest), TensorDataset(x[held], y[held])

    def _losses(self, recipe: Recipe, rows: TensorDataset) -> Array:
        """Return the loss of each row, (rows,) float64."""
        outputs = recipe.predict(rows).numpy().astype(np.float64)
        y = rows.arrays[1]
        if isinstance(self.target, Amount):
            return np.asarray((outputs[:, 0] - y) ** 2)
        likely = np.log(np.maximum(softmax(outputs)[np.arange(len(y)), y], 1e-300))
        return -likely if self.class_weights is None else -likely * self.class_weights[y]

    def evaluate(self) -> dict[str, float]:
        """Return the scores over the test rows, amounts in the target's units."""
        rows = self.rows[2]
        return self.table_model.score(self.frame.take(rows), self._y[rows])

    @cached_property
    def table_model(self) -> TableModel:
        """Return the model with its preprocessing, which predicts and can be saved."""
        return TableModel(self.network, self.shape, self.preprocessor)

    def baselines(self) -> dict[str, dict[str, float]]:
        """Return the scores of simple models, tested on the same rows and trained on those that the
        model has learnt from: the validation rows too, once these have decided on the share.
        """
        x, new_x = self.train.arrays[0], self.test.arrays[0]
        classes = self.target.n_out if isinstance(self.target, Classes) else 0
        y, new_y = self._y[self.rows[0]], self._y[self.rows[2]]
        if self.share is not None:
            x = np.concatenate([x, self.validation.arrays[0]])
            y = np.concatenate([y, self._y[self.rows[1]]])
        return baselines(x, y, new_x, new_y, classes, len(self.preprocessor.tables))

    def confusion(self) -> Array:
        """Return how often each class (row) of the test rows was taken for each (column).

        Raises: ValueError for a target of amounts.
        """
        if not isinstance(self.target, Classes):
            raise ValueError("confusion: the target holds amounts, not classes")
        rows = self.rows[2]
        guess = self.table_model.outputs(self.frame.take(rows)).argmax(1)
        return confusion(guess, self._y[rows], self.target.n_out)

    def predict(self, data: Any) -> Array:
        """Return predictions for new rows; see `TableModel.predict`."""
        return self.table_model.predict(data)

    def save(self, path: str | PathLike[str], scores: Mapping[str, float] | None = None) -> Path:
        """Write the model with all that a prediction takes; `mg.load_model` reads it."""
        counts = dict(zip(PARTS, map(len, self.rows), strict=True))
        self.table_model.about = {"seed": self.seed, "rows": counts, "scores": finite(scores or {})}
        return self.table_model.save(path)

    def __repr__(self) -> str:
        used = len(self.preprocessor.columns)
        return (
            f"TableRecipe({self.frame.source}: {len(self.frame):,} rows, {self.task} of "
            f"{self.target.name!r} from {used} columns, network {self.shape})"
        )
