"""Fills: masked diffusion, frames between references, other people's models, and the jobs that ask for them."""
