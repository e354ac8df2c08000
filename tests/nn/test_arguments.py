"""Arguments at and beyond the edge, against PyTorch: its values where both take them, a clear error
of our own where not, and a reason wherever one takes what the other refuses.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from tests.nn.argument_cases import KINDS
from tests.nn.argument_outcomes import meant, outcome

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "arguments.json").read_text())
CLEAR = (ValueError, TypeError, RuntimeError, IndexError, KeyError, NotImplementedError)

WIDER = {  # taken here, refused by PyTorch
    r"nn\.(Max|Avg|AdaptiveMax)Pool1d\(2\)\|x\(1, 0, 8\)": "no channels in, none out, as in 2d",
    r"nn\.Adaptive\w+\(None\)": "None keeps the size of the input, in 1d and alone too",
    r"nn\.Adaptive\w+2d\(\[3\]\)": "a list of one number is that number, as for all windows",
    r"F\.layer_norm\(x\(2, 3\), 3\)": "one size needs no tuple, as in nn.LayerNorm",
    r"F\.binary_cross_entropy\(x\(3\), i\(": "classes 0 and 1 as integers, as mse_loss takes them",
}
NARROWER = {  # refused here, taken by PyTorch
    r"nn\.Softplus\(-2": "log(1 + e^(beta x)) / beta is no softplus then",
    r"nn\.Conv.d\(0,": "a convolution without channels trains nothing",
    r"nn\.(Max|Avg)Pool.d\(2, \[\]\)": "no stride is None",
    r"nn\.Adaptive\w+\(0\)": "an output without elements",
    r"nn\.BatchNorm.d\(2, momentum=-?1": "running statistics would run away",
    r"nn\.BatchNorm.d\(2\)\|x\((0, 2|2, 2, 0)": "statistics of nothing; see semantics, one value",
    r"F\.batch_norm\(.*eps=0.0": "eps is positive in training and in evaluation alike",
    r"F\.(cross_entropy|nll_loss)\(x\(3\), (i\(1\)|n\(1\))": "one row has one target, ()",
    r"F\.cross_entropy\(.*smoothing=-": "PyTorch leaves a negative share out in silence",
    r"F\.linear\(x\((2, )?3\), x\(3\)\)": "a weight is (out, in)",
    r"F\.linear\(x\(2, 3\), x\(2, 3\), x\((1|1, 2)?\)\)": "a bias is (out,); nothing is broadcast",
    r"optim\.\w+\(\[\(w := p\(3\)\), w\]\)": "listed twice, stepped twice: PyTorch only warns",
    r"optim\.\w+\(\[\('a', p\(3\)\), \('a'": "two parameters of one name cannot be saved by name",
    r"optim\.\w+\(\{p": "a set has another order in every process",
    r"optim\.\w+\(.*'lr': -": "PyTorch looks at the defaults only",
    r"optim\.\w+\(.*=float\('nan'\)": "NaN makes every parameter NaN",
    r"optim\.SGD\(.*(dampening|maximize|nesterov)=": "neither a number nor True or False",
    r"S\.\w+\(.*(iters|size|size_up|size_down|T_max|T_0|patience|cooldown)=(-1|2\.5|'a'|None|0,)": (
        "no number of steps"
    ),
    r"S\.\w+\(.*milestones=(None|\[(-1|1\.5|'a')\])": "no list of epochs",
    r"S\.SequentialLR\(.*\[-1\]\)": "no epoch",
    r"S\.\w+\(.*(gamma|div_factor|factor)=-0\.5": "the lr would be negative",
    r"S\.\w+\(.*(eta_min|max_lr|base_lr)=-1": "the lr would be negative",
    r"S\.ReduceLROnPlateau\(.*threshold=-": "best may be worse than before",
    r"S\.\w+\(.*(gamma|min_lr|eps)=('a'|None)": "no number; PyTorch looks when it needs it",
    r"S\.CyclicLR\(.*scale_mode='cycles'": "a mode that does not exist is 'iterations' in PyTorch",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_are_taken_as_by_the_reference_or_refused_clearly(kind: str) -> None:
    wrong, refusals = [], 0
    for case in KINDS[kind]():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found, want = outcome(mg, kind, case), GOLDEN[case]
        if isinstance(found, Exception):
            refusals += 1
            if not isinstance(found, CLEAR) or not meant(found, "minigrad"):
                wrong.append(f"{case}: {type(found).__name__} by accident: {found}")
            elif want is not None and not listed(case, NARROWER):
                wrong.append(f"{case}: refused ({found}), PyTorch gives {want}")
        elif want is None and not listed(case, WIDER):
            wrong.append(f"{case}: {found}, PyTorch refuses")
        elif want is not None and not same(found, want):
            wrong.append(f"{case}: {found}, PyTorch {want}")
    assert not wrong, "\n".join([f"{len(wrong)} are wrong", *wrong[:40]])
    assert refusals > 60


def listed(case: str, reasons: dict[str, str]) -> bool:
    """Say whether a difference is one that has a reason."""
    return any(re.match(pattern, case) for pattern in reasons)


def same(found: object, want: object) -> bool:
    """Say whether two digests agree to rounding."""
    if isinstance(found, list) and isinstance(want, list):
        return len(found) == len(want) and all(map(same, found, want))
    if isinstance(found, float) or isinstance(want, float):
        return found == pytest.approx(want, rel=1e-6, abs=1e-6)
    return found == want


@pytest.mark.parametrize("reasons", [WIDER, NARROWER], ids=["wider", "narrower"])
def test_no_reason_stands_for_nothing(reasons: dict[str, str]) -> None:
    cases = [case for kind in KINDS.values() for case in kind()]
    idle = [pattern for pattern in reasons if not any(re.match(pattern, c) for c in cases)]
    assert not idle


def test_the_golden_file_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for kind, cases in KINDS.items():
        for case in list(cases())[::9]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = outcome(torch, kind, case)
            assert same(None if isinstance(found, Exception) else found, GOLDEN[case]), case


def test_a_line_may_end_at_zero() -> None:
    """The last step used to leave -1e-17, which every optimizer refuses."""
    optimizer = mg.optim.SGD([mg.zeros(1)], lr=0.8)
    rates = mg.optim.lr_scheduler.LinearLR(optimizer, end_factor=0.0).preview(8)
    assert rates[5:].tolist() == [0.0, 0.0, 0.0]


def test_fused_norm_refuses_what_the_plain_one_does() -> None:
    fused = mg.nn.functional.batch_norm_activation_dropout
    x, one = mg.randn(4, 2), mg.ones(2)
    with pytest.raises(ValueError, match="eps must be positive, got 0"):
        fused(x, None, None, training=True, eps=0.0)
    with pytest.raises(ValueError, match="give both running_mean and running_var"):
        fused(x, one, None, training=True)


@pytest.mark.parametrize("name", ["relu", "exp", "sum", "softmax", "reshape", "sqrt", "max"])
@pytest.mark.parametrize("given", [np.ones(3), [1.0], 2.0, None], ids=["array", "list", "1", "-"])
def test_functions_say_that_they_want_a_tensor(name: str, given: Any) -> None:
    more = {"softmax": (0,), "reshape": ((-1,),)}.get(name, ())
    with pytest.raises(TypeError, match=r"expected a tensor for input 0, got .*minigrad.tensor"):
        getattr(mg, name)(given, *more)


def test_grids_of_a_list() -> None:
    lines = mg.tensor([1.0]), mg.tensor([2.0, 3.0])
    for found, want in zip(mg.meshgrid(list(lines)), mg.meshgrid(*lines), strict=True):
        assert found.tolist() == want.tolist() and found.shape == (1, 2)


@pytest.mark.parametrize("name", ["var", "std"])
def test_the_divisor_of_variances_is_given_as_in_pytorch(name: str) -> None:
    x = np.array([[1.0, 5.0, 2.0], [-7.0, 3.0, 4.0]])
    calls: dict[str, tuple[tuple[Any, ...], dict[str, Any], int, int | None]] = {
        "False in place of dim": ((False,), {}, 0, None),
        "True in place of dim": ((True,), {}, 1, None),
        "unbiased alone": ((), {"unbiased": False}, 0, None),
        "by place": ((1, False), {}, 0, 1),
        "correction": ((1,), {"correction": 2}, 2, 1),
        "neither": ((0,), {}, 1, 0),
    }
    for label, (args, options, ddof, axis) in calls.items():
        want = getattr(np, name)(x, axis, ddof=ddof)
        found = getattr(mg, name)(mg.tensor(x), *args, **options)
        np.testing.assert_allclose(found.numpy(), want, rtol=1e-14, err_msg=label)
        same = getattr(mg.tensor(x), name)(*args, **options)
        assert same.tolist() == found.tolist()
    assert getattr(mg, name)(mg.tensor(x), 1, True, True).shape == (2, 1)
    with pytest.raises(ValueError, match="unbiased or correction, not both"):
        getattr(mg, name)(mg.tensor(x), unbiased=True, correction=0)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "cumsum", "prod"])
def test_what_is_converted_first_has_its_gradient_in_the_old_dtype(name: str) -> None:
    given = [[1.0, 0.1], [3.0, 0.2]]
    x = mg.tensor(given, requires_grad=True)
    for found in (getattr(mg, name)(x, 1, dtype=mg.float64), getattr(x, name)(1, dtype=mg.float64)):
        want = getattr(mg.tensor(np.array(given, np.float32)).to(mg.float64), name)(1)
        assert found.dtype == mg.float64 and found.tolist() == want.tolist()
        found.sum().backward()
    assert x.grad is not None and x.grad.dtype == mg.float32
