"""Carries the part of an edit behind the person by the camera's motion and shows it behind the person.

There are two layers as in StreamEdit (fig. 5), each with a field of its own. The matcher gives the person's
field, the camera's motion the background's. They are joined along the person's outline in the frame.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Bool, Float, Image, Landmarks, Match
from correspondence.face.body import BodyWatcher, PersonFinder
from correspondence.face.mesh import similarity
from correspondence.types import Patch
from reference.compose.camera import CameraTracker, Homography, resized
from reference.compose.composite import CompositeConfig, Composition, Compositor
from reference.compose.layers import Coloured
from reference.compose.person import Outlined, PersonDetector, Split, halved, lay_behind
from reference.face.view import RIGID

CELL_PX = 16  # cell of the grid of the background's field, pixels; a homography is smooth over far more
SURE, UNSURE = -1.5, 8.0  # log_b inside the reference, and beyond its border
EVERY = 3  # frames between two searches for the person in a thread of its own
GONE = 6  # frames over which the edit fades out, or its colours stand in, when the camera's motion is lost
_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="backdrop")
REMEMBERED = 32  # number of frames whose landmarks are kept, to move a late mask to the present


@dataclass(frozen=True, slots=True, eq=False)
class Behind:
    """What is known of a frame's background.

    Attributes:
        outlined: the person's outline.
        match: the match of the background, by the camera's motion; None if that is not known.
        known: how far the motion is known, [0, 1]; it falls over a few frames once the camera is lost.
        strength: strength of the edit in `back`, [0, 1].
        back: the frame with the edit behind the person. It is composed where the frame shows the background.
        coloured: the frame in the colours of a look of the whole picture; None for other edits.
    """

    outlined: Outlined
    match: Match | None
    known: float
    strength: float
    back: Composition
    coloured: Coloured | None


class Backdrop:
    """The background of one edit on one stream. Call `blend` from the thread of `step` only.

    Args:
        split: the edit, split into person and background.
        config: settings of composition; the defaults when None.
        beside: searches the person every few frames in a thread of its own; False searches in every frame
            inside `blend`.
        finder: finds the person; a `PersonDetector` when None.
    """

    def __init__(
        self,
        split: Split,
        config: CompositeConfig | None = None,
        *,
        beside: bool = True,
        finder: PersonFinder | None = None,
    ) -> None:
        self.split = split
        self._beside = beside
        self._compositor = Compositor(split.back, None, config)
        self._camera = CameraTracker(split.front.reference, split.person < 0.02)
        small = (max(1, split.person.shape[1] // 4), max(1, split.person.shape[0] // 4))
        self._at_first = cv2.resize(split.person, small, interpolation=cv2.INTER_AREA)
        self._finder = finder
        self._watcher: BodyWatcher | None = None
        self._seen: deque[tuple[float, Landmarks]] = deque(maxlen=REMEMBERED)
        self._motion: Homography | None = None  # the last known motion
        self._looking: Future[Behind] | None = None
        self._colouring: tuple[Image, Future[Coloured | None]] | None = None
        self._shown = 1.0
        self._lost = False

    def look_ahead(self, frame: Image) -> None:
        """Starts to give a frame the colours of a look of the whole picture, while landmarks are detected.

        Args:
            frame: the frame that `begin` will be called with, uint8 (H, W, 3).
        """
        if self._colouring is not None:
            wait([self._colouring[1]])  # a frame whose landmarks failed
        self._colouring = frame, _pool.submit(self._compositor.coloured, frame)

    def begin(
        self, frame: Image, now_s: float, landmarks: Landmarks | None, strength: float
    ) -> Future[Behind]:
        """Starts to look for the person's outline and to compose the background, on another thread.

        Call `blend` with its result before the next frame.

        Args:
            frame: uint8 (H, W, 3).
            now_s: time of the frame, seconds.
            landmarks: landmarks of the frame's face; None without one.
            strength: strength of the edit, [0, 1].
        """
        if self._looking is not None:
            wait([self._looking])  # a frame whose match failed
        begun, self._colouring = self._colouring, None
        colouring = begun[1] if begun is not None and begun[0] is frame else None
        person = self._person(frame, now_s, landmarks)
        self._looking = _pool.submit(self._look, frame, person, strength, colouring)
        return self._looking

    def _look(
        self, frame: Image, person: Float, strength: float, colouring: Future[Coloured | None] | None
    ) -> Behind:
        half = halved(frame)
        outlined = Outlined.of(person, frame, half)
        motion = self._follow(frame, outlined.clear, half)
        self._motion = self._motion if motion is None else motion
        self._shown = min(1.0, max(0.0, self._shown + (1 if motion is not None else -1) / GONE))
        motion, known = self._motion, self._shown
        if motion is None and self.split.back.stand_in is not None:
            motion, known = self._still(frame), 0.0
        match = None if motion is None else _field(motion, frame, self.split)
        # what was submitted before this waits for nobody
        coloured = self._compositor.coloured(frame) if colouring is None else colouring.result()
        back = self._compose(frame, outlined, match, known, strength, coloured)
        return Behind(outlined, match, known, strength, back, coloured)

    def _compose(
        self,
        frame: Image,
        outlined: Outlined,
        match: Match | None,
        known: float,
        strength: float,
        coloured: Coloured | None,
    ) -> Composition:
        """Composes the background where the frame shows it."""
        if match is None:
            return Composition(frame, None, 0.0)
        if self.split.back.stand_in is None:
            strength, known = strength * known, 1.0
        return self._compositor.compose(
            frame, match, strength, known, only=outlined.behind, coloured=coloured
        )

    def blend(self, frame: Image, behind: Behind, front: Composition, strength: float) -> Composition:
        """Lays the composed background behind the composed person.

        Args:
            frame: uint8 (H, W, 3).
            behind: the result of `begin` for this frame.
            front: the frame with the edit on the person. Its image is written to.
            strength: strength of the edit, [0, 1].
        """
        back = behind.back
        if strength != behind.strength:  # the face was just lost or found
            known = behind.outlined, behind.match, behind.known, strength, behind.coloured
            back = self._compose(frame, *known)
        if behind.match is None or (back.box is None and front.box is None):
            return front
        image = frame.copy() if front.image is frame else front.image
        lay_behind(image, back.image, behind.outlined)
        whole = (0, 0, frame.shape[1], frame.shape[0])
        return Composition(image, whole, max(front.coverage, back.coverage), front.seen)

    @property
    def lost(self) -> bool:
        """Whether the camera's motion is not known, so that the background's edit has faded or is fading."""
        return self._lost

    def _follow(self, frame: Image, behind: Bool, half: Image | None) -> Homography | None:
        """The camera's motion. If the background is too plain to track, the camera counts as still."""
        if self._camera.blind:
            return self._still(frame)
        motion = self._camera(frame, behind, half)
        self._lost = motion is None
        return motion

    def _still(self, frame: Image) -> Homography:
        """The motion of a still camera."""
        own = self.split.front.reference
        return resized((frame.shape[0], frame.shape[1]), (own.shape[0], own.shape[1]))

    def _person(self, frame: Image, now_s: float, landmarks: Landmarks | None) -> Float:
        """Share of the person on a coarse grid over the frame; that of the reference until one is found."""
        if not self._beside:
            self._finder = self._finder or PersonDetector()
            return self._finder(frame, now_s).mask
        if self._watcher is None:
            self._watcher = BodyWatcher(EVERY, self._finder or PersonDetector())
        self._watcher.offer(frame, now_s)
        if landmarks is not None:
            self._seen.append((now_s, landmarks))
        body = self._watcher.latest
        if body is None or body.frame_size != frame.shape[:2]:  # no result for such a frame yet
            return self._at_first
        then = next((found for time_s, found in self._seen if time_s == body.time_s), None)
        return body.mask if then is None or landmarks is None else _brought(body.mask, then, landmarks)

    def close(self) -> None:
        """Stops searching for the person."""
        if self._watcher is not None:
            self._watcher.close(timeout_s=0)  # its thread ends by itself: a step must not wait
        elif self._finder is not None:
            self._finder.close()
        self._watcher = self._finder = None


