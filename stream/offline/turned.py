"""Clips whose faces do not stand upright, as a phone held upside down records them without saying so.

The face models expect upright faces. On others they find nothing, or a face in the wrong place. Such a clip
is turned by quarter turns to be edited, and turned back.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np

from correspondence import Image
from correspondence.face.landmarks import face_score
from reference import Edit, Result
from stream.media.probe import VideoInfo
from stream.media.video import VideoReader
from stream.offline.made import FrameEditor

LOOKED_AT = (0, 6, 12, 24, 48, 96)  # frames in which faces are sought
SURE = 0.8  # score of a face that stands upright; turned faces score less
SEEN = 0.6  # a frame counts if some turn shows a face with this score
ENOUGH = 3  # number of frames that decide
BETTER = 0.08  # a turn must score higher than no turn by this much
TURNED = (
    "the faces of the clip are turned by {} degrees and no rotation is stored in it: its frames are turned "
    "upright to be edited and back afterwards, so the output is turned as the input is"
)


def turn_of(info: VideoInfo) -> int:
    """Find the number of quarter turns, counter-clockwise, that bring the faces of a clip upright.

    A few frames at the start are looked at, mostly only the first. 0 if there is no face.
    """
    scores = []
    with VideoReader(info) as reader:
        for frame in islice(reader.frames(), LOOKED_AT[-1] + 1):
            if frame.index not in LOOKED_AT:
                continue
            upright = face_score(frame.image)
            if upright >= SURE:
                return 0
            turned = [face_score(turn(frame.image, quarters)) for quarters in (1, 2, 3)]
            if max(upright, *turned) >= SEEN:
                scores.append((upright, *turned))
            if len(scores) == ENOUGH:
                break
    if not scores:
        return 0
    mean = np.mean(scores, axis=0)
    best = int(mean.argmax())
    return best if mean[best] > mean[0] + BETTER else 0


def turn(image: Image, quarters: int) -> Image:
    """Turn a picture, uint8 (H, W, 3), counter-clockwise by quarter turns."""
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters % 4 else image


def turned_edit(edit: Edit, quarters: int) -> Edit:
    """Turn an edit together with its reference."""
    if not quarters % 4:
        return edit
    return replace(edit, reference=turn(edit.reference, quarters), edited=turn(edit.edited, quarters))


def turned_note(quarters: int) -> str:
    """Say by how much the faces of a clip are turned and what is done about it."""
    return TURNED.format(90 * min(quarters, 4 - quarters))


class Turned:
    """Edits frames that are turned first, and turns the results back.

    The other parts of a result stay as they belong to the turned frame.

    Args:
        carrier: edits upright frames.
        quarters: number of quarter turns counter-clockwise until a frame is upright.
    """

    def __init__(self, carrier: FrameEditor, quarters: int) -> None:
        self._carrier, self._quarters = carrier, quarters

    def step(self, frame: Image, now_s: float) -> Result:
        """Return the carrier's result with its picture turned back."""
        result = self._carrier.step(turn(frame, self._quarters), now_s=now_s)
        return replace(result, image=turn(result.image, -self._quarters))

    def close(self) -> None:
        """Free the carrier."""
        self._carrier.close()
