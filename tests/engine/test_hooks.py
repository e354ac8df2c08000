"""Hooks, `retain_grad`, `.grad` and `requires_grad`: in what order, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


def gradient(t: mg.Tensor) -> Any:
    assert t.grad is not None
    return t.grad.tolist()


PLACES: dict[str, Callable[[mg.Tensor], mg.Tensor]] = {
    "leaf": lambda x: x,
    "result": lambda x: x * 1,
    "view": lambda x: x[:2],
    "one of several": lambda x: x.split(2)[0],
}
SWEEPS: dict[str, Callable[[mg.Tensor, mg.Tensor], Any]] = {
    "backward": lambda loss, x: loss.backward(retain_graph=True),
    "backward recorded": lambda loss, x: loss.backward(create_graph=True),
    "backward into": lambda loss, x: loss.backward(retain_graph=True, inputs=[x]),
    "grad": lambda loss, x: mg.grad(loss, x, retain_graph=True),
    "grad recorded": lambda loss, x: mg.grad(loss, x, create_graph=True),
}
both = pytest.mark.parametrize("place", PLACES)
every = pytest.mark.parametrize("sweep", SWEEPS.values(), ids=SWEEPS)


def swept(place: str, sweep: Any, *hooks: Any) -> Any:
    """Return the gradients that hooks at a place in the middle leave, there and at the leaf."""
    x = leaf(1.0, 2.0)
    t = PLACES[place](x)
    handles = [t.register_hook(hook) for hook in hooks]
    loss = (t * 3 + t * t).sum()
    found = sweep(loss, x)
    return (gradient(x) if found is None else found[0].tolist()), handles, (loss, x, t)


@both
@every
def test_hooks_run_in_order_each_on_what_the_one_before_left(place: str, sweep: Any) -> None:
    seen: list[Any] = []

    def first(g: mg.Tensor) -> mg.Tensor:
        seen.append(("first", g.tolist()))
        return g * 10

    def second(g: mg.Tensor) -> None:
        seen.append(("second", g.tolist()))

    got, _, _ = swept(place, sweep, first, second, first)
    assert seen == [("first", [5.0, 7.0]), ("second", [50.0, 70.0]), ("first", [50.0, 70.0])]
    assert got == [500.0, 700.0]


@both
@every
def test_removal_takes_away_the_hook_that_was_meant(place: str, sweep: Any) -> None:
    calls: list[str] = []
    one = lambda g: calls.append("one")  # noqa: E731
    two = lambda g: calls.append("two")  # noqa: E731
    _, handles, (loss, x, _) = swept(place, sweep, one, two, one)
    assert calls == ["one", "two", "one"]
    handles[2].remove()
    handles[2].remove()
    sweep(loss, x)
    assert calls[3:] == ["one", "two"]
    handles[0].remove()
    sweep(loss, x)
    assert calls[5:] == ["two"]


@both
@every
def test_hooks_removed_or_added_while_they_run(place: str, sweep: Any) -> None:
    calls: list[str] = []
    x = leaf(1.0, 2.0)
    t = PLACES[place](x)

    def changing(g: mg.Tensor) -> None:
        calls.append("changing")
        handle.remove()
        other.remove()
        t.register_hook(lambda g: calls.append("new"))

    handle = t.register_hook(changing)
    other = t.register_hook(lambda g: calls.append("other"))
    loss = (t * 3).sum()
    sweep(loss, x)
    assert calls == ["changing", "other"]  # what was there when the gradient came, as PyTorch
    sweep(loss, x)
    assert calls[2:] == ["new"]


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "shape": (lambda g: g[:1], RuntimeError, r"of shape \(2,\).*it has shape \(1,\)"),
    "as many": (lambda g: g.reshape(2, 1), RuntimeError, r"it has shape \(2, 1\)"),
    "sum": (lambda g: g.sum(), RuntimeError, r"it has shape \(\)"),
    "dtype": (lambda g: g.float(), RuntimeError, "dtype float64.*dtype float32"),
    "integers": (lambda g: g.long(), RuntimeError, "dtype int64"),
    "number": (lambda g: 3.0, TypeError, "expected a tensor or None, got float"),
    "array": (lambda g: g.numpy(), TypeError, "expected a tensor or None, got ndarray"),
    "bool": (lambda g: True, TypeError, "expected a tensor or None, got bool"),
}


@both
@every
@pytest.mark.parametrize("bad", BAD)
def test_what_a_hook_returns_is_checked(place: str, sweep: Any, bad: str) -> None:
    hook, error, message = BAD[bad]
    if bad == "array":
        hook = lambda g: np.ones(2)  # noqa: E731
    with pytest.raises(error, match=message):
        swept(place, sweep, hook)


@every
def test_a_hook_that_raises_leaves_the_mode_as_it_was(sweep: Any) -> None:
    def failing(g: mg.Tensor) -> None:
        raise KeyError("from the hook")

    for place in PLACES:
        with pytest.raises(KeyError, match="from the hook"):
            swept(place, sweep, failing)
        assert mg.is_grad_enabled()


def test_hooks_on_what_is_asked_for_and_passed_on_the_way() -> None:
    x = leaf(1.0)
    y = x * 2
    z = y * 3
    z.register_hook(lambda g: g * 2)
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    got = mg.grad((z + y).sum(), [x, y, z])
    # PyTorch gives y as it was before its hook here, though not where y alone is asked for.
    assert [g.tolist() for g in got if g is not None] == [[141.0], [70.0], [2.0]]


def test_hooks_under_create_graph_are_differentiated() -> None:
    x = leaf(2.0)
    y = x * x
    y.register_hook(lambda g: g * x)
    (g,) = mg.grad((y * 3).sum(), x, create_graph=True)  # 3x * 2x
    assert g is not None
    assert mg.grad(g.sum(), x)[0].tolist() == [24.0]  # type: ignore[union-attr]


def test_what_a_hook_saw_or_gave_is_not_added_to() -> None:
    x, y, z = leaf(1.0, 2.0), leaf(1.0, 2.0), leaf(1.0, 2.0)
    seen: list[mg.Tensor] = []
    mine = mg.tensor([7.0, 7.0], dtype=mg.float64)
    x.register_hook(seen.append)
    y.register_hook(lambda g: mine)
    for _ in range(3):
        before = z + 0
        before.register_hook(seen.append)
        (x * 3 + y + before * 3).sum().backward()
    assert [g.tolist() for g in seen] == [[3.0, 3.0]] * 6
    assert (mine.tolist(), gradient(y), gradient(z)) == ([7.0] * 2, [21.0] * 2, [9.0] * 2)


def test_no_gradient_no_hook() -> None:
    calls: list[Any] = []
    a, b = leaf(1.0, 2.0).split(1)
    a.register_hook(calls.append)
    a.retain_grad()
    b.sum().backward()
    assert (calls, a.grad) == ([], None)  # PyTorch calls the hook with None


# ---------------------------------------------------------------- retain_grad
@both
@every
def test_retain_grad_stores_once_and_last(place: str, sweep: Any) -> None:
    x = leaf(1.0, 2.0)
    t = PLACES[place](x)
    t.retain_grad()
    t.retain_grad()
    t.register_hook(lambda g: g * 10)
    loss = (t * 3).sum()
    sweep(loss, x)
    returned = sweep in (SWEEPS["grad"], SWEEPS["grad recorded"])
    if place == "leaf":
        assert (t.grad is None) == returned and not t.retains_grad
    else:
        assert t.retains_grad and gradient(t) == [30.0, 30.0]
        sweep(loss, x)
        assert gradient(t) == [60.0, 60.0]


def test_retain_grad_needs_a_gradient() -> None:
    with pytest.raises(RuntimeError, match="retain_grad: the tensor does not require grad"):
        mg.ones(2).retain_grad()


def test_backward_into_results_goes_on_keeping_them() -> None:
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    (y * 3).sum().backward(inputs=y, retain_graph=True)
    assert (gradient(y), x.grad, y.retains_grad) == ([30.0], None, True)
    (y * 3).sum().backward(inputs=[x, y])
    assert (gradient(y), gradient(x)) == ([60.0], [60.0])
    with pytest.raises(ValueError, match="backward: inputs is empty"):
        leaf(1.0).sum().backward(inputs=[])
    with pytest.raises(RuntimeError, match=r"backward: input 1, shape \(2,\), does not require"):
        (x * 2).sum().backward(inputs=[x, mg.ones(2)])


# ---------------------------------------------------------------- .grad and requires_grad
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (mg.ones(3), RuntimeError, r"of shape \(2,\), dtype float32, on cpu; got shape \(3,\)"),
        (mg.ones(1), RuntimeError, r"got shape \(1,\)"),
        (mg.ones(1, 2), RuntimeError, r"got shape \(1, 2\)"),
        (mg.ones(2, dtype=mg.float64), RuntimeError, "got shape .*dtype float64"),
        (mg.ones(2, dtype=mg.int64), RuntimeError, "dtype int64"),
        (1.0, TypeError, "grad: expected a tensor or None, got float"),
        (np.ones(2, np.float32), TypeError, "expected a tensor or None, got ndarray"),
    ],
)
def test_an_assigned_gradient_is_checked(value: Any, error: Any, message: str) -> None:
    x = mg.ones(2, requires_grad=True)
    x.grad = held = mg.ones(2)
    with pytest.raises(error, match=message):
        x.grad = value
    assert x.grad is held


def test_gradients_that_may_be_assigned() -> None:
    x = mg.ones(2, requires_grad=True)
    x.grad = mg.ones(2)
    (x * 3).sum().backward()
    assert gradient(x) == [4.0, 4.0]
    x.grad = None
    assert x.grad is None
    x.grad = mg.ones(2)
    del x.grad
    assert x.grad is None
    with pytest.raises(RuntimeError, match="cannot be its own gradient"):
        x.grad = x
    plain = mg.arange(2)
    plain.grad = mg.arange(2)
    assert plain.grad is not None


def test_a_gradient_on_another_device_is_refused() -> None:
    pytest.importorskip("greenlet")
    x = mg.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="on cpu; got shape .* on cuda-sim"):
        x.grad = mg.ones(2, device="cuda-sim")
    x.register_hook(lambda g: g.to("cuda-sim"))
    with pytest.raises(RuntimeError, match="on cpu; it has .* on cuda-sim"):
        x.sum().backward()


def test_requires_grad_assigned_is_checked_as_the_method_does() -> None:
    x = mg.ones(2)
    x.requires_grad = True
    assert (x * 2).requires_grad
    x.requires_grad = False
    assert not (x * 2).requires_grad
    y = mg.ones(2, requires_grad=True) * 2
    for change in (lambda: y.requires_grad_(False), lambda: setattr(y, "requires_grad", False)):
        with pytest.raises(RuntimeError, match="on a computed tensor; use .detach"):
            change()
    assert y.requires_grad and y.requires_grad_().grad_fn is not None
    n = mg.arange(2)
    with pytest.raises(TypeError, match="only floating tensors have gradients, got int64"):
        n.requires_grad = True


# ---------------------------------------------------------------- parts that were freed, aliases
def test_grad_over_a_freed_part_raises_instead_of_leaving_it_out() -> None:
    x, q = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * x
    (y * 2).sum().backward()
    asks: list[Callable[[], Any]] = [
        lambda: mg.grad((y * 3).sum() + x.sum(), x),
        lambda: ((y * 3).sum() + x.sum()).backward(inputs=[x]),
        lambda: mg.grad((y * 3).sum() + x.sum(), x, allow_unused=True),
    ]
    for ask in asks:
        with pytest.raises(RuntimeError, match=r"Mul a second time.*retain_graph=True"):
            ask()
    z = q * q
    (g,) = mg.grad((y * z).sum(), z)  # y is older than what is asked for
    assert g is not None and g.tolist() == [1.0, 4.0]


def test_an_output_saved_for_the_second_order_knows_of_writes() -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    (g,) = mg.grad(y.sum(), x, create_graph=True)
    assert g is not None
    y.mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        g.sum().backward()


CHAINS: dict[str, Callable[[mg.Tensor], mg.Tensor]] = {
    "view of a detached one": lambda y: y.detach()[1:],
    "detached view": lambda y: y[1:].detach(),
    "detached twice": lambda y: y.detach().detach(),
    "view of a view": lambda y: y.reshape(2, 1)[1:],
    "parameter": lambda y: mg.nn.Parameter(y.detach(), requires_grad=False),
    "view under no_grad": lambda y: mg.no_grad()(lambda: y[1:])(),
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_a_saved_output_knows_of_writes_through_any_alias(chain: Any) -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    alias = chain(y)
    with mg.no_grad():
        alias.mul_(2)
    with pytest.raises(RuntimeError, match="Exp needs its output.*changed in place"):
        y.sum().backward()


def test_a_refused_write_changes_nothing() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    with mg.no_grad():
        v, p = y[:1], x[:1]
    for t in (v, p, x, x[:1]):
        for write in (lambda t: t.mul_(3), lambda t: t.__setitem__(0, 5.0), lambda t: t.fill_(1)):
            with pytest.raises(RuntimeError, match="changed in place"):
                write(t)
    assert (y.tolist(), x.tolist(), y._version, x._version) == ([2.0, 4.0], [1.0, 2.0], 0, 0)
    with mg.no_grad():
        v.mul_(3)  # both inside: a constant
    y.sum().backward()
    assert (y.tolist(), gradient(x)) == ([6.0, 4.0], [2.0, 2.0])


def test_a_view_made_under_no_grad_is_refused_after_its_base_changed() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    with mg.no_grad():
        v = y[:1]
    y.mul_(3)
    for ask in (lambda loss: loss.backward(), lambda loss: mg.grad(loss, x)):
        with pytest.raises(RuntimeError, match=r"a view made under no_grad\(\) was used after"):
            ask((v * 2).sum() + x.sum())
    y.sum().backward()
    assert gradient(x) == [6.0, 6.0]


def test_writes_through_views_of_a_base_that_is_not_contiguous() -> None:
    w = leaf(2.0)
    base = mg.Tensor(np.arange(12.0).reshape(3, 4).T[::2])
    first, row = base[:, 1], base[1]
    first.mul_(w)
    (row * row).sum().backward()
    assert row.tolist() == [2.0, 12.0, 10.0]
    assert gradient(w) == [2 * 12 * 6.0]


def test_views_left_behind_by_other_memory() -> None:
    w = leaf(2.0)
    for swapped in ("base", "view"):
        base = mg.tensor([1.0, 2.0, 3.0, 4.0], dtype=mg.float64)
        view = base[1:3]
        (base if swapped == "base" else view).data = mg.tensor([5.0, 6.0], dtype=mg.float64)
        view.mul_(w)
        assert not base.requires_grad
        w.grad = None
        view.sum().backward()
        assert gradient(w) == ([5.0] if swapped == "base" else [11.0])
