"""The meaning of the samples of recorded video: the matrix, range and curve that the file is tagged with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RANGE_LIMITED, RANGE_FULL = 1, 2  # AVColorRange
MATRIX_RGB, MATRIX_709, UNSPECIFIED, MATRIX_601, MATRIX_YCGCO = 0, 1, 2, 6, 8  # ITU-T H.273, table 4
PQ, HLG = 16, 18  # ITU-T H.273, table 3
TRANSFERS_HDR = {PQ: "PQ", HLG: "HLG"}
UNREAD = {  # not plain matrices, or dependent on more than the sample; not supported
    11: "Y'D'ZD'X",
    13: "chromaticity-derived constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
HD_LINES = 720  # untagged video is read as BT.709 from this many lines up, else as BT.601

LUMA = {  # Kr, Kb
    MATRIX_709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    MATRIX_601: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
MATRICES = frozenset({MATRIX_RGB, MATRIX_YCGCO, *LUMA, *UNREAD})  # others are reserved
PRIMARIES = frozenset({*range(1, 13), 22}) - {UNSPECIFIED, 3}  # ITU-T H.273, table 2
TRANSFERS = frozenset(range(1, 19)) - {UNSPECIFIED, 3}  # ITU-T H.273, table 3
_YCGCO = [[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]]  # ITU-T H.273, equations 50 to 52


@dataclass(frozen=True, slots=True)
class Colour:
    """The colour tags of a stream: codes of ITU-T H.273, 2 if not tagged.

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
        """Compute the affine maps RGB -> Y'CbCr and back for 8-bit samples, each float64 (3, 4).

        See ITU-T H.273, equations 32 to 52. The scaler's integer arithmetic darkens limited-range video by a
        level and tints full-range video at each pass. These maps, applied with rounding, do neither.

        Args:
            size: (H, W) of the picture. It decides between BT.709 and BT.601 if the matrix is not tagged.
        """
        rows = _YCGCO if self.matrix == MATRIX_YCGCO else self._rows(min(size))
        full = self.range == RANGE_FULL
        scale = np.ones(3) if full else np.array([219.0, 224.0, 224.0]) / 255
        forward = np.array(rows) * scale[:, None]
        offset = np.array([0.0 if full else 16.0, 128.0, 128.0])
        inverse = np.linalg.inv(forward)
        return np.c_[forward, offset], np.c_[inverse, -inverse @ offset]

    def _rows(self, lines: int) -> list[list[float]]:
        kr, kb = LUMA.get(self._assumed(lines), LUMA[MATRIX_601])
        kg = 1 - kr - kb
        return [
            [kr, kg, kb],
            [-kr / (2 - 2 * kb), -kg / (2 - 2 * kb), 0.5],
            [0.5, -kg / (2 - 2 * kr), -kb / (2 - 2 * kr)],
        ]

    def _assumed(self, lines: int) -> int:
        if self.matrix in (UNSPECIFIED, MATRIX_RGB):
            return MATRIX_709 if lines >= HD_LINES else MATRIX_601
        return self.matrix

    @property
    def hdr(self) -> str | None:
        """Name of the HDR curve. None for ordinary video."""
        return TRANSFERS_HDR.get(self.transfer)


SDR = Colour(matrix=MATRIX_709, range=RANGE_LIMITED, primaries=1, transfer=1)  # BT.709 in full
