"""Generation of content that no picture shows: masked fills, and frames between references.

A `Fill` repaints the hole of a picture and leaves all other pixels as they are:

    mask = dilate(hole, radius_px=2)  # float32 (H, W) in [0, 1]; 1 is repainted
    filled = fill_classical(image, mask)  # OpenCV: continues the surroundings
    fill = load()  # the diffusion model with the shipped weights; needs torch and diffusers
    filled = fill(image, mask, FillContext(landmarks=landmarks))

Importing this package needs numpy and OpenCV only.

The sub-packages hold the parts: `classical` needs no network, `model` is the diffusion model, `fills`
applies it to holes and gaps, `training` trains it, `looks` learns a look of the whole picture from one edited
picture.
"""

from correspondence import __version__
from inpaint.classical.opencv import fill_classical
from inpaint.fills.loading import load
from inpaint.mask import dilate, feather, fill_delta, hole_box, match_boundary, paste
from inpaint.types import Fill, FillContext

__all__ = [
    "Fill",
    "FillContext",
    "__version__",
    "dilate",
    "feather",
    "fill_classical",
    "fill_delta",
    "hole_box",
    "load",
    "match_boundary",
    "paste",
]
