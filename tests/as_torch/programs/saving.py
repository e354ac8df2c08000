"""Checkpoints: states, what stands beside them, and whole modules."""

import io
import os
import tempfile

import numpy as np
import torch
import torch.nn as nn

torch.manual_seed(5)
folder = tempfile.mkdtemp()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 3)
        self.b = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.5))
        self.tied = self.a
        self.scale = 2.0

    def forward(self, x):
        return self.b(self.a(x)) * self.scale


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
model(torch.randn(4, 2)).sum().backward()
optimizer.step()
path = os.path.join(folder, "checkpoint.pt")
torch.save(
    {
        "epoch": 3,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": torch.tensor(0.5),
        "config": {"sizes": (2, 3), "names": ["a", None], "lr": 1e-3, "flag": True},
    },
    path,
)
checkpoint = torch.load(path, map_location=torch.device("cpu"), weights_only=True)
other = Net()
print(other.load_state_dict(checkpoint["model_state_dict"]))
torch.optim.Adam(other.parameters()).load_state_dict(checkpoint["optimizer_state_dict"])
print(checkpoint["epoch"], checkpoint["loss"], checkpoint["config"])
print(
    all(bool((p == q).all()) for p, q in zip(model.parameters(), other.parameters(), strict=True))
)
buffer = io.BytesIO()
torch.save([torch.arange(3), {"x": torch.ones(2)}, "text"], buffer)
buffer.seek(0)
print(torch.load(buffer))
with open(os.path.join(folder, "array.pt"), "wb") as file:
    torch.save(np.arange(4.0), file)
print(torch.load(os.path.join(folder, "array.pt"), weights_only=False))
torch.save(model, os.path.join(folder, "whole.pt"))
whole = torch.load(os.path.join(folder, "whole.pt"), weights_only=False).eval()
x = torch.randn(2, 2)
print(
    type(whole).__name__,
    bool((whole(x) == model.eval()(x)).all()),
    whole.tied is whole.a,
    whole.scale,
)
