"""Decodes uploaded pictures. They are measured before they are decoded and are turned upright."""

from __future__ import annotations

import io
import math
import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from correspondence import Image
from reference import flatten
from stream.colour.spaces import Space
from stream.errors import UploadError
from stream.media.opening import ORIENTATION
from stream.media.picture_colour import converted, converted_note, rounded
from stream.media.png_colour import space_of_chunks

TYPES_HINT = "send a PNG, JPEG or WebP picture"
SAVE_AGAIN = "open it in a picture editor, save it again and retry"
COPY_AGAIN = "copy or download it again and retry"
MIN_SIDE, MAX_SIDE = 16, 32_767  # pixels; OpenCV moves no pixels of longer ones
MAX_SCANS = 100  # of a progressive JPEG; each is a pass over the whole picture, cameras write about ten
JPEG_SCAN = b"\xff\xda"  # start of scan (ITU-T T.81, B.2.3); inside coded data FF is never followed by it
BROKEN = (  # errors that Pillow's readers raise on bad data
    *(OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError),
    *(struct.error, zlib.error, Pillow.DecompressionBombError),
)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded upload.

    Attributes:
        image: RGB uint8 (H, W, 3), upright.
        alpha: uint8 (H, W), 255 is opaque. None if the picture has no transparency.
        note: what was done to its colours, for the user. None if nothing was done.
    """

    image: Image
    alpha: npt.NDArray[np.uint8] | None
    note: str | None = None

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The picture with its transparency, uint8 (H, W, 3), or (H, W, 4) with straight alpha."""
        return self.image if self.alpha is None else np.dstack([self.image, self.alpha])

    @property
    def remark(self) -> str | None:
        """`note` as a sentence on the edited picture. None without a note."""
        return None if self.note is None else f"The edited picture: {self.note}."

    def over(self, reference: Image) -> Image:
        """Lay the picture over `reference`, which shows through transparent parts. Returns uint8 (H, W, 3).

        Raises:
            EditError: the picture has transparent parts and another size than the reference.
        """
        if self.alpha is None:
            return self.image
        return flatten(np.dstack([self.image, self.alpha]), reference)


def picture_size(data: bytes) -> tuple[str, int, int]:
    """Read kind, width and height of a picture from its header.

    Raises:
        UploadError: the data is no PNG, JPEG or WebP, or its header ends too early.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            return "PNG", *struct.unpack(">II", data[16:24])
        if data.startswith(b"\xff\xd8\xff"):
            return "JPEG", *_jpeg_size(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return "WEBP", *_webp_size(data)
    except (struct.error, IndexError) as exc:
        raise UploadError("the picture's file is cut short: it ends within its header", COPY_AGAIN) from exc
    if (kind := other_kind(data)) is not None:
        raise UploadError(f"this is {kind[0]}, which is not read", kind[1], status=415)
    raise UploadError("this is not a PNG, JPEG or WebP picture", TYPES_HINT, status=415)


def other_kind(data: bytes) -> tuple[str, str] | None:
    """Name a well-known kind of picture that is not read, and the way out. None for anything else."""
    if data[4:8] == b"ftyp":
        avif = data[8:12] in (b"avif", b"avis")
        return ("an AVIF picture", TYPES_HINT) if avif else ("a HEIC picture", "save it as JPEG or PNG")
    starts = (
        (b"8BPS", "a Photoshop document", "export it as PNG"),
        (b"gimp xcf", "a GIMP document", "export it as PNG"),
        (b"II*\0", "a TIFF picture or a camera's raw file", "export it as PNG"),
        (b"MM\0*", "a TIFF picture or a camera's raw file", "export it as PNG"),
        (b"GIF8", "a GIF picture", TYPES_HINT),
        (b"BM", "a BMP picture", TYPES_HINT),
        (b"\xff\x0a", "a JPEG XL picture", TYPES_HINT),
        (b"%PDF", "a PDF document", "export it as PNG"),
    )
    if not data:
        return "an empty file", TYPES_HINT
    if data[:64].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page", "save the picture itself, not the page that shows it"
    return next(((name, way) for start, name, way in starts if data.startswith(start)), None)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from the first start-of-frame segment (ITU-T T.81, B.2.2)."""
    at = 2
    while True:
        while data[at] != 0xFF:
            at += 1
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 3 : at + 7])
            return width, height
        if marker not in (0x01, *range(0xD0, 0xD9)):  # the rest carry a length
            at += struct.unpack(">H", data[at : at + 2])[0]


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas (RFC 9649, sections 2.5 to 2.7)."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = struct.unpack("<I", data[21:25])[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", data[26:30]))
    else:
        raise UploadError(
            "the WebP picture is damaged: its first chunk is not VP8, VP8L or VP8X",
            SAVE_AGAIN,
        )
    return width, height


