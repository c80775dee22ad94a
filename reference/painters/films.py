"""Functions that give a whole picture the tone of a film. Each maps colours alone, not places.

Each takes a picture (RGB float32 (H, W, 3), 0 to 255) and a colour, and returns the toned picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from correspondence import Float
from reference.painters.drawing import Rgb, luma

Values = npt.NDArray[np.floating[Any]]


def cool(picture: Float, colour: Rgb) -> Float:
    """As under a clouded sky: the colour laid on softly, with a little less saturation."""
    light = luma(picture)
    return _soft_light(light + 0.9 * (picture - light), colour, 0.5)


def mono(picture: Float, colour: Rgb) -> Float:
    """Black and white with a firm curve, toned by the colour's hue."""
    return _toned(_curve(luma(picture) / 255, 0.35), colour, 0.5)


def sepia(picture: Float, colour: Rgb) -> Float:
    """An old brown print with soft blacks."""
    return _toned(0.06 + 0.9 * _curve(luma(picture) / 255, 0.1), colour, 1.0)


def faded(picture: Float, colour: Rgb) -> Float:
    """A print that hung in the light: lifted blacks in the colour, paler colours, soft whites."""
    light = luma(picture)
    pale = (light + 0.72 * (picture - light)) / 255
    lifted = np.array(colour, np.float32) / 255 * 0.22 * (1 - pale) ** 2
    return _levels(0.04 + 0.9 * pale + lifted)


def cinema(picture: Float, colour: Rgb) -> Float:
    """Shadows in the colour, lights in its opposite, skin between them as it is."""
    unit = picture / 255
    light = luma(picture) / 255
    tone = np.array(colour, np.float32) / 255
    away = tone - tone.mean()
    shadow, high = (1 - light) ** 2 * light**0.5, light**2 * (1 - light) ** 0.5
    return _levels(_curve(unit, 0.15) + 1.1 * shadow * away - 0.8 * high * away)


def vivid(picture: Float, colour: Rgb) -> Float:
    """Stronger colours, pale ones more than strong ones, and a firmer curve."""
    light = luma(picture)
    spread = np.abs(picture - light).max(axis=2, keepdims=True) / 255
    return _levels(
        _curve((light + (1.45 - 0.45 * np.clip(2 * spread, 0, 1)) * (picture - light)) / 255, 0.15)
    )


def _curve(unit: Values, firm: float) -> Float:
    """An S-curve that keeps black, white and the middle, steeper by `firm`."""
    x = np.clip(unit, 0, 1)
    return np.asarray(x + firm * (x - 0.5) * (1 - np.abs(2 * x - 1)), np.float32)


def _toned(light: Values, colour: Rgb, share: float) -> Float:
    """Grey values (H, W, 1) in the hue of a colour: black stays black and white stays white."""
    tone = np.array(colour, np.float32)
    hue = tone / max(float(tone @ np.array([0.299, 0.587, 0.114], np.float32)), 8.0) - 1
    return _levels(light + share * hue * light * (1 - light) * 1.2)


def _soft_light(picture: Float, colour: Rgb, share: float) -> Float:
    tone = np.array(colour, np.float32) / 255
    unit = np.clip(picture / 255, 0, 1)
    soft = (1 - 2 * tone) * unit**2 + 2 * tone * unit  # soft light (Pegtop)
    return _levels(unit + share * (soft - unit))


def _levels(unit: Values) -> Float:
    return np.asarray(np.clip(unit, 0, 1) * 255, np.float32)
