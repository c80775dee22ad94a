"""`livery animate`: moves a still portrait as the face in a video moves.

The face in the video, the driver, may be of the same person or of another. The still's landmarks move as the
driver's landmarks move from their rest, the frame where the driver looks most like the still. Without weights
the still is only warped. What it does not show, such as the far side of a turning head or the inside of a
closed mouth, is stretched or guessed. Hair, neck and shoulders follow the head only a little.
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
from stream.pace import Pace

LIMIT_DEG = 20.0  # a head turned further than this shows parts that the still does not
MOST_SIDE = 1280
LOOKS = 60  # about how many frames are searched for the driver's rest


@dataclass(frozen=True, slots=True, kw_only=True)
class AnimateConfig:
    """Settings of `animate_file`.

    Attributes:
        weights: weights of the diffusion model. None means that the still is only warped.
        device: device of the diffusion model.
        overwrite: whether to replace an existing output.
        encoder: how to compress the output.
    """

    weights: Path | None = None
    device: str = "cpu"
    overwrite: bool = False
    encoder: FileEncoderConfig = field(default_factory=FileEncoderConfig)


@dataclass(slots=True)
class AnimateReport:
    """Result of `animate_file`.

    Attributes:
        frames: number of frames written.
        without_face: number of frames in which the drive shows no face and the last pose stays.
        beyond: number of frames whose head is turned more than `LIMIT_DEG` from the still.
        rest: number of the drive's frame that looks most like the still.
        complete: whether the drive's end was reached.
        notes: what the user should know.
    """

    frames: int = 0
    without_face: int = 0
    beyond: int = 0
    rest: int = 0
    complete: bool = True
    notes: list[str] = field(default_factory=list)

    def limits(self) -> list[str]:
        """Describe what the result cannot show."""
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
    say: Callable[[str], None] = lambda text: None,
) -> AnimateReport:
    """Move a still as the face of a video moves.

    The output has the video's timing and sound and the still's size.

    Args:
        still: PNG, JPEG or WebP with one face.
        drive: a video with one face.
        output: see `files.edit_file`.
        config: settings.
        stop: called at each frame. True finishes the file early.
        progress: called after each frame.
        say: called once, as soon as it is known, with how long the work will take.

    Raises:
        MediaError: a file cannot be read, written or used in this way, or has no face.
        WeightsError: there are no weights where they were asked for.
        SearchStopped: `stop` returned True before the first frame was written.
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
    portrait, pace = _Portrait(Still(image, landmarks), rest, filler), Pace(info.frames, progress, say)
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
                pace()
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
    """Makes a picture of the still for each frame of the drive."""

    def __init__(self, still: Still, rest: Landmarks, filler: Filler) -> None:
        self._still, self._rest, self._filler = still, rest, filler
        self._tracker = LandmarkTracker()
        self._last = still.image

    def at(self, frame: Frame, report: AnimateReport) -> Image:
        """Return the picture for a frame of the drive."""
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
    """Scale the still to even sides of at most 1280 pixels."""
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
    """Find the driver's landmarks in the frame whose pose and expression are most like the still's.

    Raises:
        MediaError: none of the frames examined has a face.
        SearchStopped: `stop` returned True.
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
