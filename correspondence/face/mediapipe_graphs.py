"""MediaPipe's bundled graphs, started without their chatter on stderr."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_CHATTER = re.compile(
    rb"^(?:[IW]\d{4} \d|INFO: Created TensorFlow Lite|WARNING: All log messages before absl::InitializeLog)"
)
_stderr_lock = threading.Lock()


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what is written to stderr meanwhile, then let through all but MediaPipe's start-up lines.

    MediaPipe 0.10.21 logs from C++ before any log level can be set, so the file descriptor itself is
    turned away for the moment; another thread's lines arrive a little later, none is lost.
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


def _started(graph: Any) -> Any:
    """The graph after its first, slow run, on a black picture."""
    graph.process(np.zeros((64, 64, 3), np.uint8))
    return graph


def face_mesh(static: bool, faces: int) -> Any:
    """FaceMesh with irises (478 landmarks).

    Args:
        static: look for faces in each picture anew, instead of following them.
        faces: the most it finds.
    """
    with _without_chatter():
        from mediapipe.python.solutions.face_mesh import FaceMesh

        return _started(FaceMesh(static_image_mode=static, max_num_faces=faces, refine_landmarks=True))


def face_detector() -> Any:
    """BlazeFace, full range: boxes of faces down to about 5 % of the picture."""
    with _without_chatter():
        from mediapipe.python.solutions.face_detection import FaceDetection

        return _started(FaceDetection(model_selection=1, min_detection_confidence=0.5))


def pose() -> Any:
    """BlazePose, the full model (the only one the package bundles), following one person."""
    with _without_chatter():
        from mediapipe.python.solutions.pose import Pose

        return _started(Pose(model_complexity=1, smooth_landmarks=True))


def segmenter() -> Any:
    """Selfie segmentation, the landscape model."""
    with _without_chatter():
        from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

        return _started(SelfieSegmentation(model_selection=1))
