"""RGB colour spaces: conversion to and from sRGB, and the ICC profile of a video's own space."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from correspondence import Image
from stream.colour.samples import Colour

Chromaticities = tuple[tuple[float, float], ...]  # white, red, green, blue: (x, y) of CIE 1931

D65 = (0.3127, 0.3290)
SRGB: Chromaticities = (D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
PRIMARIES: dict[int, tuple[str, Chromaticities]] = {  # ITU-T H.273, table 2
    1: ("BT.709", SRGB),
    9: ("BT.2020", (D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    11: ("DCI-P3", ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
    12: ("Display P3", (D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
}
ROWS = 256  # converted at a time
_PCS = np.array([0.9642, 1.0, 0.8249])  # D50, the white of ICC profiles
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Space:
    """A colour space other than sRGB.

    Attributes:
        name: its name, for the user.
        chromaticities: of white, red, green and blue.
        gamma: exponent from samples to light. None for sRGB's curve.
    """

    name: str
    chromaticities: Chromaticities
    gamma: float | None = None

    def to_srgb(self, image: Image) -> Image:
        """Convert samples, uint8 (H, W, 3), to sRGB. Colours outside of it are clipped."""
        return _converted(image, self, None)

    def from_srgb(self, image: Image) -> Image:
        """Convert sRGB samples, uint8 (H, W, 3), to this space."""
        return _converted(image, None, self)

    def into(self, image: Image, other: Space | None) -> Image:
        """Convert samples, uint8 (H, W, 3), to another space; None for sRGB."""
        return image if self.like(other) else _converted(image, self, other)

    def like(self, other: Space | None) -> bool:
        """Whether another space has the same colours, whatever it is called. None is sRGB."""
        return (self.chromaticities, self.gamma) == (
            (SRGB, None) if other is None else (other.chromaticities, other.gamma)
        )

    @cached_property
    def profile(self) -> bytes:
        """An ICC profile (ICC.1:2022, version 4) of the space, by which editors show its colours."""
        white = _xyz(self.chromaticities[0])
        adapt = _adapted(white, _PCS)
        columns = adapt @ _to_xyz_of_white(self.chromaticities)
        curve = b"para\0\0\0\0" + struct.pack(">HH", 0, 0) + _fixed(self.gamma or 1.0)
        if self.gamma is None:
            curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0)
            curve += _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        tags = {
            b"desc": _words(self.name),
            b"cprt": _words("CC0"),
            b"wtpt": b"XYZ \0\0\0\0" + _fixed(*_PCS),
            b"chad": b"sf32\0\0\0\0" + _fixed(*adapt.ravel()),
            **{tag: b"XYZ \0\0\0\0" + _fixed(*columns[:, i]) for i, tag in enumerate(_COLUMNS)},
            **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
        }
        table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
        for tag, value in tags.items():
            table += tag + struct.pack(">II", start + len(body), len(value))
            body += value + bytes(-len(value) % 4)
        head = struct.pack(">I4xI12s", start + len(body), 0x04400000, b"mntrRGB XYZ ")
        head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*_PCS)
        return head + bytes(128 - len(head)) + table + body


_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")


def space_of(colour: Colour) -> Space | None:
    """The space of a video's R'G'B', by the tag of its primaries.

    Its curve counts as sRGB's, as that of ordinary video does here.

    Returns:
        The space. None if it is sRGB's, unknown, or the video is HDR, which is toned to BT.709.
    """
    name, chromaticities = PRIMARIES.get(colour.primaries, ("", SRGB))
    return None if chromaticities == SRGB or colour.hdr else Space(name, chromaticities)


def degenerate(chromaticities: Chromaticities) -> bool:
    """Whether no colours can be computed from chromaticities."""
    return any(y <= 0.01 for _, y in chromaticities) or abs(np.linalg.det(_columns(chromaticities))) <= 1e-3


def _converted(image: Image, source: Space | None, target: Space | None) -> Image:
    """Convert samples between two spaces; None is sRGB."""
    levels = np.arange(256) / 255
    gamma = None if source is None else source.gamma
    light = (_light(levels) if gamma is None else levels**gamma).astype(np.float32)
    there, back = (SRGB if space is None else space.chromaticities for space in (source, target))
    matrix = (np.linalg.inv(_to_xyz(back)) @ _to_xyz(there)).astype(np.float32)
    out = np.empty_like(image)
    for top in range(0, image.shape[0], ROWS):
        linear = np.clip(light[image[top : top + ROWS]] @ matrix.T, 0, 1)
        if target is None or target.gamma is None:
            coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        else:
            coded = linear ** (1 / target.gamma)
        out[top : top + ROWS] = np.rint(coded * 255)
    return out


def _light(coded: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Light of sRGB's samples (IEC 61966-2-1), [0, 1]."""
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def _xyz(point: tuple[float, float]) -> _Matrix:
    x, y = point
    return np.array([x / y, 1, (1 - x - y) / y])


def _columns(chromaticities: Chromaticities) -> _Matrix:
    return np.array([_xyz(point) for point in chromaticities[1:]]).T


def _to_xyz_of_white(chromaticities: Chromaticities) -> _Matrix:
    """Light of a space to CIE XYZ under its own white, float64 (3, 3)."""
    columns = _columns(chromaticities)
    return np.asarray(columns * np.linalg.solve(columns, _xyz(chromaticities[0])))


def _adapted(white: _Matrix, to: _Matrix) -> _Matrix:
    """The Bradford adaptation from one white to another, XYZ to XYZ, float64 (3, 3)."""
    gains = np.diag((_BRADFORD @ to) / (_BRADFORD @ white))
    return np.asarray(np.linalg.inv(_BRADFORD) @ gains @ _BRADFORD)


def _to_xyz(chromaticities: Chromaticities) -> _Matrix:
    """Light of a space to CIE XYZ, its white adapted to D65, float64 (3, 3)."""
    adapt = _adapted(_xyz(chromaticities[0]), _xyz(D65))
    return np.asarray(adapt @ _to_xyz_of_white(chromaticities))


def _fixed(*values: float) -> bytes:
    """Numbers as s15Fixed16 of ICC profiles."""
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _words(text: str) -> bytes:
    """A text as multiLocalizedUnicodeType of ICC profiles."""
    coded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(coded), 28) + coded
