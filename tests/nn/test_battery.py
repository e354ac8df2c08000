"""Every module of the registry goes through this; a new one without a sample fails."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.checking.gradcheck import gradcheck, gradgradcheck
from tests.nn.nn_samples import SAMPLES, Sample

CASES = [
    pytest.param(sample, id=f"{name}-{i}")
    for name, samples in SAMPLES.items()
    for i, sample in enumerate(samples)
]
MANY = 75  # numbers from which finite differences of all of them take long
every = pytest.mark.parametrize("sample", CASES)


def arguments(sample: Sample, dtype: Any = np.float32) -> list[mg.Tensor]:
    """Return the inputs as tensors, the floating ones in `dtype`."""
    return [mg.Tensor(x.astype(dtype) if x.dtype.kind == "f" else x) for x in sample.inputs]


def output(module: nn.Module, tensors: list[mg.Tensor]) -> mg.Tensor:
    """Return what a module gives; several tensors laid end to end."""
    found = module(*tensors)
    if isinstance(found, mg.Tensor):
        return found
    first, *states = found
    states = [s for state in states for s in (state if isinstance(state, tuple) else (state,))]
    return mg.cat([t.flatten() for t in (first, *states)])


def values(module: nn.Module) -> dict[str, Any]:
    return {name: t.array.copy() for name, t in module.state_dict().items()}


def same_values(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def frozen_statistics(module: nn.Module) -> nn.Module:
    """Let a module forget its batches before each call, so that it is a function of its inputs."""
    for m in module.modules():
        if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d):
            m.momentum = 0.0
    return module


def test_every_module_has_a_sample() -> None:
    assert set(SAMPLES) == set(nn.MODULES)
    assert all(getattr(nn, name) is kind for name, kind in nn.MODULES.items())


@every
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("training", [True, False])
def test_forward_gives_the_shape_and_dtype(sample: Sample, dtype: str, training: bool) -> None:
    module = sample.make().train(training).to(dtype)
    if sample.shape is None:
        with pytest.raises(
            NotImplementedError, match=f"Module {module._get_name()} has no forward"
        ):
            module()
        return
    y = output(module, arguments(sample, dtype))
    assert (y.shape, y.dtype) == (sample.shape, dtype)
    assert np.isfinite(y.array).all()


@every
def test_the_output_is_never_a_parameter(sample: Sample) -> None:
    if sample.shape is not None:
        assert type(output(sample.make(), arguments(sample))) is mg.Tensor


@every
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
@pytest.mark.parametrize("training", [True, False])
def test_gradients(sample: Sample, check: Any, training: bool) -> None:
    if sample.numbers() > MANY:
        return  # its gradients are held to PyTorch's, see test_modules_golden.py
    module = frozen_statistics(sample.make().double().train(training))
    if sample.shape is None or (isinstance(module, nn.Embedding) and check is gradgradcheck):
        return  # a lookup is linear in its weight: there is no second derivative
    args = arguments(sample, np.float64)
    for t in args:
        t.requires_grad = t.is_floating_point()
    parameters = list(module.parameters())

    def call(*tensors: mg.Tensor) -> mg.Tensor:
        return output(module, list(tensors[: len(args)]))

    assert check(call, (*args, *parameters))


@every
def test_state_goes_round(sample: Sample) -> None:
    module, twin = sample.make(), sample.make()
    for t in module.state_dict().values():
        t.array[...] = 3
        t.bump_version()
    result = twin.load_state_dict(module.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    assert same_values(values(module), values(twin))
    memory = {id(t.array) for t in module.state_dict().values()}
    assert not memory & {id(t.array) for t in twin.state_dict().values()}


@every
def test_train_and_eval_reach_everything(sample: Sample) -> None:
    module = sample.make()
    assert module.training
    assert module.eval() is module
    assert not any(m.training for m in module.modules())
    assert all(m.training for m in module.train().modules())


@every
def test_eval_is_a_function_that_changes_nothing(sample: Sample) -> None:
    module = sample.make().eval()
    before = values(module)
    if sample.shape is not None:
        args = arguments(sample)
        assert np.array_equal(output(module, args).array, output(module, args).array)
    assert same_values(before, values(module))


@every
def test_repr(sample: Sample) -> None:
    assert repr(sample.make()) == sample.text


@every
def test_double_and_float_convert_in_place(sample: Sample) -> None:
    module = sample.make()
    tensors = [*module.parameters(), *module.buffers()]
    kinds = [t.dtype for t in tensors]
    assert module.double() is module
    assert all(t.dtype == mg.float64 for t in tensors if t.is_floating_point())
    module.float()
    assert [t.dtype for t in tensors] == kinds
    assert [id(t) for t in tensors] == [id(t) for t in (*module.parameters(), *module.buffers())]


@every
@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_deep_copy_shares_nothing(sample: Sample, copier: Any) -> None:
    module = sample.make()
    twin = copier(module)
    assert repr(twin) == repr(module)
    assert same_values(values(module), values(twin))
    assert [type(p) for p in twin.parameters()] == [type(p) for p in module.parameters()]
    for t in twin.state_dict().values():
        t.array[...] = 7
    assert not any((v == 7).any() for v in values(module).values())
    if sample.shape is not None:
        twin = copier(module).eval()
        args = arguments(sample)
        assert np.array_equal(output(twin, args).array, output(module.eval(), args).array)


@every
def test_an_input_of_no_rows_gives_no_rows(sample: Sample) -> None:
    module = sample.make().eval()
    per_row = sample.shape is not None and sample.shape and sample.shape[0] == len(sample.inputs[0])
    statistics = isinstance(module, nn.BatchNorm1d) and module.running_mean is None
    alone = isinstance(module, nn.InstanceNorm2d) or len(sample.inputs) > 1
    if not per_row or statistics or alone:
        return
    y = module(mg.Tensor(arguments(sample)[0].array[:0]))
    assert y.shape == (0, *sample.shape[1:])
