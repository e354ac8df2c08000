"""Capture: a function's launches written down once, then replayed in one call."""
