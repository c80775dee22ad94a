"""Several faces of one stream, each followed by itself and kept apart from the others over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from correspondence.face.boxes import SAME_PLACE, FaceBox, detect_boxes, distance, face_area, face_side
from correspondence.face.landmarks import MOST_FACES, LandmarkTracker
from correspondence.face.look import SAME, FaceLook, KnownPerson
from correspondence.face.mediapipe_graphs import FaceDetector
from correspondence.face.seat import FaceSeat, TrackerConfig
from correspondence.types import Image, Landmarks, check_image

SCAN_S = 0.25  # interval at which new faces are looked for, seconds
CLAIMED = 0.7  # distance below which a detected box is that of a followed face, in face sides
REFUSED_S = 1.0  # time for which a box in which no face was found is not looked at again, seconds
LARGER = 1.5  # a face that is this many times larger than the smallest followed one takes its seat
LARGER_S = 1.0  # once it was so for this time, seconds
REMEMBERED = 8  # number of people who left and are known again when they return


@dataclass(frozen=True, slots=True, eq=False)
class FurtherFace:
    """A face that is followed besides the first one.

    Attributes:
        number: the same for one person in all frames, also when they return after they left.
        landmarks: smoothed landmarks; None if the face is not seen in this frame and is waited for.
    """

    number: int
    landmarks: Landmarks | None


class _Seated:
    """A seat with the person on it; `known` is None if the seat is free."""

    def __init__(self, config: TrackerConfig) -> None:
        self.seat = FaceSeat(config)
        self.known: KnownPerson | None = None
        self.number = -1

    def free(self) -> None:
        self.seat.forget()
        self.known = None


class CrowdTracker:
    """Follows the face of a `LandmarkTracker` and up to `most` faces in all. Not thread-safe.

    The first tracker works as it does alone, except that it looks for a lost face only where nobody else is
    followed. Its person has a place at any time. The other places go to the largest faces and stay theirs
    until they leave, or until a much larger face has been there for a while.

    A frame costs one run of FaceMesh for each face. New faces are looked for at intervals.

    Args:
        first: follows the first face. It is closed with this tracker only by its owner.
        most: largest number of faces, 2 to `MOST_FACES`.
        config: settings of the further faces; None for the defaults.
        scan_s: interval at which new faces are looked for, seconds; 0 for every frame.

    Attributes:
        most: may be lowered between two frames, and raised again up to its first value.

    Raises:
        ValueError: `most` is outside its range.
    """

    def __init__(
        self,
        first: Callable[[Image, float], Landmarks | None],
        most: int,
        config: TrackerConfig | None = None,
        scan_s: float = SCAN_S,
    ) -> None:
        if not 2 <= most <= MOST_FACES:
            raise ValueError(f"most must be 2 to {MOST_FACES} faces, got {most}")
        self._first, self.most = first, most
        self._config, self._scan_s = config or TrackerConfig(), scan_s
        self._seats = [_Seated(self._config) for _ in range(most)]
        self._boxes = FaceDetector()
        self._size = (0, 0)
        self._now_s = self._scanned_s = float("-inf")
        self._first_box: FaceBox | None = None  # where the first face was last seen
        self._first_s = float("-inf")
        self._refused: list[tuple[FaceBox, float]] = []
        self._larger_s: float | None = None  # since when a much larger face waits for a seat
        self._left: dict[int, KnownPerson] = {}  # people who left, the last one at the end
        self._numbers = 0

    def __call__(self, image: Image, now_s: float) -> tuple[Landmarks | None, list[FurtherFace]]:
        """Find the landmarks of all followed faces in the next frame.

        Args:
            image: the frame, RGB uint8 (H, W, 3).
            now_s: time of the frame, seconds.

        Returns:
            The first face's landmarks, None if it is not seen; and the further faces, in the order in which
            they came.

        Raises:
            ValueError: `image` has another dtype or shape.
        """
        size = check_image(image)
        if size != self._size or now_s < self._now_s:
            self._begin_anew()
            self._size = size
        self._now_s = now_s
        if isinstance(self._first, LandmarkTracker):
            self._first.taken = [box for box in self._places() if box is not None]
        first = self._first(image, now_s)
        kept = {one: one.seat.keep(image) for one in self._seats if one.known is not None}
        first = self._kept_apart(first, kept)
        if first is not None:
            self._first_box, self._first_s = first.box, now_s
        lost = any(found is None and one.seat.followed for one, found in kept.items())
        seen = {one: self._note(one, image, found) for one, found in kept.items()}
        self._make_room()
        if lost or now_s - self._scanned_s >= self._scan_s:
            self._scan(image, first, seen)
        there = sorted((one for one in self._seats if one.known is not None), key=lambda one: one.number)
        return first, [FurtherFace(one.number, seen.get(one)) for one in there]

    def rest(self) -> None:
        """Stop to follow further faces until the next call, and let the first tracker look everywhere."""
        if isinstance(self._first, LandmarkTracker):
            self._first.taken = ()
        if any(one.known is not None for one in self._seats):
            self._begin_anew()

    def close(self) -> None:
        """Free MediaPipe's tasks, other than those of the first tracker."""
        for one in self._seats:
            one.seat.close()
        self._boxes.close()

    def _begin_anew(self) -> None:
        for one in self._seats:
            one.free()
        self._scanned_s = self._first_s = float("-inf")
        self._first_box, self._larger_s = None, None
        self._refused.clear()

    def _places(self) -> Iterable[FaceBox | None]:
        """Places of the further faces that were seen in the last frame."""
        return (one.seat.last for one in self._seats if one.known is not None and one.seat.followed)

    def _kept_apart(self, first: Landmarks | None, kept: dict[_Seated, Landmarks | None]) -> Landmarks | None:
        """Let no two trackers follow one face: it stays with the one that was nearer to it before.

        Landmarks of the others are removed from `kept`. Returns the first face's landmarks, None if it was
        the other's face.
        """
        for one, found in kept.items():
            if found is None or first is None or distance(found.box, first.box) > SAME_PLACE:
                continue
            if self._first_box is not None and one.seat.last is not None:
                moved = distance(self._first_box, found.box), distance(one.seat.last, found.box)
                if moved[0] > moved[1] and isinstance(self._first, LandmarkTracker):
                    self._first.let_go()
                    first = None
                    continue
            kept[one] = None
        order = sorted(kept, key=lambda one: _moved(one, kept[one]))
        for i, one in enumerate(order):
            found = kept[one]
            for other in order[i + 1 :]:
                same = kept[other]
                if found is not None and same is not None and distance(same.box, found.box) <= SAME_PLACE:
                    kept[other] = None
        return first

    def _note(self, one: _Seated, image: Image, found: Landmarks | None) -> Landmarks | None:
        if found is not None and one.known is not None:
            one.known.meet(image, found, self._now_s)
        return one.seat.note(found, self._now_s)

    @property
    def _room(self) -> int:
        """Number of further faces that may be followed while the first one is there or is waited for."""
        return self.most - (self._now_s - self._first_s <= self._config.patience_s)

    def _make_room(self) -> None:
        """Free the seats of those who left, and of the last to come where there are too many."""
        there = [one for one in self._seats if one.known is not None]
        for one in there:
            if not one.seat.followed and not one.seat.waits(self._now_s):
                self._leave(one)
        there = sorted((one for one in there if one.known is not None), key=lambda one: one.number)
        for one in there[self._room :]:
            self._leave(one)

    def _leave(self, one: _Seated) -> None:
        assert one.known is not None
        self._left[one.number] = one.known
        if len(self._left) > REMEMBERED:
            del self._left[next(iter(self._left))]
        one.free()

    def _scan(self, image: Image, first: Landmarks | None, seen: dict[_Seated, Landmarks | None]) -> None:
        """Look for faces that nobody follows, and seat them; `seen` receives their landmarks."""
        self._scanned_s = self._now_s
        boxes = detect_boxes(self._boxes, image)
        followed = [box for box in self._places() if box is not None]
        waits = self._now_s - self._first_s <= self._config.patience_s
        if self._first_box is not None and (first is not None or waits):
            followed.append(self._first_box)
        self._refused = [(b, t) for b, t in self._refused if 0 <= self._now_s - t < REFUSED_S]
        new = [b for b in boxes if all(distance(b, other) > CLAIMED for other in followed)]
        new = [b for b in new if all(distance(b, other) > SAME_PLACE for other, _ in self._refused)]
        new.sort(key=face_area, reverse=True)
        for box in new[:MOST_FACES]:
            one = self._seat_for(box, followed)
            if one is None:
                continue
            face = self._look(one, image, boxes, box)
            if face is None or any(distance(face.box, other) <= SAME_PLACE for other in followed):
                self._refused.append((box, self._now_s))
                continue
            if one.known is None or not one.seat.is_near(face.box):
                self._welcome(one, image, face)
            seen[one] = self._note(one, image, one.seat.settle(image, face))
            followed.append(face.box)
        self._give_way(new, followed)

    def _seat_for(self, box: FaceBox, followed: list[FaceBox]) -> _Seated | None:
        """The seat of a lost face near a box, else a free one; None if there is neither."""
        lost = [one for one in self._seats if one.known is not None and not one.seat.followed]
        near = [one for one in lost if one.seat.is_near(box)]
        if near:
            return near[0]
        taken = sum(one.known is not None for one in self._seats)
        if taken < self._room:
            return next(one for one in self._seats if one.known is None)
        return lost[0] if lost else None

    def _look(self, one: _Seated, image: Image, boxes: list[FaceBox], box: FaceBox) -> Landmarks | None:
        one.seat.blank()
        return one.seat.look(image, boxes, box, waiting=False)

    def _welcome(self, one: _Seated, image: Image, face: Landmarks) -> None:
        """Seat a face under the number of the person whom it looks like, or as somebody new."""
        look = FaceLook.of(image, face)
        if one.known is not None:
            self._leave(one)
        likeness = {number: known.likeness(look) for number, known in self._left.items()}
        number = max(likeness, key=lambda n: likeness[n], default=-1)
        if number >= 0 and likeness[number] >= SAME:
            one.number, one.known = number, self._left.pop(number)
        else:
            one.number, one.known = self._numbers, KnownPerson(image, face)
            self._numbers += 1

    def _give_way(self, new: list[FaceBox], followed: list[FaceBox]) -> None:
        """Free the seat of the smallest face once a much larger one has waited for a while."""
        waiting = [box for box in new if all(distance(box, other) > SAME_PLACE for other in followed)]
        there = [one for one in self._seats if one.known is not None and one.seat.last is not None]
        smallest = min(there, key=lambda one: face_side(one.seat.last or (0, 0, 0, 0)), default=None)
        if not waiting or smallest is None or smallest.seat.last is None:
            self._larger_s = None
            return
        if face_side(waiting[0]) < LARGER * face_side(smallest.seat.last):
            self._larger_s = None
        elif self._larger_s is None:
            self._larger_s = self._now_s
        elif self._now_s - self._larger_s >= LARGER_S:
            self._leave(smallest)
            self._larger_s = None
            self._scanned_s = float("-inf")  # the larger face takes the seat in the next frame


def _moved(one: _Seated, found: Landmarks | None) -> float:
    """Distance of a face from its last place, in face sides; infinite if it was not found."""
    if found is None or one.seat.last is None:
        return float("inf")
    return distance(one.seat.last, found.box)
