"""Estimators for scikit-learn: its own checks, and its MLPs at equal settings."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from minigrad.sklearn import MLPClassifier, MLPRegressor

IGNORED = "ignore::sklearn.exceptions.ConvergenceWarning"
pytestmark = [
    pytest.mark.filterwarnings(IGNORED),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]
QUICK = {"max_iter": 40}  # passes; the checks train on some hundred rows at most


@parametrize_with_checks([MLPClassifier(**QUICK), MLPRegressor(**QUICK)])
def test_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


# Their epsilon stands before the correction of Adam's second moment, PyTorch's and ours after it.
EQUAL: dict[str, Any] = {"max_iter": 6, "shuffle": False, "random_state": 3, "alpha": 0.1}
EQUAL["epsilon"] = 1e-16


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("batch_size", ["auto", 50])
def test_a_classifier_takes_the_steps_of_scikit_learns(activation: str, batch_size: Any) -> None:
    X, y = load_iris(return_X_y=True)

    options = {**EQUAL, "hidden_layer_sizes": (7, 5), "activation": activation}
    options["batch_size"] = batch_size
    ours, theirs = MLPClassifier(**options).fit(X, y), TheirClassifier(**options).fit(X, y)
    for own, other in zip(
        ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        np.testing.assert_allclose(own, other, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-7)
    np.testing.assert_allclose(np.exp(ours.predict_log_proba(X)), ours.predict_proba(X))


def test_a_regressor_takes_the_steps_of_scikit_learns() -> None:
    X, y = load_diabetes(return_X_y=True)
    y = (y - y.mean()) / y.std()
    options = {**EQUAL, "hidden_layer_sizes": (7,), "batch_size": 221}
    ours, theirs = MLPRegressor(**options).fit(X, y), TheirRegressor(**options).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-7)


def test_targets_are_given_back_in_their_units() -> None:
    X, y = load_diabetes(return_X_y=True)
    options = {"hidden_layer_sizes": (16,), "max_iter": 60, "random_state": 0}
    X = StandardScaler().fit_transform(X)
    plain = MLPRegressor(**options).fit(X, y)
    large = MLPRegressor(**options).fit(X, 1000 * y + 1e6)
    np.testing.assert_allclose(large.predict(X), 1000 * plain.predict(X) + 1e6, rtol=1e-9)
    assert plain.score(X, y) > 0.4
    two = MLPRegressor(**options).fit(X, np.stack([y, -y], 1))
    assert two.predict(X).shape == (len(X), 2)


def test_pipelines_searches_clones_and_pickles() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = make_pipeline(
        StandardScaler(), MLPClassifier((8,), max_iter=30, learning_rate_init=0.02, random_state=0)
    )
    assert cross_val_score(model, X, names, cv=3).mean() > 0.85
    search = GridSearchCV(model, {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=2).fit(X, names)
    best = search.best_estimator_
    again = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(again.predict_proba(X), best.predict_proba(X))
    assert clone(best).get_params()["mlpclassifier__alpha"] in (1e-4, 1.0)
    single = X.astype(np.float32)
    fitted = MLPClassifier(max_iter=2).fit(single, names)
    assert fitted.coefs_[0].dtype == np.float32


def test_partial_fits_warm_starts_and_early_stopping() -> None:
    X, y = load_iris(return_X_y=True)
    parts = MLPClassifier((8,), random_state=0, learning_rate_init=0.05)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        parts.partial_fit(X, y)
    for _ in range(40):
        for c in range(3):
            parts.partial_fit(X[c::3], y[c::3], classes=[0, 1, 2])
    assert parts.score(X, y) > 0.9
    assert len(parts.loss_curve_) == parts.n_iter_ == 120
    with pytest.raises(ValueError, match="expected the classes of the first call"):
        parts.partial_fit(X, y, classes=[0, 1])
    pickle.loads(pickle.dumps(parts)).partial_fit(X, y)
    warm = MLPClassifier((8,), max_iter=5, warm_start=True, random_state=0)
    losses = [warm.fit(X, y).loss_ for _ in range(3)]
    assert losses == sorted(losses, reverse=True)
    stopped = MLPClassifier(
        (16,), early_stopping=True, max_iter=500, learning_rate_init=0.01, random_state=0
    ).fit(X, y)
    assert stopped.n_iter_ < 500
    assert stopped.best_validation_score_ == max(stopped.validation_scores_) > 0.9


def test_weights_of_rows_and_classes() -> None:
    X, y = load_iris(return_X_y=True)
    rare = np.flatnonzero((y < 2) | (np.arange(len(y)) % 10 == 0))
    X, y = X[rare], y[rare]
    options: dict[str, Any] = {"max_iter": 60, "random_state": 0, "learning_rate_init": 0.01}
    by_class = MLPClassifier(class_weight="balanced", **options).fit(X, y)
    share = len(y) / (3 * np.bincount(y))
    by_row = MLPClassifier(**options).fit(X, y, sample_weight=share[y])
    np.testing.assert_allclose(by_class.predict_proba(X), by_row.predict_proba(X))
    plain = MLPClassifier(**options).fit(X, y)
    assert by_class.predict_proba(X)[y == 2, 2].mean() > plain.predict_proba(X)[y == 2, 2].mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "sine"}, "activation: expected one of relu, tanh"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes: expected whole numbers"),
        ({"learning_rate_init": 0}, "learning_rate_init: expected a number above 0"),
        ({"batch_size": 0}, "batch_size: expected 'auto' or above 0"),
        ({"validation_fraction": 1}, "validation_fraction: expected a number between 0 and 1"),
    ],
)
def test_parameters_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**options).fit([[0.0], [1.0]], [0, 1])


def test_too_few_passes_are_warned_of() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="still improving after max_iter=3 passes"):
        MLPClassifier(max_iter=3).fit(X, y)


def test_a_loss_that_is_not_finite_is_said_to_be_so() -> None:
    X = np.array([[1.0], [-1.0]] * 10, np.float32)
    with pytest.raises(ValueError, match="scale the features, or lower learning_rate_init"):
        MLPClassifier(max_iter=5, learning_rate_init=1e38).fit(X, [0, 1] * 10)
