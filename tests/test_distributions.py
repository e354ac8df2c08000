"""Distributions: densities sum to one, draws have the stated moments, gradients are right.

Values and draws are held to PyTorch's by tests/as_torch/programs/distributions.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import distributions as ds

F64 = mg.float64


def number(value: float) -> mg.Tensor:
    return mg.tensor(value, dtype=F64)


CONTINUOUS: dict[str, tuple[Any, float, float]] = {
    "Normal": (lambda: ds.Normal(number(0.5), number(1.5)), -20, 20),
    "LogNormal": (lambda: ds.LogNormal(number(0.1), number(0.4)), 1e-9, 30),
    "HalfNormal": (lambda: ds.HalfNormal(number(1.5)), 0, 20),
    "Uniform": (lambda: ds.Uniform(number(-1.0), number(2.0)), -1, 2),
    "Exponential": (lambda: ds.Exponential(number(1.5)), 0, 30),
    "Laplace": (lambda: ds.Laplace(number(0.5), number(0.7)), -30, 30),
    "Gumbel": (lambda: ds.Gumbel(number(0.5), number(0.7)), -10, 40),
    "Gamma": (lambda: ds.Gamma(number(2.5), number(1.5)), 1e-9, 40),
    "Beta": (lambda: ds.Beta(number(2.5), number(1.5)), 1e-9, 1 - 1e-9),
    "StudentT": (lambda: ds.StudentT(number(9.0), number(0.5), number(0.7)), -60, 60),
    "Sigmoid": (
        lambda: ds.TransformedDistribution(
            ds.Normal(number(0.3), number(0.8)), [ds.SigmoidTransform()]
        ),
        1e-9,
        1 - 1e-9,
    ),
    "Mixture": (
        lambda: ds.MixtureSameFamily(
            ds.Categorical(mg.tensor([1.0, 3.0], dtype=F64)),
            ds.Normal(mg.tensor([-1.0, 2.0], dtype=F64), mg.tensor([0.5, 1.0], dtype=F64)),
        ),
        -20,
        20,
    ),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_density_integrates_to_one_and_to_its_moments(name: str) -> None:
    make, low, high = CONTINUOUS[name]
    held = make()
    x = np.linspace(low, high, 200_001)
    p = held.log_prob(mg.tensor(x[:-1] + np.diff(x) / 2)).exp().numpy() * np.diff(x)
    middle = x[:-1] + np.diff(x) / 2
    assert abs(p.sum() - 1) < 1e-4
    if name == "Sigmoid":
        return
    assert abs((p * middle).sum() - held.mean.item()) < 1e-3
    assert abs((p * middle**2).sum() - held.mean.item() ** 2 - held.variance.item()) < 1e-2


@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_have_the_mean_of_the_density(name: str) -> None:
    mg.manual_seed(0)
    make, low, high = CONTINUOUS[name]
    drawn = make().sample((4000,)).numpy()
    x = np.linspace(low, high, 20_001)
    p = make().log_prob(mg.tensor(x[:-1] + np.diff(x) / 2)).exp().numpy() * np.diff(x)
    mean = (p * (x[:-1] + np.diff(x) / 2)).sum()
    assert abs(drawn.mean() - mean) < 5 * drawn.std() / np.sqrt(len(drawn)) + 1e-3


PROBS = [0.2, 0.5, 0.3]
DISCRETE: dict[str, Any] = {
    "Bernoulli": lambda: ds.Bernoulli(number(0.3)),
    "Categorical": lambda: ds.Categorical(mg.tensor(PROBS, dtype=F64)),
    "logits": lambda: ds.Categorical(logits=mg.tensor([0.1, 2.0, -1.0], dtype=F64)),
    "OneHotCategorical": lambda: ds.OneHotCategorical(mg.tensor(PROBS, dtype=F64)),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_of_all_values_sum_to_one_and_give_the_entropy(name: str) -> None:
    held = DISCRETE[name]()
    log_p = held.log_prob(held.enumerate_support()).numpy()
    assert abs(np.exp(log_p).sum() - 1) < 1e-12
    assert abs(-(np.exp(log_p) * log_p).sum() - held.entropy().item()) < 1e-9


@pytest.mark.parametrize("count", ["Poisson", "Geometric", "Binomial"])
def test_probabilities_of_counts_sum_to_one_and_to_the_mean(count: str) -> None:
    held: Any = {
        "Poisson": lambda: ds.Poisson(number(2.5)),
        "Geometric": lambda: ds.Geometric(number(0.4)),
        "Binomial": lambda: ds.Binomial(20, number(0.3)),
    }[count]()
    values = np.arange(21 if count == "Binomial" else 60, dtype=np.float64)
    p = held.log_prob(mg.tensor(values)).exp().numpy()
    assert abs(p.sum() - 1) < 1e-9
    assert abs((p * values).sum() - held.mean.item()) < 1e-9


@pytest.mark.parametrize(
    "make",
    [
        lambda a, b: ds.Normal(a, b.exp()).log_prob(mg.tensor([0.3, 0.4], dtype=F64)),
        lambda a, b: ds.Laplace(a, b.exp()).log_prob(mg.tensor([0.3, 0.4], dtype=F64)),
        lambda a, b: ds.Gamma(a.exp(), b.exp()).log_prob(mg.tensor([0.3, 0.4], dtype=F64)),
        lambda a, b: ds.Categorical(logits=a + b).log_prob(mg.tensor(1)),
        lambda a, b: ds.kl_divergence(ds.Normal(a, b.exp()), ds.Normal(b, a.exp())),
        lambda a, b: ds.MultivariateNormal(
            a, scale_tril=mg.eye(2, dtype=F64) * b.exp().unsqueeze(-1)
        ).log_prob(mg.tensor([0.3, 0.4], dtype=F64)),
    ],
    ids=["Normal", "Laplace", "Gamma", "Categorical", "kl", "MultivariateNormal"],
)
def test_gradients_reach_the_parameters(make: Any) -> None:
    a = mg.tensor([0.5, -0.2], dtype=F64, requires_grad=True)
    b = mg.tensor([0.1, 0.7], dtype=F64, requires_grad=True)
    assert mg.gradcheck(make, (a, b))


def test_draws_with_a_gradient_move_with_the_parameters() -> None:
    loc = mg.tensor([0.0, 1.0], requires_grad=True)
    scale = mg.tensor([1.0, 2.0], requires_grad=True)
    drawn = ds.Normal(loc, scale).rsample((5,))
    drawn.sum().backward()
    assert loc.grad is not None and scale.grad is not None
    assert loc.grad.tolist() == [5.0, 5.0]
    noise = ((drawn - loc) / scale).detach().sum(0)
    assert np.allclose(scale.grad.numpy(), noise.numpy(), atol=1e-5)
    with pytest.raises(NotImplementedError, match=r"Gamma.rsample: draws have no gradient"):
        ds.Gamma(1.0, 1.0).rsample()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scale .* GreaterThan\(lower_bound=0.0\)"):
        ds.Normal(0.0, -1.0)
    assert ds.Normal(0.0, -1.0, validate_args=False).loc.item() == 0
    with pytest.raises(ValueError, match="within the support"):
        ds.Categorical(mg.ones(3)).log_prob(mg.tensor(3))
    with pytest.raises(ValueError, match="but not both"):
        ds.Bernoulli()
    with pytest.raises(ValueError, match="exactly one of"):
        ds.MultivariateNormal(mg.zeros(2))
    with pytest.raises(NotImplementedError, match="no rule for Normal and Gamma"):
        ds.kl_divergence(ds.Normal(0.0, 1.0), ds.Gamma(1.0, 1.0))
