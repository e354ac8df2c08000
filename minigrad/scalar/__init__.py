"""Automatic differentiation of single numbers: `Value`, its replay, and the way to tensors."""

from minigrad.scalar.bridge import from_tensor as from_tensor
from minigrad.scalar.bridge import to_tensor as to_tensor
from minigrad.scalar.replay import Replay as Replay
from minigrad.scalar.value import Value as Value
