"""gradcheck and gradgradcheck: what passes, what fails, and what the report says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.checking.problem import private
from minigrad.engine import random
from minigrad.engine.op import Op
from minigrad.ops.arithmetic import Mul
from minigrad.ops.dropout import dropped


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


class WrongMul(Mul):
    """y = a * b, with one element of the first gradient half as large again."""

    def backward(self, g: Any) -> tuple[Any, ...]:
        da, db = super().backward(g)
        factor = np.ones(da.shape)
        factor.reshape(-1)[4] = 1.5
        return da * mg.Tensor(factor), db


class WrongOrder(Mul):
    """y = a * b, whose gradient is right but not a function of b on the tape."""

    def backward(self, g: Any) -> tuple[Any, ...]:
        return g * self.saved(1).detach(), g * self.saved(0)


class WrongComposite(Op):
    """y = a * a, whose composite says a * a * 1.01."""

    def forward(self, a: Any) -> Any:
        return a * a

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * (2 * self.saved(0)),)

    @staticmethod
    def composite(a: Any) -> Any:
        return a * a * 1.01


def test_a_wrong_rule_is_reported_with_its_element() -> None:
    x = mg.Tensor(np.arange(1.0, 7.0).reshape(2, 3), requires_grad=True)
    y = mg.Tensor(np.array([2.0, 3.0, 4.0]), requires_grad=True)
    with pytest.raises(mg.GradcheckError) as caught:
        mg.gradcheck(lambda s, x, y: (x + y, WrongMul.apply(x, y)), ("spare", x, y))
    found = caught.value.mismatch
    assert found is not None
    assert (found.output, found.output_index) == (1, (1, 1))
    assert (found.input, found.input_index) == (1, (1, 1))
    assert (found.analytic, found.kink) == (4.5, False)
    assert found.numeric == pytest.approx(3.0)
    assert (found.wrong, found.total) == (1, 36)
    assert re.search(
        r"gradcheck: d\(output 1\)/d\(input 1\) is wrong in 1 of 36 elements\n"
        r"  worst: output 1 at \[1, 1\] by input 1 at \[1, 1\]: analytic 4.5,"
        r" numeric (3|[23]\.\d+),"
        r" allowed difference 0.003.*\n.*both sides agree",
        str(caught.value),
    )
    assert isinstance(caught.value, AssertionError)


@pytest.mark.parametrize("check", [mg.gradcheck, mg.gradgradcheck])
def test_failure_can_be_returned(check: Any) -> None:
    op = WrongMul if check is mg.gradcheck else WrongOrder
    inputs = (leaf(1, 2, 3, 4, 5), leaf(2, 3, 4, 5, 6))
    assert check(op.apply, inputs, raise_exception=False) is False
    assert check(Mul.apply, inputs, raise_exception=False) is True


def test_a_wrong_second_derivative_is_reported() -> None:
    x, y = leaf(1, 2), leaf(3, 5)
    assert mg.gradcheck(WrongOrder.apply, (x, y))
    with pytest.raises(mg.GradcheckError, match=r"gradgradcheck: d\(output 0\)/d\(input 1\)") as e:
        mg.gradgradcheck(WrongOrder.apply, (x, y))
    assert e.value.mismatch is not None
    assert e.value.mismatch.output_index == e.value.mismatch.input_index
    assert "inputs from 2 on are grad_outputs" in str(e.value)


def test_a_composite_that_differs_is_reported() -> None:
    assert mg.gradcheck(WrongComposite.apply, leaf(1, 2))
    expected = r"create_graph=True the gradient of input 0 at \[\d\] is .* a composite"
    with pytest.raises(mg.GradcheckError, match=expected):
        mg.gradgradcheck(WrongComposite.apply, leaf(1, 2))


class TwiceAtZero(Op):
    """y = |a|, whose rule says 2 at 0"""

    def forward(self, a: Any) -> Any:
        return np.abs(a)

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        return (g * mg.where(a == 0, 2.0, mg.where(a > 0, 1.0, -1.0)),)


@pytest.mark.parametrize("fn", [mg.relu, mg.abs, lambda x: x.clamp(0), lambda x: x.amax()])
def test_a_subgradient_at_a_kink_is_no_fault(fn: Any) -> None:
    assert mg.gradcheck(fn, leaf(0.7, 0.0, 0.7))


def test_a_kink_is_named() -> None:
    with pytest.raises(mg.GradcheckError, match="kink or a step.* no subgradient") as caught:
        mg.gradcheck(TwiceAtZero.apply, leaf(0.7, 0.0))
    assert caught.value.mismatch.input_index == (1,)
    assert caught.value.mismatch.kink


def test_a_step_is_named() -> None:
    with pytest.raises(mg.GradcheckError, match="the point sits on a kink or a step"):
        mg.gradcheck(lambda x: mg.floor(x) + x, leaf(0.7, 2.0))


def test_a_point_outside_the_domain_is_named() -> None:
    with pytest.raises(mg.GradcheckError, match="outside the function's domain"):
        mg.gradcheck(mg.log, leaf(0.7, -2.0))
    with pytest.raises(mg.GradcheckError, match="at the end of the function's domain"):
        mg.gradcheck(mg.sqrt, leaf(0.7, 0.0))


@pytest.mark.parametrize(
    ("fn", "at"),
    [
        (lambda x: x * x, 1e8),
        (mg.log, 1e-9),
        (mg.relu, 3e-7),
        (lambda x: x**1.5, 0.0),
    ],
)
def test_a_right_rule_is_not_refused_where_differences_are_hard(fn: Any, at: float) -> None:
    assert mg.gradcheck(fn, leaf(1.0, at))


def test_curvature_is_no_kink() -> None:
    class Wrong(Op):
        """y = e^(20 a), a rule of zero"""

        def forward(self, a: Any) -> Any:
            return np.exp(20 * a)

        def backward(self, g: Any) -> tuple[Any, ...]:
            return (g * 0.0,)

    with pytest.raises(mg.GradcheckError, match="no kink"):
        mg.gradcheck(Wrong.apply, leaf(0.3))


def test_nan_is_wrong() -> None:
    with pytest.raises(mg.GradcheckError, match="analytic -?nan"):
        mg.gradcheck(lambda x: mg.where(x > 1, (x - 1.5).sqrt(), x), leaf(1.0))


def test_float32_inputs_are_promoted_and_given_back() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    memory = x.array
    seen = []

    def fn(x: mg.Tensor) -> mg.Tensor:
        seen.append(x.dtype)
        return (x * x).sum()

    assert mg.gradcheck(fn, x)
    assert seen[0] is mg.float64  # float32 comes last, beside float64
    assert x.array is memory
    assert x.grad is None


def test_inputs_are_given_back_after_an_error() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    memory = x.array
    with pytest.raises(ZeroDivisionError):
        mg.gradcheck(lambda x: 1 // 0, x)
    assert x.array is memory


def test_a_float32_output_is_refused() -> None:
    expected = "output 0 is float32 although every floating input is float64; differences of"
    with pytest.raises(TypeError, match=expected):
        mg.gradcheck(lambda x: (x * x).float(), leaf(1.0))


def test_nothing_to_check_is_refused() -> None:
    expected = "gradcheck: none of the 2 inputs requires grad"
    with pytest.raises(ValueError, match=expected):
        mg.gradcheck(lambda x, n: x * n, (mg.ones(2), 3))


def test_dropout_draws_one_mask_and_leaves_the_streams_alone() -> None:
    generator, private_seed = random.Generator(), random.Generator(9)
    generator.next_call()
    x = mg.Tensor(np.linspace(1, 2, 40), requires_grad=True)

    def fn(x: mg.Tensor) -> mg.Tensor:
        inner = random.Generator()  # made anew in every evaluation, as by a module built inside
        y = dropped(dropped(x, 0.5, 2.0, generator), 0.3, 1.0, private_seed)
        return dropped(y, 0.3, 1.0, inner) * (1 + mg.rand(40, dtype=mg.float64))

    assert mg.gradcheck(fn, x)
    assert mg.gradgradcheck(fn, x)
    assert (generator.calls, private_seed.calls, random.default.calls) == (1, 0, 0)
    assert random.Generator().stream == generator.stream + 1


def test_a_function_that_keeps_state_is_refused() -> None:
    calls: list[int] = []

    def fn(x: mg.Tensor) -> mg.Tensor:
        calls.append(1)
        return x * len(calls)

    with pytest.raises(mg.GradcheckError, match="output 0 differs between two calls") as raised:
        mg.gradcheck(fn, leaf(1.0))
    assert "(at [0] 1.0, then 2.0; 1 of 1 differ)" in str(raised.value)


def test_a_function_whose_shape_changes_is_refused() -> None:
    calls: list[int] = []

    def fn(x: mg.Tensor) -> mg.Tensor:
        calls.append(1)
        return mg.cat([x] * len(calls))

    with pytest.raises(mg.GradcheckError, match=r"shape \(1,\), then \(2,\)"):
        mg.gradcheck(fn, leaf(1.0))


def test_a_sweep_that_changes_is_refused() -> None:
    class Moody(Op):
        """y = a, whose rule drifts"""

        drift = 1.0

        def forward(self, a: Any) -> Any:
            return a.copy()

        def backward(self, g: Any) -> tuple[Any, ...]:
            Moody.drift += 1e-9
            return (g * Moody.drift,)

    with pytest.raises(mg.GradcheckError, match="two backward sweeps give input 0 different"):
        mg.gradcheck(Moody.apply, leaf(1.0))


def test_a_rule_that_writes_to_its_gradient_is_refused() -> None:
    class Rude(Op):
        """y = a, whose rule doubles the gradient it is given and halves it again"""

        def forward(self, a: Any) -> Any:
            return a.copy()

        def backward(self, g: Any) -> tuple[Any, ...]:
            g.array[...] = 3.0
            return (mg.Tensor(np.ones(g.shape)),)

    with pytest.raises(mg.GradcheckError, match="the rule of Rude writes in place to the gradient"):
        mg.gradcheck(Rude.apply, leaf(1.0))


def test_a_missing_gradient_must_count_as_zero() -> None:
    class Two(Op):
        """(a, a), whose rule takes a missing gradient for one"""

        several = True

        def forward(self, a: Any) -> Any:
            return a.copy(), a.copy()

        def backward(self, *grads: Any) -> tuple[Any, ...]:
            one = mg.Tensor(np.ones(self.shape))
            return (sum((one if g is None else g for g in grads), 0.0),)

    with pytest.raises(mg.GradcheckError, match="a missing gradient must count as zero"):
        mg.gradcheck(Two.apply, leaf(1.0))


def test_several_inputs_outputs_and_layouts() -> None:
    memory = np.random.default_rng(0).normal(size=(4, 6))
    a = mg.Tensor(memory[::2, ::-3], requires_grad=True)
    b = mg.Tensor(memory.T[:2, :2], requires_grad=True)  # overlaps a
    c = mg.Tensor(np.broadcast_to(memory[:1, :2], (2, 2)), requires_grad=True)  # overlaps itself
    before = memory.copy()

    def fn(a: Any, b: Any, c: Any) -> Any:
        return [a * b, mg.argmax(a), (b @ c).sum(0), a > b, c.exp()]

    assert mg.gradcheck(fn, (a, b, c))
    assert mg.gradgradcheck(fn, (a, b, c))
    np.testing.assert_array_equal(memory, before)


def test_the_same_tensor_twice_and_a_computed_one() -> None:
    x = leaf(1, 2)
    assert mg.gradcheck(lambda a, b: a * b.exp(), (x, x))
    assert mg.gradcheck(lambda a, b: a * b, (x, x * 3))
    assert mg.gradgradcheck(lambda a, b: a * a * b, (x, x * 3))


def test_parameters_reached_through_a_closure() -> None:
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    x = mg.tensor([3.0, 4.0], requires_grad=True)
    assert mg.gradcheck(lambda x, *_: (x * w).tanh(), (x, w))
    with pytest.raises(mg.GradcheckError, match=r"d\(output 0\)/d\(input 1\)"):
        mg.gradcheck(lambda x, *_: (x * w.detach()).tanh(), (x, w))


def test_unused_inputs_and_constant_outputs() -> None:
    assert mg.gradcheck(lambda a, b: a * 2, (leaf(1), leaf(2)))
    assert mg.gradgradcheck(lambda a, b: a * 2, (leaf(1), leaf(2)))
    assert mg.gradcheck(lambda a: a.detach() * 0, leaf(1))
    assert mg.gradgradcheck(lambda a: a.floor(), leaf(1.5))
    with pytest.raises(mg.GradcheckError, match="analytic 0, numeric 2"):
        mg.gradcheck(lambda a: a.detach() * 2, leaf(1))


def test_empty_inputs() -> None:
    x = mg.Tensor(np.zeros((0, 3)), requires_grad=True)
    assert mg.gradcheck(lambda x: x.sum(0), x)
    assert mg.gradgradcheck(lambda x: x * x, x)


@pytest.mark.parametrize("fast_mode", [False, True])
def test_fast_mode_finds_what_the_slow_one_finds(fast_mode: bool) -> None:
    x = mg.Tensor(np.linspace(1, 2, 30), requires_grad=True)
    assert mg.gradcheck(lambda x: x * x, x, fast_mode=fast_mode)
    with pytest.raises(mg.GradcheckError, match=r"by input 0 at \[4\]: analytic 1.5"):
        mg.gradcheck(lambda x: WrongMul.apply(x, mg.ones_like(x)), x, fast_mode=fast_mode)


def test_grad_outputs_may_be_given() -> None:
    x = leaf(1, 2)
    assert mg.gradgradcheck(lambda x: x**3, x, leaf(1, -1))
    with pytest.raises(ValueError, match="2 grad_outputs for 1 outputs"):
        mg.gradgradcheck(lambda x: x**3, x, (leaf(1), leaf(1)))


def test_private_memory_keeps_strides() -> None:
    a = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (a[::2, ::-3], a.T, a[1], a[:, :0], np.asarray(a[0, 0])):
        copy = private(view)
        np.testing.assert_array_equal(copy, view)
        assert copy.dtype == np.float64
        if view.size > 1:
            assert [s // 8 for s in copy.strides] == [s // 4 for s in view.strides]
    shared = np.lib.stride_tricks.as_strided(a, (3, 3), (4, 4))
    assert private(shared).flags.c_contiguous


class DoubledTanh(Op):
    """y = tanh a, with twice its gradient"""

    def forward(self, a: Any) -> Any:
        return np.tanh(a)

    def backward(self, g: Any) -> tuple[Any, ...]:
        y = np.tanh(self.saved(0).array)
        return (g * mg.Tensor(2 * (1 - y * y)),)


class Deep(mg.nn.Module):
    """50 ops, one of which may have a wrong rule."""

    def __init__(self, wrong: int) -> None:
        super().__init__()
        self.layers = mg.nn.ModuleList([mg.nn.Linear(4, 4) for _ in range(16)])
        self.norm = mg.nn.BatchNorm1d(4)
        self.wrong = wrong

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        for k, layer in enumerate(self.layers):
            y = layer(x)
            x = (DoubledTanh.apply(y) if k == self.wrong else y.tanh()) * 1.01
        return self.norm(x)


def test_blame_names_the_wrong_rule_of_a_model_of_50_ops() -> None:
    mg.manual_seed(0)
    x = mg.randn(5, 4)
    right = mg.checking.blame(Deep(-1), x)
    assert right.ok and right.checked == 49 and not right.skipped
    model = Deep(9)
    found = mg.checking.blame(model, x)
    assert (found.op, found.kind, found.index) == ("DoubledTanh", "factor", 28)
    lines = Path(__file__).read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "DoubledTanh.apply(y) if" in text)
    assert found.where == f"{__file__}:{line}"
    assert "2 times too large" in str(found)
    assert model.norm.num_batches_tracked.item() == 0


def test_a_module_and_a_batch_are_checked_in_one_call() -> None:
    mg.manual_seed(0)
    nn = mg.nn
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2))
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    model[1].eval()
    assert mg.gradcheck(model, mg.randn(5, 3)) and mg.gradgradcheck(model, mg.randn(5, 3))
    for name, value in model.state_dict().items():
        assert value.numpy().dtype == before[name].dtype
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert [m.training for m in model] == [True, False, True, True]
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(
        mg.GradcheckError, match="(?s)parameter layers.0.weight.*blame: the rule of"
    ):
        mg.gradcheck(Deep(1), mg.randn(3, 4))


def test_a_function_of_no_arguments_is_checked_over_its_leaves() -> None:
    w, b = leaf(1, 2, 3), leaf(0.5)
    assert mg.gradcheck(lambda: (w * w + b).sum()) and mg.gradgradcheck(lambda: (w**3 * b).sum())
    with pytest.raises(mg.GradcheckError, match=r"d\(output 0\)/d\(w\) is wrong"):
        mg.gradcheck(lambda: DoubledTanh.apply(w) * b)


def test_inputs_within_lists_and_dicts_are_checked() -> None:
    given = {"w": leaf(1, 2), "rest": [leaf(3.0), 4]}
    assert mg.gradcheck(lambda d: d["w"] * d["rest"][0] * d["rest"][1], (given,))
    with pytest.raises(mg.GradcheckError, match=r"d\(input 0\['rest'\]\[0\]\) is wrong"):
        mg.gradcheck(lambda d: d["w"] * DoubledTanh.apply(d["rest"][0]), (given,))


def test_outputs_that_cannot_be_read_are_refused() -> None:
    for fn in (lambda x: None, lambda x: 3.0, lambda x: (x, [x, "no"])):
        with pytest.raises(TypeError, match="which cannot be checked"):
            mg.gradcheck(fn, leaf(1.0))
    assert mg.gradcheck(lambda x: {"a": x, "b": (x * x, [x.exp()])}, leaf(1.0))


def test_fast_mode_sees_one_row_of_a_large_input() -> None:
    class Dropped(Op):
        """y = a v, whose rule forgets one row"""

        def forward(self, a: Any) -> Any:
            return a @ np.ones(a.shape[1])

        def backward(self, g: Any) -> tuple[Any, ...]:
            kept = np.ones((len(g.array), 1))
            kept[7] = 0
            return ((g.reshape(-1, 1) * mg.Tensor(kept)).expand(self.saved(0).shape).clone(),)

    x = mg.Tensor(np.random.default_rng(0).normal(size=(320, 320)), requires_grad=True)
    with pytest.raises(mg.GradcheckError, match="wrong along a random direction"):
        mg.gradcheck(Dropped.apply, x, fast_mode=True)
    assert mg.gradcheck(lambda x: x @ mg.ones(320, dtype=mg.float64), x, fast_mode=True)


def test_ops_are_verified_as_they_run() -> None:
    x = leaf(0.3, 0.7)
    with mg.checked() as seen:
        ((x * x).tanh() + x).sum().backward()
    assert seen.count == 4
    named = "(?s)checked: the rule of DoubledTanh.*2 times"
    with pytest.raises(mg.GradcheckError, match=named), mg.checked():
        DoubledTanh.apply(x * 2)


def test_an_op_that_writes_to_its_input_is_refused() -> None:
    class Doubling(Op):
        """y = 2 a, written over a"""

        def forward(self, a: Any) -> Any:
            a *= 2
            return a.copy()

        def backward(self, g: Any) -> tuple[Any, ...]:
            return (g * 2.0,)

    with pytest.raises(mg.GradcheckError, match="writes to its input 0"):
        mg.gradcheck(Doubling.apply, leaf(1.0))
