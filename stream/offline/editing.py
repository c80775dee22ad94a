"""The editing pass of file mode. It reads, edits and writes every frame and reports on it."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from correspondence import Image, confidence
from reference import CameraLost, Result, StageError
from stream.mark import mark
from stream.media.encoders import FileEncoderConfig
from stream.media.picture_writer import Writer, open_output
from stream.media.pixels import Pixels
from stream.media.probe import VideoInfo
from stream.media.untrusted import MediaError
from stream.media.video import Frame, VideoReader
from stream.offline.made import FrameEditor
from stream.offline.references import SearchStopped
from stream.offline.report import EditReport, FrameReport, damage_notes, percentiles_ms
from stream.offline.span import Span

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # phase, frames done, frames expected (0: unknown)

SHOWN_PIXELS = 4  # a frame that differs from the input in fewer pixels does not show the edit
BORDER = 4  # pixels about an edit whose colours a layer keeps, though they are transparent
NOT_SHOWN = "the edit does not show there"


class KeptError(MediaError):
    """Writing failed before the end. The output holds the frames written until then."""


class FailedPassError(RuntimeError):
    """An internal error occurred. The output holds the frames written until then."""


def shows(frame: Image, edited: Image) -> bool:
    """Whether an edited frame, uint8 (H, W, 3), visibly differs from the original frame."""
    return int((frame != edited).any(axis=2).sum()) >= SHOWN_PIXELS


def only_edit(frame: Frame, edited: Image) -> tuple[Frame, Image]:
    """Leave of an edited frame what differs from the frame, opaque, and make the rest transparent.

    Laid over the unedited frame, the result is the edited frame. A border of `BORDER` pixels keeps its
    colours under the transparency, so that codecs with half the resolution of colour do not darken the edge.

    Args:
        frame: the unedited frame. Its pixels must have alpha.
        edited: uint8 (H, W, 3).

    Returns:
        The frame with the alpha to write, and the picture to write, uint8 (H, W, 3).
    """
    assert frame.pixels is not None
    assert frame.pixels.alpha is not None
    differs = (frame.image != edited).any(axis=2).view(np.uint8)
    near = cv2.dilate(differs, np.ones((2 * BORDER + 1, 2 * BORDER + 1), np.uint8))
    pixels = Pixels(edited, None, frame.pixels.alpha * differs[..., None])
    return replace(frame, pixels=pixels), edited * near[..., None]


def edit_frames(frames: Iterable[Frame], propagator: FrameEditor) -> Iterator[tuple[Frame, Result]]:
    """Yield each frame together with the propagator's result, before anything is encoded.

    If a stage fails, the result is the unedited frame with the reason.
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


class EditingPass:
    """Reads, edits and writes all frames of one clip. Each object is used once.

    Args:
        info: the clip.
        report: report that is filled during the pass.
        span: the part of the clip to write. None for all of it.
        mark_text: text that is written into edited frames. None for none.
        layer: whether to write the edit alone, transparent elsewhere. `info` must have alpha then.
        beside: whether to write the input beside the result.
        trust: whether to report each frame's mean confidence, which costs time.
        encoder: how to compress the output.
        stop: called at each frame. True finishes the file early.
        progress: called after each frame.
    """

    def __init__(
        self,
        info: VideoInfo,
        report: EditReport,
        *,
        span: Span | None = None,
        layer: bool = False,
        mark_text: str | None = None,
        beside: bool,
        trust: bool,
        encoder: FileEncoderConfig,
        stop: Callable[[], bool],
        progress: Progress,
    ) -> None:
        self._info = info
        self._report = report
        self._span, self._layer, self._mark = span, layer, mark_text
        self._beside, self._trust = beside, trust
        self._encoder = encoder
        self._stop = stop
        self._progress = progress
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._lost_camera = False

    def edit(self, carrier: FrameEditor, output: Path) -> None:
        """Read, edit and write all frames.

        Raises:
            MediaError: nothing could be read or written, or writing failed before the end. In the second case
                the file holds the frames written until then.
            SearchStopped: `stop` returned True before the first frame was edited. Nothing was written.
        """
        height, width = self._info.size
        size = (height, 2 * width) if self._beside else (height, width)
        report = self._report
        start = time.perf_counter()
        with VideoReader(self._info) as reader, self._open(output, reader, size) as writer:
            report.notes += writer.notes
            try:
                self._carry(carrier, reader, writer)
            except Exception as exc:
                self._keep(writer, output, exc)
                raise
            if report.frames == 0:
                if not report.complete:
                    raise SearchStopped
                raise MediaError(f"{self._info.path}: {self._nothing()}")
            writer.finish(report.complete)
            report.note_shortfall()
            report.notes += damage_notes(reader) + writer.lost
        report.elapsed_s = round(time.perf_counter() - start, 3)
        report.timings_ms = percentiles_ms(self._seconds)

    def _open(self, output: Path, reader: VideoReader, size: tuple[int, int]) -> Writer:
        chapters = None if self._span is None else self._span.chapters(reader.container.chapters())
        return open_output(
            output,
            reader,
            size,
            self._encoder,
            turn=not self._beside,
            chapters=chapters,
            alone=self._layer,
        )

    def _nothing(self) -> str:
        if self._span is None:
            return "no frame of it could be decoded"
        return f"it has no frame from {self._span.start_s:g} s to {self._span.end_s:g} s"

    def _carry(self, carrier: FrameEditor, reader: VideoReader, writer: Writer) -> None:
        report = self._report
        for frame, result in edit_frames(self._read(reader, writer), carrier):
            edited = result.image
            if self._mark is not None and result.reason is None and shows(frame.image, edited):
                edited = mark(edited, self._mark)
            image = np.hstack([frame.image, edited]) if self._beside else edited
            with_encoder = time.perf_counter()
            if self._layer:
                writer.write(*only_edit(frame, image))
            else:
                writer.write(frame, image)
            self._seconds["encode"].append(time.perf_counter() - with_encoder)
            self._note(frame, result)
            self._progress("edit", report.frames, self._info.frames)

    def _keep(self, writer: Writer, output: Path, failure: Exception) -> None:
        """Keep the frames written before a failure.

        Raises:
            KeptError: the failure was a MediaError. The message says what the file holds.
            FailedPassError: the failure was another error. The message says what the file holds.
        """
        if self._report.frames == 0:
            return
        try:
            writer.finish(complete=False)
        except MediaError:  # the first failure is the one to report
            return
        held = f"{output} holds the first {self._report.frames} frames"
        if isinstance(failure, MediaError):
            raise KeptError(f"{failure}; {held}") from failure
        raise FailedPassError(f"{type(failure).__name__}: {failure}; {held}") from failure

    def _read(self, reader: VideoReader, writer: Writer) -> Iterator[Frame]:
        """Yield the frames. Packets of other streams go straight to the writer."""
        start = time.perf_counter()
        items = reader.items(writer.others)
        for item in items if self._span is None else self._span.cut(items, self._info.time_base):
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
        if self._trust and result.match is not None and result.box is not None:
            trust = round(float(confidence(result.match, result.radius_px, result.box).mean()), 4)
        reason = result.reason
        if reason is None and not shows(frame.image, result.image):
            reason = NOT_SHOWN
        report.per_frame.append(
            FrameReport(frame.index, round(frame.time_s, 6), round(result.coverage, 4), trust, reason)
        )
