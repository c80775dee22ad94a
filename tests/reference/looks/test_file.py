"""Look files: what is written is read, and a file of a stranger's can do no harm and is refused in words."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from correspondence import Image, Landmarks
from reference import EditError, Look, look_file, read_look_file
from reference.looks import file as files
from tests.reference.looks.test_look import star

Entries = dict[str, bytes]
SMALL = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture
def look() -> Look:
    """A small look with a preset, paint, a picture and words."""
    edited = SMALL.copy()
    edited[5:15, 5:15] = 200
    rgba = np.dstack([SMALL[::-1], SMALL[..., 0]])
    return (
        Look(SMALL, None, mode="delta", strength=0.6, name="Évening")
        .preset("warm", "#ff8800", 0.3)
        .paint(rgba, 0.5)
        .picture(edited)
        .changed(1, shown=False)
    )


def packed(entries: Entries, **how: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **how) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def unpacked(data: bytes) -> Entries:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_look_comes_back_as_it_was(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "evening.livery"
    path.write_bytes(look_file([look]))
    (read,) = read_look_file(path)
    assert (read.name, read.mode, read.strength) == ("Évening", "delta", 0.6)
    assert np.array_equal(read.still, look.still)
    assert [layer.kind for layer in read.layers] == ["preset", "paint", "picture"]
    for was, now in zip(look.layers, read.layers, strict=True):
        assert (was.title, was.strength, was.shown) == (now.title, now.strength, now.shown)
        assert was.id != now.id
    assert np.array_equal(read.image, look.image)
    entries = unpacked(path.read_bytes())
    assert Pillow.open(io.BytesIO(entries["thumbnail.jpg"])).format == "JPEG"
    assert json.loads(entries["manifest.json"])["version"] == 1


def test_further_stills_come_along(look: Look) -> None:
    other = Look(np.ascontiguousarray(SMALL[::-1]), None).preset("warm")
    first, second = read_look_file(look_file([look, other]))
    assert np.array_equal(first.image, look.image)
    assert np.array_equal(second.image, other.image)
    with pytest.raises(EditError, match="1 to 8 stills, got 9"):
        look_file([look] * 9)


def changed(entries: Entries, change: Callable[[dict[str, Any]], object]) -> Entries:
    manifest = json.loads(entries["manifest.json"])
    change(manifest)
    return {**entries, "manifest.json": json.dumps(manifest).encode()}


def layer(manifest: dict[str, Any], place: int) -> dict[str, Any]:
    found: dict[str, Any] = manifest["stills"][0]["layers"][place]
    return found


MANIFESTS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda m: m.update(format="zip"), "its format is not livery-look"),
    (lambda m: m.update(version=3), r"a newer Livery made it \(version 3\); this one reads versions 1 to 2"),
    (lambda m: m.update(version="1"), "version must be of type int"),
    (lambda m: m.update(version=True), "version must be of type int"),
    (lambda m: m.update(name="a\nb"), "printable"),
    (lambda m: m.update(name="x" * 41), "1 to 40"),
    (lambda m: m.update(name=3), "name must be of type str"),
    (lambda m: m.update(mode="eval"), "mode must be one of"),
    (lambda m: m.update(strength=7), "strength must be in"),
    (lambda m: m.update(strength=None), "strength must be of type float"),
    (lambda m: m.update(stills={}), "stills must be of type list"),
    (lambda m: m.update(stills=[]), "1 to 8 stills, got 0"),
    (lambda m: m.update(stills=m["stills"] * 9), "1 to 8 stills, got 9"),
    (lambda m: m.update(stills=[7]), "a still must be of type dict"),
    (lambda m: m["stills"][0].update(layers=m["stills"][0]["layers"] * 9), "at most 24 layers, got 27"),
    (lambda m: m["stills"][0].update(picture="../../etc/passwd"), "lacks '../../etc/passwd'"),
    (lambda m: m["stills"][0].update(picture="pictures/99.png"), "lacks 'pictures/99.png'"),
    (lambda m: m["stills"][0].update(picture="pictures/2.png"), "must be a still RGB PNG"),
    (lambda m: layer(m, 0).update(preset="__import__"), "preset must be one of"),
    (lambda m: layer(m, 0).update(colour="red"), "colour must be like"),
    (lambda m: layer(m, 0).update(strength=-1), "strength must be in"),
    (lambda m: layer(m, 0).update(kind="script"), "kind must be preset"),
    (lambda m: layer(m, 1).update(picture="pictures/1.png"), "must be a still RGBA PNG"),
    (lambda m: layer(m, 1).update(shown="yes"), "shown must be of type bool"),
    (lambda m: layer(m, 2).update(words="x" * 401), "at most 400 printable"),
    (lambda m: layer(m, 2).update(words="x" * 301), "at most 300"),
    (lambda m: layer(m, 2).pop("picture"), "picture must be of type str"),
]


@pytest.mark.parametrize(("change", "words"), MANIFESTS)
def test_a_broken_manifest_is_refused(
    look: Look, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    with pytest.raises(EditError, match=words):
        read_look_file(packed(changed(unpacked(look_file([look])), change)))


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[]", b"\xff\xfe", b"{", b'{"format": NaN}', b"[" * 100_000, b'{"version": ' + b"9" * 5000 + b"}"],
)
def test_a_manifest_that_is_no_json_object_is_refused(look: Look, manifest: bytes) -> None:
    entries = {**unpacked(look_file([look])), "manifest.json": manifest}
    with pytest.raises(EditError, match=r"manifest (is damaged|must be of type dict)"):
        read_look_file(packed(entries))


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png", "/etc/cron.d/evil", "pictures/../../evil.png", "pictures/1.png/", "C:\\evil.png",
        "pictures/１.png", "pictures/1.PNG", "run.py", "pictures/0001.png", "manifest.json.exe", "x" * 500,
    ],
)  # fmt: skip
def test_an_entry_of_another_name_is_refused(look: Look, name: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(EditError, match="which none may have"):
        read_look_file(packed({**unpacked(look_file([look])), name: b"x"}))
    assert sorted(tmp_path.rglob("*")) == before


def test_two_entries_of_one_name_are_refused(look: Look) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in unpacked(look_file([look])).items():
            archive.writestr(name, data)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("manifest.json", b"{}")
    with pytest.raises(EditError, match=r"two entries manifest\.json"):
        read_look_file(out.getvalue())


def bomb_png(width: int, height: int) -> bytes:
    """A PNG of zeros: small packed, large unpacked."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, rows = zlib.compressobj(9), []
    line = bytes(1 + 3 * width)
    rows = [packer.compress(line) for _ in range(min(height, 200))] + [packer.flush()]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"".join(rows)) + chunk(b"IEND", b"")
    )


