"""Where each pixel of a live frame lies in a reference picture, and how sure that is."""

from correspondence.errors import WeightsError
from correspondence.landmarks import LandmarkTracker, detect_landmarks
from correspondence.matcher import Matcher
from correspondence.types import DETECT, Landmarks, Match, Prepared
from correspondence.uncertainty import confidence
from correspondence.warp import warp_image

__all__ = [
    "DETECT",
    "LandmarkTracker",
    "Landmarks",
    "Match",
    "Matcher",
    "Prepared",
    "WeightsError",
    "confidence",
    "detect_landmarks",
    "warp_image",
]
