"""File mode: an edit on one frame of a recorded clip, carried onto all of them; timing and sound kept."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from correspondence import Matcher, confidence
from inpaint.fills.jobs import Filler
from inpaint.weights import NO_WEIGHTS
from reference import (
    MODES,
    Alignment,
    Between,
    CameraLost,
    Edit,
    KeeperConfig,
    Mode,
    Propagator,
    PropagatorConfig,
    Result,
    StageError,
    align_edited,
)
from stream.media.pictures import Picture, encode_png
from stream.media.probe import MediaError, VideoInfo, probe
from stream.media.video import Frame, VideoReader
from stream.media.writer import FileEncoderConfig, VideoWriter
from stream.offline.made import DirectFill, FrameEditor, Inventing, Inventor, make_filler
from stream.offline.paths import check_output, check_paths
from stream.offline.references import (
    ClipReference,
    SearchStopped,
    frame_at,
    over,
    pick_pair,
    pick_reference,
    picture_reference,
    read_picture,
)
from stream.offline.report import EditReport, FrameReport, damage_notes, percentiles_ms

logger = logging.getLogger(__name__)

# A clip has no clock to keep up with: keyframes are made in step, the same ones each time.
REFERENCES = KeeperConfig(background=False, pair_match_s=10.0, max_match_s=10.0)

Progress = Callable[[str, int, int], None]  # what is being done, frames done, frames expected (0: unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileConfig:
    """How `edit_file` works; `__post_init__` checks the ranges.

    Attributes:
        reference: number of the frame that was edited, from 0; "auto" for the best frame, or the one the
            edited picture resembles; or a picture file.
        reference_end: number of the frame that was edited for the end, or "auto" for the one its picture
            resembles most. Where there is such a picture, "auto" means that for `reference` too.
        mode, strength: see `reference.Edit`.
        matcher, device: see `correspondence.Matcher.load`; "auto" is the thorough one with `fill`, where
            time is spent on single frames anyway.
        side_by_side: write the input beside the result.
        overwrite: replace an existing output.
        confidence: report each frame's mean confidence, which costs time.
        fill: invent what is shown without being sure of its place, where there are weights for it.
        fill_weights: see `inpaint.weights.chosen`; without `fill` only those given here are used.
        encoder: how to compress the output.
    """

    reference: int | Path | str = "auto"
    reference_end: int | Path | str = "auto"
    mode: Mode = "auto"
    strength: float = 1.0
    matcher: str = "auto"
    device: str = "cpu"
    side_by_side: bool = False
    overwrite: bool = False
    confidence: bool = False
    fill: bool = False
    fill_weights: Path | None = None
    encoder: FileEncoderConfig = field(default_factory=FileEncoderConfig)

    def __post_init__(self) -> None:
        for name in ("reference", "reference_end"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{name} must be a frame's number from 0, got {value}")
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must lie in [0, 1], got {self.strength}")


def edit_file(
    source: Path,
    edited: Path,
    output: Path,
    config: FileConfig | None = None,
    *,
    edited_end: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
) -> EditReport:
    """Carry the edit `edited` shows onto every frame of `source`.

    With `edited_end`, a later frame edited as well, the first edit turns into the second in between; see
    `reference.Between`.

    The output has the input's frames and time stamps, turn, colour tags, sound and subtitles. Frames are
    edited upright and turned back, so that the rotation flag stays. Damaged parts of the input are left out
    and reported. Nothing appears under the output's name before it is whole.

    Args:
        source: a video file.
        edited: PNG, JPEG or WebP of the edited frame; see-through parts are unedited.
        output: .mp4, .m4v, .mov, .mkv or .webm. The last two store times to the millisecond.
        config: how.
        edited_end: the same for a later frame, None for one edit all along.
        stop: asked at each frame; True finishes the file with what was done.
        progress: told after each frame.

    Raises:
        MediaError: a file that cannot be read, written or used so.
        EditError: the edited picture does not fit the reference.
        WeightsError: the matcher asked for has no weights here.
        Stopped: `stop` said so before the first frame was edited; nothing was written.
    """
    config = config or FileConfig()
    check_paths((source, edited, *([] if edited_end is None else [edited_end])), output, config.overwrite)
    config.encoder.resolve(output)
    info = probe(source)
    pictures = [read_picture(path) for path in (edited, edited_end) if path is not None]
    references = _references(info, pictures, config, stop, progress)
    alignments = [
        align_edited(r.image, over(picture, r.image)) for r, picture in zip(references, pictures, strict=True)
    ]
    edits = [
        Edit(r.image, alignment.image, config.mode, config.strength)
        for r, alignment in zip(references, alignments, strict=True)
    ]
    kind = "thorough" if config.fill and config.matcher == "auto" else config.matcher
    matcher = Matcher.load(kind, config.device)
    report = _report(source, output, info, config, references, alignments, matcher)
    if all(edit.is_empty for edit in edits):
        report.notes.append("the edited picture equals its reference: nothing changes")
    weights = config.fill_weights if config.fill or config.fill_weights else Path(NO_WEIGHTS)
    filler, about = make_filler(weights, config.device)
    carrier = _carrier(edits, references, matcher, filler)
    if config.fill:
        report.notes.append(about)
        carrier = Inventing(carrier, Inventor(filler, edits))
    try:
        _Run(info, config, report, stop, progress).edit(carrier, output)
    finally:
        carrier.close()
    return report


def _report(
    source: Path,
    output: Path,
    info: VideoInfo,
    config: FileConfig,
    references: list[ClipReference],
    alignments: list[Alignment],
    matcher: Matcher,
) -> EditReport:
    """What is known of a run before its first frame."""
    report = EditReport(
        source=source,
        output=output,
        size=info.size,
        frames_expected=info.frames,
        reference=str(config.reference) if references[0].index is None else references[0].index,
        reference_note=references[0].note,
        alignment=alignments[0].note,
        mode=config.mode,
        strength=config.strength,
        matcher=matcher.kind,
        notes=list(info.notes),
    )
    if len(references) > 1 and references[1].index is not None:
        report.end = (references[1].index, references[1].note, alignments[1].note)
    return report


def _references(
    info: VideoInfo,
    pictures: list[Picture],
    config: FileConfig,
    stop: Callable[[], bool],
    progress: Progress,
) -> list[ClipReference]:
    """The frames that the edited pictures were made from, one for each."""

    def seen(done: int) -> None:
        progress("reference", done, info.frames)

    if len(pictures) > 1:
        asked = []
        for value in (config.reference, config.reference_end):
            if value != "auto" and not isinstance(value, int):
                raise MediaError(f"{value}: with two edits each reference must be a frame's number, or auto")
            asked.append(value if isinstance(value, int) else None)
        return list(pick_pair(info, (pictures[0], pictures[1]), (asked[0], asked[1]), stop, seen))
    if config.reference == "auto":
        return [pick_reference(info, pictures[0], stop, seen)]
    if isinstance(config.reference, int):
        return [frame_at(info, config.reference)]
    return [picture_reference(Path(config.reference))]


def _carrier(
    edits: list[Edit], references: list[ClipReference], matcher: Matcher, filler: Filler
) -> FrameEditor:
    """What carries one edit, or the way from one to another."""
    if len(edits) == 1:
        worn = PropagatorConfig(references=REFERENCES)
        return Propagator(edits[0], matcher, config=worn, fill=DirectFill(filler))
    start_s, end_s = references[0].time_s, references[1].time_s
    assert start_s is not None
    assert end_s is not None
    return Between(edits[0], edits[1], start_s=start_s, end_s=end_s, matcher=matcher)


def edit_frames(frames: Iterable[Frame], propagator: FrameEditor) -> Iterator[tuple[Frame, Result]]:
    """Each frame beside what the propagator makes of it, before anything is encoded.

    A stage that fails gives the frame back as it came, with the reason.
    """
    failed: set[str] = set()
    for frame in frames:
        try:
            yield frame, propagator.step(frame.image, now_s=frame.time_s)
        except StageError as exc:
            if exc.stage not in failed:
                failed.add(exc.stage)
                logger.warning("frame %d passes through: %s: %r", frame.index, exc, exc.__cause__)
            yield frame, Result(frame.image, None, None, None, 0.0, str(exc), [], {})


def save_reference(
    source: Path,
    output: Path,
    at: int | None = None,
    *,
    overwrite: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
) -> ClipReference:
    """Save the frame of a clip that serves best as reference, to be edited.

    Args:
        source: a video file.
        output: the PNG to write.
        at: number of the frame instead, from 0.
        overwrite: replace an existing file.
        stop: asked at each frame.
        progress: told after each frame.

    Raises:
        MediaError: a file that cannot be read or written, no face, or no such frame.
        Stopped: `stop` said so; nothing was written.
    """
    if output.suffix.lower() != ".png":
        raise MediaError(f"{output}: the reference is saved as .png, so that nothing of it is lost")
    check_output(output, overwrite)
    info = probe(source)
    if at is None:
        picked = pick_reference(info, None, stop, lambda done: progress("reference", done, info.frames))
    else:
        picked = frame_at(info, at)
    temporary = output.with_name(f".{output.stem}.part.png")
    try:
        temporary.write_bytes(encode_png(picked.image))
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return picked


class _Run:
    """The editing pass of one `edit_file`."""

    def __init__(
        self,
        info: VideoInfo,
        config: FileConfig,
        report: EditReport,
        stop: Callable[[], bool],
        progress: Progress,
    ) -> None:
        self._info = info
        self._config = config
        self._report = report
        self._stop = stop
        self._progress = progress
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._lost_camera = False

    def edit(self, propagator: FrameEditor, output: Path) -> None:
        """Read, edit and write all frames; fills the report."""
        height, width = self._info.size
        beside = self._config.side_by_side
        size = (height, 2 * width) if beside else (height, width)
        report = self._report
        start = time.perf_counter()
        with (
            VideoReader(self._info) as reader,
            VideoWriter(output, reader, size, self._config.encoder, turn=not beside) as writer,
        ):
            report.notes += writer.notes
            for frame, result in edit_frames(self._read(reader, writer), propagator):
                image = np.hstack([frame.image, result.image]) if beside else result.image
                self._note(frame, result)
                with_encoder = time.perf_counter()
                writer.write(frame, image)
                self._seconds["encode"].append(time.perf_counter() - with_encoder)
                self._progress("edit", report.frames, self._info.frames)
            if report.frames == 0:
                if not report.complete:
                    raise SearchStopped
                raise MediaError(f"{self._info.path}: no frame of it could be decoded")
            writer.finish(report.complete)
            report.note_shortfall()
            report.notes += damage_notes(reader)
        report.elapsed_s = round(time.perf_counter() - start, 3)
        report.timings_ms = percentiles_ms(self._seconds)

    def _read(self, reader: VideoReader, writer: VideoWriter) -> Iterator[Frame]:
        """The frames; other streams' packets go straight to the writer."""
        others = tuple(reader.container.streams[index] for index in writer.copied)
        start = time.perf_counter()
        for item in reader.items(others):
            if self._stop():
                self._report.complete = False
                return
            if isinstance(item, Frame):
                self._seconds["decode"].append(time.perf_counter() - start)
                yield item
                start = time.perf_counter()
            else:
                writer.copy(item)

    def _note(self, frame: Frame, result: Result) -> None:
        report = self._report
        report.frames += 1
        if not self._lost_camera and any(isinstance(event, CameraLost) for event in result.events):
            self._lost_camera = True
            report.notes.append(
                f"from {frame.time_s:.2f} s the camera's motion could not be followed: what was edited "
                "behind the person is missing until it is found again"
            )
        for stage, seconds in result.stages.items():
            self._seconds[stage].append(seconds)
        if result.stages:
            self._seconds["step"].append(sum(result.stages.values()))
        trust = None
        if self._config.confidence and result.match is not None and result.box is not None:
            trust = round(float(confidence(result.match, result.radius_px, result.box).mean()), 4)
        report.per_frame.append(
            FrameReport(frame.index, round(frame.time_s, 6), round(result.coverage, 4), trust, result.reason)
        )
