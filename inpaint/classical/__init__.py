"""Filling and warping of pictures without a network: OpenCV inpainting, warp and blend, landmark warps."""
