"""Scalar functions that vectorise, and the Philox generator."""