def _brought(mask: Float, then: Landmarks, now: Landmarks) -> Float:
    """Moves a mask of an earlier frame as the head has moved since."""
    rows, columns = mask.shape
    height, width = now.image_size
    cells = np.array([columns / width, rows / height], np.float32)
    a, b = ((lm.points[list(RIGID), :2] + 0.5) * cells - 0.5 for lm in (then, now))
    moved = cv2.warpAffine(mask, similarity(a, b), (columns, rows), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _field(motion: Homography, frame: Image, split: Split) -> Match:
    """The background's match: the field of a homography, unsure beyond the reference's border."""
    height, width = frame.shape[:2]
    rows, columns = -(-height // CELL_PX), -(-width // CELL_PX)
    box = (0, 0, columns * CELL_PX, rows * CELL_PX)
    x = (np.arange(columns, dtype=np.float64) + 0.5) * CELL_PX - 0.5
    y = (np.arange(rows, dtype=np.float64) + 0.5) * CELL_PX - 0.5
    down = y[:, None]
    along, across, scale = (row[0] * x + (row[1] * down + row[2]) for row in motion)
    along, across = along / scale, across / scale
    own = split.back.reference.shape[:2]
    outside = [np.maximum(-at, at - (end - 1)) for at, end in ((along, own[1]), (across, own[0]))]
    values = np.empty((rows, columns, 3), np.float32)
    values[..., 0], values[..., 1] = along - x, across - down
    values[..., 2] = np.where(np.maximum(*outside) > CELL_PX / 2, UNSURE, SURE)
    return Match((Patch(values, box),), None, (height, width), (own[0], own[1]))
