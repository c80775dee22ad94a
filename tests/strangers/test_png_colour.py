"""PNG chunks that name colours without a profile: cICP, gAMA, cHRM, sRGB."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from correspondence import Image
from stream.errors import UploadError
from stream.media.pictures import decode_picture

MOST = 10_000_000
SRGB_XY = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
ADOBE_XY = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(image: Image, *chunks: bytes) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "PNG")
    data = buffer.getvalue()
    return data[:33] + b"".join(chunks) + data[33:]  # behind IHDR


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100_000 * value)))


def primaries(values: tuple[int, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *values))


def cicp(*values: int) -> bytes:
    return chunk(b"cICP", bytes(values))


@pytest.fixture
def colours() -> Image:
    return np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (gamma(1 / 2.2),),
        (gamma(1 / 2.2), primaries(SRGB_XY)),
        (chunk(b"sRGB", b"\0"), gamma(1.0), primaries(ADOBE_XY)),
        (cicp(1, 13, 0, 1), gamma(1.0)),
        (gamma(0.0),),
        (primaries((0,) * 8),),
        (chunk(b"cICP", b"\x0c"),),
    ],
)
def test_what_means_srgb_or_nothing_is_left_alone(colours: Image, chunks: tuple[bytes, ...]) -> None:
    picture = decode_picture(png(colours, *chunks), MOST)
    assert np.array_equal(picture.image, colours)
    assert picture.note is None


def test_light_itself_is_coded(colours: Image) -> None:
    picture = decode_picture(png(colours, gamma(1.0)), MOST)
    light = colours / 255
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(picture.image - 255 * expected).max() <= 0.51
    assert picture.note is not None
    assert "gAMA" in picture.note


@pytest.mark.parametrize(
    ("chunks", "name", "brighter"),
    [
        ((cicp(12, 13, 0, 1),), "Display P3", 0),
        ((cicp(9, 13, 0, 1),), "BT.2020", 0),
        ((primaries(ADOBE_XY), gamma(1 / 2.2)), "cHRM", 0),
    ],
)
def test_a_wider_space_makes_colours_stronger_and_keeps_greys(
    chunks: tuple[bytes, ...], name: str, brighter: int
) -> None:
    picture = decode_picture(png(np.full((20, 20, 3), 120, np.uint8), *chunks), MOST)
    assert np.abs(picture.image.astype(int) - 120).max() <= 1
    assert picture.note is not None
    assert name in picture.note
    red = np.full((20, 20, 3), (170, 90, 90), np.uint8)
    shown = decode_picture(png(red, *chunks), MOST).image[0, 0].astype(int)
    assert shown[brighter] > 172
    assert shown[1] <= 90


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_by_name(colours: Image, transfer: int, name: str) -> None:
    with pytest.raises(UploadError, match=rf"HDR \({name}\)") as caught:
        decode_picture(png(colours, cicp(9, transfer, 0, 1)), MOST)
    assert "sRGB" in str(caught.value.hint)
