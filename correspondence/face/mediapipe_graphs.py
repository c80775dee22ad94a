"""MediaPipe's tasks over the shipped models: started without chatter, and without word to anyone.

MediaPipe 1.x reports its use to its makers over the network and has no switch for it. `_keep_offline` names
it a proxy at which nobody listens, so that no request leaves the machine.
"""

from __future__ import annotations

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

# A filter over time is part of the face task's video mode; steps this long leave nothing of it (the newest
# points weigh 0.9997), and the counter still lasts for a year of frames.
_FACE_STEP_MS = 10_000_000
_POSE_STEP_MS = 33  # the pose task's filter is wanted, and tuned for 30 frames a second
NOWHERE = "http://127.0.0.1:9"  # the discard port: a connection is refused at once
_CHATTER = re.compile(
    rb"^(?:[IW]\d{4} \d|INFO: |WARNING: (?:All log messages before absl::InitializeLog"
    rb"|Logging before InitGoogle|\[model_load\.cc:\d+\] Sparsity))"
)
_stderr_lock = threading.RLock()


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what is written to stderr meanwhile, then let through all but MediaPipe's notes and warnings.

    MediaPipe logs from C++ before any log level can be set, so the file descriptor itself is turned away for
    the moment; another thread's lines arrive a little later, none is lost. Errors are let through.
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
    """Send MediaPipe's reports of its use to a proxy at which nobody listens.

    The variables are set below Python: this process's own HTTP clients read `os.environ`, which stays as it
    is. Hosts that the user exempts from proxies would be exempt here too, so that list is replaced.
    """
    set_native_variable("https_proxy", NOWHERE)
    set_native_variable("no_proxy", "nothing.invalid")


class _Task:
    """A task of MediaPipe; closed when asked, when forgotten, or when the interpreter ends."""

    def __init__(self, kind: str, model: str | Path, **options: Any) -> None:
        """Start it.

        Args:
            kind: the task's class in `mediapipe.tasks.python.vision`.
            model: its file, a key of `mediapipe_models.MODELS`; or the path of a file of the user's own.
            options: of the task; `video` says whether pictures follow one another.

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
        """The first, slow run, on a black picture."""
        raise NotImplementedError

    def _picture(self, image: Image) -> Any:
        return self._image(self._format, np.ascontiguousarray(image))

    def close(self) -> None:
        """Free what the task holds; it cannot be used afterwards."""
        self._end()


def _close(task: Any) -> None:
    with _without_chatter():
        try:
            task.close()
        except RuntimeError as error:
            if "cannot schedule new futures" not in str(error):
                raise
            task._handle = None  # the interpreter ends: the system frees it, and it must not try again


_BLACK = np.zeros((64, 64, 3), np.uint8)


class FaceMesh(_Task):
    """FaceMesh's attention model: 478 landmarks, irises among them.

    In one picture after another a face is looked for where its last landmarks were, and anew only when it is
    lost; so the crop that the model sees settles over the first runs.
    """

    def __init__(self, static: bool, faces: int) -> None:
        """Start it.

        Args:
            static: look for faces in each picture anew, instead of following them.
            faces: the most it finds; following more than one, it looks anew in each picture all the same.
        """
        self._static = static
        super().__init__("FaceLandmarker", "face_landmarks.task", video=not static, num_faces=faces)

    def __call__(self, image: Image) -> list[Float]:
        """The landmarks of each face.

        Args:
            image: RGB uint8 (H, W, 3).

        Returns:
            float32 (478, 3) each: x in units of the width, y of the height, z of the width.
        """
        if self._static:
            found = self._task.detect(self._picture(image))
        else:
            self._now_ms += _FACE_STEP_MS
            found = self._task.detect_for_video(self._picture(image), self._now_ms)
        return [_points(face) for face in found.face_landmarks]

    def _start(self) -> None:
        self(_BLACK)


def _points(face: Any) -> Float:
    out = np.array([(point.x, point.y, point.z) for point in face], np.float32)
    if len(out) != LANDMARK_COUNT:
        raise ValueError(f"a face has {LANDMARK_COUNT} landmarks with its irises, got {len(out)}")
    return out


class FaceDetector(_Task):
    """BlazeFace, full range: boxes of faces down to about 5 % of the picture."""

    def __init__(self) -> None:
        super().__init__("FaceDetector", "faces.tflite", video=False, min_detection_confidence=0.5)

    def __call__(self, image: Image) -> list[Box]:
        """The box of each face, in whole pixels.

        Args:
            image: RGB uint8 (H, W, 3).
        """
        boxes = [found.bounding_box for found in self._task.detect(self._picture(image)).detections]
        return [(b.origin_x, b.origin_y, b.origin_x + b.width, b.origin_y + b.height) for b in boxes]

    def _start(self) -> None:
        self(_BLACK)


class Pose(_Task):
    """BlazePose, the full model, following one person."""

    def __init__(self) -> None:
        self._found = False
        super().__init__("PoseLandmarker", "pose.task", video=True)

    def __call__(self, image: Image) -> Float | None:
        """The 33 landmarks of the person; None without one.

        Args:
            image: RGB uint8 (H, W, 3).

        Returns:
            float32 (33, 3): x in units of the width, y of the height, how surely it is visible, [0, 1].
        """
        self._now_ms += _POSE_STEP_MS
        with (
            nullcontext() if self._found else _without_chatter()
        ):  # it has a warning for its first person too
            people = self._task.detect_for_video(self._picture(image), self._now_ms).pose_landmarks
        if not people:
            return None
        self._found = True
        return np.array([(point.x, point.y, point.visibility) for point in people[0]], np.float32)

    def _start(self) -> None:
        self(_BLACK)


class Hands(_Task):
    """Hand landmarks in single pictures; the package ships no model of hands."""

    def __init__(self, model: Path) -> None:
        """Start it.

        Args:
            model: MediaPipe's bundle `hand_landmarker.task`.

        Raises:
            OSError: the file cannot be read.
        """
        options = {"num_hands": 2, "min_hand_detection_confidence": 0.4}
        super().__init__("HandLandmarker", model, video=False, **options)

    def __call__(self, image: Image) -> list[Float]:
        """The landmarks of each hand: float32 (21, 2), x in units of the width, y of the height.

        Args:
            image: RGB uint8 (H, W, 3).
        """
        hands = self._task.detect(self._picture(image)).hand_landmarks
        return [np.array([(point.x, point.y) for point in hand], np.float32) for hand in hands]

    def _start(self) -> None:
        self(_BLACK)


class Segmenter(_Task):
    """Selfie segmentation, the landscape model."""

    def __init__(self) -> None:
        masks = {"output_confidence_masks": True, "output_category_mask": False}
        super().__init__("ImageSegmenter", "person.tflite", video=False, **masks)

    def __call__(self, image: Image) -> Float:
        """The share of person at each pixel, float32 (H, W), [0, 1].

        Args:
            image: RGB uint8 (H, W, 3).
        """
        mask = self._task.segment(self._picture(image)).confidence_masks[0].numpy_view()
        return np.array(mask, np.float32).reshape(image.shape[:2])

    def _start(self) -> None:
        self(_BLACK)
