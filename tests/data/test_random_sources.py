"""What draws random numbers below a fit's objects is found."""

from __future__ import annotations

from typing import Any

import minigrad as mg
from minigrad.data.random_sources import LONGEST, MOST, reached, sources_of


class Held:
    """An object that holds others."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)


def test_what_is_near_is_found_whatever_lies_behind_the_rest() -> None:
    """A callback may refer to half the process; the loader's generator is found all the same."""
    wide = [[Held(at=i) for i in range(LONGEST)] for _ in range(2 * MOST // LONGEST)]
    loader = mg.data.DataLoader(mg.data.load_iris(), 16, shuffle=True)
    roots = {"callbacks": [Held(all=Held(of=wide))], "training loader": loader}
    assert "training loader.generator" in sources_of(roots)
    deep = Held(a=Held(b=mg.Generator()))
    assert list(sources_of({"callbacks": [deep]})) == ["callbacks.0.a.b"]


def test_what_computes_is_not_looked_through() -> None:
    """A program's functions and closures lead to a few objects, not to all kernels."""
    model = mg.nn.Sequential(mg.nn.Linear(4, 3), mg.nn.Dropout())

    @mg.capture
    def step(x: Any) -> Any:
        return model(x)

    callback = Held(step=step, call=lambda: step(mg.ones(2, 4)))
    for _ in range(4):
        callback.call()
    objects = list(reached({"callback": callback}))
    assert len(objects) < 200, len(objects)
