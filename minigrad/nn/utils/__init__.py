"""What is done to modules and their inputs: sequences of unequal lengths."""

from minigrad.nn.utils import rnn

__all__ = ["rnn"]
