"""Linear algebra: `minigrad.linalg`, LAPACK's by way of NumPy, with gradients to any order.

>>> import minigrad as mg
>>> A = mg.tensor([[2.0, 0.0], [0.0, 4.0]], requires_grad=True)
>>> mg.linalg.inv(A).sum().backward()
>>> A.grad
tensor([[-0.2500, -0.1250],
        [-0.1250, -0.0625]])
"""

from minigrad.ops.decompositions import LinAlgError as LinAlgError
from minigrad.ops.linalg import matmul as matmul
from minigrad.tensors import registry as _registry

_registry.share(globals(), "linalg")
