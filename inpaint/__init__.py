"""What was never seen is invented here: masked fills and frames between references.

Importing this package needs numpy and OpenCV only; torch and diffusers are imported by `load`.
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
