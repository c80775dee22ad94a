"""The probabilistic correspondence network: model, encoder, weights on disk, and its runtimes."""
