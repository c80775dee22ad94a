"""Look files: a look with its still, layers and settings in one `.livery` file, to be kept and shared.

The file is a zip archive: `manifest.json` (format `livery-look`), `thumbnail.jpg`, and pictures as
`pictures/N.png`. Version 2 has layers that are stickers; a file without any is written as version 1, which
earlier releases read. Reading trusts nothing in it: names, number, sizes and ratios of its entries are
checked before anything is unpacked, nothing is written to disk, and pictures are measured before they are
decoded.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from correspondence import Image
from reference.edits.edit import MODES
from reference.errors import EditError
from reference.looks.layers import MOST_LAYERS, Layer, StickerLayer
from reference.looks.look import Look
from reference.looks.manifest import from_entry, of, to_entry
from reference.looks.reading import decode_png, encode_png

FORMAT, VERSION = "livery-look", 2
SUFFIX = ".livery"
MANIFEST, THUMBNAIL = "manifest.json", "thumbnail.jpg"
MOST_STILLS = 8
MOST_BYTES = 64_000_000  # of a file, and of all that is unpacked from it
MOST_ENTRIES = MOST_STILLS * (1 + MOST_LAYERS) + 2
MOST_MANIFEST = 1_000_000  # bytes
MOST_RATIO = 200  # size of an entry unpacked by its size in the file; PNGs are hardly smaller there
MOST_PIXELS = 100_000_000  # of all pictures together
MOST_NAME = 40  # characters
ENTRY = re.compile(r"manifest\.json|thumbnail\.jpg|pictures/[0-9]{1,3}\.png")
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1  # flag bit 0 (PKWARE APPNOTE 4.4.4)
BROKEN = (  # what zipfile raises on bad data
    *(zipfile.BadZipFile, zlib.error, struct.error, ValueError, OSError, EOFError, RuntimeError),
    *(NotImplementedError, IndexError, KeyError, OverflowError),
)
THUMBNAIL_PX = 256  # longer side


def look_file(looks: Sequence[Look]) -> bytes:
    """Return a look file of one look on one still or on several stills of the same person.

    Args:
        looks: at least one, at most 8. The first gives name, mode and strength.

    Raises:
        EditError: there are too many, or the file would be too large.
    """
    if not 1 <= len(looks) <= MOST_STILLS:
        raise EditError(f"a look file holds 1 to {MOST_STILLS} stills, got {len(looks)}")
    first, pictures = looks[0], list[bytes]()

    def put(image: npt.NDArray[np.uint8]) -> str:
        pictures.append(encode_png(image))
        return f"pictures/{len(pictures)}.png"

    stills = [
        {"picture": put(look.still), "layers": [to_entry(each, lambda _, p: put(p)) for each in look.layers]}
        for look in looks
    ]
    stuck = any(isinstance(layer, StickerLayer) for look in looks for layer in look.layers)
    manifest = {
        "format": FORMAT, "version": VERSION if stuck else 1, "name": first.name[:MOST_NAME],
        "mode": first.mode, "strength": first.strength, "stills": stills,
    }  # fmt: skip
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
        archive.writestr(THUMBNAIL, _thumbnail(first.image))
        for number, data in enumerate(pictures, 1):
            archive.writestr(f"pictures/{number}.png", data)
    made = packed.getvalue()
    if len(made) > MOST_BYTES:
        raise EditError(
            f"the look file would have {len(made) / 1e6:.0f} MB, at most {MOST_BYTES / 1e6:.0f} are allowed; "
            "use a smaller still or fewer pictures"
        )
    return made


def read_look_file(source: bytes | str | Path) -> list[Look]:
    """Read a look file.

    Args:
        source: the file's bytes, or its path.

    Returns:
        The look on each of its stills, at least one.

    Raises:
        EditError: it is no look file, of a newer version, damaged, or exceeds a limit.
        OSError: the file cannot be opened.
    """
    if isinstance(source, bytes):
        data, size = source, len(source)
    else:
        path = Path(source)
        size = path.stat().st_size
        data = path.read_bytes() if size <= MOST_BYTES else b""
    if size > MOST_BYTES:
        raise EditError(
            f"the look file has {size / 1e6:.0f} MB; at most {MOST_BYTES // 1_000_000} are read: "
            "use smaller pictures"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _Archive(archive).looks()
    except EditError:
        raise
    except BROKEN as error:
        raise EditError("this is no look file, or it is damaged: it is no whole zip archive") from error


@dataclass(slots=True)
class _Archive:
    """An opened archive, checked before anything is unpacked."""

    archive: zipfile.ZipFile
    _entries: dict[str, zipfile.ZipInfo] = field(default_factory=dict)
    _pixels: int = 0
    _unpacked: int = 0

    def looks(self) -> list[Look]:
        """Return the looks of the archive."""
        self._check()
        manifest = _json(self._unpack(MANIFEST, MOST_MANIFEST))
        if manifest.get("format") != FORMAT:
            raise EditError(f"this is no look file: its format is not {FORMAT}")
        version = of(int, manifest.get("version"), "version")
        if not 1 <= version <= VERSION:
            raise EditError(
                f"a newer Livery made it (version {version}); this one reads versions 1 to {VERSION} "
                "until it is updated"
            )
        name = of(str, manifest.get("name"), "name").strip()
        if not 0 < len(name) <= MOST_NAME or not name.isprintable():
            raise EditError(f"the look's name must be 1 to {MOST_NAME} printable characters")
        mode = next((mode for mode in MODES if mode == manifest.get("mode")), None)
        if mode is None:
            raise EditError(f"mode must be one of {', '.join(MODES)}")
        strength = of(float, manifest.get("strength"), "strength")
        stills = of(list, manifest.get("stills"), "stills")
        if not 1 <= len(stills) <= MOST_STILLS:
            raise EditError(f"a look file holds 1 to {MOST_STILLS} stills, got {len(stills)}")
        return [
            Look(still, layers=layers, mode=mode, strength=strength, name=name)
            for still, layers in map(self._still, stills)
        ]

    def _check(self) -> None:
        infos = self.archive.infolist()
        if len(infos) > MOST_ENTRIES:
            raise EditError(f"the look file has {len(infos)} entries; at most {MOST_ENTRIES} are read")
        for info in infos:
            if not ENTRY.fullmatch(info.filename):
                raise EditError(f"the look file has an entry {info.filename[:40]!r}, which none may have")
            if info.filename in self._entries:
                raise EditError(f"the look file has two entries {info.filename}")
            if info.flag_bits & ENCRYPTED or info.compress_type not in METHODS:
                raise EditError(f"{info.filename}: encrypted or unusually packed entries are not read")
            if info.file_size > MOST_RATIO * max(1, info.compress_size):
                raise EditError(f"{info.filename}: it unpacks to more than {MOST_RATIO} times its size")
            self._entries[info.filename] = info
        total = sum(info.file_size for info in infos)
        if total > MOST_BYTES:
            raise EditError(
                f"the look file unpacks to {total / 1e6:.0f} MB; at most {MOST_BYTES // 1_000_000} are read"
            )
        if MANIFEST not in self._entries:
            raise EditError(f"this is no look file: it has no {MANIFEST}")

    def _unpack(self, name: str, most: int = MOST_BYTES) -> bytes:
        """Return an entry. What it says of its size is not believed."""
        info = self._entries.get(name)
        if info is None:
            raise EditError(f"the look file lacks {name[:40]!r}, which its manifest names")
        most = min(most, MOST_BYTES - self._unpacked)
        with self.archive.open(info) as opened:
            data = opened.read(most + 1)
        self._unpacked += len(data)
        if len(data) > most:
            raise EditError(f"{name}: it unpacks to more than {most} bytes")
        return data

    def _picture(self, name: str, channels: int, size: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
        data = self._unpack(name)
        image = decode_png(data, channels, MOST_PIXELS - self._pixels, name)
        self._pixels += image.shape[0] * image.shape[1]
        if size is not None and image.shape[:2] != size:
            raise EditError(f"{name}: it has another size than its still")
        return image

    def _still(self, entry: Any) -> tuple[Image, tuple[Layer, ...]]:
        values = of(dict, entry, "a still")
        still = self._picture(of(str, values.get("picture"), "picture"), 3, None)
        layers = of(list, values.get("layers"), "layers")
        if len(layers) > MOST_LAYERS:
            raise EditError(f"a still holds at most {MOST_LAYERS} layers, got {len(layers)}")
        size = (still.shape[0], still.shape[1])
        made = []
        for each in layers:
            kind = each.get("kind") if isinstance(each, dict) else None
            channels = 4 if kind in ("paint", "sticker") else 3
            fits = None if kind == "sticker" else size
            made.append(from_entry(each, partial(self._picture, channels=channels, size=fits)))
        return still, tuple(made)


def _json(data: bytes) -> dict[str, Any]:
    def refuse(text: str) -> NoReturn:
        raise ValueError(f"{text} is no number")

    try:
        return of(dict, json.loads(data.decode("utf-8"), parse_constant=refuse), "the manifest")
    except (ValueError, RecursionError) as error:
        raise EditError("the look file's manifest is damaged: it is no JSON object") from error


def _thumbnail(image: Image) -> bytes:
    small = Pillow.fromarray(image)
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    packed = io.BytesIO()
    small.save(packed, "JPEG", quality=85)
    return packed.getvalue()
