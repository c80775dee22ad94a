"""Converts between decoded video and RGB pictures with explicit matrix and range.

By default swscale reads untagged video as BT.601 limited and writes it untagged. Reds and greens then shift
if the receiver assumes something else. Here both directions name the matrix (ITU-R BT.601-7 or BT.709-6) and
the range (limited: luma 16..235, full: 0..255), and written frames are tagged.
"""

from __future__ import annotations

import threading
from enum import Enum
from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from correspondence import Image, check_image

UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED (ITU-T H.273: matrix coefficients unspecified)
LESS_CHROMA = 224 / 255  # range of limited chroma over that of full chroma
HD_LINES = 720  # players read untagged video of at least this many lines as BT.709


class Matrix(Enum):
    """A conversion of RGB to luma and chroma: swscale's number and the H.273 codes of its tags."""

    BT601 = (Colorspace.ITU601, 6, 6, 6)
    BT709 = (Colorspace.ITU709, 1, 1, 1)

    @property
    def sws(self) -> Colorspace:
        """swscale's number of the matrix."""
        return self.value[0]

    @property
    def codes(self) -> tuple[int, int, int]:
        """H.273 codes: matrix coefficients, primaries, transfer characteristics."""
        return self.value[1], self.value[2], self.value[3]


WEBRTC = Matrix.BT601  # peers send untagged video that is converted as BT.601 limited at any size

_SWS_BY_CODE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_local = threading.local()  # a VideoReformatter keeps its tables and serves one thread


def to_rgb(frame: av.VideoFrame, untagged: Matrix | None = WEBRTC) -> Image:
    """Convert a decoded frame to a picture, by the frame's own matrix and range.

    Args:
        frame: a frame of any pixel format that swscale reads.
        untagged: the matrix if the frame names none. The default is the one that WebRTC peers mean. None
            follows players of files: BT.709 from 720 lines up, else BT.601. An untagged range is limited,
            except in formats that are full by definition (such as yuvj420p).

    Returns:
        RGB uint8 (H, W, 3), in memory of its own.
    """
    matrix, colour_range = source_colour(frame, untagged)
    usual = frame.format.name == "yuv420p" and matrix == WEBRTC.sws and colour_range == ColorRange.MPEG
    if usual and frame.width % 2 == frame.height % 2 == 0:
        # exact to a level, where swscale's quick way is off by 1.1 levels on average
        return np.asarray(cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420), np.uint8)
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
    """Convert a picture to a yuv420p frame to encode, tagged with its matrix and range.

    Args:
        image: RGB uint8 (H, W, 3).
        pts: time of the frame, in units of `time_base` (seconds).
        matrix: the matrix of the conversion. BT.601 is right even if the tag is lost, as in VP8, which has
            no other.
        full_range: whether luma is 0..255 instead of 16..235.

    Raises:
        ValueError: the picture has another dtype or shape.
    """
    check_image(image)
    colour_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    if matrix is WEBRTC and not full_range and image.shape[0] % 4 == image.shape[1] % 2 == 0:
        frame = av.VideoFrame.from_numpy_buffer(_limited(image), format="yuv420p")
    else:
        frame = _by_swscale(image, matrix, colour_range)
    frame.colorspace, frame.color_primaries, frame.color_trc = matrix.codes
    frame.color_range = colour_range
    frame.pts, frame.time_base = pts, time_base
    return frame


def _limited(image: Image) -> npt.NDArray[np.uint8]:
    """The planes of a picture, BT.601 limited, uint8 (3 H / 2, W), as yuv420p lies in memory.

    H is a multiple of 4, as PyAV takes it, and W is even. OpenCV takes a third of swscale's time. Its chroma
    is that of every other pixel, so that of means of 2 x 2 pixels is laid over it.
    """
    height, width = image.shape[:2]
    planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420), np.uint8)
    small = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    full = cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    for plane, channel in zip(chroma, (2, 1), strict=True):
        level = cv2.extractChannel(full, channel)
        plane[:] = cv2.convertScaleAbs(level, alpha=LESS_CHROMA, beta=128 * (1 - LESS_CHROMA))
    return planes


def _by_swscale(image: Image, matrix: Matrix, colour_range: ColorRange) -> av.VideoFrame:
    """Convert a picture of any size by any matrix: a yuv420p frame without tags."""
    rgb = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24")
    return _reformatter("yuv").reformat(
        rgb,
        format="yuv420p",
        dst_colorspace=matrix.sws,
        src_color_range=ColorRange.JPEG,
        dst_color_range=colour_range,
        interpolation=Interpolation.BILINEAR,
        threads=1,
    )


def source_colour(frame: av.VideoFrame, untagged: Matrix | None = WEBRTC) -> tuple[Colorspace, ColorRange]:
    """Return the matrix and range of a frame, by its tags or else by the rules of `to_rgb`."""
    guess = untagged or (Matrix.BT709 if frame.height >= HD_LINES else Matrix.BT601)
    matrix = _SWS_BY_CODE.get(int(frame.colorspace), guess.sws)
    name = frame.format.name
    full = frame.color_range == ColorRange.JPEG or name.startswith("yuvj") or frame.format.is_rgb
    return matrix, ColorRange.JPEG if full else ColorRange.MPEG


def _reformatter(use: str) -> VideoReformatter:
    """Return this thread's converter for `use`. It rebuilds its tables only for a new size or format."""
    found: VideoReformatter | None = getattr(_local, use, None)
    if found is None:
        found = VideoReformatter()
        setattr(_local, use, found)
    return found
