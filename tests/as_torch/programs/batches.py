"""Datasets, samplers and what makes batches of samples."""

import collections

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
    random_split,
)

torch.manual_seed(6)


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return {"x": float(i), "y": i * i, "name": f"row {i}", "a": np.full(2, i, dtype=np.float32)}


class Stream(IterableDataset):
    def __iter__(self):
        assert get_worker_info() is None
        return iter(range(5))


print(next(iter(DataLoader(Squares(5), batch_size=2))))
Pair = collections.namedtuple("Pair", ["u", "v"])
print(default_collate([Pair(1, 2.0), Pair(3, 4.0)]), default_collate([(1, [2, 3]), (4, [5, 6])]))
print(
    [b.tolist() for b in DataLoader(Stream(), batch_size=2)],
    list(ChainDataset([Stream(), Stream()]))[:7],
)
data = TensorDataset(torch.arange(10), torch.arange(10.0) ** 2)
for _ in range(2):
    print([x.tolist() for x, _ in DataLoader(data, batch_size=3, shuffle=True)])
seeded = DataLoader(data, 4, True, generator=torch.Generator().manual_seed(1), drop_last=True)
print([x.tolist() for x, _ in seeded], len(seeded), len(seeded.dataset), seeded.batch_size)
print([x.tolist() for x, _ in seeded])
print([x.tolist() for x, _ in DataLoader(data, 4, sampler=SubsetRandomSampler([1, 3, 5, 7, 9]))])
print(
    list(WeightedRandomSampler([0.1, 0.9, 0.5], 6)),
    list(RandomSampler(data, replacement=True, num_samples=4)),
)
print(list(BatchSampler(SequentialSampler(data), 4, False)), list(RandomSampler(data)))
batches = DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), 5, True))
print([x.tolist() for x, _ in batches], len(batches))
print([b for b in DataLoader([1, 2, 3], batch_size=2, collate_fn=lambda samples: sum(samples))])
print(
    [len(part) for part in random_split(data, [0.5, 0.3, 0.2])],
    [int(i) for i in random_split(range(6), [2, 4])[0].indices],
)
both = ConcatDataset([data, Subset(data, [0, 1])])
print(len(both), both[11][1], (data + data)[12][0], len(DataLoader(both, batch_size=5)))
print([x for x in DataLoader(np.arange(3), batch_size=None)], type(next(iter(DataLoader(data)))))
