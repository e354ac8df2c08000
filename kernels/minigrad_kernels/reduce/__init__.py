"""Sums, means, products, extrema, variances and norms."""
