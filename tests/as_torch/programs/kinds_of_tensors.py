"""Dtypes, kinds and shapes, as they are made, asked for and printed."""

import numpy as np
import torch

x = torch.Tensor([[1, 2, 3], [4, 5, 6]])
print(x, x.shape, x.size(), x.size(-1), x.dtype, x.type())
print(torch.Tensor(2, 0).shape, torch.FloatTensor(2, 3).size(), torch.LongTensor([1, 2]))
print(torch.Tensor(np.array([1, 2])), torch.DoubleTensor([1, 2]), torch.ByteTensor([1, 255]))
print(
    isinstance(x, torch.Tensor), isinstance(x, torch.FloatTensor), isinstance(x, torch.LongTensor)
)
print(isinstance(x.dtype, torch.dtype), isinstance(x.shape, torch.Size), type(x) == torch.Tensor)
print(x.type(torch.LongTensor).dtype, x.type("torch.DoubleTensor").dtype, x.type(torch.int).dtype)
print(x.int().dtype, x.long().dtype, x.byte().dtype, x.double().dtype, x.bool().dtype)
print(torch.float is torch.float32, torch.long, torch.double, torch.half, torch.bfloat16)
print(
    x.nelement(), x.numel(), x.ndimension(), x.dim(), x.element_size(), x.stride(), x.t().stride()
)
print(x[0, 1:].storage_offset(), x.is_contiguous(), x.t().is_contiguous(), x.shape.numel())
print(x.shape[1:], x.shape + (1,), (1, *x.shape), x.mT.shape, x.H.shape)
print(torch.is_tensor(x), torch.is_tensor(1), torch.is_floating_point(x), torch.is_complex(x))
print(
    x.new_zeros(2), x.new_ones((1, 2), dtype=torch.long), x.new_tensor([1, 2]), x.new_full((2,), 7)
)
print(
    torch.zeros(size=(2,)), torch.ones_like(x, dtype=torch.float64).dtype, torch.empty_like(x).shape
)
print(
    torch.arange(0, 1, 0.25), torch.linspace(0, 1, steps=3), torch.logspace(0, 2, 3), torch.eye(2)
)
print(torch.full((2,), 3), torch.full((2,), 3.0), torch.zeros(2, dtype=torch.int), torch.ones(1, 2))
print(
    torch.promote_types(torch.int, torch.float),
    torch.result_type(x, 1.5),
    torch.can_cast(torch.float, torch.int),
)
print(torch.finfo(torch.float32).eps, torch.finfo(torch.float64).max, torch.iinfo(torch.int32).max)
loss = (x.requires_grad_() ** 2).mean()
print(loss, f"{loss}", f"{loss:.3f}", f"{loss:.2f}", loss.item(), float(loss), x.grad)
print(loss.detach().numpy(), x.numpy(force=True).sum(), x.detach().tolist())
print(torch.tensor(True), torch.tensor([1.5, float("nan"), float("inf")]), torch.tensor(3))
torch.set_default_dtype(torch.float64)
print(
    torch.zeros(1).dtype,
    torch.tensor(1.0).dtype,
    torch.nn.Linear(2, 1).weight.dtype,
    torch.get_default_dtype(),
)
print(torch.tensor(2) * 1.5, torch.arange(3) / 2, torch.rand(2).dtype)
torch.set_default_dtype(torch.float32)
torch.set_printoptions(precision=2)
print(torch.tensor([1.23456, 2.0]))
torch.set_printoptions(profile="default")
