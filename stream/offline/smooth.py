"""`livery smooth`: turns a jump cut into a short motion from the picture before it to the one after it.

The frames around the cut are made anew between two frames that stay. The clip keeps its length, its time
stamps and its sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from correspondence import detect_landmarks
from correspondence.types import Float, Image, Landmarks
from inpaint.fills.jobs import Filler, GapJob
from stream.media.encoders import FileEncoderConfig
from stream.media.picture_writer import open_output
from stream.media.probe import VideoInfo, probe
from stream.media.untrusted import MediaError
from stream.media.video import Frame, VideoReader
from stream.offline.cuts import find_cuts
from stream.offline.editing import Progress
from stream.offline.made import make_filler
from stream.offline.paths import check_paths
from stream.offline.references import SearchStopped
from stream.offline.report import damage_notes

MOST_FRAMES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothConfig:
    """Settings of `smooth_file`. The ranges are checked.

    Attributes:
        cuts: numbers of the first frame after each cut, counted from 0. None to find the jump cuts.
        frames: number of frames made anew around each cut, half before and half after it. It is even.
        weights: weights of the diffusion model. None means warp and blend.
        device: device of the diffusion model.
        overwrite: whether to replace an existing output.
        encoder: how to compress the output.
    """

    cuts: Sequence[int] | None = None
    frames: int = 8
    weights: Path | None = None
    device: str = "cpu"
    overwrite: bool = False
    encoder: FileEncoderConfig = field(default_factory=FileEncoderConfig)

    def __post_init__(self) -> None:
        if not 2 <= self.frames <= MOST_FRAMES or self.frames % 2:
            raise ValueError(f"frames must be even and lie in 2 to {MOST_FRAMES}, got {self.frames}")
        if self.cuts is None:
            return
        if not self.cuts:
            raise ValueError("name at least one cut: the number of the first frame after it")
        spans = sorted(self.span(cut) for cut in self.cuts)
        if spans[0][0] < 0:
            least = self.frames // 2 + 1
            raise ValueError(f"a cut needs {least} frames before it: {min(self.cuts)} is too early")
        for (_, end), (start, _) in pairwise(spans):
            if start < end:
                raise ValueError(
                    f"cuts must lie {self.frames + 1} frames apart or more, got {sorted(self.cuts)}: "
                    "name fewer, or make fewer --frames"
                )

    def span(self, cut: int) -> tuple[int, int]:
        """Numbers of the two frames that stay, before and after a cut."""
        return cut - self.frames // 2 - 1, cut + self.frames // 2


@dataclass(slots=True)
class SmoothReport:
    """Result of `smooth_file`.

    Attributes:
        frames: number of frames written.
        made: number of frames made anew.
        complete: whether the end of the clip was reached.
        notes: what the user should know.
    """

    frames: int = 0
    made: int = 0
    complete: bool = True
    notes: list[str] = field(default_factory=list)


def smooth_file(
    source: Path,
    output: Path,
    config: SmoothConfig,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
) -> SmoothReport:
    """Smooth the jump cuts of a clip.

    Args:
        source: a video file.
        output: see `files.edit_file`.
        config: the cuts and other settings.
        stop: called at each frame. True finishes the file early.
        progress: called after each frame.

    Raises:
        MediaError: a file cannot be read, written or used in this way, or a cut is not in the clip.
        WeightsError: there are no weights where they were asked for.
        SearchStopped: `stop` returned True before the first frame was written.
    """
    check_paths((source,), output, config.overwrite)
    config.encoder.resolve(output)
    info = probe(source)
    report = SmoothReport(notes=list(info.notes))
    if config.cuts is None:
        config = replace(config, cuts=_found(info, config, report, stop, progress))
    filler, about = make_filler(config.weights, config.device)
    report.notes.insert(0, about)
    with (
        VideoReader(info) as reader,
        open_output(output, reader, info.size, config.encoder) as writer,
    ):
        report.notes += writer.notes

        def frames() -> Iterator[Frame]:
            for item in reader.items(writer.others):
                if stop():
                    report.complete = False
                    return
                if isinstance(item, Frame):
                    yield item
                else:
                    writer.copy(item)

        for frame, image in smoothed(frames(), config, filler, report):
            writer.write(frame, image)
            report.frames += 1
            progress("edit", report.frames, info.frames)
        if report.frames == 0:
            if not report.complete:
                raise SearchStopped
            raise MediaError(f"{info.path}: no frame of it could be decoded; it is damaged: copy it again")
        if report.complete:
            _check_cuts(config, report, info)
        writer.finish(report.complete)
        report.notes += damage_notes(reader) + writer.lost
    return report


def _found(
    info: VideoInfo, config: SmoothConfig, report: SmoothReport, stop: Callable[[], bool], progress: Progress
) -> list[int]:
    """Find the cuts that can be smoothed, and tell of them and of the others.

    Raises:
        MediaError: there are none.
    """
    found = find_cuts(info, stop, lambda done: progress("cuts", done, info.frames))
    cuts: list[int] = []
    for cut in found.jumps:
        start, end = config.span(cut)
        room = start >= (config.span(cuts[-1])[1] if cuts else 0) and end < info.frames
        if room:
            cuts.append(cut)
        else:
            report.notes.append(f"the cut before frame {cut} stays: too near to another cut or to an end")
    if found.shots:
        report.notes.append(f"another shot begins at {_frames(found.shots)}: such cuts stay")
    if not cuts:
        raise MediaError(
            f"{info.path}: no jump cut was found; name the first frame after each cut with --cut N"
        )
    report.notes.append(f"jump cuts were found before {_frames(cuts)}; --cut N names others")
    return cuts


def _frames(numbers: Sequence[int]) -> str:
    return f"frame{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def smoothed(
    frames: Iterator[Frame], config: SmoothConfig, filler: Filler, report: SmoothReport
) -> Iterator[tuple[Frame, Image]]:
    """Yield each frame and the picture to show at its time. At most `frames` + 2 frames are held."""
    spans = sorted(config.span(cut) for cut in config.cuts or ())
    held: list[Frame] = []
    for frame in frames:
        if spans and frame.index >= spans[0][0]:
            held.append(frame)
            if frame.index < spans[0][1]:
                continue
            yield from _bridged(held, filler, report)
            spans.pop(0)
            # one frame may end a span and begin the next
            held = [frame] if spans and spans[0][0] == frame.index else []
            if not held:
                yield frame, frame.image
        else:
            yield frame, frame.image
    for frame in held:  # the clip ended before the cut did
        yield frame, frame.image


def _bridged(held: Sequence[Frame], filler: Filler, report: SmoothReport) -> Iterator[tuple[Frame, Image]]:
    """Yield the first frame unchanged and the following ones made anew. The last one is not yielded."""
    first, last = held[0], held[-1]
    ends = [detect_landmarks(f.image) for f in (first, last)]
    between = {f.index: on_the_way(ends, f.index, first.index, last.index) for f in held}
    made = filler.gap(
        GapJob(references={first.index: first.image, last.index: last.image}, landmarks=between)
    )
    if any(end is None for end in ends):
        report.notes.append(f"frames {first.index} to {last.index}: no face on one side of the cut")
    report.made += len(made)
    yield first, first.image
    for frame in held[1:-1]:
        yield frame, made[frame.index]


def on_the_way(ends: Sequence[Landmarks | None], number: int, first: int, last: int) -> Landmarks | None:
    """Interpolate landmarks between two, with a gentle start and end. None if one of them is missing."""
    start, end = ends
    if start is None or end is None:
        return None
    t = np.float32((number - first) / (last - first))
    points: Float = start.points + (t * t * (3 - 2 * t)) * (end.points - start.points)
    return Landmarks(np.asarray(points, np.float32), start.image_size)


def _check_cuts(config: SmoothConfig, report: SmoothReport, info: VideoInfo) -> None:
    late = [cut for cut in config.cuts or () if config.span(cut)[1] >= report.frames]
    if late:
        raise MediaError(
            f"{info.path}: a cut needs {config.frames // 2 + 1} frames from it on, and the clip has "
            f"{report.frames} frames; too late: {', '.join(map(str, late))}"
        )
