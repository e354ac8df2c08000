"""Every optimizer of the package with every kernel of its own, from what its class and the kernels'
rows say: held to the rows' NumPy references, saved and loaded, and on the simulated GPU.

Nothing here names an optimizer, so a new one is tested as soon as its two files exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import OPTIMIZERS, Optimizer
from minigrad.optim.optimizer import PAIRS, options_of
from minigrad_kernels.jit.address_table import build_table
from minigrad_kernels.optim.multi_tensor import Step
from tests.kernels.samples.steps import STEPS

Array = np.ndarray[Any, Any]
SHAPES = ((3, 4), (5,), ())
CASES = [
    (name, kernel, number)
    for name, kind in OPTIMIZERS.items()
    for kernel in kind.steps
    for number in range(len(STEPS[kernel].cases))
]


def initial(dtype: Any) -> list[Array]:
    return [
        np.cos(1.0 + i + np.arange(np.prod(s))).reshape(s).astype(dtype)
        for i, s in enumerate(SHAPES)
    ]


def gradients(step: int, dtype: Any) -> list[Array]:
    return [
        np.sin(0.7 * step + 1.9 * i + 1.3 * np.arange(np.prod(s))).reshape(s).astype(dtype)
        for i, s in enumerate(SHAPES)
    ]


def options(kind: type[Optimizer], kernel: str, number: int) -> dict[str, Any]:
    """Return the options that lead to a kernel with the numbers of one of its cases."""
    row = STEPS[kernel]
    values = dict(zip(row.numbers, row.hyper()[number].tolist(), strict=True))
    names = [name for name in options_of(kind) if name not in kind.other_options]
    group = {
        name: tuple(values[part] for part in PAIRS[name]) if name in PAIRS else values[name]
        for name in names
    }
    defaults = kind([mg.zeros(1)], lr=0.1).defaults  # type: ignore[call-arg]
    other = {name: defaults[name] for name in kind.other_options}
    tried = [other, *({**other, name: True} for name, value in other.items() if value is False)]
    maker = kind([mg.zeros(1)], lr=0.1)  # type: ignore[call-arg]
    for choice in tried:
        if maker.rule({**group, **choice}) == kernel:
            return {**group, **choice}
    raise AssertionError(f"no option of {kind.__name__} leads to {kernel} with {group}")


def make(kind: type[Optimizer], params: list[mg.Tensor], group: dict[str, Any]) -> Optimizer:
    optimizer = kind([{"params": [(f"p{i}", p) for i, p in enumerate(params)]}])  # type: ignore[call-arg]
    optimizer.param_groups[0].update(group)
    return optimizer


def give(params: list[mg.Tensor], step: int, dtype: Any) -> None:
    for p, g in zip(params, gradients(step, dtype), strict=True):
        p.grad = mg.tensor(g, device=p.device)


def reference(row: Step, number: int, dtype: Any, steps: int) -> list[Array]:
    """Return the parameters as the NumPy reference steps them."""
    params = initial(dtype)
    state = [
        [np.zeros(p.shape, dtype) for _ in row.states]
        + [np.array([x]) for x in row.scalars.values()]
        for p in params
    ]
    counts = np.zeros(len(params), np.int64)
    for step in range(steps):
        grads = gradients(step, dtype)
        table = build_table([(p, g, *s) for p, g, s in zip(params, grads, state, strict=True)])
        row.reference(table, row.hyper()[[number]], np.empty(0, dtype), counts)
    return params


def stepped(
    optimizer: Optimizer, params: list[mg.Tensor], dtype: Any, steps: Iterator[int] | range
) -> None:
    for step in steps:
        give(params, step, dtype)
        optimizer.step()


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_an_optimizer_equals_its_kernels_reference(case: tuple[str, str, int]) -> None:
    name, kernel, number = case
    params = [mg.Tensor(x, requires_grad=True) for x in initial(np.float64)]
    optimizer = make(OPTIMIZERS[name], params, options(OPTIMIZERS[name], kernel, number))
    stepped(optimizer, params, np.float64, range(6))
    for p, want in zip(params, reference(STEPS[kernel], number, np.float64, 6), strict=True):
        np.testing.assert_allclose(p.array, want, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_a_loaded_optimizer_goes_on(case: tuple[str, str, int]) -> None:
    name, kernel, number = case
    kind = OPTIMIZERS[name]
    group = options(kind, kernel, number)
    params = [mg.Tensor(x, requires_grad=True) for x in initial(np.float32)]
    optimizer = make(kind, params, group)
    stepped(optimizer, params, np.float32, range(3))
    others = [mg.Tensor(p.array.copy(), requires_grad=True) for p in params]
    loaded = make(kind, others, {})
    loaded.load_state_dict(optimizer.state_dict())
    stepped(optimizer, params, np.float32, range(3, 6))
    stepped(loaded, others, np.float32, range(3, 6))
    for p, q in zip(params, others, strict=True):
        np.testing.assert_array_equal(p.array, q.array)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_an_optimizer_on_the_simulated_gpu(case: tuple[str, str, int]) -> None:
    pytest.importorskip("greenlet")
    name, kernel, number = case
    params = [mg.tensor(x, device="cuda-sim", requires_grad=True) for x in initial(np.float32)]
    optimizer = make(OPTIMIZERS[name], params, options(OPTIMIZERS[name], kernel, number))
    stepped(optimizer, params, np.float32, range(2))
    for p, want in zip(params, reference(STEPS[kernel], number, np.float32, 2), strict=True):
        np.testing.assert_allclose(p.cpu().array, want, rtol=2e-4, atol=2e-6)


# ---------------------------------------------------------------- options and numbers
def test_an_option_that_no_kernel_reads_is_refused_with_the_class() -> None:
    with pytest.raises(TypeError, match=r"Warm: .* no option \[\], not read \['warmup'\]"):

        class Warm(mg.optim.Adagrad):
            steps = ("adagrad_step",)

            def __init__(self, params: Any, warmup: int = 3) -> None:
                super().__init__(params)


def test_a_number_that_is_no_option_is_refused_with_the_class() -> None:
    with pytest.raises(TypeError, match=r"Short: .* reads: no option \['eps', 'lr_decay'"):

        class Short(Optimizer):
            steps = ("adagrad_step",)

            def __init__(self, params: Any, lr: float = 0.1) -> None:
                super().__init__(params, {"lr": lr})


def test_kernels_of_other_numbers_are_refused_with_the_class() -> None:
    with pytest.raises(TypeError, match="Both: its options do not fit the numbers"):

        class Both(mg.optim.Adam):
            steps = ("adam_step", "radam_step", "sgd_step")


def test_an_optimizer_without_a_kernel_says_so() -> None:
    class Bare(Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {})

    with pytest.raises(NotImplementedError, match="Bare names no kernel in `steps`"):
        Bare([mg.zeros(1)]).step()


def test_the_order_of_the_options_does_not_matter() -> None:
    class Turned(Optimizer):
        steps = ("sgd_step",)

        def __init__(
            self,
            params: Any,
            maximize: bool = False,
            nesterov: bool = False,
            weight_decay: float = 0.0,
            dampening: float = 0.0,
            momentum: float = 0.0,
            lr: float = 0.5,
        ) -> None:
            given = {"maximize": maximize, "nesterov": nesterov, "weight_decay": weight_decay}
            super().__init__(
                params, {**given, "dampening": dampening, "momentum": momentum, "lr": lr}
            )

    p = mg.tensor([1.0], requires_grad=True)
    p.grad = mg.tensor([1.0])
    Turned([p]).step()
    assert p.item() == 0.5


@pytest.mark.parametrize("betas", [[0.5, 0.5], np.array([0.5, 0.5])], ids=["list", "array"])
def test_betas_edited_in_place_are_seen(betas: Any) -> None:
    found = []
    for edit in (False, True):
        p = mg.tensor([1.0], dtype=mg.float64, requires_grad=True)
        optimizer = mg.optim.Adam([p], lr=0.1)
        optimizer.param_groups[0]["betas"] = betas.copy()
        for g in (1.0, 2.0):
            p.grad = mg.tensor([g], dtype=mg.float64)
            optimizer.step()
            if edit:
                optimizer.param_groups[0]["betas"][0] = 0.25
        found.append(p.item())
    assert found[0] != found[1]
