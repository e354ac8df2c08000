"""The 26 published ways in which a captured function betrays its user (tinygrad's
test/unit/test_jit_footguns.py), and 4 of right behaviour: each here is right.

docs/capture.md has them as a table, row by row, by the names of these tests.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from typing import Any

import numpy as np

import minigrad as mg
from tests.pages import text

LOG = logging.getLogger(__name__)
CALLS = 6  # one as ever, two recorded, then replays


def t(*numbers: float) -> mg.Tensor:
    return mg.tensor([float(n) for n in numbers])


def test_output_buffer_reuse() -> None:
    f = mg.capture(lambda x: x.sum())
    results = [f(t(i, i)) for i in range(CALLS)]
    assert [r.item() for r in results] == [2 * i for i in range(CALLS)]
    assert f.calls["replayed"] == CALLS - 3


def test_output_buffer_workaround() -> None:
    f = mg.capture(lambda x: x.sum())
    results = [f(t(i, i)).clone() for i in range(CALLS)]
    assert [r.item() for r in results] == [2 * i for i in range(CALLS)]


def test_graph_input_output_aliasing() -> None:
    step = mg.capture(lambda x: (x + 1) * 2)
    x = t(20)
    for _ in range(CALLS):
        x = step(x)
    assert x.item() == 2**CALLS * 22 - 2
    y = t(100)
    for _ in range(3):
        y = step(y)
    assert y.item() == 814 and step.calls["replayed"] == CALLS


def test_multiple_outputs_same_intermediate() -> None:
    @mg.capture
    def f(held: Any, frame: Any) -> Any:
        moved = mg.cat([held[1:], frame])
        return moved, moved[:1]

    held = t(0, 1, 2)
    for i in range(CALLS):
        expected = held[1].item()
        held, first = f(held, t(10 + i))
        assert first.item() == expected and held[0].item() == expected
    assert f.calls["replayed"] == CALLS - 3


def test_intra_kernel_output_input_aliasing() -> None:
    n = 1 << 10
    f = mg.capture(lambda held, new: mg.cat([held[n // 2 :], new]))
    held = mg.zeros(n)
    for i in range(CALLS):
        held = f(held, mg.full((n // 2,), float(i + 1)))
        assert held[: n // 2].tolist() == [float(i)] * (n // 2)
    assert f.calls["replayed"] == CALLS - 3


def test_slice_assign_without_realize() -> None:
    cache = mg.zeros(4, 4)

    @mg.capture
    def f(at: int) -> Any:
        cache[at : at + 1] = 1.0
        return cache.sum()

    for i in range(4):
        for _ in range(CALLS):
            cache.zero_()
            assert f(i).item() == 4.0


def test_symbolic_pad_view_frozen() -> None:
    a = mg.rand(3, 10)
    f = mg.capture(lambda x: mg.nn.functional.pad(x + 1, (0, 10 - x.shape[1])))
    for _ in range(3):
        for i in range(1, 5):
            assert int((f(a[:, :i].clone())[0] != 0).sum().item()) == i


def test_non_tensor_outputs() -> None:
    f = mg.capture(lambda x, factor: (x * 2, factor * 10))
    for _ in range(2):
        for i in range(3):
            y, number = f(t(i), i)
            assert (y.item(), number) == (2 * i, 10 * i)


def test_duplicate_inputs() -> None:
    f = mg.capture(lambda a, b: a + b)
    for i in range(CALLS):
        x = t(1, 2, i)
        assert f(x, x).tolist() == [2, 4, 2 * i]
    for i in range(CALLS):
        assert f(t(1), t(i)).tolist() == [1 + i]


def test_tensors_in_containers() -> None:
    f = mg.capture(lambda a, more: a + more[0] + more[1]["b"])
    for i in range(CALLS):
        assert f(t(1), [t(i), {"b": t(2)}]).tolist() == [3 + i]
    assert f.calls["replayed"] == CALLS - 3


def test_nested_captures() -> None:
    inner = mg.capture(lambda x: x + 1)
    outer = mg.capture(lambda x: inner(x) * 3)
    assert [outer(t(i)).item() for i in range(CALLS)] == [3 * (i + 1) for i in range(CALLS)]
    assert outer.calls["replayed"] == CALLS - 3


def test_implicit_inputs() -> None:
    x = t(0)
    f = mg.capture(lambda: x * 2)
    for i in range(CALLS):
        x.fill_(i)
        assert f().item() == 2 * i
    assert f.calls["replayed"] == CALLS - 3


def test_views_with_different_offsets() -> None:
    f = mg.capture(lambda a: a + 1)
    base = mg.rand(10, 10)
    for i in range(8):
        assert f(base[:, i : i + 2]).tolist() == (base[:, i : i + 2] + 1).tolist()
    assert f.calls["replayed"] == 5


def test_shape_change_after_capture() -> None:
    f = mg.capture(lambda a, b: a + b)
    for _ in range(CALLS):
        for n in (10, 20):
            assert f(mg.ones(n), mg.ones(n)).tolist() == [2.0] * n
    assert len(f.programs) == 2


def test_python_constants() -> None:
    mult = 1
    f = mg.capture(lambda x: x * mult)
    results = []
    for i in range(CALLS):
        mult = i + 1
        results.append(f(t(10)).item())
    assert results == [10 * (i + 1) for i in range(CALLS)]


def test_constants_as_inputs() -> None:
    f = mg.capture(lambda a, b: a * b)
    for i in range(CALLS):
        assert f(t(1, 2, 3), mg.tensor(float(i))).tolist() == [i, 2 * i, 3 * i]
    assert f.calls["replayed"] == CALLS - 3


def test_conditional_branches() -> None:
    f = mg.capture(lambda x, square: x * x if square else x * 2)
    for _ in range(CALLS):
        assert f(t(3), True).item() == 9
        assert f(t(3), False).item() == 6
    assert len(f.programs) == 2


def test_positional_and_keywords() -> None:
    @mg.capture
    def f(a: Any, b: Any) -> Any:
        return a - b

    for i in range(CALLS):
        assert f(t(i), t(2)).item() == i - 2
        assert f(b=t(4), a=t(i)).item() == i - 4
    assert len(f.programs) == 1


def test_method_shared_across_instances() -> None:
    class Model:
        def __init__(self, scale: float) -> None:
            self.scale = t(scale)

        @mg.capture
        def forward(self, x: Any) -> Any:
            return x * self.scale

    first, second = Model(2), Model(3)
    for _ in range(CALLS):
        assert first.forward(t(5)).item() == 10
        assert second.forward(t(5)).item() == 15
    first.scale = t(4)
    assert first.forward(t(5)).item() == 20


def test_side_effects() -> None:
    count = [0]
    seen = []

    @mg.capture
    def f(x: Any) -> Any:
        count[0] += 1
        return x * 2

    @mg.capture
    def g(x: Any) -> Any:
        seen.append(x * 2)
        return x

    for i in range(CALLS):
        assert f(t(i)).item() == 2 * i
        g(t(i))
    assert count[0] == CALLS and [x.item() for x in seen] == [2 * i for i in range(CALLS)]
    assert "changes what it refers to" in f.explain()


def test_nothing_launched() -> None:
    f = mg.capture(lambda a, b: None)
    for _ in range(CALLS):
        assert f(t(1), t(2)) is None
    assert "launches no kernel" in f.explain()


def test_item_in_a_shape() -> None:
    f = mg.capture(lambda x: mg.zeros(int(x.sum().item())))
    for n in range(CALLS):
        assert f(t(*[1] * n, 0)).shape == (n,)
    assert "item()" in f.explain() and "test_footguns.py" in f.explain()


def test_item_bakes_in_values() -> None:
    f = mg.capture(lambda x, mask: x.masked_select(mask))
    for k in range(CALLS):
        mask = mg.arange(4) < k % 5
        assert f(t(1, 2, 3, 4), mask).tolist() == [1, 2, 3, 4][: k % 5]
    assert f.calls["replayed"] == 0


def test_masked_select_of_static_size() -> None:
    f = mg.capture(lambda x, mask: mg.where(mask, x, -1.0))
    for k in range(CALLS):
        found = f(t(1, 2, 3, 4), mg.arange(4) < k % 5).tolist()
        assert found == [x if x <= k % 5 else -1 for x in (1, 2, 3, 4)]
    assert f.calls["replayed"] == CALLS - 3


def test_nonzero() -> None:
    f = mg.capture(lambda x: x.nonzero())
    for k in range(CALLS):
        assert f(t(*[0] * k, 1)).tolist() == [[k]]


def test_tolist_bakes_in_values() -> None:
    f = mg.capture(lambda x: mg.tensor(x.tolist()))
    for i in range(CALLS):
        assert f(t(1, i)).tolist() == [1, i]
    assert "tolist() reads a number" in f.explain()


# ---------------------------------------------------------------- what was right there too
def test_random_numbers_are_new() -> None:
    f = mg.capture(lambda x: x + mg.rand(3))
    _ = mg.manual_seed(3)
    found = [f(mg.zeros(3)).tolist() for _ in range(CALLS)]
    _ = mg.manual_seed(3)
    assert found == [mg.rand(3).tolist() for _ in range(CALLS)]
    assert f.calls["replayed"] == CALLS - 3


def test_results_need_nothing_to_be_real() -> None:
    f = mg.capture(lambda a, b: a + b)
    for _ in range(CALLS):
        a, b = mg.randn(10), mg.randn(10)
        assert np.array_equal(f(a, b).numpy(), a.numpy() + b.numpy())


def test_order_of_keywords() -> None:
    @mg.capture
    def f(first: Any, second: Any) -> Any:
        return first / second

    for i in range(CALLS):
        assert f(second=t(2), first=t(i)).item() == i / 2
        assert f(first=t(i), second=t(2)).item() == i / 2


def test_an_input_changed_in_place() -> None:
    def f(x: Any) -> Any:
        x += 1
        return x

    g = mg.capture(f)
    a = t(0)
    for _ in range(CALLS):
        assert g(a) is a
    assert a.item() == CALLS and a._version == CALLS and g.calls["replayed"] == CALLS - 3


def test_the_docs_have_a_row_for_each() -> None:
    page = text("docs/capture.md")
    names = [
        n for n in globals() if n.startswith("test_") and n != "test_the_docs_have_a_row_for_each"
    ]
    assert [n for n in names if f"`{n}`" not in page] == []


# ---------------------------------------------------------------- beyond tinygrad's
def test_random_numbers_of_others_are_noticed() -> None:
    generator = np.random.default_rng(0)
    for draw in (random.random, np.random.rand, generator.random):

        def step(x: Any, draw: Any = draw) -> Any:
            return x * 2 if draw() < 2 else x

        captured = mg.capture(step)
        for _ in range(CALLS):
            captured(mg.ones(3))
        assert not captured.calls["replayed"] and "was drawn from" in captured.explain()


def test_a_generator_that_is_not_asked_does_no_harm() -> None:
    generator = np.random.default_rng(0)

    def step(x: Any) -> Any:
        return x * 2 if x.ndim else generator.random()

    captured = mg.capture(step)
    for _ in range(CALLS):
        captured(mg.ones(3))
    assert captured.calls["replayed"]


def test_iterators_queues_and_logs_are_noticed() -> None:
    turns, seen = iter(range(100)), deque([0])

    def advancing(x: Any) -> Any:
        return x * 2 if next(turns) >= 0 else x

    def keeping(x: Any) -> Any:
        seen.append(1)
        return x * 2

    def telling(x: Any) -> Any:
        LOG.info("a step")
        return x * 2

    def timing(x: Any) -> Any:
        time.perf_counter()
        return x * 2

    said = {advancing: "an iterator", keeping: "changes what", telling: "logging", timing: "'time'"}
    for step, reason in said.items():
        captured = mg.capture(step)
        for _ in range(CALLS):
            captured(mg.ones(3))
        assert not captured.calls["replayed"] and reason in captured.explain()
    assert next(turns) == CALLS
