"""Generation of content that no picture shows: masked fills, and frames between references.

Importing this package needs numpy and OpenCV only. `load` imports torch and diffusers.
"""

from inpaint.classical.opencv import fill_classical
from inpaint.fills.loading import load
from inpaint.mask import dilate, feather, fill_delta, hole_box, match_boundary, paste
from inpaint.types import Fill, FillContext

__all__ = [
    "Fill",
    "FillContext",
    "dilate",
    "feather",
    "fill_classical",
    "fill_delta",
    "hole_box",
    "load",
    "match_boundary",
    "paste",
]
