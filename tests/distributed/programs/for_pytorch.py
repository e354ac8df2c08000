"""A program for PyTorch on two processes: what it prints there, with gloo, it prints here.

With PyTorch it runs as `python for_pytorch.py`; here as `mpiexec -n 2 minigrad run for_pytorch.py`.
"""

import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


class Net(nn.Module):
    """Two layers and a norm; one layer is frozen, one never used."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, 3)
        self.frozen = nn.Linear(3, 3)
        self.unused = nn.Linear(2, 2)
        for p in self.frozen.parameters():
            p.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.frozen(self.last(torch.relu(self.norm(self.first(x)))))


def worker(rank: int, world_size: int) -> None:
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29512")
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    lines = [f"{dist.get_rank()} of {dist.get_world_size()}"]

    torch.manual_seed(rank)  # the model is that of rank 0 all the same
    model = DDP(Net(), find_unused_parameters=True)
    torch.manual_seed(5)
    data = TensorDataset(torch.randn(27, 6), torch.randint(0, 3, (27,)))
    sampler = DistributedSampler(data, shuffle=True, seed=3)
    loader = DataLoader(data, batch_size=5, sampler=sampler)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for number, (x, y) in enumerate(loader):
            loss = nn.functional.cross_entropy(model(x), y)
            if number % 2 == 0:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        mean = loss.detach().clone()
        dist.all_reduce(mean, op=dist.ReduceOp.SUM)
        lines.append(f"epoch {epoch} own {loss.item():.5f} mean {mean.item() / world_size:.5f}")
    with model.no_sync():
        model(x).sum().backward()
    model(x).sum().backward()
    lines.append(f"gradient {model.module.first.weight.grad.abs().sum().item():.4f}")
    lines.append(f"unused {model.module.unused.weight.grad is None}")
    lines += sorted(model.state_dict())
    weight = model.module.last.weight.detach()
    found = [torch.empty_like(weight) for _ in range(world_size)]
    dist.all_gather(found, weight)
    lines.append(f"equal {all(torch.equal(w, weight) for w in found)} {weight.sum().item():.5f}")
    told = [{"rank": rank}]
    dist.broadcast_object_list(told, src=1)
    lines.append(str(told))
    for rows, replicas, drop in ((10, 3, False), (10, 3, True), (2, 4, False), (9, 2, True)):
        orders = [
            list(DistributedSampler(range(rows), replicas, r, seed=rows, drop_last=drop))
            for r in range(replicas)
        ]
        lines.append(f"sampled {rows} {replicas} {drop} {orders}")
    for turn in range(world_size):
        dist.barrier()
        if turn == rank:
            print("\n".join(lines), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(worker, args=(2,), nprocs=2, join=True)
