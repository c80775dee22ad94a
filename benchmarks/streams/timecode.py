"""A number drawn into a picture as a bar code, to be read back from decoded video.

Glass-to-glass latency is true only if the time travels in the pixels, through both encoders, the server and
its edit. The code is one row of 40 dark or light cells across the top of the picture. They hold 32 bits of a
counter of milliseconds, most significant bit first, then 8 bits of CRC (polynomial 0x07, as in ATM's HEC).
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from correspondence import Image

BITS, CHECK_BITS = 32, 8
CELLS = BITS + CHECK_BITS
MIN_WIDTH = 4 * CELLS  # pixels
DARK, LIGHT = 24, 232  # well inside limited range, so that ringing is not clipped
MIN_CONTRAST = 60.0  # luma steps between the darkest light cell and the lightest dark one


def code_height(height: int) -> int:
    """Height of the code in a picture of height `height`, rows."""
    return max(height // 30, 8)


def draw(image: Image, value: int) -> None:
    """Draw `value` into the top rows of `image`, in place.

    Args:
        image: RGB uint8 (H, W, 3), at least 160 pixels wide.
        value: 0 <= value < 2**32.

    Raises:
        ValueError: a value or a width outside these ranges.
    """
    if not 0 <= value < 1 << BITS:
        raise ValueError(f"value must be in [0, 2**{BITS}), got {value}")
    height, width = image.shape[:2]
    if width < MIN_WIDTH:
        raise ValueError(f"image must be at least {MIN_WIDTH} pixels wide, got {width}")
    word = value << CHECK_BITS | check(value)
    bits = np.array([word >> (CELLS - 1 - index) & 1 for index in range(CELLS)])
    cells = np.where(bits, LIGHT, DARK).astype(np.uint8)
    image[: code_height(height)] = cells[np.arange(width) * CELLS // width][None, :, None]


def read(luma: npt.NDArray[np.uint8]) -> int | None:
    """Read the number from a whole picture's luma, uint8 (H, W). None if there is no valid code."""
    return read_rows(luma[: code_height(luma.shape[0])])


def read_rows(rows: npt.NDArray[np.uint8]) -> int | None:
    """Read the number back.

    Args:
        rows: uint8 (`code_height(H)`, W), the luma of the code's rows, limited or full range.

    Returns:
        The value. None if there is no code with a right check sum.
    """
    height, width = rows.shape
    if width < MIN_WIDTH:
        return None
    strip = rows[height // 4 : height - height // 4].mean(axis=0)
    edges = np.arange(CELLS + 1) * width / CELLS
    margin = width / CELLS / 4
    cells = np.array(
        [
            strip[int(a + margin) : max(int(b - margin), int(a + margin) + 1)].mean()
            for a, b in itertools.pairwise(edges)
        ]
    )
    bits = cells > 128
    if bits.any() and not bits.all() and cells[bits].min() - cells[~bits].max() < MIN_CONTRAST:
        return None
    word = sum(int(bit) << (CELLS - 1 - index) for index, bit in enumerate(bits))
    value = word >> CHECK_BITS
    return value if word & (1 << CHECK_BITS) - 1 == check(value) else None


def check(value: int) -> int:
    """CRC-8 of the four bytes of `value`. It starts at 0xFF, so that a black strip is not a code."""
    remainder = 0xFF
    for byte in value.to_bytes(BITS // 8, "big"):
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x07 if remainder & 0x80 else 0)) & 0xFF
    return remainder
