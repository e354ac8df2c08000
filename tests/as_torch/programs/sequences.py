"""Recurrent networks: a tagger, and a cell step by step."""

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

torch.manual_seed(4)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 6)
        self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(10, 3)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(
            self.embed(x), lengths, batch_first=True, enforce_sorted=False
        )
        hidden, (h, c) = self.lstm(packed)
        hidden, _ = pad_packed_sequence(hidden, batch_first=True)
        return self.out(hidden), h


sentences = [torch.randint(1, 10, (n,)) for n in (4, 2, 5)]
x = pad_sequence(sentences, batch_first=True)
lengths = torch.LongTensor([4, 2, 5])
model = Tagger()
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01)
criterion = nn.CrossEntropyLoss(ignore_index=-100)
tags = torch.where(x > 0, x % 3, torch.tensor(-100))
for epoch in range(4):
    model.zero_grad()
    scores, h = model(x, lengths)
    loss = criterion(scores.reshape(-1, 3), tags.reshape(-1))
    loss.backward()
    optimizer.step()
    print(epoch, loss.item(), tuple(h.shape), scores.shape)
cell = nn.LSTMCell(2, 3)
state = (torch.zeros(1, 3), torch.zeros(1, 3))
for step in torch.linspace(0, 1, 6).view(3, 1, 2):
    state = cell(step, state)
print(state[0].data, nn.GRU(2, 3)(torch.ones(2, 1, 2))[1].detach())
