"""Still pictures of other colour spaces, depths and modes, made by the test, read as 8-bit sRGB."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from correspondence import Image
from reference import Edit, align_edited
from stream.cli.main import main
from stream.media.pictures import decode_picture
from stream.offline.files import try_edit
from tests.strangers.saved import EDITS, overlap
from tests.stream.clips import CLASSICAL, Clip, make_clip

MOST = 10_000_000
D65 = (0.3127, 0.3290)
SPACES = {  # red, green and blue primaries, gamma
    "P3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), 2.2),
    "Adobe": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), 2.19921875),
    "Wide": ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), 2.2),
}


def profile(name: str) -> bytes:
    """An ICC profile of a matrix and a gamma (ICC.1, version 2)."""
    *primaries, gamma = SPACES[name]

    def xyz(x: float, y: float) -> npt.NDArray[np.float64]:
        return np.array([x / y, 1, (1 - x - y) / y])

    columns = np.array([xyz(*each) for each in primaries]).T
    white, pcs = xyz(*D65), np.array([0.9642, 1, 0.8249])
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    adapt = np.linalg.inv(bradford) @ np.diag((bradford @ pcs) / (bradford @ white)) @ bradford
    matrix = adapt @ (columns * np.linalg.solve(columns, white))

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    words = name.encode() + b"\0"
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(words)) + words + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + fixed(*pcs),
        **{tag: b"XYZ \0\0\0\0" + fixed(*matrix[:, i]) for i, tag in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, value in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI12s", start + len(body), b"lcms", 0x02400000, b"mntrRGB XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(*pcs)
    return head + bytes(128 - len(head)) + table + body


def saved_in(image: Image, space: str, kind: str) -> bytes:
    """As a colour-managed editor saves it: converted to a space, with its profile."""
    icc = profile(space)
    target = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    srgb = ImageCms.createProfile("sRGB")
    made = ImageCms.profileToProfile(Pillow.fromarray(image), srgb, target, outputMode="RGB")
    assert made is not None
    buffer = io.BytesIO()
    options = {} if kind == "PNG" else {"quality": 95}
    made.save(buffer, kind, icc_profile=icc, **options)
    return buffer.getvalue()


def png16(samples: npt.NDArray[np.float64], colour_type: int, *chunks: bytes) -> bytes:
    """A 16-bit PNG of samples in [0, 255], (H, W, channels) or (H, W), unfiltered."""
    big = np.rint(samples * 257).clip(0, 65535).astype(">u2")
    h, w = big.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in big)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 16, colour_type, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows, 1))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("space", "kind", "edit"),
    [("P3", "PNG", "lips"), ("Adobe", "JPEG", "lips"), ("Adobe", "WEBP", "hat"), ("Wide", "PNG", "hat")],
)
def test_a_profile_is_converted_and_said(astronaut: Image, space: str, kind: str, edit: str) -> None:
    clean = EDITS[edit](astronaut)
    picture = decode_picture(saved_in(clean, space, kind), MOST)
    assert picture.note == f"its colours were converted from {space} to sRGB"
    found = align_edited(astronaut, picture.image).image
    truth, seen = (Edit(astronaut, image).mask > 0.5 for image in (clean, found))
    assert overlap(truth, seen) > 0.8
    off = np.abs(found[truth].mean(axis=0) - clean[truth].mean(axis=0)).max()
    assert off < 3


def test_a_profile_that_is_srgb_changes_nothing(astronaut: Image) -> None:
    buffer = io.BytesIO()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Pillow.fromarray(astronaut).save(buffer, "PNG", icc_profile=srgb)
    picture = decode_picture(buffer.getvalue(), MOST)
    assert picture.note is None
    assert np.array_equal(picture.image, astronaut)


@pytest.mark.parametrize("damage", [b"", b"nonsense" * 40])
def test_a_profile_that_cannot_be_used_is_said(astronaut: Image, damage: bytes) -> None:
    broken = profile("P3")[:60] + damage
    buffer = io.BytesIO()
    Pillow.fromarray(astronaut).save(buffer, "PNG", icc_profile=broken)
    picture = decode_picture(buffer.getvalue(), MOST)
    assert picture.note is not None
    assert "colour profile cannot be used" in picture.note
    assert np.array_equal(picture.image, astronaut)


@pytest.mark.parametrize("off", [-0.45, -0.25, 0.25, 0.45])
def test_sixteen_bits_are_rounded(astronaut: Image, off: float) -> None:
    samples = astronaut.astype(np.float64) + off
    picture = decode_picture(png16(samples.clip(0, 255), 2), MOST)
    assert np.array_equal(picture.image, astronaut)
    assert picture.alpha is None


def test_sixteen_bits_with_transparency_and_in_grey(astronaut: Image) -> None:
    alpha = np.tile(np.linspace(0, 255, 512), (512, 1))
    picture = decode_picture(png16(np.dstack([astronaut, alpha]).astype(np.float64), 6), MOST)
    assert np.array_equal(picture.image, astronaut)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, np.rint(alpha))
    grey = astronaut[..., 1].astype(np.float64)
    picture = decode_picture(png16(grey, 0), MOST)
    assert np.array_equal(picture.image, np.repeat(astronaut[..., 1:2], 3, axis=2))


def test_cmyk_without_a_profile_is_a_guess_and_said(astronaut: Image) -> None:
    buffer = io.BytesIO()
    Pillow.fromarray(astronaut).convert("CMYK").save(buffer, "JPEG", quality=97)
    picture = decode_picture(buffer.getvalue(), MOST)
    assert picture.note is not None
    assert "CMYK" in picture.note
    assert np.abs(picture.image.astype(int) - astronaut).mean() < 3
    assert picture.alpha is None


@pytest.mark.parametrize(
    ("mode", "turned"),
    [
        ("L", lambda image: np.asarray(Pillow.fromarray(image).convert("L").convert("RGB"))),
        ("P", lambda image: np.asarray(Pillow.fromarray(image).quantize(200).convert("RGB"))),
        ("LA", lambda image: np.asarray(Pillow.fromarray(image).convert("L").convert("RGB"))),
        ("RGBA", lambda image: image),
    ],
)
def test_other_modes_are_expanded(astronaut: Image, mode: str, turned: Callable[[Image], Image]) -> None:
    plain = Pillow.fromarray(astronaut)
    made = plain.quantize(200) if mode == "P" else plain.convert(mode)
    if made.mode in ("LA", "RGBA"):
        made.putalpha(Pillow.fromarray(np.full((512, 512), 130, np.uint8)))
    buffer = io.BytesIO()
    made.save(buffer, "PNG")
    picture = decode_picture(buffer.getvalue(), MOST)
    assert np.array_equal(picture.image, turned(astronaut))
    assert (picture.alpha is None) == (mode not in ("LA", "RGBA"))
    if picture.alpha is not None:
        assert (picture.alpha == 130).all()


def test_a_palette_with_a_transparent_colour(astronaut: Image) -> None:
    made = Pillow.fromarray(astronaut).quantize(50)
    buffer = io.BytesIO()
    made.save(buffer, "PNG", transparency=7)
    picture = decode_picture(buffer.getvalue(), MOST)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, np.asarray(made) == 7)


def test_what_was_done_to_the_colours_is_told(
    astronaut: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the report of a run, and where a preset is drawn on the picture."""
    clip = make_clip(tmp_path / "in.mkv", Clip(frames=2, size=(512, 512), images=(astronaut,) * 2))
    edited = tmp_path / "edited.png"
    edited.write_bytes(saved_in(EDITS["lips"](astronaut), "P3", "PNG"))
    said = "The edited picture: its colours were converted from P3 to sRGB."
    assert try_edit(clip, edited, None, replace(CLASSICAL, reference=0)).notes == [said]
    arguments = ["edit", str(clip), "--edited", str(edited), "--reference", "0", "--dry-run"]
    assert main([*arguments, "--preset", "eyeshadow"]) == 0
    assert capsys.readouterr().out.count(said) == 1