def test_bombs_are_refused_before_they_unfold(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = unpacked(look_file([look]))
    deflated = {"compression": zipfile.ZIP_DEFLATED}
    zeros = {**entries, "thumbnail.jpg": bytes(50_000_000)}
    with pytest.raises(EditError, match="more than 200 times its size"):
        read_look_file(packed(zeros, **deflated))
    for side in (60_000, 9_500, 10_500):
        with pytest.raises(EditError, match=r"too many|damaged"):
            read_look_file(packed({**entries, "pictures/1.png": bomb_png(side, side)}))
    noise = np.random.default_rng(0).bytes(30_000)
    many = {**entries, **{f"pictures/{n}.png": noise for n in range(300, 600)}}
    with pytest.raises(EditError, match="entries; at most 202"):
        read_look_file(packed(many))
    monkeypatch.setattr(files, "MOST_BYTES", 200_000)
    large = {**entries, **{f"pictures/{n}.png": noise for n in range(300, 310)}}
    with pytest.raises(EditError, match=r"has 0 MB; at most|unpacks to"):
        read_look_file(packed(large))


def test_a_size_that_lies_is_not_believed(look: Look) -> None:
    """The directory says 10 bytes; the entry holds many more."""
    data = bytearray(packed(unpacked(look_file([look])), compression=zipfile.ZIP_DEFLATED))
    directory = data.index(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", 10)  # uncompressed size (APPNOTE 4.3.12)
    with pytest.raises(EditError):
        read_look_file(bytes(data))


def test_what_is_no_archive_or_cut_or_changed_is_refused(look: Look) -> None:
    whole = look_file([look])
    for data in (b"", b"PK", b"\x89PNG" + bytes(100), whole[: len(whole) // 2], whole[200:]):
        with pytest.raises(EditError):
            read_look_file(data)
    rng = np.random.default_rng(1)
    for _ in range(150):
        broken = bytearray(whole)
        for at in rng.integers(0, len(broken), 4):
            broken[at] = rng.integers(256)
        with contextlib.suppress(EditError):
            assert read_look_file(bytes(broken))


def test_a_look_of_a_face_is_read_with_its_landmarks(astronaut: Image, face: Landmarks) -> None:
    (read,) = read_look_file(look_file([Look(astronaut, face).preset("lipstick").paint(star(astronaut))]))
    assert isinstance(read.landmarks, Landmarks)
    assert np.allclose(read.landmarks.points, face.points, atol=0.5)
