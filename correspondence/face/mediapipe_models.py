"""The MediaPipe models that ship with the package: their origin, and loading with a checksum.

The files are in `correspondence/models/`. `models/rebuild.py` rebuilds them from their origin.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from correspondence.errors import WeightsError

FOLDER = Path(__file__).parent.parent / "models"
ORIGIN = "mediapipe==0.10.21"  # the last release whose wheel contains models; Apache-2.0
_MODULES = "mediapipe/modules/"


@dataclass(frozen=True, slots=True)
class Original:
    """A file of the original wheel.

    Attributes:
        path: path of the file in the wheel.
        sha256: checksum of the file, hexadecimal.
        change: the change made to it, a key of `rebuild.CHANGES`; "" for no change.
    """

    path: str
    sha256: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A model file of the package.

    Attributes:
        sha256: checksum of the file, hexadecimal.
        parts: the original files by their name in the bundle; the name is "" if the file is no bundle.
    """

    sha256: str
    parts: dict[str, Original]

    def is_whole(self, data: bytes) -> bool:
        """Whether `data` has the checksum of the file."""
        return hashlib.sha256(data).hexdigest() == self.sha256


_SHORT_RANGE = Original(
    _MODULES + "face_detection/face_detection_short_range.tflite",
    "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
)
MODELS: dict[str, Model] = {
    "face_landmarks.task": Model(
        "d7fd5fa3bec3ed1c95b0b7a6fd853c330222c36d36b120633794a68d013280ca",
        {
            "face_detector.tflite": _SHORT_RANGE,
            "face_landmarks_detector.tflite": Original(
                _MODULES + "face_landmark/face_landmark_with_attention.tflite",
                "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
                "joined",
            ),
        },
    ),
    "faces.tflite": Model(
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        {
            "": Original(
                _MODULES + "face_detection/face_detection_full_range_sparse.tflite",
                "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
            )
        },
    ),
    "person.tflite": Model(
        "a77d03f4659b9f6b6c1f5106947bf40e99d7655094b6527f214ea7d451106edd",
        {
            "": Original(
                _MODULES + "selfie_segmentation/selfie_segmentation_landscape.tflite",
                "a77d03f4659b9f6b6c1f5106947bf40e99d7655094b6527f214ea7d451106edd",
            )
        },
    ),
    "pose.task": Model(
        "c22c8c21b5432415609220b6415a988ec40a0e930dabc4162e73fe9795bb92a1",
        {
            "pose_detector.tflite": Original(
                _MODULES + "pose_detection/pose_detection.tflite",
                "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
            ),
            "pose_landmarks_detector.tflite": Original(
                _MODULES + "pose_landmark/pose_landmark_full.tflite",
                "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
                "range",
            ),
        },
    ),
}


def load(name: str) -> bytes:
    """Read a model file and check its checksum.

    Args:
        name: a key of `MODELS`.

    Raises:
        WeightsError: the file is missing, or its checksum differs.
    """
    path = FOLDER / name
    if not path.is_file():
        raise WeightsError(f"{path} is missing: reinstall the package")
    data = path.read_bytes()
    check(str(path), data, MODELS[name].sha256)
    return data


def check(name: str, data: bytes, expected: str) -> None:
    """Check the checksum of bytes.

    Args:
        name: name of the data in the error message.
        data: the bytes.
        expected: their expected sha256, hexadecimal.

    Raises:
        WeightsError: the checksum differs.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise WeightsError(
            f"{name} has sha256 {found[:12]}..., expected {expected[:12]}...: damaged or another version; "
            "reinstall the package"
        )
