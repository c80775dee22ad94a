"""Finds a clip's reference: a chosen frame, the best frame, or the frame of an edited picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from correspondence import Float, Image, detect_landmarks
from reference import ReferenceScore, among, reference_score
from stream.colour.spaces import Space
from stream.errors import UploadError
from stream.media.pictures import TYPES_HINT, Picture, decode_picture, other_kind
from stream.media.probe import MediaError, VideoInfo
from stream.media.untrusted import check_exists
from stream.media.video import Frame, VideoReader
from stream.offline.turned import turn, turn_of

MAX_PIXELS = 40_000_000
LOOKS = 90  # most frames of a clip that are scored, evenly spaced
STEP_UNKNOWN = 5  # distance of scored frames if the clip's length is unknown
THUMB = 64  # side of the thumbnails that are compared to find an edited picture's frame
CAP = 0.5  # differences of standardised thumbnails are capped here, since larger ones come from the edit
NEAREST = "nearest to the edited picture"
FAR = 0.04  # distance to its own frame that few edits have, see `_Likeness`
CLEARLY = (1.25, 0.004)  # factor and amount by which another frame must be nearer to be preferred


class SearchStopped(Exception):  # noqa: N818 - not an error: the user asked
    """The user asked to stop before anything was written."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipReference:
    """The picture an edit is made on.

    Attributes:
        image: uint8 (H, W, 3), upright.
        index: number of its frame. None for a picture from a file.
        note: which picture it is and why, for the user.
        score: its score as reference. None if it was not computed.
        time_s: time of its frame, seconds. None for a picture from a file.
        quarters: number of quarter turns, counter-clockwise, that bring the clip's faces upright.
    """

    image: Image
    index: int | None
    note: str
    score: ReferenceScore | None = None
    time_s: float | None = None
    quarters: int = 0


def read_picture(path: Path, into: Space | None = None) -> Picture:
    """Read a PNG, JPEG or WebP file.

    Args:
        path: the file.
        into: the colour space to convert to, see `decode_picture`; None for sRGB.

    Raises:
        MediaError: the file is missing, of another type, damaged or too large.
    """
    check_exists(path)
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise MediaError(f"{path}: cannot be read ({exc.strerror}); name a picture you may read") from exc
    try:
        return decode_picture(data, MAX_PIXELS, into)
    except UploadError as exc:
        if exc.status == 415 and exc.hint == TYPES_HINT and other_kind(data) is None:
            raise MediaError(f"{path}: is not a PNG, JPEG or WebP picture; save it as one") from exc
        hint = "save it again as PNG, JPEG or WebP" if exc.hint == TYPES_HINT else exc.hint
        raise MediaError(f"{path}: {exc.text}" + (f"; {hint}" if hint else "")) from exc


def picture_reference(path: Path, info: VideoInfo) -> ClipReference:
    """Read a picture file as reference of a clip.

    Raises:
        MediaError: the file is missing, damaged or too large, or the picture has transparent parts.
    """
    picture = read_picture(path, info.space)
    if picture.alpha is not None and not (picture.alpha == 255).all():
        raise MediaError(f"{path}: a reference must not be see-through; save it without transparency")
    return ClipReference(picture.image, None, str(path), quarters=turn_of(info))


def frame_at(info: VideoInfo, index: int, why: str = "as asked") -> ClipReference:
    """Read one frame of a clip as reference.

    Args:
        info: the clip.
        index: number of the frame, counted from 0.
        why: why it was chosen, for its note.

    Raises:
        MediaError: the clip has no such frame.
    """
    seen = 0
    with VideoReader(info) as reader:
        for frame in reader.frames():
            if frame.index == index:
                return _scored(frame, why, turn_of(info))
            seen += 1
    raise MediaError(f"{info.path}: has no frame {index}; its frames are 0 to {seen - 1}")


