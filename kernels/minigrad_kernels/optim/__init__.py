"""Optimizer steps and gradient clipping over many arrays at once."""
