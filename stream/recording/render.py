"""Edits a piece of a recording anew, with more time and knowledge than the live path has.

The live path knows only the past and skips frames when it is late. Here each frame is edited with all
keyframes made until shortly after it, and frames that the network lost are interpolated.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from correspondence import Image, Landmarks, LandmarkTracker, Matcher, detect_landmarks
from correspondence.face.landmarks import MOST_FACES
from correspondence.matcher import KINDS
from inpaint.fills.jobs import Check, Filler, GapJob
from reference import (
    MODES,
    Edit,
    EditError,
    KeeperConfig,
    Mode,
    Propagator,
    PropagatorConfig,
    StageError,
    UserKeyframe,
)
from reference.face.sticker import SIDES, Rgba
from reference.looks.drawn import edit_of
from reference.looks.layers import MOST_LAYERS
from reference.looks.manifest import Entry, from_entry
from reference.looks.reading import decode_png
from stream.errors import UploadError
from stream.mark import check_mark, mark
from stream.media.pictures import decode_picture
from stream.media.probe import MediaError
from stream.offline.made import Inventor
from stream.processes import replace_file
from stream.recording.files import Writer, read_piece
from stream.recording.folder import begin, inside, read_bounded, write_whole

LOST = 1.75  # frames count as lost if neighbours are this many frame times apart
LONGEST_S = 1.0  # longest gap that is interpolated
MAX_KEYFRAME_PIXELS = 60_000_000  # of all keyframes of a piece; their edits take some 30 bytes each
MAX_JOB_BYTES, MAX_PICTURE_BYTES = 1_000_000, 200_000_000
MAX_KEYFRAMES = 64  # most keyframes of a piece
MAX_S = 1e9  # latest time of a keyframe, seconds
FPS = (1.0, 120.0)
PIECE = re.compile(r"piece-\d{1,9}\.source\.ts")
N = TypeVar("N", bound=str)
Told = Callable[[bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyframeFile:
    """A keyframe on disk: names of its two pictures in the recording's folder, and its time, seconds."""

    image: str
    edited: str
    made_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderJob:
    """A piece to edit.

    Attributes:
        folder: folder of the recording.
        source, output: names of the source piece and of the result in that folder.
        keyframes: the keyframes, oldest first; empty if nothing was worn.
        mode, strength: how they were worn.
        matcher: see `Matcher.load`.
        faces: largest number of people who wear it, 1 to 4.
        fps: approximate frame rate of the source.
        mark: text that is written into edited pictures. None for none.
        stickers: stickers that the head carries, as in `manifest.to_entry`, with the names of their pictures.
            They lie on the face of the first keyframe.
    """

    folder: str
    source: str
    output: str
    keyframes: tuple[KeyframeFile, ...]
    mode: Mode
    strength: float
    matcher: str
    fps: float
    faces: int = 1
    mark: str | None = None
    stickers: tuple[Entry, ...] = ()

    @property
    def nbytes(self) -> int:
        """Memory of the job's pictures, bytes: 0, because it holds names only."""
        return 0

    def write(self, path: Path) -> None:
        """Save the job beside its piece, so that `livery refine` can do it later.

        Raises:
            MediaError: the file cannot be written.
        """
        write_whole(path, (json.dumps(asdict(self), indent=1) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> RenderJob:
        """Read a job that `write` saved. Its folder is the file's own, even after a move.

        The file may come from anybody. Names in it must be bare file names, and numbers must be in their
        ranges.

        Raises:
            MediaError: it is not such a file.
        """
        folder = path.parent
        try:
            held = json.loads(read_bounded(path, MAX_JOB_BYTES))
            frames = tuple(_keyframe(folder, each) for each in held["keyframes"])
            source = inside(folder, held["source"], "source").name
            if not PIECE.fullmatch(source):
                raise ValueError(f"source must be named piece-NUMBER.source.ts, got {source!r}")
            job = cls(
                folder=str(folder),
                source=source,
                output=source.replace(".source", ""),
                keyframes=frames,
                mode=_one_of(MODES, held["mode"], "mode"),
                strength=_number(held["strength"], "strength", 0.0, 1.0),
                matcher=_one_of(KINDS, held["matcher"], "matcher"),
                fps=_number(held["fps"], "fps", *FPS),
                faces=round(_number(held.get("faces", 1), "faces", 1, MOST_FACES)),
                stickers=tuple(_sticker(folder, each) for each in held.get("stickers", ())),
                mark=None if held.get("mark") is None else check_mark(str(held["mark"])),
            )
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as exc:
            reason = f"it has no {exc}" if isinstance(exc, KeyError) else exc
            raise MediaError(f"{path}: is no description of a piece ({reason})") from exc
        if len(frames) > MAX_KEYFRAMES:
            raise MediaError(f"{path}: names {len(frames)} keyframes; at most {MAX_KEYFRAMES} are used")
        if len(job.stickers) > MOST_LAYERS:
            raise MediaError(f"{path}: names {len(job.stickers)} stickers; at most {MOST_LAYERS} are used")
        return job


def _keyframe(folder: Path, held: dict[str, object]) -> KeyframeFile:
    return KeyframeFile(
        image=inside(folder, held["image"], "image").name,
        edited=inside(folder, held["edited"], "edited").name,
        made_s=_number(held["made_s"], "made_s", 0.0, MAX_S),
    )


def _sticker(folder: Path, held: dict[str, object]) -> Entry:
    return {**held, "kind": "sticker", "picture": inside(folder, held["picture"], "sticker").name}


def _number(value: object, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{name} must be a number in [{low:g}, {high:g}], got {str(value)[:30]}")
    return float(value)


def _one_of(names: Sequence[N], value: object, what: str) -> N:
    found = next((name for name in names if name == value), None)
    if found is None:
        raise ValueError(f"{what} must be one of {', '.join(names)}, got {str(value)[:30]!r}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Result of a piece: frames written, frames among them interpolated, and frames with invented parts."""

    frames: int
    bridged: int
    invented: int


def render(
    job: RenderJob, filler: Filler, check: Check = lambda: None, told: Told = lambda _: None
) -> Rendered:
    """Edit one piece. `job.output` is written once it is whole.

    Args:
        job: the piece.
        filler: fills what is not known.
        check: called at each frame. It may raise, which leaves the piece as it was.
        told: called after each frame of the source is written, with whether an edit was worn.

    Raises:
        MediaError: the source or a keyframe cannot be read, or the output cannot be written.
    """
    folder = Path(job.folder)
    frames = read_piece(inside(folder, job.source, "source"))
    if not frames:
        return Rendered(frames=0, bridged=0, invented=0)
    output = folder / job.output
    temporary = begin(output)
    height, width = frames[0][1].shape[:2]
    writer = Writer(temporary, (height, width), crf=18)
    written = invented = 0
    before: tuple[float, Image] | None = None
    try:
        with contextlib.closing(_edited(job, frames, filler, check)) as edited:
            for time_s, image, new in edited:
                after = (time_s, image)
                for shown_s, shown in _bridged(before, after, job.fps, filler, check):
                    check()
                    writer.write(shown, shown_s)
                    written += 1
                before, invented = after, invented + new
                told(bool(job.keyframes))
        writer.close()
        replace_file(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
    return Rendered(frames=written, bridged=written - len(frames), invented=invented)


def _edited(
    job: RenderJob, frames: Sequence[tuple[float, Image]], filler: Filler, check: Check
) -> Generator[tuple[float, Image, bool]]:
    """Yield the frames with the edit: time, picture, and whether parts of it are invented."""
    if not job.keyframes:
        yield from ((time_s, image, False) for time_s, image in frames)
        return
    edits = _edits(job)
    propagator, inventor = _propagator(job, edits), Inventor(filler, edits)
    try:
        for time_s, image in frames:
            check()
            try:
                result = propagator.step(image, time_s)
            except StageError:
                yield time_s, image, False
                continue
            before = inventor.frames
            picture = inventor(image, result, check)
            if job.mark is not None and result.reason is None:
                picture = mark(picture, job.mark)
            yield time_s, picture, inventor.frames > before
    finally:
        propagator.close()


@lru_cache(maxsize=1)
def _matcher(kind: str) -> Matcher:
    return Matcher.load(kind)


def _edits(job: RenderJob) -> list[Edit]:
    edits, left = list[Edit](), MAX_KEYFRAME_PIXELS
    for each in job.keyframes:
        image = _picture(job, each.image, left)
        pixels = image.size // 3
        left -= pixels
        edits.append(Edit(image, _picture(job, each.edited, pixels), job.mode, job.strength))
    landmarks = detect_landmarks(edits[0].reference) if job.stickers else None
    if landmarks is None:
        return edits
    try:
        layers = [from_entry(entry, lambda name: _sticker_picture(job, name)) for entry in job.stickers]
        stickers = edit_of(edits[0].reference, landmarks, layers, drawn=edits[0].edited).stickers
    except EditError as exc:
        raise MediaError(f"{job.folder}: a sticker: {exc}") from exc
    return [replace(edit, stickers=stickers) for edit in edits]


def _sticker_picture(job: RenderJob, name: str) -> Rgba:
    path = inside(Path(job.folder), name, "a sticker")
    return decode_png(read_bounded(path, MAX_PICTURE_BYTES), 4, SIDES[1] ** 2, str(path))


def _propagator(job: RenderJob, edits: Sequence[Edit]) -> Propagator:
    """Make a propagator that wears all keyframes of the job. The best one serves each frame."""
    keeping = KeeperConfig(background=False, make=False, max_match_s=60.0)
    room = replace(keeping.bank, max_keyframes=max(keeping.bank.max_keyframes, len(edits)))
    keeping = replace(keeping, bank=room)
    config = PropagatorConfig(references=keeping, faces=job.faces)
    propagator = Propagator(matcher=_matcher(job.matcher), config=config)
    own = [UserKeyframe(edit=edit, made_s=k.made_s) for edit, k in zip(edits, job.keyframes, strict=True)]
    propagator.put_on(propagator.workshop.outfit(own))
    return propagator


def _picture(job: RenderJob, name: str, most_pixels: int) -> Image:
    path = inside(Path(job.folder), name, "a keyframe")
    try:
        return decode_picture(read_bounded(path, MAX_PICTURE_BYTES), most_pixels).image
    except UploadError as exc:
        raise MediaError(f"{path}: {exc.text}") from exc


def _bridged(
    before: tuple[float, Image] | None, after: tuple[float, Image], fps: float, filler: Filler, check: Check
) -> list[tuple[float, Image]]:
    """Return a frame, after interpolated ones if some were lost since the one before."""
    if before is None or before[1].shape != after[1].shape:
        return [after]
    missing = lost_between(before[0], after[0], fps)
    if not missing:
        return [after]
    check()
    return [*_interpolated(before, after, missing, filler, check), after]


def lost_between(before_s: float, after_s: float, fps: float) -> int:
    """Number of frames missing between two times. 0 if none, or if too many to be interpolated."""
    gap_s = after_s - before_s
    if gap_s * fps < LOST or gap_s > LONGEST_S:
        return 0
    return round(gap_s * fps) - 1


def _interpolated(
    before: tuple[float, Image], after: tuple[float, Image], missing: int, filler: Filler, check: Check
) -> list[tuple[float, Image]]:
    tracker = LandmarkTracker()
    ends = [tracker(image, time_s) for time_s, image in (before, after)]
    tracker.close()
    last = missing + 1
    marks: dict[int, Landmarks | None] = {n: _mixed(ends, n / last) for n in range(last + 1)}
    made = filler.gap(GapJob(references={0: before[1], last: after[1]}, landmarks=marks), check)
    step_s = (after[0] - before[0]) / last
    return [(before[0] + n * step_s, made[n]) for n in range(1, last)]


def _mixed(ends: Sequence[Landmarks | None], share: float) -> Landmarks | None:
    start, end = ends
    if start is None or end is None:
        return None
    points = start.points + np.float32(share) * (end.points - start.points)
    return Landmarks(np.asarray(points, np.float32), start.image_size)


def save_picture(path: Path, image: Image) -> None:
    """Write a picture as PNG, at high speed rather than small size."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"{path}: the picture could not be encoded")
    write_whole(path, data.tobytes())
