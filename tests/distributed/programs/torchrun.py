"""A program for PyTorch that torchrun would start."""

import os

import torch.distributed as dist

assert os.environ["MASTER_ADDR"] and os.environ["MASTER_PORT"]
dist.init_process_group("gloo", init_method="env://")
rank, size, local, here = (
    int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
)
assert (dist.get_rank(), dist.get_world_size()) == (rank, size)
print(f"{rank} of {size}, {local} of {here} here", flush=True)
dist.destroy_process_group()
