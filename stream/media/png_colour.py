"""Reads what a PNG's own chunks say of its colours.

The chunks are cICP, gAMA and cHRM (PNG, third edition, section 11.3.2). cICP comes before an ICC profile. A
profile and an sRGB chunk come before gAMA and cHRM.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from stream.colour.spaces import PRIMARIES, SRGB, Space, degenerate
from stream.errors import UploadError

GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # transfer: exponent (ITU-T H.273, table 3); others count as sRGB's
HDR = {16: "PQ", 18: "HLG"}
SRGB_GAMMA = (2.0, 2.5)  # exponents that stand for sRGB's own curve
SAME_XY = 0.003  # difference of chromaticities below which they are the same


def space_of_chunks(data: bytes, profile: bool) -> Space | None:
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
                f"the PNG picture is HDR ({HDR[transfer]}), which is not read",
                "save it as an ordinary picture, in sRGB",
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
        chromaticities = found if off > SAME_XY and not degenerate(found) else SRGB
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