def decode_picture(data: bytes, max_pixels: int, into: Space | None = None) -> Picture:
    """Decode an upload. This is slow, so call it in an executor.

    EXIF orientation is applied. 16-bit samples are rounded to 8 bits. Colours of another space than sRGB are
    converted. CMYK, palettes and grey are expanded to RGB.

    Args:
        data: bytes of the picture.
        max_pixels: refuse larger pictures without decoding them.
        into: the space to convert to; None for sRGB. Pictures in sRGB, and those that name no space, are left
            as they are.

    Raises:
        UploadError: the picture is of another type, too large, too small, animated or damaged.
    """
    kind, width, height = picture_size(data)
    if width * height > max_pixels:
        scale = math.sqrt(max_pixels / (width * height))
        raise UploadError(
            f"the picture has {width}x{height} = {width * height / 1e6:.4g} megapixels; "
            f"at most {max_pixels // 1e4 / 100:.4g} are taken",
            f"scale it down, to {max(1, int(width * scale))}x{max(1, int(height * scale))} at most",
            status=413,
        )
    if min(width, height) < MIN_SIDE:
        raise UploadError(
            f"the picture is {width}x{height}; each side must have at least {MIN_SIDE} pixels",
            "save it at the size of its reference",
        )
    if max(width, height) > MAX_SIDE:
        raise UploadError(
            f"the picture is {width}x{height}; each side may have at most {MAX_SIDE} pixels", "scale it down"
        )
    if kind == "JPEG" and data.count(JPEG_SCAN) > MAX_SCANS:
        raise UploadError(
            f"the JPEG picture is coded in {data.count(JPEG_SCAN)} scans; at most {MAX_SCANS} are read",
            "save it again as an ordinary (not progressive) JPEG, or as PNG",
        )
    try:
        with Pillow.open(io.BytesIO(data), formats=[kind]) as opened:
            if opened.size != (width, height):  # a second header, of another size
                raise UploadError(
                    f"the {kind} picture is damaged: its header says {width}x{height}, its content "
                    f"{opened.width}x{opened.height}",
                    SAVE_AGAIN,
                )
            _check_still(opened, kind)
            return _decoded(opened, data, into)
    except UnidentifiedImageError as exc:  # its own words name a buffer's address
        raise UploadError(f"the {kind} picture's header is damaged", SAVE_AGAIN) from exc
    except BROKEN as exc:
        raise UploadError(f"the {kind} picture is damaged: {exc}", SAVE_AGAIN) from exc


def _check_still(opened: Pillow.Image, kind: str) -> None:
    frames = int(getattr(opened, "n_frames", 1))
    if kind != "JPEG" and frames > 1:  # a JPEG's further pictures are thumbnails and depth maps
        raise UploadError(
            f"the {kind} picture is animated ({frames} frames)",
            "save the frame that you edited as a still PNG",
        )


def _decoded(opened: Pillow.Image, data: bytes, into: Space | None) -> Picture:
    deep = None
    if opened.format == "PNG" and data[24] == 16:  # bits a sample: Pillow would cut them off
        turn = opened.getexif().get(ORIENTATION, 1)
        deep = rounded(data)
        if turn != 1:
            tagged = Pillow.fromarray(deep)
            tagged.getexif()[ORIENTATION] = turn
            deep = np.asarray(ImageOps.exif_transpose(tagged), np.uint8)
    space = space_of_chunks(data, "icc_profile" in opened.info) if opened.format == "PNG" else None
    upright = ImageOps.exif_transpose(opened)
    if space is not None:
        upright.info.pop("icc_profile", None)
    image, alpha, note = converted(upright, deep, into)
    if space is not None:
        image, note = space.into(image, into), None if space.like(into) else converted_note(space.name, into)
    return Picture(image, alpha, note)


def encode_png(image: Image, space: Space | None = None) -> bytes:
    """Encode a picture as PNG. This is fast rather than small.

    Args:
        image: uint8 (H, W, 3), or (H, W, 4) with alpha.
        space: its colour space, which the PNG names by a profile; None for sRGB, which needs none.
    """
    if space is not None:
        buffer = io.BytesIO()
        Pillow.fromarray(image).save(buffer, "PNG", compress_level=1, icc_profile=space.profile)
        return buffer.getvalue()
    to_bgr = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    _, data = cv2.imencode(".png", cv2.cvtColor(image, to_bgr), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return bytes(data)
