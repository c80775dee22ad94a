"""MediaPipe's tasks with the shipped models, started without log output and without network requests.

MediaPipe 1.x reports its use over the network and has no option to turn this off. `_keep_offline` gives it a
proxy address at which nothing listens, so that no request leaves the machine.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from correspondence.face.mediapipe_models import load
from correspondence.face.native import set_native_variable
from correspondence.types import LANDMARK_COUNT, Float, Image

Box = tuple[float, float, float, float]  # x0, y0, x1, y1, pixels

# The face task filters over time in video mode. Steps of this length disable the filter (the newest points
# weigh 0.9997), and the counter still lasts for a year of frames.
_FACE_STEP_MS = 10_000_000
_POSE_STEP_MS = 33  # the pose task's filter is used as it is; it is tuned for 30 frames a second
NOWHERE = "http://127.0.0.1:9"  # the discard port, where a connection is refused at once
_CHATTER = re.compile(
    rb"^(?:[IW]\d{4} \d|INFO: |WARNING: (?:All log messages before absl::InitializeLog"
    rb"|Logging before InitGoogle|\[model_load\.cc:\d+\] Sparsity))"
)
_stderr_lock = threading.RLock()


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back output to stderr, then write it without MediaPipe's notes and warnings.

    MediaPipe logs from C++ before any log level can be set, so the file descriptor itself is redirected.
    Lines of other threads are delayed but not lost. Errors are written.
    """
    with _stderr_lock, tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        original = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            held.seek(0)
            kept = b"".join(line for line in held if not _CHATTER.match(line))
            if kept:
                os.write(2, kept)


@lru_cache(maxsize=1)
def _keep_offline() -> None:
    """Send MediaPipe's usage reports to a proxy at which nothing listens.

    The variables are set for native code only. HTTP clients in Python read `os.environ`, which does not
    change. The list of hosts without a proxy is replaced, so that it cannot exempt MediaPipe's host.
    """
    set_native_variable("https_proxy", NOWHERE)
    set_native_variable("no_proxy", "nothing.invalid")


class _Task:
    """A MediaPipe task. It is closed by `close`, when it is garbage collected, or at interpreter exit."""

    def __init__(self, kind: str, model: str | Path, **options: Any) -> None:
        """Start the task.

        Args:
            kind: name of the task's class in `mediapipe.tasks.python.vision`.
            model: name of its model file, a key of `mediapipe_models.MODELS`; or the path of another file.
            options: options of the task; `video` tells whether the pictures are successive frames.

        Raises:
            WeightsError: the model's file is missing or damaged.
        """
        data = load(model) if isinstance(model, str) else model.read_bytes()
        _keep_offline()
        with _without_chatter():
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision

            video = options.pop("video")
            mode = vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE
            settings = getattr(vision, f"{kind}Options")(
                base_options=BaseOptions(model_asset_buffer=data), running_mode=mode, **options
            )
            self._task = getattr(vision, kind).create_from_options(settings)
            self._image, self._format = mediapipe.Image, mediapipe.ImageFormat.SRGB
            self._now_ms = 0
            self._end = weakref.finalize(self, _close, self._task)
            self._start()

    def _start(self) -> None:
        """Run the task once on a black picture, since the first run is slow."""
        raise NotImplementedError

    def _picture(self, image: Image) -> Any:
        return self._image(self._format, np.ascontiguousarray(image))

    def close(self) -> None:
        """Free the task's resources. It cannot be used afterwards."""
        self._end()


def _close(task: Any) -> None:
    with _without_chatter():
        try:
            task.close()
        except RuntimeError as error:
            if "cannot schedule new futures" not in str(error):
                raise
            task._handle = None  # at interpreter exit the system frees the handle; the task must not retry


_BLACK = np.zeros((64, 64, 3), np.uint8)


class FaceMesh(_Task):
    """FaceMesh's attention model with 478 landmarks, including the irises.

    In successive frames a face is looked for at its last landmarks, and detected anew only if it is lost. So
    the crop that the model sees settles over the first runs.
    """

    def __init__(self, static: bool, faces: int) -> None:
        """Start FaceMesh.

        Args:
            static: True detects faces anew in each picture; False follows them.
            faces: largest number of faces. Above 1, faces are detected anew in each picture in any case.
        """
        self._static = static
        super().__init__("FaceLandmarker", "face_landmarks.task", video=not static, num_faces=faces)

    def __call__(self, image: Image) -> list[Float]:
        """Find the landmarks of each face.

        Args:
            image: RGB uint8 (H, W, 3).

        Returns:
            For each face float32 (478, 3): x in units of the width, y of the height, z of the width.
        """
        from mediapipe.tasks.python.vision.face_landmarker import MpFaceLandmarkerResultC

        # MediaPipe's Python methods make an object of each point, which takes a third of the time
        library, task = self._task._lib, self._task._handle
        picture, found = (
            self._picture(image),
            MpFaceLandmarkerResultC(),
        )  # the picture must live until the end
        if self._static:
            library.MpFaceLandmarkerDetectImage(task, picture._image_ptr, None, ctypes.byref(found))
        else:
            self._now_ms += _FACE_STEP_MS
            library.MpFaceLandmarkerDetectForVideo(
                task, picture._image_ptr, None, self._now_ms, ctypes.byref(found)
            )
        try:
            return [_points(found.face_landmarks[i]) for i in range(found.face_landmarks_count)]
        finally:
            library.MpFaceLandmarkerCloseResult(ctypes.byref(found))

    def _start(self) -> None:
        self(_BLACK)


