"""A convolutional network on small pictures, as tutorials train it."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(3)
torch.backends.cudnn.benchmark = True
torch.backends.cudnn.deterministic = True


class Pictures(Dataset):
    def __init__(self, n, transform=None):
        self.images = torch.rand(n, 1, 12, 12)
        self.labels = (self.images.mean((1, 2, 3)) > 0.5).long()
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        image = self.images[i]
        return (self.transform(image) if self.transform else image), int(self.labels[i])


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, kernel_size=3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 8, 3, stride=2)
        self.fc = nn.Linear(8 * 2 * 2, 2)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn(self.conv1(x))), 2)
        x = F.relu(self.conv2(x))
        x = x.view(x.size(0), -1)
        return F.log_softmax(self.fc(x), dim=1)


loader = DataLoader(
    Pictures(24, lambda image: (image - 0.5) / 0.25), batch_size=6, shuffle=True, num_workers=0
)
model = CNN()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, betas=(0.9, 0.99))
correct = 0
for epoch in range(2):
    for i, (images, labels) in enumerate(loader, 0):
        outputs = model(images)
        loss = F.nll_loss(outputs, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        value, predicted = torch.max(outputs.data, 1)
        correct += (predicted == labels).sum().item()
        correct += (
            outputs.argmax(dim=1, keepdim=True).eq(labels.view_as(predicted[:, None])).sum().item()
        )
        print("[%d, %d] loss: %.5f" % (epoch + 1, i + 1, loss.item()), labels.dtype, images.shape)
print(correct, model.bn.running_mean, model.bn.num_batches_tracked)
