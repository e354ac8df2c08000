"""Mutants of elementwise/cuda_rules.py and math/cuda_trigonometry.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

MUTANTS = (
    Own("math.cuda_trigonometry:stepped", "sin", "quarters counted twice", "return uint32(int32(n)), ",
        "return uint32(int32(n + n)), ", kinds=("wrong",)),
    Own("math.cuda_trigonometry:sine_after", "cos", "quarters not added", "uint32(q + quarters)", "q",
        kinds=("wrong",)),
    Own("math.cuda_trigonometry:sine_after", "sin", "sign not turned", "y = -y if", "y = y if",
        kinds=("wrong",)),
    Own("math.cuda_trigonometry:sine_after", "sin", "infinity taken for a number",
        "y if finite else size - size", "y", kinds=("wrong",)),
    Own("elementwise.cuda_rules:modulus", "remainder", "sign of the divisor lost",
        "(b < 0) != (r < 0)", "r < 0", kinds=("wrong",)),
    Own("elementwise.cuda_rules:floor_divide", "floor_divide", "rounded towards zero",
        "whole = whole - like(a, 1)", "pass", kinds=("wrong",)),
    Own("elementwise.cuda_rules:floor", "floor", "rounded to the nearest",
        "whole - like(a, 1) if whole > a else whole", "whole", kinds=("wrong",)),
    Own("elementwise.cuda_rules:isfinite", "isfinite", "infinity passes", "a - a == 0", "a == a",
        kinds=("wrong",)),
    Own("elementwise.cuda_rules:logical_and", "logical_and", "second left out", "and b != 0", "",
        kinds=("wrong",)),
    Own("elementwise.cuda_rules:left_shift", "left_shift", "kept beyond 64", "else int64(0)", "else a",
        kinds=("wrong",)),
    Own("elementwise.cuda_rules:right_shift", "right_shift", "shifted by -1", "0 <= b < 63", "b < 63",
        kinds=("error",)),
    Own("elementwise.cuda_rules:bitwise_and", "bitwise_and", "or for and", "a & b", "a | b",
        kinds=("wrong",)),
)  # fmt: skip
