"""FaceMesh landmarks of a single picture, or of a face that is followed over time and smoothed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from correspondence.face.boxes import (
    SAME_PLACE,
    WINDOW_PER_FACE,
    FaceBox,
    best_score,
    detect_boxes,
    distance,
    face_area,
    face_side,
    run_mesh,
    window_around,
)
from correspondence.face.look import SAME, FaceLook, KnownPerson
from correspondence.face.mediapipe_graphs import FaceDetector, FaceMesh
from correspondence.face.seat import SETTLING_RUNS, FaceSeat, TrackerConfig
from correspondence.geometry.region import Region
from correspondence.types import Image, Landmarks, check_image

MOST_FACES = 4  # largest number of faces found in a still picture
_SAME_FACE = 0.3  # largest distance of one face between runs of FaceMesh on one picture, in face sides


def detect_landmarks(image: Image) -> Landmarks | None:
    """Detect the landmarks of the largest face in a picture.

    The function keeps no state between calls and is thread-safe: calls share one detector behind a lock.

    Args:
        image: RGB uint8 (H, W, 3).

    Returns:
        The landmarks; None if no face was found.

    Raises:
        ValueError: `image` has another dtype or shape.
    """
    check_image(image)
    detector = _still_detector()
    with _still_lock:
        return detector.find(image)


def detect_faces(image: Image) -> list[Landmarks]:
    """Detect the landmarks of up to `MOST_FACES` faces in a picture; see `detect_landmarks`.

    Args:
        image: RGB uint8 (H, W, 3).

    Returns:
        The landmarks of each face, largest face first.

    Raises:
        ValueError: `image` has another dtype or shape.
    """
    check_image(image)
    detector = _still_detector()
    with _still_lock:
        return detector.find_all(image)


def face_score(image: Image) -> float:
    """Score the clearest face of a picture. Faces that stand upright score higher than turned ones.

    Args:
        image: RGB uint8 (H, W, 3).

    Returns:
        The detector's score, [0.5, 1]; 0 without a face.

    Raises:
        ValueError: `image` has another dtype or shape.
    """
    check_image(image)
    detector = _still_detector()
    with _still_lock:
        return detector.score(image)


class _StillDetector:
    """Runs FaceMesh on unrelated pictures, one at a time."""

    def __init__(self) -> None:
        self._mesh = FaceMesh(static=True, faces=MOST_FACES)
        self._settling = FaceMesh(static=False, faces=1)
        self._boxes = FaceDetector()

    def score(self, image: Image) -> float:
        return best_score(self._boxes, image)

    def find(self, image: Image) -> Landmarks | None:
        found = run_mesh(self._mesh, image, None)
        boxes = [] if found else detect_boxes(self._boxes, image)
        if boxes:
            window = window_around(max(boxes, key=face_area), image.shape[0], image.shape[1])
            found = run_mesh(self._mesh, image, window)
        largest = max(found, key=lambda face: face_area(face.box), default=None)
        return None if largest is None else self._settle(image, largest)

    def find_all(self, image: Image) -> list[Landmarks]:
        found = run_mesh(self._mesh, image, None)
        for box in detect_boxes(self._boxes, image):
            if all(distance(box, face.box) > 1 for face in found):
                window = window_around(box, image.shape[0], image.shape[1])
                there = run_mesh(self._mesh, image, window)
                found += [face for face in there if distance(face.box, box) <= 1][:1]
        found.sort(key=lambda face: face_area(face.box), reverse=True)
        return [self._settle(image, face) for face in found[:MOST_FACES]]

    def _settle(self, image: Image, face: Landmarks) -> Landmarks:
        """Find the same face again, as a tracker sees it after a few frames.

        FaceMesh places its first crop by the detector's box and later crops by the last landmarks. This
        moves the landmarks by up to 3 % of the face. Landmarks of a reference must be found in the same way
        as those of frames.
        """
        side = round(WINDOW_PER_FACE / 2 * face_side(face.box))
        x0, y0, x1, y1 = face.box
        window = Region(round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2), max(side, 32))
        self._settling(np.zeros((64, 64, 3), np.uint8))  # forget the last picture's face
        settled = face
        for _ in range(SETTLING_RUNS):
            found = next(iter(run_mesh(self._settling, image, window)), None)
            if found is None or distance(found.box, face.box) > _SAME_FACE:
                return face
            settled = found
        return settled


_still_lock = threading.Lock()


def _still_detector() -> _StillDetector:
    with _still_lock:
        return _make_still_detector()


@lru_cache(maxsize=1)
def _make_still_detector() -> _StillDetector:
    return _StillDetector()


class LandmarkTracker:
    """Follows one face over time. A session has its own tracker and uses it from one thread at a time.

    The tracker starts with the largest face, or with the person given to `follow`. FaceMesh then follows this
    face and does not look for others, so a second face costs nothing and cannot take over. A lost face is
    waited for near its last place before another is taken. After `follow`, another is taken only if it looks
    like the person.

    Args:
        config: settings; None for the defaults.

    Attributes:
        taken: boxes of faces that others follow. A lost face is not looked for there.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self._seat = FaceSeat(config or TrackerConfig())
        self._boxes = FaceDetector()
        self._size = (0, 0)
        self._known: KnownPerson | None = None
        self._recheck = False  # whether the followed face may be another person than the known one
        self.taken: Sequence[FaceBox] = ()

    def follow(self, image: Image, face: Landmarks) -> None:
        """Follow a person from the next frame on, as long as they are there.

        Args:
            image: a picture that shows the person, RGB uint8 (H, W, 3). It is not the next frame.
            face: landmarks of the person in that picture.
        """
        self._known = KnownPerson(image, face)
        self._recheck = True

    def __call__(self, image: Image, now_s: float) -> Landmarks | None:
        """Find the landmarks of the followed face in the next frame, and smooth them.

        Args:
            image: the frame, RGB uint8 (H, W, 3).
            now_s: time of the frame, seconds.

        Returns:
            The smoothed landmarks; None if the face is not seen.

        Raises:
            ValueError: `image` has another dtype or shape.
        """
        size, seat = check_image(image), self._seat
        if size != self._size:
            seat.forget()
            self._size = size
        if self._recheck:
            self._recheck = False
            seat.followed &= len(detect_boxes(self._boxes, image)) < 2
            seat.last = seat.last if seat.followed else None
        found = seat.keep(image)
        if found is None:
            found = self._acquire(image, now_s)
        if found is not None and self._known is not None:
            self._known.meet(image, found, now_s)
        return seat.note(found, now_s)

    def let_go(self) -> None:
        """Look for the face anew in the next frame: the followed one turned out to be another person's."""
        self._seat.forget()

    def close(self) -> None:
        """Free MediaPipe's tasks. The tracker cannot be used afterwards."""
        self._seat.close()
        self._boxes.close()

    def _acquire(self, image: Image, now_s: float) -> Landmarks | None:
        """Look for a face: first near the last place, later the largest face anywhere."""
        seat = self._seat
        boxes = detect_boxes(self._boxes, image)
        waiting = seat.waits(now_s)
        near = [box for box in boxes if not waiting or seat.is_near(box)]
        near = [box for box in near if all(distance(box, other) > SAME_PLACE for other in self.taken)]
        if boxes and not near:
            return None
        if self._known is None or (waiting and len(near) < 2):
            found = seat.look(image, boxes, max(near, key=face_area, default=None), waiting)
        else:
            found = self._recognise(image, boxes, near, waiting)
        return None if found is None else seat.settle(image, found)

    def _recognise(
        self, image: Image, boxes: list[FaceBox], near: list[FaceBox], waiting: bool
    ) -> Landmarks | None:
        """Find the known person among the given faces, or None.

        At first the face that looks most like the person is taken. Once the person was met, a face is taken
        only if it looks like them, except while a lost face is waited for.
        """
        assert self._known is not None
        seen: list[tuple[float, FaceBox | None]] = []
        places: list[FaceBox | None] = [*near] or [None]
        for box in places:
            self._seat.blank()
            face = self._seat.look(image, boxes, box, waiting)
            if face is None:
                continue
            likeness = self._known.likeness(FaceLook.of(image, face))
            if not self._known.met or waiting or likeness >= SAME:
                seen.append((likeness - (0 if self._known.met else self._known.away(face)), box))
        if not seen:
            return None
        best = max(seen, key=lambda one: one[0])[1]
        self._seat.blank()
        return self._seat.look(image, boxes, best, waiting)
