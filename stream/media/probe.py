"""What a video file holds: sizes, orientation, colours, times; and whether it can be read at all."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.stream import VideoStream

from correspondence import Image
from stream.media.untrusted import MediaError as MediaError
from stream.media.untrusted import open_input as open_input

RANGE_LIMITED, RANGE_FULL = 1, 2  # AVColorRange
MATRIX_RGB, MATRIX_709, UNSPECIFIED, MATRIX_601 = 0, 1, 2, 6  # ITU-T H.273, table 4
TRANSFERS_HDR = {16: "PQ", 18: "HLG"}  # ITU-T H.273, table 3
HD_LINES = 720  # untagged video of at least this many lines is taken for BT.709, below for BT.601


@dataclass(frozen=True, slots=True)
class Colour:
    """What the samples of a stream mean, as tagged: codes of ITU-T H.273, 2 where not tagged.

    Attributes:
        matrix: AVColorSpace.
        range: AVColorRange: 0 not tagged, 1 limited, 2 full.
        primaries: AVColorPrimaries.
        transfer: AVColorTransferCharacteristic.
    """

    matrix: int = UNSPECIFIED
    range: int = 0
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    def coefficients(self, size: tuple[int, int]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The affine maps RGB -> Y'CbCr and back for 8-bit samples, each float64 (3, 4).

        ITU-T H.273, equations 32 to 49. The scaler's own integer arithmetic darkens limited-range video by
        a level and tints full-range video at each pass; applying these with rounding does neither.

        Args:
            size: of the picture; decides between BT.709 and BT.601 where the matrix is not tagged.
        """
        kr, kb = _LUMA.get(self._assumed(min(size)), _LUMA[MATRIX_601])
        kg = 1 - kr - kb
        rows = [
            [kr, kg, kb],
            [-kr / (2 - 2 * kb), -kg / (2 - 2 * kb), 0.5],
            [0.5, -kg / (2 - 2 * kr), -kb / (2 - 2 * kr)],
        ]
        full = self.range == RANGE_FULL
        scale = np.ones(3) if full else np.array([219.0, 224.0, 224.0]) / 255
        forward = np.array(rows) * scale[:, None]
        offset = np.array([0.0 if full else 16.0, 128.0, 128.0])
        inverse = np.linalg.inv(forward)
        return np.c_[forward, offset], np.c_[inverse, -inverse @ offset]

    def _assumed(self, lines: int) -> int:
        if self.matrix in (UNSPECIFIED, MATRIX_RGB):
            return MATRIX_709 if lines >= HD_LINES else MATRIX_601
        return self.matrix


