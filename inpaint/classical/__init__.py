"""Filling and moving pictures without a network: OpenCV inpainting, warp and blend, landmark warps."""
