"""Training of the autoencoder and the denoiser: data, augmentation, losses, the two runs."""
