"""Coordinates, backward warps, the matched region, and optical flow between crops."""
