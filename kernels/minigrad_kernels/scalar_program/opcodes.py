"""Codes of the operations of a flat scalar tape, read by scalar_program/program.py's kernels."""

from __future__ import annotations

# FIXED_POW: to the power of a constant, which needs no gradient and so no logarithm.
LEAF, ALIAS, ADD, SUB, MUL, DIV, NEG, POW, FIXED_POW, RELU, EXP, LOG, TANH, SIGMOID = range(14)
NAMES = (
    *("Leaf", "Alias", "Add", "Sub", "Mul", "Div", "Neg", "Pow", "Pow"),
    *("Relu", "Exp", "Log", "Tanh", "Sigmoid"),
)
BINARY = (ADD, SUB, MUL, DIV, POW, FIXED_POW)
