"""Converts decoded video to RGB pictures and back, and keeps its bits, transparency and colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from correspondence import Image
from stream.colour.samples import LUMA, MATRIX_709, RANGE_FULL, Colour
from stream.colour.tone import Tone
from stream.media.picture_colour import profile_to_srgb
from stream.media.probe import VideoInfo

CHROMA = int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND)
OPAQUE = 65535
DEPTHS = (
    8,
    9,
    10,
    12,
    14,
    16,
)  # bits of Y'CbCr samples for which FFmpeg has formats; 14 does not exist with alpha

Deep = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """The pixels of one frame, upright.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        deep: the same with all its bits, uint16 (H, W, 3), 65535 is full. None if 8 bits suffice.
        alpha: uint16 (H, W, 1), 65535 is opaque. None without transparency.
    """

    image: Image
    deep: Deep | None = None
    alpha: Deep | None = None


class ToRgb:
    """Converts decoded frames of one file to upright RGB, by the file's tagged matrix, range and curve."""

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._inverse = info.colour.coefficients(info.stored_size)[1]
        self._scaler = VideoReformatter()
        self._tone = None if info.colour.hdr is None else Tone(info.colour)
        self._to_srgb = None if info.profile is None else profile_to_srgb(info.profile)

    def __call__(self, frame: av.VideoFrame) -> Image:
        """Convert a frame to uint8 (H, W, 3) in the size and orientation of `info`."""
        return self.pixels(frame).image

    def pixels(self, frame: av.VideoFrame) -> Pixels:
        """Convert a frame in the size and orientation of `info`, with all its bits and transparency.

        A picture with a colour profile is converted to sRGB and has 8 bits then.
        """
        pixels = self._pixels(frame)
        if self._to_srgb is None:
            return pixels
        return Pixels(self._to_srgb(pixels.image), None, pixels.alpha)

    def _pixels(self, frame: av.VideoFrame) -> Pixels:
        info, turn = self._info, self._info.orientation.upright
        depth = _depth(info.bits, info.alpha) if info.deep or self._tone is not None else 8
        if info.rgb:
            samples = self._planes(frame, "rgba" if info.alpha else "rgb", depth)
            colours, alpha = samples[..., :3], samples[..., 3:]
        else:
            planes = self._planes(frame, "yuva444p" if info.alpha else "yuv444p", depth)
            colours, alpha = planes[..., :3], planes[..., 3:]
        opaque = None if not info.alpha else turn(_to_16(alpha, 16 if info.rgb and depth > 8 else depth))
        if depth == 8 and self._tone is None:
            image = colours if info.rgb else cv2.transform(colours, self._inverse)
            return Pixels(turn(np.asarray(image, np.uint8)), None, opaque)
        if info.rgb:
            levels = colours.astype(np.float32) / np.float32(257)
        else:
            levels = cv2.transform(_as_8(colours, depth, info.colour), self._inverse.astype(np.float32))
        if self._tone is not None:
            levels = self._tone(levels)
        deep = turn(np.clip(np.rint(levels * 257), 0, 65535).astype(np.uint16))
        return Pixels(_to_8(deep), deep, opaque)

    def _planes(self, frame: av.VideoFrame, kind: str, depth: int) -> npt.NDArray[Any]:
        """Return the samples (H, W, C), uint8, or uint16 for more bits."""
        height, width = self._info.stored_size
        matrix, code_range = scaler_colour(self._info.colour)
        name = _format(kind, depth)
        plain = self._scaler.reformat(
            frame,
            width,
            height,
            format=name,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=code_range,
            dst_color_range=code_range,
            interpolation=CHROMA,
        )
        if kind.startswith("rgb"):
            return np.asarray(plain.to_ndarray())
        return np.dstack([_read(plane, depth)[:height, :width] for plane in plain.planes])


