"""Packed sequences, and layers over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn.utils.rnn import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)

LENGTHS = ([4, 2, 1], [1, 4, 2], [3, 3, 3])


def padded(lengths: list[int]) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(0).standard_normal((max(lengths), len(lengths), 3)))


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_packing_goes_round(lengths: list[int], batch_first: bool) -> None:
    x = padded(lengths)
    given = x.transpose(0, 1) if batch_first else x
    packed = pack_padded_sequence(given, mg.tensor(lengths), batch_first, enforce_sorted=False)
    assert packed.data.shape == (sum(lengths), 3)
    back, found = pad_packed_sequence(packed, batch_first, -1.0, total_length=5)
    assert found.tolist() == lengths
    rows = back if batch_first else back.transpose(0, 1)
    assert rows.shape == (3, 5, 3)
    for i, n in enumerate(lengths):
        np.testing.assert_array_equal(rows[i, :n].numpy(), x[:n, i].numpy())
        assert (rows[i, n:].numpy() == -1).all()


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_packed_sequences_are_run_as_each_alone(kind: str, lengths: list[int]) -> None:
    layer: Any = getattr(nn, kind)(3, 4, 2, bidirectional=True).double()
    x = padded(lengths).requires_grad_()
    y, state = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
    assert isinstance(y, PackedSequence)
    out, _ = pad_packed_sequence(y)
    (together,) = mg.grad(out.sum(), x)
    for i, n in enumerate(lengths):
        alone = x.detach()[:n, i].requires_grad_()
        want, final = layer(alone)
        np.testing.assert_allclose(out[:n, i].detach().numpy(), want.detach().numpy(), 1e-12)
        (dx,) = mg.grad(want.sum(), alone)
        np.testing.assert_allclose(together[:n, i].numpy(), dx.numpy(), 1e-10, 1e-14)
        for s, f in zip(_states(state), _states(final), strict=True):
            np.testing.assert_allclose(s[:, i].detach().numpy(), f.detach().numpy(), 1e-12)


def _states(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def test_lists_of_sequences() -> None:
    rows = [mg.tensor([1.0]), mg.tensor([2.0, 3.0, 4.0])]
    assert pad_sequence(rows).tolist() == [[1, 2], [0, 3], [0, 4]]
    assert pad_sequence(rows, True, 9.0, "left").tolist() == [[9, 9, 1], [2, 3, 4]]
    packed = pack_sequence(rows, enforce_sorted=False)
    assert packed.data.tolist() == [2, 1, 3, 4]
    assert packed.batch_sizes.tolist() == [2, 1, 1]
    assert [t.tolist() for t in unpack_sequence(packed)] == [[1], [2, 3, 4]]
    back = unpad_sequence(pad_sequence(rows), mg.tensor([1, 3]))
    assert [t.tolist() for t in back] == [[1], [2, 3, 4]]
    assert invert_permutation(packed.sorted_indices).tolist() == packed.unsorted_indices.tolist()


def test_dropout_is_between_the_layers_in_training_alone() -> None:
    layer = nn.LSTM(3, 4, 2, dropout=0.5)
    x = mg.ones(5, 2, 3)
    assert not np.array_equal(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    layer.eval()
    assert np.array_equal(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    one = nn.LSTM(3, 4, dropout=0.5)
    assert np.array_equal(one(x)[0].detach().numpy(), one(x)[0].detach().numpy())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nn.LSTM(3, 0), "hidden_size as a whole number >= 1"),
        (lambda: nn.LSTM(3, 4, proj_size=4), "proj_size below hidden_size"),
        (lambda: nn.RNNBase("GRU", 3, 4, proj_size=2), "proj_size is LSTM's alone"),
        (lambda: nn.RNNBase("MGU", 3, 4), "expected a mode of RNN_TANH"),
        (lambda: nn.RNN(3, 4, nonlinearity="gelu"), "must be 'tanh' or 'relu'"),
        (lambda: nn.GRU(3, 4, dropout=1.5), r"dropout in \[0, 1\]"),
        (lambda: nn.GRU(3, 4)(mg.ones(5, 2, 4)), "inputs of input_size 3, got shape"),
        (lambda: nn.GRU(3, 4)(mg.ones(0, 2, 3)), "at least one step"),
        (lambda: nn.GRU(3, 4)(mg.ones(3)), "2 or 3 dimensions"),
        (lambda: nn.GRU(3, 4)(mg.ones(5, 2, 3), mg.ones(2, 4)), r"h of shape \(1, 2, 4\)"),
        (lambda: nn.LSTM(3, 4)(mg.ones(5, 3), (mg.ones(1, 4),) * 3), "the state"),
        (lambda: nn.GRUCell(3, 4)(mg.ones(2, 4)), "an input of shape"),
        (lambda: nn.GRUCell(3, 4)(mg.ones(2, 3), mg.ones(1, 4)), r"h of shape \(2, 4\)"),
        (lambda: pack_padded_sequence(mg.ones(4, 2), [1, 2]), "enforce_sorted=False"),
        (lambda: pack_padded_sequence(mg.ones(4, 2), [5, 2]), "more than the 4 steps"),
        (lambda: pack_padded_sequence(mg.ones(4, 2), [2, 0]), "lengths of at least 1"),
        (lambda: pack_padded_sequence(mg.ones(4, 2), [2]), "one whole length"),
        (lambda: pad_packed_sequence(pack_sequence([mg.ones(3)]), total_length=2), "at least"),
        (lambda: pad_sequence([]), "at least one sequence"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, text: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=text):
        call()
