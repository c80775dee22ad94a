"""Converts still pictures to 8-bit RGB of one space: colour profiles, CMYK, grey, palettes and 16 bits."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageCms

from correspondence import Image
from stream.colour.spaces import Space

ALIKE_LEVELS = 1  # a profile that changes no colour by more is the wanted one; converting would only round
GRID = np.linspace(0, 255, 9).round().astype(np.uint8)
PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)  # of a damaged profile
_BPC = ImageCms.Flags.BLACKPOINTCOMPENSATION


def converted(
    picture: Pillow.Image, deep: npt.NDArray[np.uint8] | None, into: Space | None = None
) -> tuple[Image, npt.NDArray[np.uint8] | None, str | None]:
    """Convert the samples of an opened picture from its profile's space to another.

    Args:
        picture: an upright picture of any mode.
        deep: uint8 (H, W, 3 or 4) of a 16-bit picture (see `rounded`). None reads the samples from
            `picture`.
        into: the space to convert to; None for sRGB. A picture without a profile, or with one of sRGB, is
            left as it is.

    Returns:
        The picture, RGB uint8 (H, W, 3). Its alpha, uint8 (H, W), or None if it has none. A note for the user
        on what was done, or None if nothing was.
    """
    alpha = None
    if deep is not None:
        alpha = deep[..., 3] if deep.shape[2] == 4 else None
        plain = Pillow.fromarray(np.ascontiguousarray(deep[..., :3]))
    elif picture.has_transparency_data:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
        plain = picture.convert("L" if picture.mode in ("LA", "L") else "RGB")
    else:
        plain = picture if picture.mode in ("L", "CMYK") else picture.convert("RGB")
    image, note = _by_profile(plain, picture.info.get("icc_profile"), into)
    return image, None if alpha is None else np.ascontiguousarray(alpha), note


def converted_note(name: str, into: Space | None = None) -> str:
    """Say that colours were converted from the space of a name to another; None for sRGB."""
    return f"its colours were converted from {name} to {'sRGB' if into is None else into.name}"


def usable(icc: bytes) -> tuple[bytes, str] | None:
    """A profile and the name of its space, if it changes RGB colours that are converted to sRGB."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        name = ImageCms.getProfileDescription(profile).strip() or "its own colour space"
        return None if _keeps(_transform(profile, "RGB", None)) else (icc, name)
    except PROFILE_ERRORS:
        return None


def profile_to_srgb(icc: bytes) -> Callable[[Image], Image]:
    """Make a function that converts pictures, uint8 (H, W, 3), from the space of a usable profile to sRGB."""
    transform = _transform(ImageCms.ImageCmsProfile(io.BytesIO(icc)), "RGB", None)

    def convert(image: Image) -> Image:
        made = ImageCms.applyTransform(Pillow.fromarray(image), transform)
        assert made is not None
        return np.array(made, dtype=np.uint8)

    return convert


def rounded(data: bytes) -> npt.NDArray[np.uint8]:
    """Decode a 16-bit PNG and round each sample to 8 bits: uint8 (H, W, 3 or 4), RGB or RGBA, not turned.

    Raises:
        ValueError: the PNG cannot be decoded.
    """
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if raw is None:
        raise ValueError("its pixels cannot be read")
    if raw.ndim == 2:
        raw = np.repeat(raw[..., None], 3, axis=2)
    if raw.dtype == np.uint16:
        raw = ((raw.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    code = cv2.COLOR_BGRA2RGBA if raw.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(raw, code), np.uint8)


def _by_profile(plain: Pillow.Image, icc: bytes | None, into: Space | None) -> tuple[Image, str | None]:
    """Convert a picture of mode RGB, L or CMYK by its profile."""
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            name = ImageCms.getProfileDescription(profile).strip() or "its own colour space"
            transforms = [_transform(profile, plain.mode, one) for one in dict.fromkeys((None, into))]
            if plain.mode == "RGB" and any(map(_keeps, transforms)):
                return np.array(plain, dtype=np.uint8), None
            made = ImageCms.applyTransform(plain, transforms[-1])
            assert made is not None
            return np.array(made, dtype=np.uint8), converted_note(name, into)
        except PROFILE_ERRORS as exc:
            said = f"its colour profile cannot be used ({exc}), so its colours may be off; save it in sRGB"
            return _unmanaged(plain), said
    note = None
    if plain.mode == "CMYK":
        note = "it is CMYK without a colour profile: its colours are a guess; save it as RGB"
    return _unmanaged(plain), note


def _unmanaged(plain: Pillow.Image) -> Image:
    return np.array(plain.convert("RGB"), dtype=np.uint8)


def _transform(
    profile: ImageCms.ImageCmsProfile, mode: str, into: Space | None
) -> ImageCms.ImageCmsTransform:
    wanted = ImageCms.createProfile("sRGB") if into is None else io.BytesIO(into.profile)
    target = wanted if into is None else ImageCms.ImageCmsProfile(wanted)
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return ImageCms.buildTransform(profile, target, mode, "RGB", renderingIntent=intent, flags=_BPC)


def _keeps(transform: ImageCms.ImageCmsTransform) -> bool:
    cube = np.stack(np.meshgrid(GRID, GRID, GRID), -1).reshape(1, -1, 3)
    moved = ImageCms.applyTransform(Pillow.fromarray(cube), transform)
    assert moved is not None
    return int(cv2.absdiff(np.asarray(moved), cube).max()) <= ALIKE_LEVELS