def _points(face: Any) -> Float:
    """Copy the points out of MediaPipe's array of structures, each of which begins with x, y and z."""
    if face.landmarks_count != LANDMARK_COUNT:
        raise ValueError(f"a face has {LANDMARK_COUNT} landmarks with its irises, got {face.landmarks_count}")
    floats = ctypes.sizeof(face.landmarks._type_) // ctypes.sizeof(ctypes.c_float)
    first = ctypes.cast(face.landmarks, ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(first, (LANDMARK_COUNT, floats))[:, :3].copy()


class FaceDetector(_Task):
    """BlazeFace, full range. It finds boxes of faces down to about 5 % of the picture."""

    def __init__(self) -> None:
        super().__init__("FaceDetector", "faces.tflite", video=False, min_detection_confidence=0.5)

    def __call__(self, image: Image) -> list[Box]:
        """Find the box of each face, in whole pixels.

        Args:
            image: RGB uint8 (H, W, 3).
        """
        boxes = [found.bounding_box for found in self._task.detect(self._picture(image)).detections]
        return [(b.origin_x, b.origin_y, b.origin_x + b.width, b.origin_y + b.height) for b in boxes]

    def score(self, image: Image) -> float:
        """Score of the clearest face, [0, 1]; 0 without a face that scores 0.5.

        Args:
            image: RGB uint8 (H, W, 3).
        """
        found = self._task.detect(self._picture(image)).detections
        return max((float(one.categories[0].score) for one in found), default=0.0)

    def _start(self) -> None:
        self(_BLACK)


class Pose(_Task):
    """BlazePose (the full model), which follows one person."""

    def __init__(self) -> None:
        self._found = False
        super().__init__("PoseLandmarker", "pose.task", video=True)

    def __call__(self, image: Image) -> Float | None:
        """Find the 33 landmarks of the person.

        Args:
            image: RGB uint8 (H, W, 3).

        Returns:
            float32 (33, 3): x in units of the width, y of the height, and visibility in [0, 1]; None if
            there is no person.
        """
        self._now_ms += _POSE_STEP_MS
        with (
            nullcontext() if self._found else _without_chatter()
        ):  # it also logs a warning for its first person
            people = self._task.detect_for_video(self._picture(image), self._now_ms).pose_landmarks
        if not people:
            return None
        self._found = True
        return np.array([(point.x, point.y, point.visibility) for point in people[0]], np.float32)

    def _start(self) -> None:
        self(_BLACK)


class Hands(_Task):
    """Hand landmarks in single pictures. The package ships no model of hands."""

    def __init__(self, model: Path) -> None:
        """Start the hand landmarker.

        Args:
            model: path of MediaPipe's bundle `hand_landmarker.task`.

        Raises:
            OSError: the file cannot be read.
        """
        options = {"num_hands": 2, "min_hand_detection_confidence": 0.4}
        super().__init__("HandLandmarker", model, video=False, **options)

    def __call__(self, image: Image) -> list[Float]:
        """Find the landmarks of each hand.

        Args:
            image: RGB uint8 (H, W, 3).

        Returns:
            For each hand float32 (21, 2): x in units of the width, y of the height.
        """
        hands = self._task.detect(self._picture(image)).hand_landmarks
        return [np.array([(point.x, point.y) for point in hand], np.float32) for hand in hands]

    def _start(self) -> None:
        self(_BLACK)


class Segmenter(_Task):
    """Selfie segmentation (the landscape model)."""

    def __init__(self) -> None:
        masks = {"output_confidence_masks": True, "output_category_mask": False}
        super().__init__("ImageSegmenter", "person.tflite", video=False, **masks)

    def __call__(self, image: Image) -> Float:
        """Compute the share of person at each pixel, float32 (H, W), [0, 1].

        Args:
            image: RGB uint8 (H, W, 3).
        """
        mask = self._task.segment(self._picture(image)).confidence_masks[0].numpy_view()
        return np.array(mask, np.float32).reshape(image.shape[:2])

    def _start(self) -> None:
        self(_BLACK)
