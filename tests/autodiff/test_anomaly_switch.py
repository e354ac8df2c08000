"""autograd.set_detect_anomaly switches on and off, by `with` and as a statement."""

from __future__ import annotations

import minigrad as mg
from minigrad.engine.grad_mode import mode


def test_with_ends_what_it_began() -> None:
    before = mode.anomaly, mode.tape
    with mg.autograd.set_detect_anomaly(True):
        assert mode.anomaly is not None
        with mg.autograd.set_detect_anomaly(False):
            assert mode.anomaly is None
        assert mode.anomaly is not None
    assert (mode.anomaly, mode.tape) == before


def test_a_statement_stays_until_the_next() -> None:
    before = mode.anomaly, mode.tape
    mg.autograd.set_detect_anomaly(True)
    assert mode.anomaly is not None
    mg.autograd.set_detect_anomaly(True)
    mg.autograd.set_detect_anomaly(False)
    assert (mode.anomaly, mode.tape) == before
