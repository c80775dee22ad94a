"""`livery animate`: a still portrait moved as the face in a video moves, its own person's or another's.

The still's landmarks move as the driver's move since the frame where it looks most like the still. Without
weights the still is warped, no more: what it does not show (the other side of a head that turns, the inside
of a closed mouth) is stretched or guessed, and hair, neck and shoulders only follow the head a little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from correspondence import LandmarkTracker, detect_landmarks
from correspondence.types import Image, Landmarks
from inpaint.classical.still import Still, transferred, unlike
from inpaint.fills.jobs import Filler, GapJob
from reference.face.view import view_change
from stream.media.encoders import FileEncoderConfig
from stream.media.picture_writer import open_output
from stream.media.pictures import Picture
from stream.media.probe import VideoInfo, probe
from stream.media.untrusted import MediaError
from stream.media.video import Frame, VideoReader
from stream.offline.editing import Progress
from stream.offline.made import make_filler
from stream.offline.paths import check_paths
from stream.offline.references import SearchStopped, read_picture
from stream.offline.report import damage_notes

LIMIT_DEG = 20.0  # a head turned further than this from the still shows what the still does not
MOST_SIDE = 1280
LOOKS = 60  # frames in which the driver's rest is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class AnimateConfig:
    """How `animate_file` works.

    Attributes:
        weights, device: of the diffusion model; None: warp alone.
        overwrite: replace an existing output.
        encoder: how to compress the output.
    """

    weights: Path | None = None
    device: str = "cpu"
    overwrite: bool = False
    encoder: FileEncoderConfig = field(default_factory=FileEncoderConfig)


@dataclass(slots=True)
class AnimateReport:
    """What `animate_file` did.

    Attributes:
        frames: written; without_face: of them, where the drive shows no face and the last pose stays.
        beyond: frames whose head is turned more than `LIMIT_DEG` from the still.
        rest: number of the drive's frame that looks most like the still.
        complete: whether the drive's end was reached.
        notes: what to know.
    """

    frames: int = 0
    without_face: int = 0
    beyond: int = 0
    rest: int = 0
    complete: bool = True
    notes: list[str] = field(default_factory=list)

    def limits(self) -> list[str]:
        """What the result cannot show, in words."""
        said = []
        if self.beyond:
            said.append(
                f"in {self.beyond} of {self.frames} frames the head turns more than {LIMIT_DEG:g} degrees "
                "from the still: its far side is stretched, since no picture shows it"
            )
        if self.without_face:
            said.append(f"in {self.without_face} frames the drive shows no face: the last pose stays")
        return said


def animate_file(
    still: Path,
    drive: Path,
    output: Path,
    config: AnimateConfig | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
) -> AnimateReport:
    """Move a still as the face of a video moves; timing and sound are the video's, the size is the still's.

    Args:
        still: PNG, JPEG or WebP with one face. drive: a video with one face.
        output: see `files.edit_file`.
        config: how.
        stop: asked at each frame; True finishes the file with what was done.
        progress: told after each frame.

    Raises:
        MediaError: a file that cannot be read, written or used so, or without a face.
        WeightsError: no weights where they were asked for.
        SearchStopped: before the first frame was written.
    """
    config = config or AnimateConfig()
    check_paths((still, drive), output, config.overwrite)
    config.encoder.resolve(output)
    image = _fitted(read_picture(still), still)
    landmarks = detect_landmarks(image)
    if landmarks is None:
        raise MediaError(f"{still}: no face was found in it; a portrait that shows the whole face is needed")
    info = probe(drive)
    filler, about = make_filler(config.weights, config.device)
    report = AnimateReport(notes=[about, *info.notes])
    rest = _rest(info, landmarks, report, stop, progress)
    portrait = _Portrait(Still(image, landmarks), rest, filler)
    with (
        VideoReader(info) as reader,
        open_output(output, reader, image.shape[:2], config.encoder, turn=False) as writer,
    ):
        report.notes += writer.notes
        for item in reader.items(writer.others):
            if stop():
                report.complete = False
                break
            if isinstance(item, Frame):
                writer.write(item, portrait.at(item, report))
                report.frames += 1
                progress("edit", report.frames, info.frames)
            else:
                writer.copy(item)
        portrait.close()
        if report.frames == 0:
            raise SearchStopped
        writer.finish(report.complete)
        report.notes += damage_notes(reader) + writer.lost
    report.notes += report.limits()
    return report


class _Portrait:
    """The still, the drive's face and what makes a picture of both."""

    def __init__(self, still: Still, rest: Landmarks, filler: Filler) -> None:
        self._still, self._rest, self._filler = still, rest, filler
        self._tracker = LandmarkTracker()
        self._last = still.image

    def at(self, frame: Frame, report: AnimateReport) -> Image:
        """The picture for a frame of the drive."""
        seen = self._tracker(frame.image, frame.time_s)
        if seen is None:
            report.without_face += 1
            return self._last
        report.beyond += view_change(self._rest, seen).turn_deg > LIMIT_DEG
        target = transferred(self._still.landmarks, self._rest, seen)
        moved = self._still.moved(target)
        self._last = moved.image
        if self._filler.diffusion is not None:
            ends = {0: self._still.image, 2: self._still.image}
            marks = {0: self._still.landmarks, 1: target, 2: self._still.landmarks}
            job = GapJob(references=ends, landmarks=marks, bases={1: (moved.image, moved.unsure)})
            self._last = self._filler.gap(job)[1]
        return self._last

    def close(self) -> None:
        """Free the tracker."""
        self._tracker.close()


def _fitted(picture: Picture, path: Path) -> Image:
    """The still with even sides, none over 1280 pixels."""
    if picture.alpha is not None and not (picture.alpha == 255).all():
        raise MediaError(f"{path}: a still must not be see-through; save it without transparency")
    h, w = picture.image.shape[:2]
    scale = min(1.0, MOST_SIDE / max(h, w))
    size = (max(2, round(w * scale) // 2 * 2), max(2, round(h * scale) // 2 * 2))
    if size == (w, h):
        return picture.image
    return np.asarray(cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _rest(
    info: VideoInfo,
    still: Landmarks,
    report: AnimateReport,
    stop: Callable[[], bool],
    progress: Progress,
) -> Landmarks:
    """The driver's landmarks where its pose and expression are most like the still's.

    Raises:
        MediaError: no face in any frame looked at. SearchStopped: asked to.
    """
    step = max(1, info.frames // LOOKS)
    best: tuple[float, int, Landmarks] | None = None
    with VideoReader(info) as reader:
        for frame in _every(reader.frames(), step):
            if stop():
                raise SearchStopped
            progress("reference", frame.index, info.frames)
            seen = detect_landmarks(frame.image)
            if seen is not None and (best is None or unlike(still, seen) < best[0]):
                best = (unlike(still, seen), frame.index, seen)
    if best is None:
        raise MediaError(f"{info.path}: no face was found in it; the drive must show one")
    report.rest = best[1]
    return best[2]


def _every(frames: Iterator[Frame], step: int) -> Iterator[Frame]:
    return (frame for frame in frames if frame.index % step == 0)
