"""Uncertainty of a match: evidence, the fitted judge, and the Laplace scale `log_b`."""
