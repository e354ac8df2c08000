"""Gather, scatter and sort."""
