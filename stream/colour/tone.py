"""Tone maps HDR video to ordinary video, so that its pictures look right in any editor.

Light is normalised to the reference white of ITU-R BT.2408 (203 cd/m2). Brighter light is rolled off by the
extended curve of Reinhard et al. (2002, equation 4). The curve is applied to the brightest component, which
keeps hues. Colours of BT.2020 are converted to BT.709, and colours outside it are clipped.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stream.colour.samples import HLG, Colour

WHITE_NITS = 203.0  # ITU-R BT.2408, table 1: diffuse white
PEAK_NITS = (
    1000.0  # the light that the curve maps to full level; the nominal peak of HLG and of most PQ masters
)
KNEE = 0.75  # share of full level up to which the tone stays unchanged
ENTRIES = 1 << 12  # size of the tables that replace the curves

_2020_TO_709 = np.array(  # ITU-R BT.2087, M2 inverted; on linear light
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


class Tone:
    """Tone maps the pictures of an HDR stream, by its tags.

    Args:
        colour: tags of the stream, with PQ or HLG. The primaries are BT.2020 unless tagged BT.709.
    """

    def __init__(self, colour: Colour) -> None:
        self._hlg = colour.transfer == HLG
        self._wide = colour.primaries != 1
        codes = np.linspace(0, 1, ENTRIES)
        self._light = (_hlg_light(codes) if self._hlg else _pq_light(codes)).astype(np.float32)

    def __call__(self, levels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Convert HDR R'G'B' to R'G'B' of BT.709. Both are float32 (H, W, 3) in [0, 255]."""
        light = _looked_up(self._light, levels / np.float32(255))
        if self._hlg:  # ITU-R BT.2100, table 5: the system's gamma acts on the luminance
            luminance = cv2.transform(light, np.array([[0.2627, 0.6780, 0.0593]], np.float32))[..., None]
            nits = np.float32(PEAK_NITS) * light * np.maximum(luminance, 1e-6) ** np.float32(0.2)
        else:
            nits = light
        linear = nits / np.float32(WHITE_NITS)
        if self._wide:
            linear = np.maximum(cv2.transform(linear, _2020_TO_709), 0)
        brightest = np.maximum(linear.max(axis=2, keepdims=True), np.float32(1e-6))
        toned = linear * (_rolled(brightest) / brightest)
        return _shown(toned) * np.float32(255)


def _pq_light(codes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert PQ code values in [0, 1] to light in cd/m2 (ITU-R BT.2100, table 4)."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = codes ** (1 / m2)
    return 10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg_light(codes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert HLG code values in [0, 1] to scene light in [0, 1] (ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)


def _looked_up(table: npt.NDArray[np.float32], codes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    at = np.clip(codes, 0, 1) * np.float32(len(table) - 1)
    low = np.minimum(at.astype(np.int32), len(table) - 2)
    share = at - low
    return table[low] * (1 - share) + table[low + 1] * share


def _rolled(light: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Map light relative to white to [0, 1]. It is unchanged up to the knee, then rolled off to the peak."""
    peak = np.float32((PEAK_NITS / WHITE_NITS - KNEE) / (1 - KNEE))
    above = np.maximum(light - KNEE, 0) / np.float32(1 - KNEE)
    rolled = above * (1 + above / peak**2) / (1 + above)
    return np.minimum(np.where(light <= KNEE, light, KNEE + (1 - KNEE) * rolled), 1).astype(np.float32)


def _shown(light: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Convert light to code values in [0, 1] for a display of gamma 2.4 (ITU-R BT.1886)."""
    return np.power(np.clip(light, 0, 1), np.float32(1 / 2.4))
