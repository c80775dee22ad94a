"""Dense matching of a live frame with a reference picture, with calibrated uncertainty.

A match says for each pixel of a frame where the reference shows the same place, and how sure that is:

    matcher = Matcher.load()
    prepared = matcher.prepare(reference)  # RGB uint8 (H, W, 3); slow, once for each reference
    match = matcher.match(frame, prepared)  # once for each frame
    warped = warp_image(reference, match.field)  # the reference as the frame shows it
    sure = confidence(match, radius_px=3.0)  # probability of an error below 3 pixels, float32 (H, W)

Pictures are RGB uint8 (H, W, 3). Points and fields are (x, y) in pixels, with pixel centres on integers.
`Image`, `Float` and `Bool` name NumPy arrays of uint8, float32 and bool; a `Box` is (x0, y0, x1, y1).

The sub-packages hold the parts: `face` finds landmarks, `matchers` and `network` find fields, `certainty`
judges their errors, `cover` finds what hides a face, `geometry` warps, `training` trains the networks.
Importing this package loads no network and needs no GPU.
"""

from correspondence.certainty.uncertainty import confidence
from correspondence.errors import WeightsError
from correspondence.face.landmarks import LandmarkTracker, detect_landmarks
from correspondence.geometry.warp import warp_image
from correspondence.matcher import Matcher
from correspondence.types import (
    DETECT,
    Bool,
    Box,
    Float,
    Image,
    Landmarks,
    Match,
    MaybeLandmarks,
    Prepared,
    check_image,
)
from correspondence.version import version

__version__ = version()

__all__ = [
    "DETECT",
    "Bool",
    "Box",
    "Float",
    "Image",
    "LandmarkTracker",
    "Landmarks",
    "Match",
    "Matcher",
    "MaybeLandmarks",
    "Prepared",
    "WeightsError",
    "__version__",
    "check_image",
    "confidence",
    "detect_landmarks",
    "warp_image",
]
