"""FaceMesh landmarks of a single picture, or of a face that is followed over time and smoothed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from correspondence.face.look import SAME, FaceLook, KnownPerson
from correspondence.face.mediapipe_graphs import FaceDetector, FaceMesh
from correspondence.face.smoothing import OneEuro, SmoothingConfig
from correspondence.geometry.region import Region, crop
from correspondence.types import Image, Landmarks, check_image

FaceBox = tuple[float, float, float, float]  # x0, y0, x1, y1, pixels

LONGEST_SIDE = 1280  # larger pictures are shrunk to this; FaceMesh sees the face at 192 x 192
MOST_FACES = 4  # largest number of faces found in a still picture
SMALL_FACE = 0.15  # share of the longer side; FaceMesh's own detector sees the whole picture at 128 x 128
WINDOW_PER_FACE = 4.0  # side of the window in which a small face is followed, in face sides
_SETTLING_RUNS = 3  # runs of FaceMesh on one picture until its crop follows from its landmarks
_SAME_FACE = 0.3  # largest distance of one face between these runs, in face sides
_RIM = 0.5  # the window moves when the face comes this near its border, in face sides


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


class _StillDetector:
    """Runs FaceMesh on unrelated pictures, one at a time."""

    def __init__(self) -> None:
        self._mesh = FaceMesh(static=True, faces=MOST_FACES)
        self._settling = FaceMesh(static=False, faces=1)
        self._boxes = FaceDetector()

    def find(self, image: Image) -> Landmarks | None:
        found = _run(self._mesh, image, None)
        boxes = [] if found else _detect_boxes(self._boxes, image)
        if boxes:
            window = _window(max(boxes, key=_area), image.shape[0], image.shape[1])
            found = _run(self._mesh, image, window)
        largest = max(found, key=lambda face: _area(face.box), default=None)
        return None if largest is None else self._settle(image, largest)

    def find_all(self, image: Image) -> list[Landmarks]:
        found = _run(self._mesh, image, None)
        for box in _detect_boxes(self._boxes, image):
            if all(_distance(box, face.box) > 1 for face in found):
                window = _window(box, image.shape[0], image.shape[1])
                found += [face for face in _run(self._mesh, image, window) if _distance(face.box, box) <= 1][
                    :1
                ]
        found.sort(key=lambda face: _area(face.box), reverse=True)
        return [self._settle(image, face) for face in found[:MOST_FACES]]

    def _settle(self, image: Image, face: Landmarks) -> Landmarks:
        """Find the same face again, as a tracker sees it after a few frames.

        FaceMesh places its first crop by the detector's box and later crops by the last landmarks. This
        moves the landmarks by up to 3 % of the face. Landmarks of a reference must be found in the same way
        as those of frames.
        """
        side = round(WINDOW_PER_FACE / 2 * _side(face.box))
        x0, y0, x1, y1 = face.box
        window = Region(round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2), max(side, 32))
        self._settling(np.zeros((64, 64, 3), np.uint8))  # forget the last picture's face
        settled = face
        for _ in range(_SETTLING_RUNS):
            found = next(iter(_run(self._settling, image, window)), None)
            if found is None or _distance(found.box, face.box) > _SAME_FACE:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """Settings of a `LandmarkTracker`.

    Attributes:
        smoothing: settings of the filter over time.
        patience_s: time for which a lost face is waited for before another face is taken, seconds.
        reach: largest distance from its last place at which it may come back meanwhile, in face sides.
    """

    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    patience_s: float = 1.0
    reach: float = 1.0

    def __post_init__(self) -> None:
        if self.patience_s < 0 or self.reach <= 0:
            raise ValueError(f"patience_s must be at least 0 and reach positive, got {self}")


class LandmarkTracker:
    """Follows one face over time. A session has its own tracker and uses it from one thread at a time.

    The tracker starts with the largest face, or with the person given to `follow`. FaceMesh then follows this
    face and does not look for others, so a second face costs nothing and cannot take over. A lost face is
    waited for near its last place before another is taken. After `follow`, another is taken only if it looks
    like the person.

    Args:
        config: settings; None for the defaults.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self._config = config or TrackerConfig()
        self._mesh = FaceMesh(static=False, faces=1)
        self._boxes = FaceDetector()
        self._filter = OneEuro(self._config.smoothing)
        self._window: Region | None = None  # where the face is followed; None for the whole picture
        self._followed = False
        self._size = (0, 0)
        self._last: FaceBox | None = None
        self._seen_s = 0.0
        self._known: KnownPerson | None = None
        self._recheck = False  # whether the followed face may be another person than the known one

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
        size = check_image(image)
        if size != self._size:
            self._forget()
            self._size = size
        if self._recheck:
            self._recheck = False
            self._followed &= len(_detect_boxes(self._boxes, image)) < 2
            self._last = self._last if self._followed else None
        found = self._follow(image) if self._followed else None
        if found is None:
            self._filter.reset()
            found = self._acquire(image, now_s)
        self._followed = found is not None
        if found is None:
            return None
        if self._known is not None:
            self._known.meet(image, found, now_s)
        self._last, self._seen_s = found.box, now_s
        return Landmarks(self._filter(found.points, _side(found.box), now_s), size)

    def close(self) -> None:
        """Free MediaPipe's tasks. The tracker cannot be used afterwards."""
        self._mesh.close()
        self._boxes.close()

    def _forget(self) -> None:
        self._followed, self._last, self._window = False, None, None
        self._filter.reset()

    def _follow(self, image: Image) -> Landmarks | None:
        """Find the face where FaceMesh expects it; None if it was lost or moved too far."""
        assert self._last is not None
        if self._window is not None and not _fits(self._last, self._window):
            return None
        found = next(iter(_run(self._mesh, image, self._window)), None)
        if found is None or _distance(found.box, self._last) > self._config.reach:
            return None
        return found

    def _acquire(self, image: Image, now_s: float) -> Landmarks | None:
        """Look for a face: first near the last place, later the largest face anywhere."""
        boxes = _detect_boxes(self._boxes, image)
        waiting = self._last is not None and now_s - self._seen_s <= self._config.patience_s
        near = [box for box in boxes if not waiting or self._is_near(box)]
        if boxes and not near:
            return None
        if self._known is None or (waiting and len(near) < 2):
            found = self._look(image, boxes, max(near, key=_area, default=None), waiting)
        else:
            found = self._recognise(image, boxes, near, waiting)
        return None if found is None else self._settle(image, found)

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
            self._mesh(np.zeros((64, 64, 3), np.uint8))  # forget the face looked at before
            face = self._look(image, boxes, box, waiting)
            if face is None:
                continue
            likeness = self._known.likeness(FaceLook.of(image, face))
            if not self._known.met or waiting or likeness >= SAME:
                seen.append((likeness - (0 if self._known.met else self._known.away(face)), box))
        if not seen:
            return None
        best = max(seen, key=lambda one: one[0])[1]
        self._mesh(np.zeros((64, 64, 3), np.uint8))
        return self._look(image, boxes, best, waiting)

    def _look(
        self, image: Image, boxes: list[FaceBox], chosen: FaceBox | None, waiting: bool
    ) -> Landmarks | None:
        """Find the face in the chosen box; if no box is given, wherever FaceMesh finds a face."""
        place = chosen or (self._last if waiting else None)
        self._window = _window(place, image.shape[0], image.shape[1]) if place else None
        alone = _hide(image, boxes, chosen) if chosen else image
        for _ in range(2):  # the first run may only clear what the graph still followed elsewhere
            found = next(iter(_run(self._mesh, alone, self._window)), None)
            if found is None:
                continue
            right = _distance(found.box, chosen) <= 1 if chosen else not waiting or self._is_near(found.box)
            if right:
                return found
        return None

    def _settle(self, image: Image, face: Landmarks) -> Landmarks:
        """Find a new face again as later frames will see it; see `_StillDetector._settle`."""
        for _ in range(_SETTLING_RUNS - 1):
            face = next(iter(_run(self._mesh, image, self._window)), face)
        return face

    def _is_near(self, box: FaceBox) -> bool:
        return self._last is None or _distance(box, self._last) <= self._config.reach


