"""Reads pictures: files of the user's, upright and in sRGB, and the PNGs of look files."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageCms, ImageOps

from reference.errors import EditError

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 40_000_000
LEAST_SIDE = 16  # pixels
BROKEN = (  # what Pillow's readers raise on bad data
    *(OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError),
    *(struct.error, zlib.error, Pillow.DecompressionBombError, Pillow.DecompressionBombWarning),
)


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """Read a PNG, JPEG or WebP file of at most `MOST_PIXELS` pixels.

    The picture is turned upright and converted to sRGB by its colour profile.

    Returns:
        uint8 (H, W, 3), or (H, W, 4) with straight alpha if the file has transparency.

    Raises:
        EditError: it is no such file, too large or damaged.
        OSError: the file cannot be opened.
    """
    data = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            with Pillow.open(io.BytesIO(data), formats=FORMATS) as opened:
                _check_size(path, opened.size)
                return _decoded(opened)
    except EditError:
        raise
    except BROKEN as error:
        raise EditError(
            f"{path} is damaged, or no PNG, JPEG or WebP picture; save it again as PNG"
        ) from error


def decode_png(data: bytes, channels: int, most_pixels: int, name: str) -> npt.NDArray[np.uint8]:
    """Decode a PNG as `encode_png` writes it. It is measured first.

    Args:
        data: the file.
        channels: 3 for RGB, 4 for RGB with alpha.
        most_pixels: largest number of pixels.
        name: its name, for messages.

    Returns:
        uint8 (H, W, channels).

    Raises:
        EditError: it is no such PNG, too large, too small, animated or damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            with Pillow.open(io.BytesIO(data), formats=("PNG",)) as opened:
                width, height = opened.size
                if width * height > most_pixels:
                    raise EditError(f"{name}: its {width}x{height} pixels are too many")
                if min(width, height) < LEAST_SIDE:
                    raise EditError(
                        f"{name}: it is {width}x{height}; each side must have {LEAST_SIDE} pixels"
                    )
                if opened.mode != ("RGB" if channels == 3 else "RGBA") or getattr(opened, "n_frames", 1) > 1:
                    raise EditError(f"{name}: it must be a still {'RGB' if channels == 3 else 'RGBA'} PNG")
                return np.array(opened, np.uint8)
    except EditError:
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise EditError(f"{name}: its pixels are too many") from error
    except BROKEN as error:
        raise EditError(f"{name}: it is damaged, or no PNG") from error


def encode_png(image: npt.NDArray[np.uint8]) -> bytes:
    """Encode a picture, uint8 (H, W, 3), or (H, W, 4) with alpha, as PNG."""
    packed = io.BytesIO()
    Pillow.fromarray(image).save(packed, "PNG", compress_level=4)
    return packed.getvalue()


def _check_size(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MOST_PIXELS:
        most = MOST_PIXELS // 1_000_000
        raise EditError(
            f"{path} has {width}x{height} pixels; at most {most} megapixels are read: scale it down"
        )


def _decoded(opened: Pillow.Image) -> npt.NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(opened)
    profile = upright.info.get("icc_profile")
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        rgb = _to_srgb(rgba.convert("RGB"), profile if upright.mode in ("RGB", "RGBA") else None)
        return np.dstack([np.asarray(rgb), np.asarray(rgba)[..., 3]])
    plain = upright if upright.mode in ("L", "CMYK", "RGB") else upright.convert("RGB")
    return np.array(_to_srgb(plain, profile), np.uint8)


def _to_srgb(picture: Pillow.Image, profile: bytes | None) -> Pillow.Image:
    if profile is None:
        return picture.convert("RGB")
    try:
        srgb = ImageCms.createProfile("sRGB")
        made = ImageCms.profileToProfile(
            picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb, outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):  # a profile of another colour model, or a damaged one
        made = None
    return picture.convert("RGB") if made is None else made
