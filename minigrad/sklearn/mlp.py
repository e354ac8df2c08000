"""What both estimators do: check, build, train by Adam, SGD or L-BFGS, predict."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from minigrad import nn
from minigrad.engine.grad_mode import enable_grad, no_grad
from minigrad.optim import SGD, Adam
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
Rows = tuple[Any, Array, Array | None]  # features, targets, what each row counts
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": nn.Identity,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
SOLVERS = ("adam", "sgd", "lbfgs")
SCHEDULES = ("constant", "invscaling", "adaptive")
ROWS = 4096  # that go through the network at once
LEAST_RATE, LOWER = 1e-6, 5.0  # "adaptive" divides the rate until it is this low


class _Parts(list[Array]):
    """Weights or biases, one array a layer: what is put in the place of one goes into the layer."""

    def __setitem__(self, at: Any, value: Any) -> None:
        parts, values = (self[at], value) if isinstance(at, slice) else ([self[at]], [value])
        for part, new in zip(parts, values, strict=True):
            if np.shape(new) != part.shape:
                raise ValueError(f"expected an array of shape {part.shape}, got {np.shape(new)}")
            part[...] = new


class MLP(BaseEstimator):
    """What both estimators do: check, build, train, predict."""

    hidden_layer_sizes: Any
    activation: str
    solver: str
    alpha: float
    batch_size: Any
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int

    def _keep(self, given: dict[str, Any]) -> None:
        """Keep the arguments of a constructor as they came, as scikit-learn wants them."""
        for name, value in given.items():
            if name != "self":
                setattr(self, name, value)

    # ------------------------------------------------------------ what the two differ in
    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        """Return features and targets as they are to be; where `reset`, what is known of them."""
        raise NotImplementedError

    def _targets(self, y: Array, weights: Array | None, fresh: bool) -> Array:
        """Return what the network is trained on; where `fresh`, learn what is to be known of y."""
        raise NotImplementedError

    def _n_outputs(self, target: Array) -> int:
        raise NotImplementedError

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row, (N,), the sum over its outputs."""
        raise NotImplementedError

    def _decoded(self, outputs: Array) -> Array:
        """Return predictions for what the network says."""
        raise NotImplementedError

    _score: Callable[..., float]  # of targets and predictions, which early stopping watches
    _strata = False  # whether rows are held out in proportion to their classes
    _mean_of_outputs = 1  # by how many `loss_` divides the sum over outputs

    # ------------------------------------------------------------ fitting
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train until the loss stops improving, at most `max_iter` passes over the rows.

        X: (N, F), also sparse.  y: (N,), several targets or labels also (N, T).
        sample_weight: (N,), what each row counts.
        """
        fresh = not (self.warm_start and hasattr(self, "network_"))
        return self._fit(X, y, sample_weight, fresh)

    def _fit(self, X: Any, y: Any, sample_weight: Any, fresh: bool, partial: bool = False) -> Any:
        self._check_parameters()
        if partial and self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True: it holds out rows of a whole fit"
            )
        x, y = self._checked(X, y, fresh)
        weights = self._row_weights(sample_weight, x, y)
        rng = check_random_state(self.random_state)
        if not fresh:
            rng = getattr(self, "_rng", rng)
        self._rng = rng
        stochastic = self.solver != "lbfgs"
        target = self._targets(y, weights, fresh)
        if fresh:
            self._build(x, target, rng)
        held: Rows | None = None
        if self.early_stopping and stochastic:
            kept, out = self._hold_out(y, rng)
            shares = (None, None) if weights is None else (weights[kept], weights[out])
            held = x[out], y[out], shares[1]
            x, target, weights = x[kept], target[kept], shares[0]
        if not partial:
            self.n_iter_ = 0
        if not stochastic:
            self._solve(x, target, weights)
        else:
            if not partial or not hasattr(self, "_optimizer"):
                self._begin()
            self._train(x, target, weights, held, rng, partial)
        if not all(np.isfinite(p.array).all() for p in self.network_.parameters()):
            raise ValueError(self._diverged("the weights are not finite"))
        return self

    def _check_parameters(self) -> None:
        """Refuse parameters out of range, by name."""
        small, whole = "a number of at least 0", "a whole number of at least 1"
        rules: list[tuple[str, Callable[[Any], bool], str]] = [
            (
                "hidden_layer_sizes",
                lambda _: min(self._hidden(), default=1) >= 1,
                "whole numbers of at least 1",
            ),
            ("activation", lambda v: v in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}"),
            ("solver", lambda v: v in SOLVERS, f"one of {', '.join(SOLVERS)}"),
            ("alpha", lambda v: v >= 0, small),
            ("batch_size", lambda v: v == "auto" or v >= 1, "'auto' or above 0"),
            ("learning_rate", lambda v: v in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
            ("learning_rate_init", lambda v: v > 0, "a number above 0"),
            ("power_t", lambda v: v >= 0, small),
            ("max_iter", lambda v: v >= 1, whole),
            ("tol", lambda v: v >= 0, small),
            ("momentum", lambda v: 0 <= v <= 1, "a number from 0 to 1"),
            ("validation_fraction", lambda v: 0 < v < 1, "a number between 0 and 1"),
            ("beta_1", lambda v: 0 <= v < 1, "a number of at least 0 and below 1"),
            ("beta_2", lambda v: 0 <= v < 1, "a number of at least 0 and below 1"),
            ("epsilon", lambda v: v > 0, "a number above 0"),
            ("n_iter_no_change", lambda v: v >= 1, whole),
            ("max_fun", lambda v: v >= 1, whole),
        ]
        for name, holds, expected in rules:
            value = getattr(self, name)
            try:
                right = holds(value) and (name == "hidden_layer_sizes" or np.ndim(value) == 0)
            except (TypeError, ValueError):
                right = False
            if not right:
                raise ValueError(f"{name}: expected {expected}, but got {value!r}")

    def _hidden(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        return [int(s) for s in (sizes if isinstance(sizes, Iterable) else [sizes])]

    def _row_weights(self, sample_weight: Any, x: Any, y: Array) -> Array | None:
        if sample_weight is None:
            return None
        weights: Array = _check_sample_weight(
            sample_weight, x, dtype=x.dtype, ensure_non_negative=True
        )
        return weights

    def _hold_out(self, y: Array, rng: Any) -> tuple[Array, Array]:
        """Return the numbers of the rows to train on, and of those that early stopping watches."""
        kept, held = train_test_split(
            np.arange(len(y)),
            test_size=self.validation_fraction,
            random_state=rng,
            stratify=y if self._strata and y.ndim == 1 else None,
        )
        if len(held) < 2:
            raise ValueError(
                f"The validation set is too small: {len(held)} of {len(y)} rows; early_stopping "
                "needs two at least, by a larger validation_fraction or more rows"
            )
        return kept, held

    def _build(self, x: Any, target: Array, rng: Any) -> None:
        """Make the network; weights uniform, after Glorot and Bengio (2010)."""
        n_out = self._n_outputs(target)
        sizes = [x.shape[1], *self._hidden(), n_out]
        factor = 2.0 if self.activation == "logistic" else 6.0
        layers: list[nn.Module] = []
        for n_in, n_layer in pairwise(sizes):
            layer = nn.Linear(n_in, n_layer, dtype=Tensor(np.zeros(0, x.dtype)).dtype)
            reach = math.sqrt(factor / (n_in + n_layer))
            layer.weight.array[...] = rng.uniform(-reach, reach, (n_in, n_layer)).T
            assert layer.bias is not None
            layer.bias.array[...] = rng.uniform(-reach, reach, n_layer)
            layers += [layer, ACTIVATIONS[self.activation]()]
        self.network_ = nn.Sequential(*layers[:-1])
        self.n_layers_ = len(sizes)
        self.n_outputs_ = n_out
        self.t_ = self.n_iter_ = 0
        watched = self.early_stopping and self.solver != "lbfgs"
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = [] if watched else None
        self.best_loss_ = None if watched else math.inf
        self.best_validation_score_ = -math.inf if watched else None

    def _begin(self) -> None:
        """Make a new optimizer, weights in its first group and biases in its second."""
        parameters = list(self.network_.parameters())
        groups = [
            {"params": [p for p in parameters if (p.ndim > 1) == two]} for two in (True, False)
        ]
        rate = self.learning_rate_init
        self._optimizer: Adam | SGD
        if self.solver == "adam":
            betas = (self.beta_1, self.beta_2)
            self._optimizer = Adam(groups, rate, betas=betas, eps=self.epsilon)
        else:
            nesterov = bool(self.nesterovs_momentum and self.momentum > 0)
            self._optimizer = SGD(groups, rate, momentum=self.momentum, nesterov=nesterov)
        self._no_improvement_count = 0
        self._best: dict[str, Tensor] | None = None

    def _train(
        self,
        x: Any,
        target: Array,
        weights: Array | None,
        held: Rows | None,
        rng: Any,
        partial: bool,
    ) -> None:
        rows, passes = x.shape[0], 1 if partial else int(self.max_iter)
        order = np.arange(rows)
        try:
            with enable_grad():
                for done in range(1, passes + 1):
                    if self.shuffle:
                        order = order[rng.permutation(rows)]
                    going = self._pass(x, target, weights, order, done, held)
                    if going and self._waited_enough(held, partial):
                        going = not partial and self._lower_rate()
                    if not going:
                        break
                else:
                    if not partial:
                        self._warn_of_limit(f"max_iter={passes} passes")
        except KeyboardInterrupt:
            warnings.warn(f"{type(self).__name__}: interrupted in training", stacklevel=4)
        if self._best is not None:
            self.network_.load_state_dict(self._best)
            self._best = None

    def _pass(
        self,
        x: Any,
        target: Array,
        weights: Array | None,
        order: Array,
        done: int,
        held: Rows | None,
    ) -> bool:
        """Take one pass over the rows; say whether training can go on."""
        rows = len(order)
        size = self._batch(rows)
        batches = [order[start : start + size] for start in range(0, rows, size)]
        losses, penalties, counts = zip(
            *(self._step(x, target, weights, batch) for batch in batches), strict=True
        )
        parts = [float(p) / self._mean_of_outputs for p in losses]
        total = sum((p + q) * c for p, q, c in zip(parts, penalties, counts, strict=True))
        self.loss_ = total / sum(counts) if sum(counts) else 0.0
        if not math.isfinite(self.loss_):
            said = self._diverged(f"the loss is {self.loss_} after {done} passes")
            if held is None or self._best is None:
                raise ValueError(said)
            assert self.validation_scores_ is not None
            self.validation_scores_.append(math.nan)
            warnings.warn(f"{said}; the best network is kept", ConvergenceWarning, stacklevel=5)
            return False
        self.loss_curve_.append(self.loss_)
        self.n_iter_ += 1
        self.t_ += rows
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
        return True

    def _batch(self, rows: int) -> int:
        """Return how many rows a step takes."""
        if self.batch_size == "auto":
            return min(200, rows)
        if self.batch_size > rows:
            warnings.warn(
                f"{type(self).__name__}: batch_size={self.batch_size} is more than the {rows} rows "
                "to train on; a step takes them all",
                stacklevel=6,
            )
        return min(int(self.batch_size), rows)

    def _step(
        self, x: Any, target: Array, weights: Array | None, rows: Array
    ) -> tuple[Tensor, float, float]:
        """Take one step; return the loss, its penalty, and what its rows weigh."""
        shares = None if weights is None else weights[rows]
        weight = float(len(rows)) if shares is None else float(shares.sum())
        if weight == 0.0:
            return Tensor(np.zeros(())), 0.0, 0.0
        penalty = self._penalty() / weight
        decays, optimizer = self.alpha / weight, self._optimizer
        if optimizer.param_groups[0]["weight_decay"] != decays:
            optimizer.param_groups[0]["weight_decay"] = decays
        loss = self._loss(dense(x[rows]), target[rows], shares, weight)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach(), penalty, weight

    def _loss(self, x: Array, target: Array, shares: Array | None, weight: float) -> Tensor:
        """Return the sum of what the rows lose, over what all rows weigh."""
        each = self._losses(self.network_(Tensor(x)), Tensor(target))
        return (each if shares is None else each * Tensor(shares)).sum() * (1 / weight)

    def _penalty(self) -> float:
        """Return alpha times half the sum of the squared weights."""
        if not self.alpha:
            return 0.0
        weights = [layer.weight.array for layer in self._linears()]
        squares = sum(float(np.square(w).sum(dtype=np.float64)) for w in weights)
        return 0.5 * self.alpha * squares

    def _waited_enough(self, held: Rows | None, partial: bool) -> bool:
        """Take note of a pass; say whether the last ones have brought nothing."""
        if held is not None:
            score = self._validation_score(held)
            assert self.validation_scores_ is not None
            assert self.best_validation_score_ is not None
            self.validation_scores_.append(score)
            if self.verbose:
                print(f"Validation score: {score:.6f}")
            better = score >= self.best_validation_score_ + self.tol
            if score > self.best_validation_score_:
                self.best_validation_score_ = score
                state = self.network_.state_dict()
                self._best = {name: tensor.detach().clone() for name, tensor in state.items()}
        elif self.best_loss_ is None:  # early stopping was there when it began
            better = True
        else:
            better = self.loss_ <= self.best_loss_ - self.tol
            self.best_loss_ = min(self.best_loss_, self.loss_)
        self._no_improvement_count = 0 if better else self._no_improvement_count + 1
        if self.solver == "sgd" and self.learning_rate == "invscaling":
            self._set_rate(self.learning_rate_init / (self.t_ + 1) ** self.power_t)
        enough = self._no_improvement_count > self.n_iter_no_change
        if enough and self.verbose and not partial:
            watched = "loss" if held is None else "validation score"
            count = f"{self.n_iter_no_change:g} passes"
            print(f"The {watched} has not improved by tol={self.tol:g} for {count}")
        return enough

    def _validation_score(self, held: Rows) -> float:
        x, y, weights = held
        outputs = self._said(x)
        if not np.isfinite(outputs).all():
            return math.nan
        with np.errstate(over="ignore"):  # the square of what is about to diverge
            return float(type(self)._score(y, self._decoded(outputs), sample_weight=weights))

    def _lower_rate(self) -> bool:
        """Say whether training goes on at a lower rate, as learning_rate="adaptive" does."""
        rate = self._optimizer.param_groups[0]["lr"]
        if self.solver != "sgd" or self.learning_rate != "adaptive" or rate <= LEAST_RATE:
            return False
        self._no_improvement_count = 0
        self._set_rate(rate / LOWER)
        return True

    def _set_rate(self, rate: float) -> None:
        """Give SGD another rate; steps that are under way keep their length."""
        old = self._optimizer.param_groups[0]["lr"]
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        for parameter in self.network_.parameters():
            velocity = self._optimizer.state[parameter].get("momentum_buffer")
            if velocity is not None:
                velocity *= old / rate

    def _solve(self, x: Any, target: Array, weights: Array | None) -> None:
        """Train on all rows at once by L-BFGS."""
        parameters = list(self.network_.parameters())
        ends = np.cumsum([p.array.size for p in parameters])[:-1]
        rows = x.shape[0]
        weight = float(rows) if weights is None else float(weights.sum())
        last = [math.inf]

        def write(flat: Array) -> None:
            for p, part in zip(parameters, np.split(flat, ends), strict=True):
                p.array[...] = part.reshape(p.shape)

        def value_and_slope(flat: Array) -> tuple[float, Array]:
            write(flat)
            total = self._penalty() / weight
            for start in range(0, rows, ROWS):
                part = slice(start, start + ROWS)
                shares = None if weights is None else weights[part]
                loss = self._loss(dense(x[part]), target[part], shares, weight)
                loss.backward()
                total += loss.item() / self._mean_of_outputs
            slopes = []
            for p in parameters:
                assert p.grad is not None
                slope = p.grad.array.astype(np.float64)
                slopes.append((slope + (p.ndim > 1) * self.alpha / weight * p.array).ravel())
                p.grad = None
            last[0] = total
            return total, np.concatenate(slopes)

        def note(_: Array) -> None:
            self.n_iter_ += 1
            self.loss_curve_.append(last[0])
            if self.verbose:
                print(f"Iteration {self.n_iter_}, loss = {last[0]:.8f}")

        flat = np.concatenate([p.array.ravel() for p in parameters]).astype(np.float64)
        options = {"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol}
        with enable_grad():
            found = minimize(
                value_and_slope, flat, method="L-BFGS-B", jac=True, options=options, callback=note
            )
        write(found.x)
        self.loss_ = float(found.fun)
        self.best_loss_ = self.loss_
        if found.status:
            self._warn_of_limit(f"{self.n_iter_} steps, {found.nfev} losses")

    def _warn_of_limit(self, limit: str) -> None:
        warnings.warn(
            f"{type(self).__name__}: the loss was still improving after {limit}; raise the limit, "
            "or scale the features",
            ConvergenceWarning,
            stacklevel=5,
        )

    def _diverged(self, how: str) -> str:
        return f"{type(self).__name__}: {how}; scale the features, or lower learning_rate_init"

    # ------------------------------------------------------------ predicting
    def predict(self, X: Any) -> Array:
        """Return a prediction for each row: (N,), of several targets or labels (N, T)."""
        return self._decoded(self._outputs(X))

    def _outputs(self, X: Any) -> Array:
        check_is_fitted(self, "network_")
        dtype = next(self.network_.parameters()).array.dtype
        return self._said(validate_data(self, X, reset=False, dtype=dtype, accept_sparse="csr"))

    def _said(self, x: Any) -> Array:
        """Return what the network says of rows, (N, outputs)."""
        with no_grad():
            parts = [
                self.network_(Tensor(dense(x[i : i + ROWS]))).numpy()
                for i in range(0, x.shape[0], ROWS)
            ]
        return np.concatenate(parts)

    @property
    def coefs_(self) -> list[Array]:
        """Return the weights of each layer, (inputs, outputs); what is put in their place stays."""
        return _Parts([layer.weight.array.T for layer in self._linears()])

    @coefs_.setter
    def coefs_(self, values: Sequence[Array]) -> None:
        self.coefs_[:] = values

    @property
    def intercepts_(self) -> list[Array]:
        """Return the biases of each layer; what is put in their place stays."""
        return _Parts([layer.bias.array for layer in self._linears()])

    @intercepts_.setter
    def intercepts_(self, values: Sequence[Array]) -> None:
        self.intercepts_[:] = values

    def _linears(self) -> list[Any]:
        if not hasattr(self, "network_"):
            raise AttributeError("this estimator is not fitted yet")
        return [layer for layer in self.network_ if isinstance(layer, nn.Linear)]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def dense(x: Any) -> Array:
    """Return rows as an array that lies in one piece."""
    return np.ascontiguousarray(x.toarray() if hasattr(x, "toarray") else x)
