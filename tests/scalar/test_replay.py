"""A recorded expression gives on new numbers what building it anew gives."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.moons import MLP, data, loss_of
from minigrad import Value
from minigrad.scalar import Replay
from minigrad.scalar.tape import Current
from tests.scalar.expressions import EXPRESSIONS


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_replay_is_what_building_anew_gives(name: str) -> None:
    a, b = Value(-4.0), Value(2.0)
    f = Replay(EXPRESSIONS[name](a, b), [a, b])
    for at in ((-4.0, 2.0), (1.5, 0.25), (3.0, -2.0)):
        x, y = Value(at[0]), Value(at[1])
        z = EXPRESSIONS[name](x, y)
        z.backward()
        assert f(at) == pytest.approx(z.data, rel=1e-13)
        np.testing.assert_allclose(f.gradient(), [x.grad, y.grad], rtol=1e-13)


def test_training_by_replay_is_training_anew() -> None:
    points, labels = data(10)
    losses = []
    for by_replay in (False, True):
        model = MLP(Value, [2, 4, 1])
        parameters = model.parameters()
        program = Replay(loss_of(Value, model, points, labels), parameters)
        history = []
        for _ in range(5):
            for p in parameters:
                p.grad = 0
            if by_replay:
                history.append(program())
                program.backward()
            else:
                loss = loss_of(Value, model, points, labels)
                loss.backward()
                history.append(loss.data)
            for p in parameters:
                p.data -= 0.5 * p.grad
        losses.append(history)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-12)
    assert losses[0][-1] < losses[0][0]


def test_only_what_is_needed_is_kept() -> None:
    x = Value(2.0)
    h = x * x
    for _ in range(100):
        h.exp()
    assert len(Replay(h + 1, [x])) == 4


def test_segments_are_joined() -> None:
    x, y = Value(2.0), Value(3.0)
    h = x * y
    Current.renew()
    k = h + x
    Current.renew()
    f = Replay(k * h, [x, y])
    assert f([5.0, 7.0]) == (35.0 + 5.0) * 35.0
    np.testing.assert_allclose(f.gradient(), [(7 + 1) * 35 + 40 * 7, 5 * 35 + 40 * 5])


def test_several_outputs_and_their_weighted_gradient() -> None:
    x, y = Value(2.0), Value(3.0)
    f = Replay([x * y, x + y], [x, y])
    assert f([4.0, 5.0]).tolist() == [20.0, 9.0]
    assert f.gradient([1.0, 10.0]).tolist() == [15.0, 14.0]
    with pytest.raises(ValueError, match="there are 2 outputs; pass a weight for each"):
        f.gradient()
    with pytest.raises(ValueError, match="expected 2 weights"):
        f.gradient([1.0])


def test_an_input_changed_between_uses_is_one_input() -> None:
    x = Value(2.0)
    first = x * 10
    x.data = 3.0
    f = Replay(first + x * x, [x])
    assert f([1.0]) == 11.0
    assert f.gradient().tolist() == [12.0]


def test_a_changed_intermediate_keeps_its_number() -> None:
    x = Value(2.0)
    h = x * 3
    h.data = 100.0
    f = Replay(h + x, [x])
    assert f([1.0]) == 101.0


def test_what_cannot_be_replayed_is_refused() -> None:
    x, y = Value(2.0), Value(3.0)
    h = x * 2
    with pytest.raises(ValueError, match="expected outputs that were computed"):
        Replay(x, [x])
    with pytest.raises(ValueError, match="input 0, Value.*, was computed"):
        Replay(h + 1, [h])
    with pytest.raises(ValueError, match="input 1, Value.*, is not needed by any output"):
        Replay(h, [x, y])
    with pytest.raises(ValueError, match=r"expected 1 numbers, one an input, got .* shape \(2,\)"):
        Replay(h, [x])([1.0, 2.0])
