"""The live path of one source: newest-only hand-over, the pipeline's thread, the virtual camera."""
