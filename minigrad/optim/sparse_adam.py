"""SparseAdam, which is refused: there are no sparse gradients."""

from __future__ import annotations

from typing import Any

from minigrad.optim.optimizer import Optimizer


class SparseAdam(Optimizer):
    """PyTorch's Adam for sparse gradients: it is not there, and says so.

    Raises: NotImplementedError always.
    """

    def __init__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "SparseAdam: there are no sparse gradients here; use Adam, in which a row of an"
            " embedding that was not looked up still moves by its momentum"
        )
