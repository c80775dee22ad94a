"""Fills: masked diffusion, frames between references, other people's models, and fill jobs."""
