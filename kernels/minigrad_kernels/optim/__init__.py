"""Steps of optimizers, one file each, and gradient clipping, over many arrays at once."""
