"""Distributions to draw from, with probabilities and divergences, as PyTorch has them.

>>> import minigrad as mg
>>> from minigrad import distributions
>>> _ = mg.manual_seed(0)
>>> policy = distributions.Categorical(logits=mg.tensor([0.0, 1.0]))
>>> action = policy.sample()
>>> policy.log_prob(action).shape
()
"""

from minigrad.distributions import constraints, kl
from minigrad.distributions.continuous import (
    Beta,
    Cauchy,
    Chi2,
    Dirichlet,
    Exponential,
    Gamma,
    Gumbel,
    Laplace,
    StudentT,
    Uniform,
)
from minigrad.distributions.discrete import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    Multinomial,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
    Poisson,
)
from minigrad.distributions.distribution import Distribution, Independent
from minigrad.distributions.kl import kl_divergence, register_kl
from minigrad.distributions.normal import HalfNormal, LogNormal, MultivariateNormal, Normal
from minigrad.distributions.transformed import (
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    MixtureSameFamily,
    PowerTransform,
    SigmoidTransform,
    SoftplusTransform,
    TanhTransform,
    Transform,
    TransformedDistribution,
)

__all__ = [
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "Gamma",
    "Geometric",
    "Gumbel",
    "HalfNormal",
    "Independent",
    "Laplace",
    "LogNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Poisson",
    "PowerTransform",
    "SigmoidTransform",
    "SoftplusTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "constraints",
    "kl",
    "kl_divergence",
    "register_kl",
]
