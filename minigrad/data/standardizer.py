"""Features of mean 0 and deviation 1, by the statistics of the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from minigrad.data.dataset import Array, as_array
from minigrad.tensors.tensor import Tensor

Values = TypeVar("Values", Tensor, Array)


class Standardizer:
    """Scale every feature to mean 0 and standard deviation 1 over the rows it was fitted on.

    y = (x - mean) / scale; scale = std (biased, as NumPy's), and 1 where a feature is constant.

    Shape: `x: (N, ...) -> y: (N, ...)`, statistics over the first axis, in float64.

    A constant feature becomes 0 and stays harmless; scaled by 1/(std+1e-6) instead, an unseen row
    that differs would be worth a million there, which costs ten points of accuracy on the digits.
    Fit on the training rows alone, else the test score knows of the test rows.

    Raises: ValueError for no rows, NaN or infinity in the data, or another number of features.

    Source: scikit-learn's `StandardScaler`.

    >>> x = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> Standardizer().fit_transform(x).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self) -> None:
        self.mean: Array | None = None
        self.scale: Array | None = None

    def fit(self, x: Tensor | Array) -> Standardizer:
        """Take mean and deviation from the rows of `x`; return the standardizer itself."""
        rows = as_array(x)
        if rows.ndim < 2 or len(rows) == 0:
            raise ValueError(
                "Standardizer.fit: expected rows of features, shape (N, ...) with N >= 1, but got "
                f"shape {rows.shape}"
            )
        values = rows.astype(np.float64)
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, *feature = (int(i) for i in bad[0])
            raise ValueError(
                f"Standardizer.fit: {len(bad)} values are not finite, the first is "
                f"{values[tuple(bad[0])]} in row {row}, feature {', '.join(map(str, feature))}; "
                "fill or drop them first"
            )
        self.mean = values.mean(axis=0)
        constant = values.max(axis=0) == values.min(axis=0)
        self.mean[constant] = values[0][constant]  # exact: a mean of equal numbers may round
        deviation = values.std(axis=0)
        self.scale = np.where(constant | (deviation == 0.0), 1.0, deviation)
        return self

    def transform(self, x: Values) -> Values:
        """Return `x` scaled: Tensor for Tensor, array for array; integers become float32."""
        mean, scale = self._fitted(x)
        return _wrap((as_array(x) - mean) / scale, x)

    def fit_transform(self, x: Values) -> Values:
        """Fit on `x` and return it scaled."""
        return self.fit(x).transform(x)

    def inverse_transform(self, x: Values) -> Values:
        """Return scaled rows in their original units."""
        mean, scale = self._fitted(x)
        return _wrap(as_array(x) * scale + mean, x)

    def state_dict(self) -> dict[str, Array]:
        """Return the statistics, to be saved with the model that was trained on scaled rows."""
        if self.mean is None or self.scale is None:
            return {}
        return {"mean": self.mean.copy(), "scale": self.scale.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the statistics of a saved standardizer."""
        if set(state) not in ({"mean", "scale"}, set()):
            raise ValueError(
                "Standardizer.load_state_dict: expected the keys ['mean', 'scale'], but got "
                f"{sorted(state)}"
            )
        self.mean = np.array(state["mean"], np.float64) if state else None
        self.scale = np.array(state["scale"], np.float64) if state else None

    def _fitted(self, x: Tensor | Array) -> tuple[Array, Array]:
        if self.mean is None or self.scale is None:
            raise ValueError("Standardizer: call fit with the training rows first")
        if tuple(x.shape[1:]) != self.mean.shape:
            raise ValueError(
                f"Standardizer: fitted on features of shape {self.mean.shape}, but got rows of "
                f"shape {tuple(x.shape[1:])}"
            )
        return self.mean, self.scale

    def __repr__(self) -> str:
        if self.mean is None:
            return "Standardizer(not fitted)"
        return f"Standardizer({self.mean.size} features)"


def _wrap(values: Array, like: Values) -> Values:
    """Return float64 results in the type and dtype that came in."""
    dtype = as_array(like).dtype
    result = values.astype(dtype if dtype.kind == "f" else np.float32)
    if isinstance(like, Tensor):
        return Tensor(result)
    return result
