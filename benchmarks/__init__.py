"""Benchmarks: `python -m benchmarks NAME` validates, then times minigrad beside its peers."""
