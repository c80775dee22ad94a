"""Reads what a PNG's own chunks say of its colours, and converts them to sRGB.

The chunks are cICP, gAMA and cHRM (PNG, third edition, section 11.3.2). cICP comes before an ICC profile. A
profile and an sRGB chunk come before gAMA and cHRM.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from correspondence import Image
from stream.errors import UploadError

Chromaticities = tuple[tuple[float, float], ...]  # white, red, green, blue: (x, y) of CIE 1931

D65 = (0.3127, 0.3290)
SRGB: Chromaticities = (D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
PRIMARIES: dict[int, tuple[str, Chromaticities]] = {  # ITU-T H.273, table 2
    1: ("BT.709", SRGB),
    9: ("BT.2020", (D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    11: ("DCI-P3", ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
    12: ("Display P3", (D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
}
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # transfer: exponent (ITU-T H.273, table 3); others count as sRGB's
HDR = {16: "PQ", 18: "HLG"}
SRGB_GAMMA = (2.0, 2.5)  # exponents that stand for sRGB's own curve
SAME_XY = 0.003  # difference of chromaticities below which they are the same
ROWS = 256  # converted at a time
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Space:
    """A colour space other than sRGB.

    Attributes:
        name: its name, for the user.
        chromaticities: of white, red, green and blue.
        gamma: exponent from samples to light. None for sRGB's curve.
    """

    name: str
    chromaticities: Chromaticities
    gamma: float | None

    def to_srgb(self, image: Image) -> Image:
        """Convert samples, uint8 (H, W, 3), to sRGB. Colours outside of it are clipped."""
        levels = np.arange(256) / 255
        light = (_light(levels) if self.gamma is None else levels**self.gamma).astype(np.float32)
        matrix = (np.linalg.inv(_to_xyz(SRGB)) @ _to_xyz(self.chromaticities)).astype(np.float32)
        out = np.empty_like(image)
        for top in range(0, image.shape[0], ROWS):
            linear = np.clip(light[image[top : top + ROWS]] @ matrix.T, 0, 1)
            coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
            out[top : top + ROWS] = np.rint(coded * 255)
        return out


def space_of(data: bytes, profile: bool) -> Space | None:
    """Read the colour space that a PNG's chunks name.

    Args:
        data: the file.
        profile: whether it also holds an ICC profile, which only cICP precedes.

    Returns:
        The space; None if it is sRGB, or not said.

    Raises:
        UploadError: the picture is HDR.
    """
    chunks = dict(_chunks(data))
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4 and cicp[0] in PRIMARIES:
        primaries, transfer = cicp[0], cicp[1]
        if transfer in HDR:
            raise UploadError(
                f"the PNG picture is HDR ({HDR[transfer]})", "save it as an ordinary picture, in sRGB"
            )
        name, chromaticities = PRIMARIES[primaries]
        gamma = GAMMAS.get(transfer)
        return None if primaries == 1 and gamma in (None, 2.2) else Space(name, chromaticities, gamma)
    if profile or b"sRGB" in chunks:
        return None
    return _measured(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""))


def _measured(gama: bytes, chrm: bytes) -> Space | None:
    gamma, chromaticities = None, SRGB
    if len(gama) == 4 and (value := int.from_bytes(gama)):
        exponent = 100_000 / value
        gamma = None if SRGB_GAMMA[0] < exponent < SRGB_GAMMA[1] or not 0.2 < exponent < 5 else exponent
    if len(chrm) == 32:
        xy = [value / 100_000 for value in struct.unpack(">8I", chrm)]
        found = tuple((xy[i], xy[i + 1]) for i in range(0, 8, 2))
        off = float(np.abs(np.subtract(found, SRGB)).max())
        possible = all(y > 0.01 for _, y in found) and abs(np.linalg.det(_columns(found))) > 1e-3
        chromaticities = found if off > SAME_XY and possible else SRGB
    if gamma is None and chromaticities == SRGB:
        return None
    return Space("its own colour space (gAMA, cHRM)", chromaticities, gamma)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the chunks before the samples."""
    at = 8
    while at + 12 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if kind == b"IDAT":
            return
        yield kind, data[at + 8 : at + 8 + size]
        at += 12 + size


def _light(coded: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Light of sRGB's samples (IEC 61966-2-1), [0, 1]."""
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def _columns(chromaticities: Chromaticities) -> _Matrix:
    return np.array([[x / y, 1, (1 - x - y) / y] for x, y in chromaticities[1:]]).T


def _to_xyz(chromaticities: Chromaticities) -> _Matrix:
    """Light of a space to CIE XYZ, its white adapted to D65 (Bradford), float64 (3, 3)."""
    (wx, wy), (dx, dy) = chromaticities[0], D65
    white, d65 = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in ((wx, wy), (dx, dy)))
    columns = _columns(chromaticities)
    matrix = columns * np.linalg.solve(columns, white)
    adapt = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ d65) / (_BRADFORD @ white)) @ _BRADFORD
    return np.asarray(adapt @ matrix)
