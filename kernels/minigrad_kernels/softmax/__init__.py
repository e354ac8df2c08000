"""Softmax, logsumexp and cross-entropy."""
