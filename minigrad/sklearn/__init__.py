"""Estimators with scikit-learn's interface: `MLPClassifier` and `MLPRegressor` in one line.

They take the parameters of scikit-learn's estimators of these names, with the same defaults, and
pass its `check_estimator`: pipelines, grid searches, clones, pickles and sparse rows work.

>>> from minigrad.sklearn import MLPClassifier
>>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 5, ["a", "a", "b", "b"] * 5
>>> model = MLPClassifier((16,), learning_rate_init=0.05, tol=0.01, random_state=0)
>>> model.fit(X, y).predict([[0.1, 0.5], [0.9, 0.5]]).tolist()
['a', 'b']
"""

try:
    from minigrad.sklearn.estimators import MLPClassifier as MLPClassifier
    from minigrad.sklearn.estimators import MLPRegressor as MLPRegressor
except ImportError as error:
    raise ModuleNotFoundError(
        f"minigrad.sklearn needs scikit-learn 1.6 or newer: pip install 'minigrad[data]' ({error})"
    ) from error
