"""Random numbers of a seed: the same here and there."""

import torch
from torch import nn

torch.manual_seed(0)
print(torch.initial_seed(), torch.rand(3), torch.rand(2, dtype=torch.double), torch.randn(5))
print(torch.randn(40)[:3], torch.randn(40)[-3:], torch.randn(3, 7, dtype=torch.double)[0])
print(torch.randint(10, (5,)), torch.randint(2, 5, (2, 2)), torch.randint(high=3, size=(3,)))
print(torch.randint(0, 2**40, (2,)), torch.randperm(12), torch.rand_like(torch.ones(2)))
print(torch.randn_like(torch.ones(2, dtype=torch.double)), torch.randint_like(torch.zeros(3), 9))
print(
    torch.normal(0.0, 2.0, (3,)),
    torch.normal(torch.arange(3.0), 0.5),
    torch.normal(1.0, torch.ones(17))[:2],
)
print(torch.bernoulli(torch.full((6,), 0.3)), torch.empty(5).bernoulli_(0.5))
print(torch.empty(3).uniform_(-1, 1), torch.empty(3).normal_(1, 2), torch.empty(3).exponential_(2))
print(torch.empty(4).random_(5), torch.empty(2, dtype=torch.long).random_(3, 9))
weights = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
print(
    torch.multinomial(weights, 1),
    torch.multinomial(weights, 4, replacement=True),
    torch.multinomial(weights[0], 2),
)
state = torch.get_rng_state()
first = torch.rand(2)
torch.set_rng_state(state)
print(bool((first == torch.rand(2)).all()))
generator = torch.Generator().manual_seed(7)
print(
    torch.rand(2, generator=generator),
    torch.randperm(5, generator=generator),
    generator.initial_seed(),
)
for layer in (
    nn.Linear(3, 2),
    nn.Conv2d(1, 2, 3),
    nn.Embedding(4, 3),
    nn.LSTM(3, 2),
    nn.GRUCell(2, 3),
):
    print([round(p.flatten()[-1].item(), 6) for p in layer.parameters()])
w = torch.empty(4, 6)
for init in (nn.init.xavier_uniform_, nn.init.kaiming_normal_, nn.init.uniform_, nn.init.normal_):
    print(init(w)[0, :3])
print(nn.functional.dropout(torch.ones(10), 0.4), nn.Dropout(0.25)(torch.ones(8)))
with torch.random.fork_rng():
    torch.rand(5)
print(torch.rand(1))
