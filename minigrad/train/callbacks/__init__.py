"""Callbacks of a `Trainer`, called between its steps: one file a callback."""
