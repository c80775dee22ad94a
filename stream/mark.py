"""A visible word in pictures that were edited, so that nobody takes them for unedited ones.

Libraries are imported when they are needed, since the configuration imports this module and must stay quick.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from correspondence import Float, Image

WORD = "edited"
MOST_CHARACTERS = 40
HEIGHT = 0.035  # of the letters, share of the picture's shorter side
LEAST_PX = 11  # of the letters
OPACITY = 0.55  # of the dark box behind the letters, [0, 1]


def check_mark(text: str) -> str:
    """Return the text of a mark.

    Raises:
        ValueError: it is empty, too long, or holds characters that cannot be printed.
    """
    if not text.strip() or len(text) > MOST_CHARACTERS or not text.isprintable():
        raise ValueError(
            f"a mark must have 1 to {MOST_CHARACTERS} characters that can be printed, got {text[:60]!r}"
        )
    return text


def mark(image: Image, text: str) -> Image:
    """Write a text into the lower left corner of a picture.

    Args:
        image: RGB uint8 (H, W, 3). It stays as it is.
        text: see `check_mark`. A text too wide for the picture is drawn smaller.

    Returns:
        A new picture of the same size.
    """
    import numpy as np

    box, dark, light = _stamp(text, image.shape[0], image.shape[1])
    marked = image.copy()
    under = marked[box].astype(np.float32)
    marked[box] = np.rint(under * (1 - dark) * (1 - light) + 255 * light).astype(np.uint8)
    return marked


@lru_cache(maxsize=8)
def _stamp(text: str, height: int, width: int) -> tuple[tuple[slice, slice], Float, Float]:
    """Where the mark lies, and how much of each pixel its box and its letters take, float32 (h, w, 1)."""
    import numpy as np
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    size = max(LEAST_PX, round(HEIGHT * min(height, width)))
    pad = max(2, size // 3)
    font = ImageFont.load_default(size)
    left, top, right, bottom = (round(side) for side in font.getbbox(text))
    w, h = right - left + 2 * pad, bottom - top + 2 * pad
    letters = Pillow.new("L", (w, h))
    ImageDraw.Draw(letters).text((pad - left, pad - top), text, 255, font)
    behind = Pillow.new("L", (w, h))
    ImageDraw.Draw(behind).rounded_rectangle((0, 0, w - 1, h - 1), pad, 255)
    room = min(1.0, 0.96 * width / w, 0.96 * height / h)
    fit = (max(1, round(w * room)), max(1, round(h * room)))
    scale = np.float32(1 / 255)
    light, dark = (np.asarray(each.resize(fit), np.float32)[..., None] * scale for each in (letters, behind))
    x = round(0.02 * width)
    y = max(0, height - fit[1] - max(1, round(0.02 * height)))
    return np.s_[y : y + fit[1], x : x + fit[0]], np.float32(OPACITY) * dark, light