def _area(box: FaceBox) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _side(box: FaceBox) -> float:
    return max(box[2] - box[0], box[3] - box[1], 1.0)


def _distance(box: FaceBox, other: FaceBox) -> float:
    """Distance between the centres of two boxes, in sides of `other`."""
    across = (box[0] + box[2] - other[0] - other[2]) / 2
    down = (box[1] + box[3] - other[1] - other[3]) / 2
    return float(np.hypot(across, down)) / _side(other)


def _fits(face: FaceBox, window: Region) -> bool:
    """Whether a face can be followed inside its window: it is not near the border and of a suitable size."""
    rim = _RIM * _side(face)
    x0, y0, x1, y1 = window.box
    inside = face[0] - rim >= x0 and face[1] - rim >= y0 and face[2] + rim <= x1 and face[3] + rim <= y1
    return inside and _side(face) * WINDOW_PER_FACE / 2 <= window.side <= _side(face) * WINDOW_PER_FACE * 2


def _window(face: FaceBox, height: int, width: int) -> Region | None:
    """Return the window in which to look for a small face; None, for the whole picture, if it is large."""
    if _side(face) >= SMALL_FACE * max(height, width):
        return None
    side = max(round(WINDOW_PER_FACE * _side(face)), 32)
    return Region(round((face[0] + face[2] - side) / 2), round((face[1] + face[3] - side) / 2), side)


