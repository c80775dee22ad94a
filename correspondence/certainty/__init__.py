"""How sure a match is: evidence, the fitted judge, and the Laplace scale `log_b`."""
