"""Elementwise kernels, made from scalar rules, and copies between layouts."""
