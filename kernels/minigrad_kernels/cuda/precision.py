"""The precision of float32 products on a GPU, in PyTorch's three words.

highest: float32.  high: TF32, operands rounded to 10 bits of mantissa.  medium: bfloat16, operands
rounded to 7 bits.  All sum in float32.  CPU kernels take no notice.  Convolutions with many
channels and their gradients by the input keep to it as well; those by the weight are float32.
"""

from __future__ import annotations

PRECISIONS = ("highest", "high", "medium")
chosen = ["highest"]  # read at every launch


def set_precision(precision: str) -> None:
    """Choose how float32 products are computed on a GPU; the CPU always computes in float32.

    precision: "highest", float32; "high", TF32 on tensor cores, errors of some 2**-11 of the terms;
        "medium", bfloat16 on tensor cores, some 2**-8.

    Raises: ValueError for any other word.

    >>> set_precision("highest")
    >>> get_precision()
    'highest'
    """
    if precision not in PRECISIONS:
        expected = "', '".join(PRECISIONS)
        raise ValueError(
            f"float32 matmul precision: expected one of '{expected}', got {precision!r}"
        )
    chosen[0] = precision


def get_precision() -> str:
    """Return the word that `set_precision` was last given."""
    return chosen[0]
