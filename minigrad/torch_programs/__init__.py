"""Stand-ins for the modules of PyTorch, which `minigrad.as_torch` puts up.

Importing this package changes nothing.
"""
