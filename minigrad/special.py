"""Special functions: `minigrad.special`, with gradients to any order.

>>> import minigrad as mg
>>> x = mg.tensor([0.5], requires_grad=True)
>>> mg.special.gammaln(x).sum().backward()
>>> x.grad
tensor([-1.9635])
"""

from minigrad.ops.norm import log_softmax as log_softmax
from minigrad.ops.norm import softmax as softmax
from minigrad.tensors import registry as _registry

_registry.share(globals(), "special")
