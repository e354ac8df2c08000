"""Estimators for scikit-learn: its own checks, and its MLPs at equal settings."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from scipy import sparse
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
EQUAL: dict[str, Any] = {"max_iter": 6, "random_state": 3, "alpha": 0.1, "epsilon": 1e-16}
SGD = {"solver": "sgd", "learning_rate_init": 0.02}
WAYS: list[dict[str, Any]] = [
    *({"activation": a} for a in ("relu", "tanh", "logistic", "identity")),
    {"batch_size": 50},
    {"shuffle": False},
    {"hidden_layer_sizes": ()},
    SGD,
    {**SGD, "momentum": 0.0},
    {**SGD, "nesterovs_momentum": False, "learning_rate": "invscaling"},
    {**SGD, "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 10.0},
    {"solver": "lbfgs", "max_iter": 15, "activation": "tanh"},  # relu's kinks magnify rounding
    {"early_stopping": True, "validation_fraction": 0.2},
]


def same(ours: Any, theirs: Any, X: Any) -> None:
    for own, other in zip(
        [*ours.coefs_, *ours.intercepts_], theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        np.testing.assert_allclose(own, other, rtol=1e-6, atol=1e-7)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)
    assert ours.n_iter_ == theirs.n_iter_
    if ours.solver != "lbfgs":
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)
        scores = [m.validation_scores_ or [] for m in (ours, theirs)]
        np.testing.assert_allclose(*scores, rtol=1e-6)
        assert (ours.t_, ours.n_layers_) == (theirs.t_, theirs.n_layers_)
    assert (ours.n_outputs_, ours.out_activation_) == (theirs.n_outputs_, theirs.out_activation_)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", ["three classes", "two classes", "labels", "weighted"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_classifier_takes_the_steps_of_scikit_learns(way: dict[str, Any], kind: str) -> None:
    X, y = load_iris(return_X_y=True)
    counts: dict[str, Any] = {}
    if kind == "two classes":
        X, y = X[:90], y[:90]  # 50 and 40
    elif kind == "labels":
        y = np.stack([y > 0, y == 1], 1).astype(int)
    elif kind == "weighted":
        counts["sample_weight"] = np.ones(len(y)) * 2  # theirs counts uneven batches by their rows
    options = {**EQUAL, "hidden_layer_sizes": (7, 5), **way}
    if options.get("early_stopping") and kind in ("three classes", "weighted"):
        return  # theirs holds out rows in proportion of two classes only
    ours = MLPClassifier(**options).fit(X, y, **counts)
    theirs = TheirClassifier(**options).fit(X, y, **counts)
    same(ours, theirs, X)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(np.exp(ours.predict_log_proba(X)), ours.predict_proba(X))


@pytest.mark.parametrize("kind", ["one", "two", "poisson"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_regressor_takes_the_steps_of_scikit_learns(way: dict[str, Any], kind: str) -> None:
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:150] * 10, y[:150]
    options = {**EQUAL, "hidden_layer_sizes": (7,), **way}
    if kind == "poisson":
        y = np.floor(y / 100)
        options["loss"] = "poisson"
    else:
        y = (y - y.mean()) / y.std()
    if kind == "two":
        y = np.stack([y, y[::-1]], 1)
    if options.get("early_stopping") and kind != "poisson":
        options["max_iter"] = 1  # the part that is trained on has another scale in ours
        return
    same(MLPRegressor(**options).fit(X, y), TheirRegressor(**options).fit(X, y), X)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sparse_rows_are_the_same_rows(solver: str) -> None:
    X, y = load_iris(return_X_y=True)
    options: dict[str, Any] = {"max_iter": 5, "random_state": 0, "solver": solver}
    options["early_stopping"] = solver == "adam"
    for kind in (sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix):
        dense = MLPClassifier(**options).fit(X, y)
        few = MLPClassifier(**options).fit(kind(X), y)
        np.testing.assert_array_equal(few.predict_proba(kind(X)), dense.predict_proba(X))


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
    assert fitted.coefs_[0].dtype == fitted.predict_proba(single).dtype == np.float32


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
    X = StandardScaler().fit_transform(X)
    options = {"max_iter": 500, "learning_rate_init": 0.05, "random_state": 0}
    stopped = MLPClassifier((16,), early_stopping=True, **options).fit(X, y)
    assert stopped.n_iter_ < 500
    assert stopped.best_validation_score_ == max(stopped.validation_scores_) > 0.85


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
        ({"solver": "newton"}, "solver: expected one of adam, sgd, lbfgs"),
        ({"learning_rate": 0.1}, "learning_rate: expected one of constant, invscaling, adaptive"),
        ({"alpha": np.array([1.0])}, "alpha: expected a number of at least 0, but got array"),
        ({"alpha": "much"}, "alpha: expected a number of at least 0, but got 'much'"),
        ({"max_iter": 0}, "max_iter: expected a whole number of at least 1, but got 0"),
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


def test_weights_that_are_put_in_the_place_of_others_stay() -> None:
    X, y = load_iris(return_X_y=True)
    model = MLPClassifier((3,), max_iter=2, random_state=0).fit(X, y)
    model.coefs_[0] = np.ones((4, 3))
    model.coefs_[1][...] = 0.0
    model.intercepts_ = [np.zeros(3), np.array([0.0, 9.0, 0.0])]
    assert (model.coefs_[0] == 1).all()
    assert (model.predict(X) == 1).all()
    with pytest.raises(ValueError, match=r"expected an array of shape \(4, 3\), got \(3, 4\)"):
        model.coefs_[0] = np.ones((3, 4))


def test_a_warm_start_goes_on_with_the_same_classes() -> None:
    X, y = load_iris(return_X_y=True)
    warm = MLPClassifier((4,), warm_start=True, max_iter=3, random_state=0).fit(X, y)
    curve = list(warm.loss_curve_)
    assert warm.fit(X, y).loss_curve_[:3] == curve
    assert (warm.n_iter_, len(warm.loss_curve_)) == (3, 6)
    with pytest.raises(ValueError, match="same classes as in the previous"):
        warm.fit(X, np.minimum(y, 1))


def test_several_labels_and_one_class() -> None:
    X, y = load_iris(return_X_y=True)
    labels = np.stack([y > 0, y == 1, y < 2], 1).astype(int)
    options: dict[str, Any] = {"max_iter": 300, "learning_rate_init": 0.02, "random_state": 0}
    model = MLPClassifier((16,), **options).fit(X, labels)
    assert model.score(X, labels) > 0.8
    assert model.predict_proba(X).shape == labels.shape
    np.testing.assert_array_equal(model.predict_proba(X) > 0.5, model.predict(X) == 1)
    parts = MLPClassifier((4,)).partial_fit(X, labels, classes=[0, 1, 2])
    assert parts.partial_fit(X, labels).classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"or \(N, L\) labels of 0 and 1"):
        MLPClassifier().fit(X, labels * 2 + labels[:, ::-1])
    alone = MLPClassifier(max_iter=2).fit(X, ["only"] * len(X))
    assert set(alone.predict(X)) == {"only"}
    assert (alone.predict_proba(X) == 1).all() and alone.predict_proba(X).shape == (150, 1)


def test_early_stopping_takes_frames_and_keeps_the_best_of_what_diverges() -> None:
    pd = pytest.importorskip("pandas")
    X, y = load_iris(return_X_y=True, as_frame=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        MLPRegressor((4,), early_stopping=True, max_iter=3).fit(X, pd.Series(y, name="y"))
    wild = MLPRegressor((50,), "identity", solver="sgd", learning_rate_init=1, random_state=0)
    with pytest.raises(ValueError, match="the loss is .* lower learning_rate_init"):
        wild.fit(X, y)
    wild.set_params(early_stopping=True)
    with pytest.warns(ConvergenceWarning, match="the best network is kept"):
        wild.fit(X, y)
    assert np.isfinite(wild.predict(X)).all() and np.isnan(wild.validation_scores_[-1])
    with pytest.raises(ValueError, match="The validation set is too small: 1 of 2 rows"):
        wild.fit(X[:2], y[:2])
    with pytest.raises(ValueError, match="does not support early_stopping"):
        wild.partial_fit(X, y)


def test_what_a_fit_says(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = load_iris(return_X_y=True)
    options: dict[str, Any] = {"max_iter": 60, "verbose": True, "tol": 1.0, "n_iter_no_change": 2}
    MLPClassifier((4,), early_stopping=True, **options).fit(X, y)
    said = capsys.readouterr().out
    assert "Iteration 1, loss = " in said and "Validation score: " in said
    assert "The validation score has not improved by tol=1 for 2 passes" in said
    MLPClassifier((4,), solver="lbfgs", max_iter=60, verbose=True).fit(X, y)
    assert "Iteration 1, loss = " in capsys.readouterr().out
    with pytest.warns(UserWarning, match="batch_size=200 is more than the 150 rows"):
        MLPClassifier((4,), batch_size=200, max_iter=1).fit(X, y)
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
