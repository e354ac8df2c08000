"""Sequences of unequal lengths: padded, listed, or packed step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.ops.index import index_select
from minigrad.ops.shape import cat, transpose
from minigrad.tensors.tensor import Tensor, new


class PackedSequence(NamedTuple):
    """Sequences cut into steps: the first elements of all, longest first, then the second ones.

    data: (all elements, ...).  batch_sizes: int64 (steps,), how many sequences have each step.
    sorted_indices: where each sequence was in the batch; None: they came longest first.
    unsorted_indices: the way back.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Convert the data, or move it to a device; see `Tensor.to`."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def float(self) -> PackedSequence:
        """Convert the data to float32."""
        return self._replace(data=self.data.float())

    def double(self) -> PackedSequence:
        """Convert the data to float64."""
        return self._replace(data=self.data.double())

    def cpu(self) -> PackedSequence:
        """Move the data to the CPU."""
        return self._replace(data=self.data.cpu())

    @property
    def is_cuda(self) -> bool:
        """Whether the data lie on an NVIDIA GPU."""
        return bool(self.data.is_cuda)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the permutation that undoes another.

    >>> import minigrad as mg
    >>> invert_permutation(mg.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    return None if permutation is None else new(np.argsort(permutation.numpy(), kind="stable"))


def lengths_of(name: str, lengths: Any, batch: int) -> Any:
    """Return lengths as int64 (B,), all at least 1."""
    found = np.asarray(lengths.numpy() if isinstance(lengths, Tensor) else lengths)
    if found.shape != (batch,) or (found.size and found.dtype.kind not in "iu"):
        raise RuntimeError(
            f"{name}: expected one whole length for each of {batch} sequences, got shape"
            f" {found.shape} of {found.dtype}"
        )
    if found.size and found.min() < 1:
        raise RuntimeError(f"{name}: expected lengths of at least 1, got {found.min()}")
    return found.astype(np.int64)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack sequences that were padded to one length, without their padding.

    Shape: input: (T, B, ...), or (B, T, ...) with `batch_first`; lengths: (B,).
    enforce_sorted: the sequences come longest first; False sorts them, and remembers their places.
    Raises: RuntimeError for lengths that do not fit.

    >>> import minigrad as mg
    >>> x = mg.tensor([[1.0, 2.0], [3.0, 0.0]])
    >>> pack_padded_sequence(x, [2, 1], batch_first=True).data
    tensor([1., 3., 2.])
    """
    name = "pack_padded_sequence"
    if input.ndim < 2:
        raise RuntimeError(f"{name}: expected steps and sequences, got shape {input.shape}")
    if not batch_first:
        input = transpose(input, 0, 1)
    kept = lengths_of(name, lengths, input.shape[0])
    if not kept.size:
        raise RuntimeError(f"{name}: expected at least one sequence, got shape {input.shape}")
    if kept.max() > input.shape[1]:
        raise RuntimeError(
            f"{name}: a length of {kept.max()} is more than the {input.shape[1]} steps that are"
            " there"
        )
    order = None
    if enforce_sorted:
        if (np.diff(kept) > 0).any():
            raise RuntimeError(
                f"{name}: expected the longest sequence first, got lengths {kept.tolist()}; pass"
                " enforce_sorted=False to have them sorted"
            )
    else:
        order = np.argsort(-kept, kind="stable")
        kept = kept[order]
    sizes = (kept[None, :] > np.arange(kept[0])[:, None]).sum(1)
    sequence = np.arange(len(kept)) if order is None else order
    steps, columns = np.nonzero(kept[None, :] > np.arange(kept[0])[:, None])
    flat = new(sequence[columns] * input.shape[1] + steps)
    rows = input.reshape(input.shape[0] * input.shape[1], *input.shape[2:])
    data = index_select(rows, 0, flat.to(input.device))
    places = None if order is None else new(order)
    return PackedSequence(data, new(sizes), places, invert_permutation(places))


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return packed sequences padded to one length, and their lengths; in the order of the batch.

    total_length: pad to so many steps, at least those of the longest.
    Shape: (T, B, ...), or (B, T, ...) with `batch_first`; lengths: int64 (B,).

    >>> import minigrad as mg
    >>> packed = pack_sequence([mg.tensor([1.0, 2.0]), mg.tensor([3.0])])
    >>> pad_packed_sequence(packed, batch_first=True)
    (tensor([[1., 2.],
            [3., 0.]]), tensor([2, 1]))
    """
    data, batch_sizes = sequence.data, sequence.batch_sizes.numpy()
    steps, batch = len(batch_sizes), int(batch_sizes[0])
    if total_length is not None and total_length < steps:
        raise ValueError(
            f"pad_packed_sequence: expected total_length to be at least the {steps} steps of the"
            f" longest sequence, got {total_length}"
        )
    lengths = (batch_sizes[:, None] > np.arange(batch)[None, :]).sum(0)
    places = np.full((steps if total_length is None else total_length, batch), len(data.array))
    places[:steps][np.arange(batch)[None, :] < batch_sizes[:, None]] = np.arange(len(data.array))
    back = sequence.unsorted_indices
    if back is not None:
        places, lengths = places[:, back.numpy()], lengths[back.numpy()]
    if batch_first:
        places = places.T
    rows = filled_up(data, 1, padding_value, "right")
    index = new(np.ascontiguousarray(places).reshape(-1)).to(data.device)
    padded = index_select(rows, 0, index)
    return padded.reshape(*places.shape, *data.shape[1:]), new(lengths.astype(np.int64))


def pad_sequence(
    sequences: Iterable[Tensor] | Tensor,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences of unequal lengths, padded to the longest.

    Shape: each (L, ...) -> (T, B, ...), or (B, T, ...) with `batch_first`.

    >>> import minigrad as mg
    >>> pad_sequence([mg.tensor([1, 2]), mg.tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    if padding_side not in ("right", "left"):
        raise ValueError(f"pad_sequence: padding_side must be 'right' or 'left': {padding_side!r}")
    listed = list(sequences)
    if not listed:
        raise RuntimeError("pad_sequence: expected at least one sequence, got none")
    longest = max(s.shape[0] for s in listed)
    padded = [filled_up(s, longest - s.shape[0], padding_value, padding_side) for s in listed]
    stacked = cat([s.unsqueeze(0) for s in padded], 0)
    return stacked if batch_first else transpose(stacked, 0, 1)


def filled_up(s: Tensor, missing: int, value: float, side: str) -> Tensor:
    """Return a sequence with `missing` rows of a value at one of its ends."""
    if not missing:
        return s
    rows = new(np.full((missing, *s.shape[1:]), value, s.array.dtype)).to(s.device)
    return cat([s, rows] if side == "right" else [rows, s], 0)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Return the sequences of a padded batch, each without its padding.

    >>> import minigrad as mg
    >>> unpad_sequence(mg.tensor([[1, 2], [3, 0]]), mg.tensor([2, 1]), batch_first=True)
    [tensor([1, 2]), tensor([3])]
    """
    rows = padded_sequences if batch_first else transpose(padded_sequences, 0, 1)
    kept = lengths_of("unpad_sequence", lengths, rows.shape[0])
    return [rows[i, : int(n)] for i, n in enumerate(kept)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences of unequal lengths; see `pack_padded_sequence`.

    >>> import minigrad as mg
    >>> pack_sequence([mg.tensor([1.0, 2.0]), mg.tensor([3.0])]).batch_sizes
    tensor([2, 1])
    """
    lengths = [s.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Return the sequences that were packed, in the order of the batch.

    >>> import minigrad as mg
    >>> unpack_sequence(pack_sequence([mg.tensor([1.0, 2.0]), mg.tensor([3.0])]))
    [tensor([1., 2.]), tensor([3.])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
