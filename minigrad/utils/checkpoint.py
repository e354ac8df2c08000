"""`checkpoint` under PyTorch's name; see minigrad/autograd/checkpoint.py."""

from minigrad.autograd.checkpoint import CheckpointError as CheckpointError
from minigrad.autograd.checkpoint import checkpoint as checkpoint
from minigrad.autograd.checkpoint import checkpoint_sequential as checkpoint_sequential
