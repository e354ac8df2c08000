"""Estimators with scikit-learn's interface: `MLPClassifier` and `MLPRegressor` in one line.

They take the parameters of scikit-learn's estimators of these names where the thing is the same,
and pass its `check_estimator`: pipelines, grid searches, clones and pickles work.

>>> from minigrad.sklearn import MLPClassifier
>>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 5, ["a", "a", "b", "b"] * 5
>>> model = MLPClassifier((16,), learning_rate_init=0.05, tol=0.01, random_state=0)
>>> model.fit(X, y).predict([[0.1, 0.5], [0.9, 0.5]]).tolist()
['a', 'b']
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.engine.grad_mode import enable_grad, no_grad
from minigrad.nn.functional import cross_entropy, mse_loss
from minigrad.optim import Adam
from minigrad.tables.scores import softmax
from minigrad.tensors.tensor import Tensor

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets, unique_labels
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ImportError as error:
    raise ModuleNotFoundError(
        f"minigrad.sklearn needs scikit-learn 1.6 or newer: pip install 'minigrad[data]' ({error})"
    ) from error

Array = np.ndarray[Any, Any]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": nn.Identity,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
ROWS = 4096  # that go through the network at once


class _MLP(BaseEstimator):
    """What both estimators do: check, build, train by Adam, predict."""

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change

    # ------------------------------------------------------------ what the two differ in
    def _targets(self, y: Array, weights: Array | None, fresh: bool) -> Array:
        """Return what the network is trained on; where `fresh`, learn what is to be known of y."""
        raise NotImplementedError

    def _loss(self, output: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        """Return the mean loss of a batch."""
        raise NotImplementedError

    def _validation_score(self, x: Array, y: Array, weights: Array | None) -> float:
        """Return the score that early stopping watches."""
        return float(self.score(x, y, weights))

    # ------------------------------------------------------------ fitting
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train until the loss stops improving, at most `max_iter` passes over the rows.

        X: (N, F).  y: (N,), amounts also (N, T).  sample_weight: (N,), what each row counts.
        """
        return self._fit(X, y, sample_weight, fresh=not self._goes_on(), passes=self.max_iter)

    def _goes_on(self) -> bool:
        return bool(self.warm_start) and hasattr(self, "network_")

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        raise NotImplementedError

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, fresh: bool, passes: int, partial: bool = False
    ) -> Any:
        self._check_parameters()
        x, y = self._checked(X, y, fresh)
        weights = self._row_weights(sample_weight, x, y)
        rng = check_random_state(self.random_state)
        if not fresh:
            rng = getattr(self, "_rng", rng)
        self._rng = rng
        held: tuple[Array, Array, Array | None] | None = None
        if self.early_stopping and not partial:
            x, y, weights, held = self._hold_out(x, y, weights, rng)
        target = self._targets(y, weights, fresh)
        if fresh:
            self._build(x, target, rng)
        if fresh or not partial:
            self._begin(keep_curve=partial and not fresh)
        self._train(x, target, weights, held, rng, passes, partial)
        return self

    def _check_parameters(self) -> None:
        """Refuse parameters out of range, by name."""
        sizes = self._hidden()
        wrong = [
            ("hidden_layer_sizes", min(sizes, default=1) >= 1, "whole numbers of at least 1"),
            ("activation", self.activation in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}"),
            ("alpha", self.alpha >= 0, "a number of at least 0"),
            ("learning_rate_init", self.learning_rate_init > 0, "a number above 0"),
            ("max_iter", self.max_iter >= 1, "a whole number of at least 1"),
            ("n_iter_no_change", self.n_iter_no_change >= 1, "a whole number of at least 1"),
            ("validation_fraction", 0 < self.validation_fraction < 1, "a number between 0 and 1"),
            ("batch_size", self.batch_size == "auto" or self.batch_size >= 1, "'auto' or above 0"),
        ]
        for name, right, expected in wrong:
            if not right:
                raise ValueError(f"{name}: expected {expected}, but got {getattr(self, name)!r}")

    def _hidden(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        return [int(s) for s in sizes] if isinstance(sizes, Sequence | np.ndarray) else [int(sizes)]

    def _row_weights(self, sample_weight: Any, x: Array, y: Array) -> Array | None:
        if sample_weight is None:
            return None
        weights: Array = _check_sample_weight(
            sample_weight, x, dtype=x.dtype, ensure_non_negative=True
        )
        return weights

    def _hold_out(
        self, x: Array, y: Array, weights: Array | None, rng: Any
    ) -> tuple[Array, Array, Array | None, tuple[Array, Array, Array | None]]:
        """Return the rows to train on, and those that early stopping watches."""
        rows = np.arange(len(x))
        strata = y if isinstance(self, ClassifierMixin) else None
        kept, held = train_test_split(
            rows, test_size=self.validation_fraction, random_state=rng, stratify=strata
        )
        shares = (None, None) if weights is None else (weights[kept], weights[held])
        return x[kept], y[kept], shares[0], (x[held], y[held], shares[1])

    def _build(self, x: Array, target: Array, rng: Any) -> None:
        """Make the network; weights uniform, after Glorot and Bengio (2010)."""
        n_out = self._n_outputs(target)
        sizes = [x.shape[1], *self._hidden(), n_out]
        factor = 2.0 if self.activation == "logistic" else 6.0
        layers: list[nn.Module] = []
        for n_in, n_layer in pairwise(sizes):
            layer = nn.Linear(n_in, n_layer, dtype=Tensor(x[:0]).dtype)
            reach = math.sqrt(factor / (n_in + n_layer))
            layer.weight.array[...] = rng.uniform(-reach, reach, (n_in, n_layer)).T
            assert layer.bias is not None
            layer.bias.array[...] = rng.uniform(-reach, reach, n_layer)
            layers += [layer, ACTIVATIONS[self.activation]()]
        self.network_ = nn.Sequential(*layers[:-1])
        self.n_layers_ = len(sizes)
        self.n_outputs_ = n_out
        self.t_ = self.n_iter_ = 0

    def _n_outputs(self, target: Array) -> int:
        raise NotImplementedError

    def _begin(self, keep_curve: bool) -> None:
        """Make a new optimizer and forget the curves of an earlier fit."""
        parameters = list(self.network_.parameters())
        groups = [
            {"params": [p for p in parameters if (p.ndim > 1) == two]} for two in (True, False)
        ]
        betas = (self.beta_1, self.beta_2)
        self._optimizer = Adam(groups, self.learning_rate_init, betas=betas, eps=self.epsilon)
        if not keep_curve:
            self.loss_curve_: list[float] = []
            self.validation_scores_: list[float] | None = [] if self.early_stopping else None
            self.best_loss_ = None if self.early_stopping else math.inf
            self.best_validation_score_ = -math.inf if self.early_stopping else None
            self._waited = 0
            self._best: dict[str, Tensor] | None = None

    def _train(
        self,
        x: Array,
        target: Array,
        weights: Array | None,
        held: tuple[Array, Array, Array | None] | None,
        rng: Any,
        passes: int,
        partial: bool,
    ) -> None:
        rows = len(x)
        size = min(200, rows) if self.batch_size == "auto" else min(int(self.batch_size), rows)
        batches = -(-rows // size)
        total = float(rows) if weights is None else float(weights.sum())
        # The penalty of a step is alpha over what its rows weigh.
        decay = self.alpha * batches / total if total > 0 else 0.0
        self._optimizer.param_groups[0]["weight_decay"] = decay
        done = 0
        with enable_grad():
            for done in range(1, passes + 1):
                order = rng.permutation(rows) if self.shuffle else np.arange(rows)
                losses = [
                    self._step(x, target, weights, order[start : start + size])
                    for start in range(0, rows, size)
                ]
                parts, counts = zip(*losses, strict=True)
                loss = sum(float(p) * c for p, c in zip(parts, counts, strict=True)) / sum(counts)
                if not math.isfinite(loss):
                    raise ValueError(
                        f"{type(self).__name__}: the loss is {loss} after {done} passes; scale the "
                        "features, or lower learning_rate_init"
                    )
                self.loss_ = loss
                self.loss_curve_.append(loss)
                self.n_iter_ += 1
                self.t_ += rows
                if self.verbose:
                    print(f"Iteration {self.n_iter_}, loss = {loss:.8f}")
                if not partial and self._waited_enough(held):
                    break
            else:
                if not partial and passes > 1:
                    warnings.warn(
                        f"{type(self).__name__}: the loss was still improving after max_iter="
                        f"{passes} passes; raise max_iter, or scale the features",
                        ConvergenceWarning,
                        stacklevel=4,
                    )
        if self._best is not None:
            self.network_.load_state_dict(self._best)
            self._best = None

    def _step(
        self, x: Array, target: Array, weights: Array | None, rows: Array
    ) -> tuple[Tensor, float]:
        """Take one step; return the loss, and what its rows weigh."""
        shares = None if weights is None else weights[rows]
        weight = float(len(rows)) if shares is None else float(shares.sum())
        if weight == 0.0:
            return Tensor(np.zeros(())), 0.0
        output = self.network_(Tensor(x[rows]))
        given = None if shares is None else Tensor(shares)
        loss = self._loss(output, Tensor(target[rows]), given)
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss.detach(), weight

    def _waited_enough(self, held: tuple[Array, Array, Array | None] | None) -> bool:
        """Take note of a pass; say whether the last ones have brought nothing."""
        if held is not None:
            score = self._validation_score(*held)
            assert self.validation_scores_ is not None
            assert self.best_validation_score_ is not None
            self.validation_scores_.append(score)
            better = score > self.best_validation_score_ + self.tol
            if score > self.best_validation_score_:
                self.best_validation_score_ = score
                state = self.network_.state_dict()
                self._best = {name: tensor.detach().clone() for name, tensor in state.items()}
        else:
            assert self.best_loss_ is not None
            better = self.loss_ < self.best_loss_ - self.tol
            self.best_loss_ = min(self.best_loss_, self.loss_)
        self._waited = 0 if better else self._waited + 1
        return self._waited > self.n_iter_no_change

    # ------------------------------------------------------------ predicting
    def _outputs(self, X: Any) -> Array:
        check_is_fitted(self, "network_")
        dtype = next(self.network_.parameters()).array.dtype
        x = validate_data(self, X, reset=False, dtype=dtype)
        with no_grad():
            parts = [
                self.network_(Tensor(np.ascontiguousarray(x[i : i + ROWS]))).numpy()
                for i in range(0, len(x), ROWS)
            ]
        return np.concatenate(parts)

    @property
    def coefs_(self) -> list[Array]:
        """Return the weights of each layer, (inputs, outputs), as scikit-learn has them."""
        return [layer.weight.array.T for layer in self._linears()]

    @property
    def intercepts_(self) -> list[Array]:
        """Return the biases of each layer."""
        return [layer.bias.array for layer in self._linears()]

    def _linears(self) -> list[Any]:
        if not hasattr(self, "network_"):
            raise AttributeError("this estimator is not fitted yet")
        return [layer for layer in self.network_ if isinstance(layer, nn.Linear)]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")


class MLPClassifier(ClassifierMixin, _MLP):
    """A multilayer perceptron for classes, trained by Adam on the cross-entropy.

    hidden_layer_sizes: widths.  activation: relu, tanh, logistic, identity, gelu or silu.
    alpha: strength of the L2 penalty, over the rows of a batch.  batch_size: rows a step, "auto"
        for 200 at most.  learning_rate_init: of Adam.  beta_1, beta_2, epsilon: Adam's.
    max_iter: passes over the rows at most.  tol, n_iter_no_change: it stops after so many passes
        that improve by less.  early_stopping, validation_fraction: on the score of rows held out,
        whose best network is kept.
    class_weight: None, "balanced" or a dict, as everywhere in scikit-learn.
    warm_start: whether `fit` goes on.  random_state: of weights, order and the rows held out.

    Fitted: `classes_`, `n_iter_`, `loss_`, `loss_curve_`, `validation_scores_`, `coefs_`,
    `intercepts_`; `network_`, an `nn.Sequential`, float32 where X is, else float64.

    Of scikit-learn's parameters `solver` and those of other solvers are missing: it is always Adam.
    Two classes have two outputs, where scikit-learn has one.  `epsilon` stands where PyTorch's Adam
    has it, after the correction of the second moment, in scikit-learn before it.

    Raises: ValueError for parameters out of range.
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        class_weight: Any = None,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            activation,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
        )
        self.class_weight = class_weight

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> MLPClassifier:
        """Take one pass over some rows; the first call is told all `classes`."""
        fresh = not hasattr(self, "network_")
        if fresh:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self._known = unique_labels(classes)
        elif classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(
                f"partial_fit: expected the classes of the first call, {self.classes_}, but got "
                f"{classes}"
            )
        try:
            self._fit(X, y, sample_weight, fresh, 1, partial=True)
        finally:
            self._known = None
        return self

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        x, y = validate_data(
            self, X, y, dtype=(np.float64, np.float32), reset=reset, accept_sparse=False
        )
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        known = getattr(self, "_known", None)
        if reset:
            self.classes_ = unique_labels(y) if known is None else known
        strange = np.setdiff1d(y, self.classes_)
        if len(strange):
            raise ValueError(f"y holds classes that are not known: {strange[:5]}")
        return x, y

    def _row_weights(self, sample_weight: Any, x: Array, y: Array) -> Array | None:
        weights = super()._row_weights(sample_weight, x, y)
        if self.class_weight is None:
            return weights
        by_class = compute_sample_weight(self.class_weight, y).astype(x.dtype)
        return by_class if weights is None else weights * by_class

    def _targets(self, y: Array, weights: Array | None, fresh: bool) -> Array:
        return np.searchsorted(self.classes_, y)

    def _n_outputs(self, target: Array) -> int:
        return len(self.classes_)

    def _loss(self, output: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        if weights is None:
            return cross_entropy(output, target)
        return (cross_entropy(output, target, reduction="none") * weights).sum() / weights.sum()

    def _validation_score(self, x: Array, y: Array, weights: Array | None) -> float:
        with no_grad():
            guess = self.network_(Tensor(x)).numpy().argmax(1)
        return float(np.average(self.classes_[guess] == y, weights=weights))

    def predict(self, X: Any) -> Array:
        """Return the class of each row, (N,)."""
        outputs = self._outputs(X)
        found: Array = self.classes_[outputs.argmax(1)]
        return found

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (N, C), in the order of `classes_`."""
        return softmax(self._outputs(X))

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities, (N, C)."""
        outputs = self._outputs(X).astype(np.float64)
        shifted = outputs - outputs.max(1, keepdims=True)
        found: Array = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        return found


class MLPRegressor(RegressorMixin, _MLP):
    """A multilayer perceptron for amounts, trained by Adam on half the squared error.

    Its parameters are those of `MLPClassifier`, without `class_weight`.  The targets are scaled to
    mean 0 and deviation 1 for the network, where scikit-learn leaves them, and given back in their
    units: `loss_` and `tol` are of the scaled ones.

    >>> X = [[0.0], [1.0], [2.0], [3.0]] * 10
    >>> y = [10.0, 20.0, 30.0, 40.0] * 10
    >>> model = MLPRegressor((16,), learning_rate_init=0.05, tol=0.001, random_state=0)
    >>> bool(abs(model.fit(X, y).predict([[1.5]])[0] - 25) < 2)
    True
    """

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Take one pass over some rows; the targets' scale is that of the first call."""
        fresh = not hasattr(self, "network_")
        self._fit(X, y, sample_weight, fresh, 1, partial=True)
        return self

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        checked: tuple[Array, Array] = validate_data(
            self,
            X,
            y,
            dtype=(np.float64, np.float32),
            reset=reset,
            multi_output=True,
            y_numeric=True,
        )
        x, y = checked
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return x, y.astype(x.dtype)

    def _targets(self, y: Array, weights: Array | None, fresh: bool) -> Array:
        if fresh:
            mean = np.average(y.astype(np.float64), axis=0, weights=weights)
            square = np.average((y - mean) ** 2, axis=0, weights=weights)
            self._mean = mean
            self._scale = np.where(square > 0, np.sqrt(square), 1.0)
            self._columns = y.ndim == 2
        scaled: Array = ((y - self._mean) / self._scale).astype(y.dtype)
        return scaled if scaled.ndim == 2 else scaled[:, None]

    def _n_outputs(self, target: Array) -> int:
        return int(target.shape[1])

    def _loss(self, output: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        if weights is None:
            return mse_loss(output, target) * 0.5
        each = ((output - target) ** 2).mean(1)
        return (each * weights).sum() / weights.sum() * 0.5

    def predict(self, X: Any) -> Array:
        """Return the amount of each row, (N,), or (N, T)."""
        outputs = self._outputs(X)
        scaled = outputs if self._columns else outputs[:, 0]
        found: Array = (scaled * self._scale + self._mean).astype(outputs.dtype)
        return found

    def _validation_score(self, x: Array, y: Array, weights: Array | None) -> float:
        return float(self.score(x, y, weights))
