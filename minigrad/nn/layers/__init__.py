"""The layers and losses of `minigrad.nn`, one file a family."""
