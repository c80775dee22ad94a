"""Training of the autoencoder and the denoiser: data, augmentation, losses, and both runs."""
