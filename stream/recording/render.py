"""A piece of a recording made anew with time to spare: every keyframe at hand, lost frames bridged.

The live path knows the past alone and skips frames where it is late. Here each frame of the source is edited
with all keyframes made until shortly after it, and where the network lost frames the gap is interpolated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from correspondence import LandmarkTracker, Matcher
from correspondence.types import Image, Landmarks
from inpaint.fills.jobs import Check, Filler, GapJob
from reference import Edit, KeeperConfig, Mode, Propagator, PropagatorConfig, StageError
from reference.propagate.outfit import Own
from stream.media.pictures import decode_picture
from stream.offline.made import Inventor
from stream.recording.files import Writer, read_piece

LOST = 1.75  # frame times between neighbours from which frames count as lost
LONGEST_S = 1.0  # a longer stall is no motion to be interpolated
MAX_PIXELS = 40_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyframeFile:
    """A keyframe on disk: names of its two pictures in the recording's folder, and its time."""

    image: str
    edited: str
    made_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderJob:
    """One piece to be made.

    Attributes:
        folder: of the recording; source: name of the piece in it; output: name of what is made.
        keyframes: oldest first; none where nothing was worn.
        mode, strength: how they were worn.
        matcher: see `Matcher.load`.
        fps: of the source, about.
    """

    folder: str
    source: str
    output: str
    keyframes: tuple[KeyframeFile, ...]
    mode: Mode
    strength: float
    matcher: str
    fps: float

    @property
    def nbytes(self) -> int:
        """It carries names, no pictures."""
        return 0

    def write(self, path: Path) -> None:
        """Keep it beside its piece, so that `livery refine` can do it later."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> RenderJob:
        """What `write` kept; the folder is the file's own, wherever it was moved to.

        Raises:
            ValueError: not such a file.
        """
        try:
            held = json.loads(path.read_text())
            frames = tuple(KeyframeFile(**each) for each in held.pop("keyframes"))
            return cls(**{**held, "keyframes": frames, "folder": str(path.parent)})
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"{path}: is no description of a piece ({exc})") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What became of a piece: frames written, of them bridged (interpolated), of them with invented parts."""

    frames: int
    bridged: int
    invented: int


def render(job: RenderJob, filler: Filler, check: Check = lambda: None) -> Rendered:
    """Make one piece; writes `job.output` when it is whole.

    Raises:
        MediaError: the source piece cannot be read, or the output not be written.
    """
    folder = Path(job.folder)
    frames = read_piece(folder / job.source)
    if not frames:
        return Rendered(frames=0, bridged=0, invented=0)
    edited, invented = _edited(job, frames, filler, check)
    shown = _bridged(edited, job.fps, filler, check)
    output = folder / job.output
    temporary = output.with_name(f".{output.stem}.{os.getpid()}.ts")
    height, width = shown[0][1].shape[:2]
    writer = Writer(temporary, (height, width), crf=18)
    try:
        for time_s, image in shown:
            check()
            writer.write(image, time_s)
        writer.close()
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return Rendered(frames=len(shown), bridged=len(shown) - len(edited), invented=invented)


def _edited(
    job: RenderJob, frames: Sequence[tuple[float, Image]], filler: Filler, check: Check
) -> tuple[list[tuple[float, Image]], int]:
    """The frames with the edit, and how many have invented parts."""
    if not job.keyframes:
        return list(frames), 0
    edits = _edits(job)
    propagator, inventor = _propagator(job, edits), Inventor(filler, edits)
    made: list[tuple[float, Image]] = []
    try:
        for time_s, image in frames:
            check()
            try:
                result = propagator.step(image, time_s)
            except StageError:
                made.append((time_s, image))
                continue
            picture = inventor(image, result, check)
            made.append((time_s, picture))
    finally:
        propagator.close()
    return made, inventor.frames


@lru_cache(maxsize=1)
def _matcher(kind: str) -> Matcher:
    return Matcher.load(kind)


def _edits(job: RenderJob) -> list[Edit]:
    return [
        Edit(_picture(job, k.image), _picture(job, k.edited), job.mode, job.strength) for k in job.keyframes
    ]


def _propagator(job: RenderJob, edits: Sequence[Edit]) -> Propagator:
    """Wears all keyframes of the job, the best one for each frame's view."""
    keeping = KeeperConfig(background=False, make=False, max_match_s=60.0)
    room = replace(keeping.bank, max_keyframes=max(keeping.bank.max_keyframes, len(edits)))
    keeping = replace(keeping, bank=room)
    propagator = Propagator(matcher=_matcher(job.matcher), config=PropagatorConfig(references=keeping))
    own = [Own(edit=edit, made_s=k.made_s) for edit, k in zip(edits, job.keyframes, strict=True)]
    propagator.put_on(propagator.outfit(own))
    return propagator


def _picture(job: RenderJob, name: str) -> Image:
    return decode_picture((Path(job.folder) / name).read_bytes(), MAX_PIXELS).image


def _bridged(
    frames: Sequence[tuple[float, Image]], fps: float, filler: Filler, check: Check
) -> list[tuple[float, Image]]:
    """The frames, and interpolated ones where some were lost."""
    shown = [frames[0]]
    for before, after in pairwise(frames):
        missing = lost_between(before[0], after[0], fps)
        if missing and before[1].shape == after[1].shape:
            check()
            shown += _interpolated(before, after, missing, filler, check)
        shown.append(after)
    return shown


def lost_between(before_s: float, after_s: float, fps: float) -> int:
    """How many frames are missing between two times; 0 where none are, or too many to be interpolated."""
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
    """Write a picture as PNG, fast rather than small."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"{path}: the picture could not be encoded")
    path.write_bytes(data.tobytes())
