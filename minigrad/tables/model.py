"""TableModel: a network with all that a prediction takes, in one file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.engine.dispatch import write_whole
from minigrad.engine.grad_mode import no_grad
from minigrad.lazy import lazy
from minigrad.tables.frame import Frame
from minigrad.tables.network import Shape
from minigrad.tables.preparation import TablePreprocessor
from minigrad.tables.scores import amount_scores, class_scores, softmax
from minigrad.tables.strong import StrongShape, shape_from
from minigrad.tables.targets import Amount, Classes
from minigrad.tensors.tensor import Tensor
from minigrad.train.modes import modes_kept

safetensors = lazy("safetensors")
safetensors_numpy = lazy("safetensors.numpy")
installed = lazy("importlib.metadata")
onnx_tables = lazy("minigrad.tables.onnx_tables")
Array = np.ndarray[Any, Any]
KEY = "minigrad.table"  # the one key of the metadata: of several, safetensors draws the order
FORMAT = 1
ROWS = 4096  # that go through the network at once


class TableModel:
    """A trained network with its preprocessing and the names of columns and classes.

    preprocessor: what turns rows into inputs.  shape: what the network was built from.
    about: what else is known of it: versions, seed, scores.

    >>> import minigrad as mg
    >>> table = {"size": [1.0, 2.0, 3.0, 4.0] * 10, "kind": ["small", "small", "big", "big"] * 10}
    >>> built = mg.recipe.from_table(table, target="kind", hidden=(8,), seed=1)
    >>> _ = built.fit(epochs=60, batch_size=8)
    >>> built.table_model.predict({"size": [0.5, 5.0]}).tolist()
    ['small', 'big']
    """

    def __init__(
        self,
        network: nn.Module,
        shape: Shape | StrongShape,
        preprocessor: TablePreprocessor,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        if preprocessor.target is None:
            raise ValueError("TableModel: the preprocessor knows of no target")
        self.network = network
        self.shape = shape
        self.preprocessor = preprocessor
        self.target: Classes | Amount = preprocessor.target
        self.about = dict(about or {})

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the classes in the order of the probabilities' columns; none of a regression."""
        return self.target.labels if isinstance(self.target, Classes) else ()

    @property
    def columns(self) -> list[str]:
        """Return the columns that it uses."""
        return self.preprocessor.columns

    def outputs(self, data: Any) -> Array:
        """Return what the network gives for the rows of a table: (N, n_out) float32."""
        x = self.preprocessor.transform(data)
        device = next(self.network.parameters()).device
        with modes_kept(self.network), no_grad():
            self.network.eval()
            parts = [
                self.network(Tensor(x[i : i + ROWS]).to(device)).cpu().numpy()
                for i in range(0, len(x), ROWS)
            ]
        return np.concatenate(parts)

    def predict(self, data: Any) -> Array:
        """Return the class of each row, or its amount.

        data: what `mg.recipe.from_table` takes: a path, a DataFrame, a dict of columns, a list of
            dicts; lists or arrays of numbers, whose columns are those of the training table in
            their order, without the target; or one such row.
        Shape: N rows -> `(N,)`: words, whole numbers where all classes are such, or float64.

        Raises: ValueError for a table that lacks a column, or has cells of another kind.
        """
        return self._decoded(self.outputs(data))

    def _decoded(self, outputs: Array) -> Array:
        if isinstance(self.target, Classes):
            return self.target.decode(outputs.argmax(1))
        return self.target.decode(outputs[:, 0])

    def predict_proba(self, data: Any) -> Array:
        """Return the probability of each class (`class_names`), (N, C) float64.

        Raises: ValueError for a model of amounts.
        """
        if not isinstance(self.target, Classes):
            raise ValueError("predict_proba: this model predicts amounts, which have none")
        return softmax(self.outputs(data))

    def predict_both(self, data: Any) -> tuple[Array, Array | None]:
        """Return predictions and probabilities, None for those of amounts."""
        outputs = self.outputs(data)
        classes = isinstance(self.target, Classes)
        return self._decoded(outputs), softmax(outputs) if classes else None

    def evaluate(self, data: Any) -> dict[str, float]:
        """Return the scores over a table that has the target too; rows without it are left out.

        Raises: ValueError where no row has a target that the model knows.
        """
        frame = self.preprocessor.aligned(data)
        y = self.target.read(frame)
        there = np.flatnonzero(y >= 0 if isinstance(self.target, Classes) else ~np.isnan(y))
        if not len(there):
            raise ValueError(f"{frame.source}: no row has a target that the model knows")
        return self.score(frame.take(there), y[there])

    def score(self, frame: Frame, y: Array) -> dict[str, float]:
        """Return the scores of rows whose targets are known."""
        outputs = self.outputs(frame)
        if isinstance(self.target, Classes):
            return class_scores(softmax(outputs), y)
        return amount_scores(self.target.decode(outputs[:, 0]), y)

    # ------------------------------------------------------------ files
    def save(self, path: str | PathLike[str]) -> Path:
        """Write everything to one safetensors file; return its path.

        The tensors have the names of the network's `state_dict`; all else is JSON in the metadata,
        with a checksum over both.  `mg.load_model` reads it, and never a damaged one.
        """
        arrays = {
            name: np.array(tensor.detach().cpu().numpy(), order="C")
            for name, tensor in self.network.state_dict().items()
        }
        known = {
            "format": FORMAT,
            "network": self.shape.state(),
            "preprocessing": self.preprocessor.state_dict(),
            "about": self.about,
            "versions": {"minigrad": _version(), "numpy": np.__version__},
        }
        text = json.dumps(known, sort_keys=True, allow_nan=False)
        metadata = {KEY: f"{_digest(arrays, text)} {text}"}
        path = Path(path)
        write_whole(path, safetensors_numpy.save(arrays, metadata))
        return path

    def to_onnx(self, path: str | PathLike[str]) -> Path:
        """Write network and preprocessing to an ONNX file (extra `onnx`); return its path.

        Each column is an input of its name, (N, 1): numbers and dates (in seconds since 1970) as
        float64, NaN where they are missing; categories as text, "" there.  Outputs: `prediction`
        (N,), and of classes `probabilities` (N, C).

        Raises: ModuleNotFoundError without the package `onnx`.
        """
        return onnx_tables.write(self, Path(path))

    def __repr__(self) -> str:
        what = f"{len(self.class_names)} classes" if self.class_names else "amounts"
        return (
            f"TableModel({self.target.name!r}: {what}, from {len(self.columns)} columns, "
            f"network {self.shape})"
        )


