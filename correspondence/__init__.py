"""Dense matching of a live frame with a reference picture, with calibrated uncertainty."""

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
    "check_image",
    "confidence",
    "detect_landmarks",
    "warp_image",
]
