"""What the landmark and matcher tests share: faces on canvases, clips' frames."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from correspondence import Image, Landmarks, detect_landmarks
from correspondence.training.data import read_video

CLIPS = (
    "dfl_yc0", "faceblit_target2", "hyperreenact_1", "latentsync_demo3", "liax_7",
    "lp_d13", "lp_d20", "lp_d6", "sadtalker_wda_em", "smirk_s",
)  # fmt: skip


def on_canvas(face: Image, places: list[tuple[int, int, int]], size: tuple[int, int] = (480, 960)) -> Image:
    """The face picture pasted at each (x, y, side) onto gray."""
    canvas = np.full((*size, 3), 90, np.uint8)
    for x, y, side in places:
        canvas[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return canvas


@lru_cache(maxsize=16)
def clip_frames(portraits: Path, name: str, count: int, step: int = 1) -> tuple[Image, ...]:
    """Every `step`-th of the first frames of a val clip."""
    frames = read_video(portraits / "val" / f"{name}.mp4")
    return tuple(islice(frames, 0, count * step, step))


@lru_cache(maxsize=16)
def clip_faces(portraits: Path, name: str, count: int, step: int) -> tuple[tuple[Image, Landmarks], ...]:
    """Those of the frames in which a face is found, with its landmarks."""
    found = ((frame, detect_landmarks(frame)) for frame in clip_frames(portraits, name, count, step))
    return tuple((frame, landmarks) for frame, landmarks in found if landmarks is not None)
