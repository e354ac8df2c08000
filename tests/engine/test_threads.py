"""Several threads: no gradient is lost, no random number drawn twice, nothing crashes."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import minigrad as mg
from minigrad.engine.allocator import Pool
from minigrad.engine.random import Generator


@pytest.fixture(autouse=True)
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run functions in threads that start together; return their results, or raise what one did."""
    results: list[Any] = [None] * len(works)
    errors: list[BaseException] = []
    gate = threading.Barrier(len(works))

    def run(k: int) -> None:
        gate.wait()
        try:
            results[k] = works[k]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


@pytest.mark.parametrize("size", [7, 19_999, 60_000])
@pytest.mark.parametrize("create_graph", [False, True])
def test_no_gradient_of_a_shared_leaf_is_lost(size: int, create_graph: bool) -> None:
    w = mg.zeros(size, requires_grad=True)
    for first in (None, mg.zeros(size)):
        w.grad = first

        def work() -> None:
            for _ in range(6):
                (w * 1.0).sum().backward(create_graph=create_graph)

        at_once(*[work] * 4)
        assert w.grad is not None
        assert bool((w.grad == 24).all())


def test_no_gradient_kept_by_retain_grad_is_lost() -> None:
    w = mg.ones(30_000, requires_grad=True)
    y = w * 2
    y.retain_grad()
    losses = [(y * 1.0).sum() for _ in range(4)]
    at_once(*[lambda loss=loss: loss.backward(retain_graph=True) for loss in losses])
    assert bool((y.grad == 4).all())
    assert bool((w.grad == 8).all())


def test_hooks_run_outside_the_lock() -> None:
    """A hook may wait for another thread that goes backward."""
    w, other = mg.ones(3, requires_grad=True), mg.ones(3, requires_grad=True)

    def hook(g: mg.Tensor) -> None:
        thread = threading.Thread(target=lambda: (other * 2).sum().backward())
        thread.start()
        thread.join(20)
        assert not thread.is_alive()

    w.register_hook(hook)
    (w * 3).sum().backward()
    assert other.grad is not None
    assert other.grad.tolist() == [2.0, 2.0, 2.0]


def test_grad_in_threads_over_one_graph_is_right() -> None:
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    y = (w * w * w).sum()

    def work() -> bool:
        return all(
            mg.grad(y, w, retain_graph=True)[0].tolist() == [3.0, 12.0]  # type: ignore[union-attr]
            for _ in range(50)
        )

    assert at_once(*[work] * 4) == [True] * 4


def test_a_graph_that_another_thread_frees_gives_the_gradient_or_an_error() -> None:
    for _ in range(20):
        w = mg.ones(50, requires_grad=True)
        y = w
        for _ in range(30):
            y = (y * 1.0).exp().log()
        loss = y.sum()

        def work(loss: mg.Tensor = loss, w: mg.Tensor = w) -> Any:
            try:
                return mg.grad(loss, w)[0]
            except RuntimeError as error:
                assert "a second time" in str(error) or "was not used" in str(error)
                return None

        for found in at_once(*[work] * 3):
            assert found is None or bool(((found - 1).abs() < 1e-4).all())


def test_an_optimizer_steps_while_others_compute_and_clear() -> None:
    w = mg.zeros(30_000, requires_grad=True)
    optimizer = mg.optim.Adam([w], lr=1e-3)

    def forward() -> None:
        for _ in range(25):
            with mg.no_grad():
                (w * 2).sum().item()

    def train() -> None:
        for _ in range(25):
            (w * w + w).sum().backward()
            optimizer.step()

    def clear() -> None:
        for _ in range(200):
            optimizer.zero_grad()

    at_once(forward, train, clear)
    assert bool(w.isfinite().all())


def test_threads_that_draw_from_one_stream_never_draw_the_same() -> None:
    generator = Generator(7)

    def work() -> list[int]:
        return [int(generator.next_call()[0]) for _ in range(2_000)]

    drawn = [number for numbers in at_once(*[work] * 4) for number in numbers]
    assert sorted(drawn) == list(range(8_000))


def test_streams_come_and_go_while_the_seed_is_set() -> None:
    seed = mg.initial_seed()

    def make() -> None:
        for _ in range(1_500):
            Generator(stream=1)

    def reset() -> None:
        for _ in range(150):
            mg.manual_seed(3)

    at_once(make, reset, make, reset)
    mg.manual_seed(seed)


def test_the_pool_adds_up_after_threads_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool()
    real = pool.allocate

    def sometimes(size: int) -> Any:
        if size > 3 << 20:
            raise MemoryError("none left")
        return real(size)

    monkeypatch.setattr(pool, "allocate", sometimes)

    def work() -> None:
        for k in range(60):
            try:
                pool.take((1 + k % 4) << 20, "uint8")[0] = 1
            except MemoryError:
                assert k % 4 == 3

    at_once(*[work] * 4)
    gc.collect()
    pool.clear()
    assert (pool.used, pool.held) == (0, 0)


def test_more_memory_than_there_are_addresses_is_a_memory_error() -> None:
    pool = Pool()
    with pytest.raises(MemoryError, match="cannot allocate"):
        pool.take(1 << 66, "uint8")
    assert pool.used == 0
