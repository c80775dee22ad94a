"""The quadrant-grid latent diffusion model: autoencoder, denoiser, conditions, sampler and weight files."""
