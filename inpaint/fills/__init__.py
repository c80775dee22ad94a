"""Fills: masked diffusion, frames between references, third-party models, and fill jobs."""