class FromRgb:
    """Converts upright RGB to frames for an encoder. It inverts `ToRgb` up to the subsampling of chroma.

    Args:
        info: the input, whose colours are kept.
        pixel_format: a planar Y'CbCr format, with or without alpha, or an RGB format of 8 bits.
        turn: whether to turn pictures back to the orientation that the input stores.
    """

    def __init__(self, info: VideoInfo, pixel_format: str, turn: bool = True) -> None:
        self._info = info
        self._format = av.VideoFormat(pixel_format, 2, 2)
        self._depth = max(component.bits for component in self._format.components)
        self._alpha = any(component.is_alpha for component in self._format.components)
        self._turn = turn
        self._colour = info.written
        self._forward = self._colour.coefficients(info.stored_size)[0]
        self._scaler = VideoReformatter()

    def __call__(self, image: Image, like: Pixels | None = None) -> av.VideoFrame:
        """Make a frame, without times, from a picture.

        Args:
            image: uint8 (H, W, 3).
            like: the pixels that the picture was made from. Unchanged parts keep all their bits, and the
                transparency is kept everywhere. None means opaque and 8 bits.
        """
        deep = None if like is None or self._depth == 8 else like.deep
        alpha = None if like is None else like.alpha
        turn = self._info.orientation.stored if self._turn else np.ascontiguousarray
        if self._format.is_rgb:
            return self._rgb(turn(image), None if alpha is None else turn(alpha))
        if self._depth == 8:
            samples = cv2.transform(turn(image), self._forward)
        else:
            levels = image.astype(np.float32)
            if deep is not None and like is not None:
                change = levels - like.image.astype(np.float32)
                levels = np.clip(deep.astype(np.float32) / np.float32(257) + change, 0, 255)
            coded = cv2.transform(turn(levels), self._forward.astype(np.float32))
            samples = _from_8(coded, self._depth, self._colour)
        planes = list(cv2.split(samples))
        if self._alpha:
            h, w = samples.shape[:2]
            planes.append(
                np.full((h, w), (1 << self._depth) - 1, samples.dtype)
                if alpha is None
                else _from_16(turn(alpha)[..., 0], self._depth)
            )
        return self._framed(planes)

    def _framed(self, planes: list[npt.NDArray[Any]]) -> av.VideoFrame:
        name = _format("yuva444p" if self._alpha else "yuv444p", self._depth)
        h, w = planes[0].shape
        frame = av.VideoFrame(w, h, name)
        for plane, samples in zip(frame.planes, planes, strict=True):
            _write(plane, samples)
        matrix, code_range = scaler_colour(self._colour)
        return self._scaler.reformat(
            frame,
            format=self._format.name,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=code_range,
            dst_color_range=code_range,
            interpolation=CHROMA,
        )

    def _rgb(self, image: Image, alpha: Deep | None) -> av.VideoFrame:
        if not self._alpha:
            return self._scaler.reformat(av.VideoFrame.from_ndarray(image, "rgb24"), format=self._format.name)
        opaque = np.full(image.shape[:2], 255, np.uint8) if alpha is None else _from_16(alpha[..., 0], 8)
        frame = av.VideoFrame.from_ndarray(np.dstack([image, opaque]), "rgba")
        return self._scaler.reformat(frame, format=self._format.name)


def scaler_colour(colour: Colour) -> tuple[int, int]:
    """Matrix and range to give the scaler for source and target, so that it changes neither."""
    return colour.matrix if colour.matrix in LUMA else MATRIX_709, colour.range or 1


def _depth(bits: int, alpha: bool) -> int:
    return next((d for d in DEPTHS if d >= bits and not (alpha and d == 14)), 16)


def _format(kind: str, depth: int) -> str:
    """FFmpeg's name of a format with full chroma and `depth` bits (for RGB, 8 or 16)."""
    if kind == "rgb":
        return "rgb24" if depth == 8 else "rgb48le"
    if kind == "rgba":
        return "rgba" if depth == 8 else "rgba64le"
    return kind if depth == 8 else f"{kind}{depth}le"


def _read(plane: Any, depth: int) -> npt.NDArray[Any]:
    dtype = np.uint8 if depth == 8 else np.dtype("<u2")
    return np.frombuffer(plane, dtype).reshape(plane.height, -1)


def _write(plane: Any, samples: npt.NDArray[Any]) -> None:
    whole = np.zeros((plane.height, plane.line_size // samples.itemsize), samples.dtype)
    whole[:, : samples.shape[1]] = samples
    plane.update(whole)


def _as_8(samples: npt.NDArray[Any], depth: int, colour: Colour) -> npt.NDArray[np.float32]:
    """Scale Y'CbCr samples to the range of 8-bit samples, float32 (ITU-T H.273, equations 20 to 31)."""
    values = samples.astype(np.float32)
    if colour.range != RANGE_FULL:
        return values / np.float32(1 << (depth - 8))
    unit = np.float32(255 / ((1 << depth) - 1))
    centre = np.array([0, 1 << (depth - 1), 1 << (depth - 1)], np.float32)
    return cast("npt.NDArray[np.float32]", (values - centre) * unit + np.array([0, 128, 128], np.float32))


def _from_8(values: npt.NDArray[np.float32], depth: int, colour: Colour) -> Deep:
    """Invert `_as_8` and round."""
    if colour.range != RANGE_FULL:
        scaled = values * np.float32(1 << (depth - 8))
    else:
        centre = np.array([0, 1 << (depth - 1), 1 << (depth - 1)], np.float32)
        unit = np.float32(((1 << depth) - 1) / 255)
        scaled = (values - np.array([0, 128, 128], np.float32)) * unit + centre
    return np.clip(np.rint(scaled), 0, (1 << depth) - 1).astype(np.uint16)


def _to_16(samples: npt.NDArray[Any], depth: int) -> Deep:
    top = (1 << depth) - 1
    return ((samples.astype(np.uint32) * OPAQUE + top // 2) // top).astype(np.uint16)


def _from_16(samples: Deep, depth: int) -> npt.NDArray[Any]:
    top = (1 << depth) - 1
    scaled = (samples.astype(np.uint32) * top + OPAQUE // 2) // OPAQUE
    return scaled.astype(np.uint8 if depth == 8 else np.uint16)


def _to_8(deep: Deep) -> Image:
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)
