"""Between decoded video and RGB pictures, with the matrix and the range said aloud.

Left alone, swscale reads untagged video as BT.601 limited and writes it untagged, so that reds and greens
shift wherever the far side guesses otherwise. Here both directions name the matrix (ITU-R BT.601-7 or
BT.709-6) and the range (limited: luma 16..235, full: 0..255), and what is written carries the tags.
"""

from __future__ import annotations

import threading
from enum import Enum
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from correspondence import Image, check_image

UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED (ITU-T H.273: matrix coefficients unspecified)
HD_LINES = 720  # players take untagged video of at least so many lines as BT.709


class Matrix(Enum):
    """How RGB becomes luma and chroma: swscale's number, and the H.273 codes a bitstream is tagged with."""

    BT601 = (Colorspace.ITU601, 6, 6, 6)
    BT709 = (Colorspace.ITU709, 1, 1, 1)

    @property
    def sws(self) -> Colorspace:
        """swscale's number of it."""
        return self.value[0]

    @property
    def codes(self) -> tuple[int, int, int]:
        """H.273 codes: matrix coefficients, primaries, transfer characteristics."""
        return self.value[1], self.value[2], self.value[3]


WEBRTC = Matrix.BT601  # peers send their camera untagged, converted as BT.601 limited whatever its size

_SWS_BY_CODE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_local = threading.local()  # a VideoReformatter keeps its tables, and serves one thread


def to_rgb(frame: av.VideoFrame, untagged: Matrix | None = WEBRTC) -> Image:
    """The picture of a decoded frame, by its own matrix and range.

    Args:
        frame: any pixel format swscale reads.
        untagged: the matrix where the frame names none. The default is what WebRTC peers mean; None is
            what players of files take: BT.709 from 720 lines up, else BT.601. An untagged range is limited,
            save in the formats that are full by definition (yuvj420p and its like).

    Returns:
        RGB uint8 (H, W, 3), of its own memory.
    """
    matrix, colour_range = source_colour(frame, untagged)
    rgb = _reformatter("rgb").reformat(
        frame,
        format="rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=colour_range,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BILINEAR,
        threads=1,
    )
    picture = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
    return picture.copy() if rgb is frame else np.ascontiguousarray(picture)


def to_frame(
    image: Image,
    pts: int,
    time_base: Fraction,
    matrix: Matrix = WEBRTC,
    full_range: bool = False,
) -> av.VideoFrame:
    """A frame to encode, yuv420p, tagged with its matrix and range.

    Args:
        image: RGB uint8 (H, W, 3).
        pts: its time, in units of `time_base` (seconds).
        matrix: the matrix to convert by. BT.601 is right even where the tag is lost, as in VP8, which has
            no other.
        full_range: luma 0..255 in place of 16..235.

    Raises:
        ValueError: another dtype or shape.
    """
    check_image(image)
    colour_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    rgb = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24")
    frame = _reformatter("yuv").reformat(
        rgb,
        format="yuv420p",
        dst_colorspace=matrix.sws,
        src_color_range=ColorRange.JPEG,
        dst_color_range=colour_range,
        interpolation=Interpolation.BILINEAR,
        threads=1,
    )
    frame.colorspace, frame.color_primaries, frame.color_trc = matrix.codes
    frame.color_range = colour_range
    frame.pts, frame.time_base = pts, time_base
    return frame


def source_colour(frame: av.VideoFrame, untagged: Matrix | None = WEBRTC) -> tuple[Colorspace, ColorRange]:
    """Matrix and range a frame was made with, by its tags, else by rule (see `to_rgb`)."""
    guess = untagged or (Matrix.BT709 if frame.height >= HD_LINES else Matrix.BT601)
    matrix = _SWS_BY_CODE.get(int(frame.colorspace), guess.sws)
    name = frame.format.name
    full = frame.color_range == ColorRange.JPEG or name.startswith("yuvj") or frame.format.is_rgb
    return matrix, ColorRange.JPEG if full else ColorRange.MPEG


def _reformatter(use: str) -> VideoReformatter:
    """This thread's converter for `use`: its tables are rebuilt only when the size or the format changes."""
    found: VideoReformatter | None = getattr(_local, use, None)
    if found is None:
        found = VideoReformatter()
        setattr(_local, use, found)
    return found
