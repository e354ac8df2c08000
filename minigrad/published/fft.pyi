# Written by tests/golden/make_stubs.py from the registries of ops and functions.
import builtins
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.tensors.tensor import Tensor