def _hide(image: Image, boxes: list[FaceBox], keep: FaceBox) -> Image:
    """Paint over all faces but one. The picture itself is returned if there is no other face."""
    if len(boxes) < 2:
        return image
    out = image.copy()
    for box in boxes:
        x0, y0, x1, y1 = (max(0, round(value)) for value in box)
        out[y0:y1, x0:x1] = 128
    x0, y0, x1, y1 = (max(0, round(value)) for value in keep)
    out[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    return out


def _shrink(image: Image) -> Image:
    """Shrink a picture so that its longer side is at most LONGEST_SIDE."""
    longest = max(image.shape[:2])
    if longest <= LONGEST_SIDE:
        return np.ascontiguousarray(image)
    ratio = LONGEST_SIDE / longest
    size = (max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _detect_boxes(detector: FaceDetector, image: Image) -> list[FaceBox]:
    """Detect the boxes of all faces, pixels of the picture."""
    seen = _shrink(image)
    across, down = image.shape[1] / seen.shape[1], image.shape[0] / seen.shape[0]
    return [(x0 * across, y0 * down, x1 * across, y1 * down) for x0, y0, x1, y1 in detector(seen)]


def _run(mesh: FaceMesh, image: Image, window: Region | None) -> list[Landmarks]:
    """Run FaceMesh on a window of the picture and return all faces in pixels of the whole picture.

    FaceMesh's unit coordinates times the size are pixels with centres on integers. This was measured:
    pictures and their halves and quarters then agree to 0.01 pixel.
    """
    height, width = image.shape[:2]
    seen = _shrink(image) if window is None else crop(image, window, max(64, min(window.side, 512)))
    rows, columns = seen.shape[:2]
    out = []
    for face in mesh(seen):
        points = face * np.array([columns, rows, columns], np.float32)  # z is in units of the width
        if window is None:
            ratio = np.array([width / columns, height / rows], np.float32)
            points[:, :2] = (points[:, :2] + np.float32(0.5)) * ratio - np.float32(0.5)
            points[:, 2] *= ratio[0]
        else:
            points[:, :2] = window.to_pixels(points[:, :2], rows)
            points[:, 2] *= window.side / rows
        out.append(Landmarks(points, (height, width)))
    return out