_LUMA = {  # Kr, Kb
    MATRIX_709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    MATRIX_601: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways a picture can lie: a transposition, then flips, bring it upright."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, matrix: tuple[int, ...] | None) -> Orientation:
        """From FFmpeg's display matrix (3 x 3 row-major, 16.16 fixed point); odd angles count as upright."""
        if matrix is None:
            return cls()
        a, b, c, d = (matrix[k] for k in (0, 1, 3, 4))
        if a == d == 0 and b and c:
            return cls(transpose=True, flip_x=c < 0, flip_y=b < 0)
        if b == c == 0 and a and d:
            return cls(flip_x=a < 0, flip_y=d < 0)
        return cls()

    def upright(self, image: Image) -> Image:
        """A stored picture as it is shown; contiguous."""
        turned = image.transpose(1, 0, 2) if self.transpose else image
        turned = turned[:, ::-1] if self.flip_x else turned
        return np.ascontiguousarray(turned[::-1] if self.flip_y else turned)

    def stored(self, image: Image) -> Image:
        """The inverse of `upright`; contiguous."""
        turned = image[::-1] if self.flip_y else image
        turned = turned[:, ::-1] if self.flip_x else turned
        return np.ascontiguousarray(turned.transpose(1, 0, 2) if self.transpose else turned)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a video file says about itself and its first frame.

    Attributes:
        path: the file.
        stored_size: (H, W) of the coded frames, pixels.
        size: (H, W) as shown upright, pixels.
        display_matrix: FFmpeg's nine numbers, None where the file has none.
        orientation: what the matrix amounts to.
        colour: as tagged; a full-range pixel format counts as a tag.
        pixel_format: FFmpeg's name.
        aspect: width to height of one stored sample.
        time_base: unit of the time stamps, seconds.
        rate: average frames a second.
        frames: how many the file declares, or its duration lets expect; 0 where unknown.
        declared: whether `frames` is the file's own count.
        notes: what a user should know about how it is handled.
    """

    path: Path
    stored_size: tuple[int, int]
    size: tuple[int, int]
    display_matrix: tuple[int, ...] | None
    orientation: Orientation
    colour: Colour
    pixel_format: str
    aspect: Fraction
    time_base: Fraction
    rate: Fraction
    frames: int
    declared: bool
    notes: tuple[str, ...] = ()


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream to edit: the first that is video and no cover picture.

    Raises:
        MediaError: there is none, or nothing here decodes it.
    """
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        if stream.codec_context is None:
            raise MediaError(f"{path}: no decoder for its video stream; convert it to H.264 first")
        return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise MediaError(f"{path}: holds no video stream, only {kinds}")


def probe(path: Path) -> VideoInfo:
    """Read what a video file says about itself; decodes its first frame.

    Raises:
        MediaError: it cannot be opened, holds no video, or none of its frames can be decoded.
    """
    with open_input(path) as container:
        stream = video_stream(container, path)
        try:
            first = _first_frame(container, stream)
        except FFmpegError as exc:
            raise MediaError(f"{path}: its video cannot be decoded ({exc.strerror})") from exc
        if first is None:
            raise MediaError(f"{path}: holds no frame that can be decoded; it is empty or damaged")
        return _describe(path, container, stream, first)


def _first_frame(container: InputContainer, stream: VideoStream) -> av.VideoFrame | None:
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except FFmpegError:  # damaged; a later one may do. The reading pass counts and reports these
            continue
        if frames:
            return frames[0]
    return None


def _describe(path: Path, container: InputContainer, stream: VideoStream, first: av.VideoFrame) -> VideoInfo:
    turn = cast(SideData | None, first.side_data.get("DISPLAYMATRIX"))
    matrix = None if turn is None else tuple(int(v) for v in np.frombuffer(bytes(turn), np.int32))
    orientation = Orientation.of(matrix)
    height, width = first.height, first.width
    time_base = stream.time_base or Fraction(1, 1000)
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    frames = stream.frames or _expected_frames(container, stream, rate)
    return VideoInfo(
        path=path,
        stored_size=(height, width),
        size=(width, height) if orientation.transpose else (height, width),
        display_matrix=matrix,
        orientation=orientation,
        colour=_colour(first),
        pixel_format=first.format.name,
        aspect=stream.sample_aspect_ratio or Fraction(1),
        time_base=time_base,
        rate=rate,
        frames=frames,
        declared=stream.frames > 0,
        notes=_notes(first),
    )


def _expected_frames(container: InputContainer, stream: VideoStream, rate: Fraction) -> int:
    if stream.duration is not None and stream.time_base is not None:
        return round(stream.duration * stream.time_base * rate)
    return round(container.duration * rate / av.time_base) if container.duration else 0


def _colour(frame: av.VideoFrame) -> Colour:
    full = frame.format.name.startswith("yuvj")
    return Colour(
        matrix=int(frame.colorspace),
        range=RANGE_FULL if full else int(frame.color_range),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )


def _notes(frame: av.VideoFrame) -> tuple[str, ...]:
    notes = []
    bits = max(component.bits for component in frame.format.components)
    if bits > 8:
        notes.append(f"the {bits}-bit input is written with 8 bits a channel")
    if frame.color_trc in TRANSFERS_HDR:
        transfer = TRANSFERS_HDR[int(frame.color_trc)]
        notes.append(f"the input is HDR ({transfer}): it stays tagged so, but 8 bits may show bands")
    if frame.interlaced_frame:
        notes.append("the input is interlaced: its frames are edited and written whole")
    return tuple(notes)