def load_model(path: str | PathLike[str]) -> TableModel:
    """Read a model that `minigrad train` or `TableModel.save` wrote.

    Raises: FileNotFoundError; ValueError for a damaged file, or another kind of file.

    >>> load_model("nothing.safetensors")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'nothing.safetensors'
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        arrays = safetensors_numpy.load(data)
        size = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + size]).get("__metadata__") or {}
    except (safetensors.SafetensorError, KeyError, ValueError, OverflowError, MemoryError) as error:
        raise ValueError(
            f"load_model: {path} is damaged or no safetensors file ({len(data):,} bytes): {error}"
        ) from error
    digest, _, text = str(metadata.get(KEY, "")).partition(" ")
    if not digest:
        raise ValueError(
            f"load_model: {path} holds weights alone, without the columns of a table; expected a "
            "file of `minigrad train` (mg.load reads weights)"
        )
    if digest != _digest(arrays, text):
        raise ValueError(
            f"load_model: {path} is damaged: its contents do not match their checksum; get it again"
        )
    try:
        known = json.loads(text)
        if known["format"] != FORMAT:
            raise ValueError(
                f"it has format {known['format']}, newer than this minigrad's {FORMAT}"
            )
        shape = shape_from(known["network"])
        preprocessor = TablePreprocessor.from_state(known["preprocessing"])
        network = shape.build()
        network.load_state_dict({name: Tensor(array) for name, array in arrays.items()})
        network.eval()
        return TableModel(network, shape, preprocessor, known["about"])
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"load_model: {path} cannot be read: {error}") from error


def _digest(arrays: Mapping[str, Array], text: str) -> str:
    """Return a hash of names, dtypes, shapes, values and text."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}|{array.dtype}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _version() -> str:
    """Return the version of the installed package."""
    try:
        return str(installed.version("minigrad"))
    except installed.PackageNotFoundError:  # run from a source tree that is not installed
        return "not installed"


def finite(scores: Mapping[str, float]) -> dict[str, float]:
    """Return scores without those that are NaN, which JSON cannot hold."""
    return {name: value for name, value in scores.items() if math.isfinite(value)}