def find_reference(
    info: VideoInfo,
    reference: int | Path | str,
    edited: Picture | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda done: None,
    why: str = "as asked",
) -> ClipReference:
    """Return the reference that was asked for.

    Args:
        info: the clip.
        reference: number of a frame, or "auto" (see `pick_reference`), or a picture file.
        edited, stop, progress: see `pick_reference`.
        why: why it is the frame of that number, for its note.

    Raises:
        MediaError, SearchStopped: see `frame_at`, `pick_reference` and `picture_reference`.
    """
    if isinstance(reference, int):
        return frame_at(info, reference, why)
    if reference == "auto":
        return pick_reference(info, edited, stop, progress)
    return picture_reference(Path(reference), info)


def pick_reference(
    info: VideoInfo,
    edited: Picture | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda done: None,
) -> ClipReference:
    """Choose the reference of a clip: its best frame, or the frame that `edited` was made from.

    Up to `LOOKS` frames are scored by `reference_score` and measured against the clip's own light, contrast
    and sharpness. If an edited picture is given, every frame is also compared with it. The comparison is made
    at thumbnail size and caps large differences, so that the edit itself does not decide.

    Args:
        info: the clip.
        edited: a picture made from one of its frames.
        stop: called at each frame. True stops the search.
        progress: called with the number of frames read.

    Raises:
        MediaError: none of the frames examined has a face.
        SearchStopped: `stop` returned True.
    """
    step = max(1, -(-info.frames // LOOKS)) if info.frames else STEP_UNKNOWN
    likeness = None if edited is None else _Likeness.of(edited, info.size)
    quarters = turn_of(info)
    looked: list[_Looked] = []
    nearest: tuple[float, Frame] | None = None
    with VideoReader(info) as reader:
        for frame in reader.frames():
            if stop():
                raise SearchStopped
            distance = 0.0 if likeness is None else likeness.distance(frame.image)
            if likeness is not None and (nearest is None or distance < nearest[0]):
                nearest = (distance, frame)
            if frame.index % step == 0:
                looked.append(_Looked(frame.index, distance, _score(frame, quarters)))
            progress(frame.index + 1)
    best = max(
        zip(among([look.score for look in looked]), looked, strict=True), key=lambda one: one[0], default=None
    )
    if nearest is not None and (best is None or best[1].distance > CLEARLY[0] * nearest[0] + CLEARLY[1]):
        return _scored(nearest[1], NEAREST, quarters)
    if best is None or best[0] == 0.0:
        raise MediaError(
            f"{info.path}: no face found in the {len(looked)} frames looked at; name a frame by its number "
            "(livery edit --reference N, livery reference --at N)"
        )
    return frame_at(info, best[1].index, "the best")


def nearer_frame(
    info: VideoInfo, reference: ClipReference, edited: Picture, stop: Callable[[], bool] = lambda: False
) -> int | None:
    """Look for a frame that an edited picture was more likely made from than from its reference.

    Args:
        info: the clip.
        reference: a frame of it.
        edited: the edited picture.
        stop: called at each frame. True stops the search.

    Returns:
        The number of the frame that is nearest by the measure of `pick_reference`. None if the reference is
        near enough, if no frame is clearly nearer, or if the picture cannot be compared.

    Raises:
        SearchStopped: `stop` returned True.
    """
    likeness = _Likeness.of(edited, info.size)
    own = 0.0 if likeness is None else likeness.distance(reference.image)
    if likeness is None or own < FAR:
        return None
    best, number = own, reference.index
    with VideoReader(info) as reader:
        for frame in reader.frames():
            if stop():
                raise SearchStopped
            distance = likeness.distance(frame.image)
            if distance < best:
                best, number = distance, frame.index
    return number if own > CLEARLY[0] * best + CLEARLY[1] else None


def pick_pair(
    info: VideoInfo,
    pictures: tuple[Picture, Picture],
    asked: tuple[int | None, int | None],
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[ClipReference, ClipReference]:
    """Find the frames that two edited pictures, of the start and the end, were made from.

    Without a number, it is the frame nearest to the picture by the measure of `pick_reference`. For a picture
    that cannot be compared (a crop, or mostly transparent), it is the clip's first or last frame.

    Args:
        info: the clip.
        pictures: the edited pictures of start and end.
        asked: numbers of their frames. None searches for the frame.
        stop: called at each frame. True stops the search.
        progress: called with the number of frames read.

    Raises:
        MediaError: there is no such frame, or the end does not lie after the start.
        SearchStopped: `stop` returned True.
    """
    like = [
        None if n is not None else _Likeness.of(p, info.size) for p, n in zip(pictures, asked, strict=True)
    ]
    kept: list[tuple[float, Frame] | None] = [None, None]
    seen = 0
    with VideoReader(info) as reader:
        for frame in reader.frames():
            if stop():
                raise SearchStopped
            for side, number in enumerate(asked):
                if number is not None and frame.index != number:
                    continue
                likeness, best = like[side], kept[side]
                distance = 0.0 if likeness is None else likeness.distance(frame.image)
                if best is None or distance < best[0] or (side == 1 and distance == best[0]):
                    kept[side] = (distance, frame)
            seen += 1
            progress(seen)
    start, end = (
        _paired(info, kept[side], asked[side], like[side] is None, seen, which)
        for side, which in enumerate(("first", "last"))
    )
    if start.time_s is None or end.time_s is None or not end.time_s > start.time_s:
        raise MediaError(
            f"{info.path}: the end's frame {end.index} does not lie after the start's, {start.index}; swap "
            "--edited and --edited-end, or name the frames with --reference and --reference-end"
        )
    return start, end


def _paired(
    info: VideoInfo,
    kept: tuple[float, Frame] | None,
    asked: int | None,
    blind: bool,
    seen: int,
    which: str,
) -> ClipReference:
    if kept is None:
        raise MediaError(f"{info.path}: has no frame {asked}; its frames are 0 to {seen - 1}")
    why = f"the {which}, since the edited picture is a crop or mostly transparent" if blind else NEAREST
    return _scored(kept[1], why if asked is None else "as asked", turn_of(info))


@dataclass(frozen=True, slots=True)
class _Looked:
    """A frame that was scored: its number, its distance to the edited picture and its score."""

    index: int
    distance: float
    score: ReferenceScore


@dataclass(frozen=True, slots=True, eq=False)
class _Likeness:
    """Compares frames with an edited picture. Both are standardised, so that tone does not decide."""

    thumb: Float
    weight: Float

    @classmethod
    def of(cls, edited: Picture, size: tuple[int, int]) -> _Likeness | None:
        """Prepare a picture to compare. None if it has another shape (a crop) or is mostly transparent."""
        h, w = edited.image.shape[:2]
        if abs(w * size[0] - h * size[1]) > 0.01 * h * size[1]:
            return None
        weight = np.ones((THUMB, THUMB), np.float32)
        if edited.alpha is not None:
            small = cv2.resize(edited.alpha, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
            weight = small.astype(np.float32) / 255
        return cls(_thumb(edited.image), weight) if weight.mean() > 0.5 else None

    def distance(self, image: Image) -> float:
        """Mean difference to a frame, capped at `CAP`, in standard deviations of the picture."""
        difference = np.minimum(np.abs(_thumb(image) - self.thumb), CAP)
        return float((difference * self.weight).sum() / self.weight.sum())


def _thumb(image: Image) -> Float:
    small = cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    standard: Float = (grey - grey.mean()) / max(float(grey.std()), 1.0)
    return standard


def _score(frame: Frame, quarters: int) -> ReferenceScore:
    upright = turn(frame.image, quarters)
    return reference_score(upright, detect_landmarks(upright))


def _scored(frame: Frame, why: str, quarters: int) -> ClipReference:
    score = _score(frame, quarters)
    note = _describe(frame, score, why)
    return ClipReference(frame.image, frame.index, note, score, frame.time_s, quarters)


def _describe(frame: Frame, score: ReferenceScore, why: str) -> str:
    which = f"frame {frame.index} ({frame.time_s:.2f} s), {why}"
    if score.total == 0.0:
        return f"{which}: {score.reason}"
    return (
        f"{which}: score {score.total:.2f} (frontal {score.frontal:.2f}, sharp {score.sharp:.2f}, "
        f"eyes open {score.eyes_open:.2f}, lit {score.lit:.2f}); {score.reason}"
    )
