"""Compile a kernel, keep it on disk, call it by its address."""
