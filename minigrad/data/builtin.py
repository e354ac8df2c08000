"""The data sets inside the package: nothing to download, sources and licences beside the files."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

import numpy as np

from minigrad.data.tabular import TabularData


def _load(name: str) -> TabularData:
    """Return a data set that the package holds."""
    folder = resources.files("minigrad.data") / "embedded"
    with (folder / f"{name}.npz").open("rb") as file, np.load(file) as arrays:
        return TabularData(
            name=name,
            x=arrays["x"].astype(np.float32),
            y=arrays["y"].astype(np.int64),
            feature_names=tuple(arrays["feature_names"].tolist()),
            target_names=tuple(arrays["target_names"].tolist()),
            description=(folder / f"{name}.txt").read_text(encoding="utf-8"),
        )


def load_digits() -> TabularData:
    """Load 1797 handwritten digits of 8x8 pixels (0..16), 10 classes.

    Source: E. Alpaydin, C. Kaynak (1998), UCI Machine Learning Repository, CC BY 4.0.

    >>> load_digits().x.shape
    (1797, 64)
    """
    return _load("digits")


def load_breast_cancer() -> TabularData:
    """Load 569 breast masses, 30 features of their cell nuclei; malignant 0, benign 1.

    Source: W. Wolberg et al. (1993), UCI Machine Learning Repository, CC BY 4.0.

    >>> load_breast_cancer().target_names
    ('malignant', 'benign')
    """
    return _load("breast_cancer")


def load_iris() -> TabularData:
    """Load 150 iris plants, 4 measures of their flowers, 3 species.

    Source: R. A. Fisher (1936), UCI Machine Learning Repository, CC BY 4.0.

    >>> load_iris()
    <iris: 150 rows, 4 features, 3 classes (setosa 50, versicolor 50, virginica 50)>
    """
    return _load("iris")


def load_wine() -> TabularData:
    """Load chemical analyses of 178 wines, 13 features, 3 cultivars.

    Source: S. Aeberhard, M. Forina (1992), UCI Machine Learning Repository, CC BY 4.0.

    >>> load_wine().n_features
    13
    """
    return _load("wine")


DATASETS: dict[str, Callable[[], TabularData]] = {
    "digits": load_digits,
    "breast_cancer": load_breast_cancer,
    "iris": load_iris,
    "wine": load_wine,
}
