"""A small regression: a module, momentum, a schedule, dropout, batches in random order."""

import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(1)


class Net(nn.Module):
    def __init__(self, hidden=16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, hidden), nn.Tanh(), nn.Dropout(p=0.2), nn.Linear(hidden, 1)
        )

    def forward(self, x):
        return self.layers(x).squeeze(-1)


x = torch.randn(60, 3)
y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.1 * torch.randn(60)
train, test = random_split(
    TensorDataset(x, y), [0.8, 0.2], generator=torch.Generator().manual_seed(3)
)
loader = DataLoader(
    train, batch_size=8, shuffle=True, num_workers=0, drop_last=True, pin_memory=True
)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
net = Net().to(device)
print(net, sum(p.numel() for p in net.parameters() if p.requires_grad), len(loader), len(test))
optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
criterion = nn.MSELoss()
for epoch in range(3):
    net.train()
    total = 0.0
    for inputs, targets in loader:
        inputs, targets = inputs.to(device, non_blocking=True), targets.to(device)
        optimizer.zero_grad()
        loss = criterion(net(inputs), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        total += loss.item() * inputs.size(0)
    scheduler.step()
    net.eval()
    with torch.no_grad():
        error = sum(criterion(net(a), b).data for a, b in DataLoader(test, batch_size=4))
    print(epoch, f"{total / len(train):.5f}", error, optimizer.param_groups[0]["lr"])
print(list(net.state_dict())[:2], type(net.state_dict()).__name__)
