"""The two estimators: classes and labels, amounts and counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d, validate_data

from minigrad.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from minigrad.sklearn.mlp import MLP, Array
from minigrad.tables.scores import softmax
from minigrad.tensors.tensor import Tensor

LOSSES = ("squared_error", "poisson")


def _is_stochastic(estimator: Any) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit: solver='lbfgs' takes all rows at once; use 'adam'")
    return True


class MLPClassifier(ClassifierMixin, MLP):
    """A multilayer perceptron for classes, or for several labels a row, trained on cross-entropy.

    hidden_layer_sizes: widths.  activation: relu, tanh, logistic, identity, gelu or silu.
    solver: "adam", "sgd" or "lbfgs".  alpha: strength of the L2 penalty, over the rows of a batch.
    batch_size: rows a step, "auto" for 200 at most.  learning_rate_init: of Adam and SGD.
    learning_rate, power_t: of SGD: "constant", "invscaling" by the power of the rows seen, or
        "adaptive", which divides it by 5 where others stop.  momentum, nesterovs_momentum: SGD's.
    beta_1, beta_2, epsilon: Adam's.  max_fun: how often L-BFGS may ask for the loss.
    max_iter: passes over the rows at most.  tol, n_iter_no_change: it stops after so many passes
        that improve by less; tol is also the slope at which L-BFGS stops.
    early_stopping, validation_fraction: on the score of rows held out, whose best network is kept.
    class_weight: None, "balanced" or a dict, as everywhere in scikit-learn.
    warm_start: whether `fit` goes on.  random_state: of weights, order and the rows held out.

    Fitted: `classes_`, `n_iter_`, `loss_`, `loss_curve_`, `validation_scores_`, `coefs_`,
    `intercepts_`; `network_`, an `nn.Sequential`, float32 where X is, else float64.

    `epsilon` stands where PyTorch's Adam has it, after the correction of the second moment, in
    scikit-learn before it; else a fit takes scikit-learn's steps.

    Raises: ValueError for parameters out of range, and for a loss that is no longer finite.
    """

    _score = staticmethod(accuracy_score)
    _strata = True

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: Any = None,
    ) -> None:
        self._keep(locals())

    @available_if(_is_stochastic)
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
            self._fit(X, y, sample_weight, fresh, partial=True)
        finally:
            self._known = None
        return self

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train until the loss stops improving, at most `max_iter` passes over the rows.

        X: (N, F), also sparse.  y: (N,) classes, or (N, L) of 0 and 1, where L labels may hold at
        once.  sample_weight: (N,), what each row counts.
        """
        if self.warm_start and hasattr(self, "network_"):
            found = np.arange(np.shape(y)[1]) if np.ndim(y) == 2 else unique_labels(y)
            if not np.array_equal(found, self.classes_) and np.shape(y)[1:] != (1,):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {found}"
                )
        return super().fit(X, y, sample_weight)

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        x, y = validate_data(
            self,
            X,
            y,
            dtype=(np.float64, np.float32),
            reset=reset,
            accept_sparse="csr",
            multi_output=True,
        )
        y = y.toarray() if hasattr(y, "toarray") else y
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if type_of_target(y) == "multiclass-multioutput":
            raise ValueError(
                f"{type(self).__name__}: expected y to be (N,) classes, or (N, L) labels of 0 and "
                f"1, but got {y.shape} with other values"
            )
        known = getattr(self, "_known", None)
        labels = unique_labels(y) if y.ndim == 1 else np.arange(y.shape[1])
        if reset:
            self.classes_ = labels if known is None else known
            self._many = y.ndim == 2
        if (y.ndim == 2 and len(labels) != len(self.classes_)) or self._many != (y.ndim == 2):
            raise ValueError(f"expected {len(self.classes_)} labels a row, got y of {y.shape}")
        strange = np.setdiff1d(labels, self.classes_)
        if len(strange):
            raise ValueError(f"y holds classes that are not known: {strange[:5]}")
        return x, y

    def _row_weights(self, sample_weight: Any, x: Any, y: Array) -> Array | None:
        weights = super()._row_weights(sample_weight, x, y)
        if self.class_weight is None:
            return weights
        by_class = compute_sample_weight(self.class_weight, y).astype(x.dtype)
        return by_class if weights is None else weights * by_class

    def _targets(self, y: Array, weights: Array | None, fresh: bool) -> Array:
        if self._many:
            return y
        found = np.searchsorted(self.classes_, y)
        return found if len(self.classes_) > 2 else found[:, None]

    def _n_outputs(self, target: Array) -> int:
        count = len(self.classes_)
        self.out_activation_ = "softmax" if count > 2 and not self._many else "logistic"
        return count if count > 2 or self._many else 1

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        if self.out_activation_ == "softmax":
            return cross_entropy(output, target, reduction="none")
        wanted = target.to(output.dtype)
        return binary_cross_entropy_with_logits(output, wanted, reduction="none").sum(1)

    def _decoded(self, outputs: Array) -> Array:
        if self._many:
            return (outputs > 0).astype(np.int64)
        if self.out_activation_ == "softmax":
            found = outputs.argmax(1)
        else:
            found = (outputs[:, 0] > 0) * (len(self.classes_) - 1)
        classes: Array = self.classes_[found]
        return classes

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (N, C), in the order of `classes_`, or of each
        label.
        """
        outputs = self._outputs(X)
        if self.out_activation_ == "softmax":
            return softmax(outputs).astype(outputs.dtype)
        return np.exp(self._log_sigmoids(outputs)).astype(outputs.dtype)

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities, (N, C)."""
        outputs = self._outputs(X).astype(np.float64)
        if self.out_activation_ != "softmax":
            return self._log_sigmoids(outputs)
        shifted = outputs - outputs.max(1, keepdims=True)
        found: Array = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        return found

    def _log_sigmoids(self, outputs: Array) -> Array:
        outputs = outputs.astype(np.float64)
        if self._many:
            return -np.logaddexp(0, -outputs)
        if len(self.classes_) == 1:
            return np.zeros((len(outputs), 1))
        return -np.logaddexp(0, np.concatenate([outputs, -outputs], 1))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, MLP):
    """A multilayer perceptron for amounts, trained on half the squared error, or on counts.

    Its parameters are those of `MLPClassifier`, without `class_weight`, and
    loss: "squared_error", or "poisson" for counts, with the exponential of the output.
    The targets are scaled to mean 0 and deviation 1 for the network (not those of "poisson"), where
    scikit-learn leaves them, and given back in their units: `loss_` and `tol` are of the scaled
    ones.

    >>> X = [[0.0], [1.0], [2.0], [3.0]] * 10
    >>> y = [10.0, 20.0, 30.0, 40.0] * 10
    >>> model = MLPRegressor((16,), learning_rate_init=0.05, tol=0.001, random_state=0)
    >>> bool(abs(model.fit(X, y).predict([[1.5]])[0] - 25) < 2)
    True
    """

    _score = staticmethod(r2_score)

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        loss: str = "squared_error",
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
    ) -> None:
        self._keep(locals())

    @available_if(_is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Take one pass over some rows; the targets' scale is that of the first call."""
        self._fit(X, y, sample_weight, not hasattr(self, "network_"), partial=True)
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.loss not in LOSSES:
            raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, but got {self.loss!r}")

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        x, y = validate_data(
            self,
            X,
            y,
            dtype=(np.float64, np.float32),
            reset=reset,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=True,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"loss='poisson': expected counts of at least 0, but got {y.min()}")
        return x, y.astype(x.dtype)

    def _targets(self, y: Array, weights: Array | None, fresh: bool) -> Array:
        if fresh:
            self._columns = y.ndim == 2
            counts = self.loss == "poisson"
            self.out_activation_ = "exp" if counts else "identity"
            self._mean: Any = 0.0
            self._scale: Any = 1.0
        if fresh and not counts:
            mean = np.average(y.astype(np.float64), axis=0, weights=weights)
            square = np.average((y - mean) ** 2, axis=0, weights=weights)
            self._mean = mean
            self._scale = np.where(square > 0, np.sqrt(square), 1.0)
        scaled: Array = ((y - self._mean) / self._scale).astype(y.dtype)
        return scaled if scaled.ndim == 2 else scaled[:, None]

    def _n_outputs(self, target: Array) -> int:
        self._mean_of_outputs = int(target.shape[1])
        return self._mean_of_outputs

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        if self.out_activation_ == "exp":
            least = target.xlogy(target) - target  # of a perfect fit, as in scikit-learn's loss
            return (output.exp() - target * output + least).sum(1)
        return ((output - target) ** 2).sum(1) * 0.5

    def _decoded(self, outputs: Array) -> Array:
        scaled = outputs if self._columns else outputs[:, 0]
        if self.out_activation_ == "exp":
            return np.exp(scaled)
        found: Array = (scaled * self._scale + self._mean).astype(outputs.dtype)
        return found
