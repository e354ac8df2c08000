"""A variational autoencoder, and a game of two networks."""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(10)


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.mu, self.var = nn.Linear(8, 6), nn.Linear(6, 2), nn.Linear(6, 2)
        self.fc3, self.fc4 = nn.Linear(2, 6), nn.Linear(6, 8)

    def forward(self, x):
        h = F.relu(self.fc1(x))
        mu, log_var = self.mu(h), self.var(h)
        std = torch.exp(log_var / 2)
        z = mu + torch.randn_like(std) * std
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, log_var


x = torch.rand(12, 8)
model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(4):
    out, mu, log_var = model(x)
    loss = F.binary_cross_entropy(out, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp())
    optimizer.zero_grad()
    (loss + kl).backward()
    optimizer.step()
    print(step, loss.item(), kl.item())
D = nn.Sequential(nn.Linear(8, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1), nn.Sigmoid())
G = nn.Sequential(nn.Linear(2, 4), nn.ReLU(True), nn.Linear(4, 8), nn.Tanh())
criterion = nn.BCELoss()
d, g = torch.optim.Adam(D.parameters(), 0.01), torch.optim.Adam(G.parameters(), 0.01)
real, fake = torch.ones(12, 1), torch.zeros(12, 1)
for step in range(3):
    noise = torch.randn(12, 2)
    d_loss = criterion(D(x), real) + criterion(D(G(noise).detach()), fake)
    d.zero_grad()
    d_loss.backward()
    d.step()
    g_loss = criterion(D(G(noise)), real)
    g.zero_grad()
    g_loss.backward()
    g.step()
    print(step, d_loss.item(), g_loss.item())
