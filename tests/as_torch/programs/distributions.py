"""Distributions: draws, log probabilities, entropies, divergences; a policy and a latent variable."""

import torch
from torch.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Dirichlet,
    Exponential,
    Gamma,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    SigmoidTransform,
    TransformedDistribution,
    Uniform,
    kl_divergence,
)
from torch.distributions.kl import register_kl
from torch.distributions.normal import Normal as SameNormal

torch.manual_seed(3)
a = torch.tensor([0.5, 2.0, 1.5])
b = torch.tensor([0.3, 1.2, 2.5])
square = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
for made in (
    Normal(a, b),
    Uniform(a, a + b),
    Exponential(b),
    Laplace(a, b),
    Gamma(a, b),
    Beta(a, b),
    Dirichlet(a),
    Bernoulli(torch.tensor([0.2, 0.7, 0.5])),
    Categorical(torch.stack([a, b])),
    Categorical(logits=torch.stack([a, b])),
    OneHotCategorical(torch.stack([a, b])),
    MultivariateNormal(torch.tensor([1.0, -1.0]), square),
    MultivariateNormal(torch.zeros(3, 2), scale_tril=torch.linalg.cholesky(square)),
    Independent(Normal(torch.stack([a, b]), torch.ones(2, 3)), 1),
):
    draws = made.sample((2,))
    print(type(made).__name__, made.batch_shape, made.event_shape, draws.dtype)
    print(draws, made.log_prob(draws), made.entropy(), made.mean, made.variance)
    print(made.expand((4, *made.batch_shape)).sample().shape)

bent = TransformedDistribution(Normal(a, b), [SigmoidTransform()])
mixture = MixtureSameFamily(Categorical(torch.ones(3)), Normal(a, b))
for made in (bent, mixture):
    draws = made.sample((3,))
    print(draws, made.log_prob(draws))

print(kl_divergence(Normal(a, b), SameNormal(b, a)))
print(kl_divergence(Categorical(a), Categorical(b)), kl_divergence(Beta(a, b), Beta(b, a)))
for refused in (
    lambda: Normal(0.0, -1.0),
    lambda: Categorical(torch.tensor([-1.0, 2.0])),
    lambda: Bernoulli(torch.tensor(0.5)).log_prob(torch.tensor(0.3)),
    lambda: Categorical(a).log_prob(torch.tensor(3)),
):
    try:
        refused()
    except ValueError as error:
        print(str(error).split(" to ")[0].split(" of distribution ")[0])


class Own(Normal):
    pass


@register_kl(Own, Own)
def own(p, q):
    return p.loc - q.loc


print(kl_divergence(Own(a, b), Own(b, a)))

policy = torch.nn.Linear(4, 3)
optimizer = torch.optim.Adam(policy.parameters(), lr=0.05)
for step in range(10):
    state = torch.randn(16, 4)
    chosen = Categorical(logits=policy(state))
    action = chosen.sample()
    reward = (action == state.argmax(1).clamp(max=2)).float()
    loss = -(chosen.log_prob(action) * (reward - reward.mean())).mean()
    loss = loss - 0.01 * chosen.entropy().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item(), reward.mean().item())

encoder, decoder = torch.nn.Linear(6, 4), torch.nn.Linear(2, 6)
optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.1)
x = (torch.rand(20, 6) > 0.5).float()
for step in range(10):
    mean, log_std = encoder(x).chunk(2, dim=1)
    latent = Normal(mean, log_std.exp())
    likelihood = Bernoulli(logits=decoder(latent.rsample())).log_prob(x).sum(1)
    divergence = kl_divergence(latent, Normal(torch.zeros(2), torch.ones(2))).sum(1)
    loss = (divergence - likelihood).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
