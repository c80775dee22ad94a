"""Reads a folder of covers: cut-out hands and objects, real covered faces, clips of people signing."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.cover.crop import carried, crop_matrix, cut
from correspondence.training import data, licences
from correspondence.training.cover.signing import Hands, hand_masks
from correspondence.types import Float, Image

logger = logging.getLogger(__name__)

POOL_SIDE = 208  # side of a stored crop, pixels
POOL_PER_FACE = 1.95  # its side in face sizes; leaves room to shift and turn the network's crop
SPRITE = 200  # longer side of a stored cover, pixels
AMONG = 4  # so many frames before and after an uncovered frame must show no hand either
SIGNING_EVERY = 3  # every n-th frame of a clip of people signing is read
Find = Callable[[Image], Float | None]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Which covers are used for measuring only.

    Attributes:
        sources: (kind, start of the source's name) in the manifest. These are never trained on.
        each: every n-th cut-out object of the other sources is held out too.

    Cut-outs from a video with a held-out part are not used at all.
    """

    sources: tuple[tuple[str, str], ...] = (
        ("hand", "Sheherazade8/"),
        ("object", "Maap014/"),
        ("cover", "AlpYksl/"),
        ("clip", "AlpYksl/"),
    )
    each: int = 5

    def holds(self, kind: str, source: str) -> bool:
        """Whether everything of a kind from a source is held out."""
        return any(kind == k and source.startswith(s) for k, s in self.sources)


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """A cut-out cover.

    Attributes:
        name: name of its file.
        kind: "hand", "object", "glasses" or "mask".
        picture: uint8 (H, W, 4) RGB and alpha.
        held: whether it is for measuring only.
    """

    name: str
    kind: str
    picture: npt.NDArray[np.uint8]
    held: bool


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """A real picture of a covered face.

    Attributes:
        name: name of its file, with the frame's number if it is a clip.
        image: crop, uint8 (POOL_SIDE, POOL_SIDE, 3).
        mask: mask of the cover, float32 (POOL_SIDE, POOL_SIDE), [0, 1].
        points: landmarks as detected in spite of the cover, float32 (478, 2), pixels of the crop.
        held: whether it is for measuring only.
        unsure: where the mask may be wrong, float32 {0, 1}. None means nowhere.
    """

    name: str
    image: Image
    mask: Float
    points: Float
    held: bool
    unsure: Float | None = None


def manifest_rows(folder: Path) -> list[dict[str, str]]:
    """Read the rows of a folder's `MANIFEST.csv`.

    Raises:
        ValueError: there is no manifest.
    """
    manifest = folder / "MANIFEST.csv"
    if not manifest.is_file():
        raise ValueError(f"no MANIFEST.csv in {folder}: give the folder of the covers")
    with manifest.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def permitted(row: dict[str, str], allowed: frozenset[str] | None) -> bool:
    """Whether a row's licence is among `allowed` (`licences.parse`). None permits all."""
    return allowed is None or licences.permits(allowed, row.get("licence") or "")


def read_covers(
    folder: Path, held: HeldOut | None = None, allowed: frozenset[str] | None = None
) -> list[Cover]:
    """Read the cut-out covers of a folder, resized to at most `SPRITE` pixels.

    Args:
        folder: folder with `MANIFEST.csv` and the files that it lists.
        held: what is for measuring only.
        allowed: accepted licences (`licences.parse`). None accepts all. It does not change what is held out.

    Raises:
        ValueError: there is no manifest.
    """
    held, rows = held or HeldOut(), manifest_rows(folder)
    shown = {r["path"] for r in rows if r["kind"] == "cover" and held.holds(r["kind"], r["source_repo"])}
    shown |= {r["path"] for r in rows if r["kind"] == "clip" and held.holds(r["kind"], r["source_repo"])}
    covers, objects = [], 0
    for row in rows:
        kind, source, path = row["kind"], row["source_repo"], folder / row["file"]
        apart = held.holds(kind, source)
        if kind not in ("hand", "object") or (not apart and row["path"] in shown):
            continue
        objects += kind == "object"
        name = "mask" if "face mask" in row["what_was_done"] else kind
        name = "glasses" if "virtual-glasses" in source else name
        apart = apart or (kind == "object" and objects % held.each == 0)
        if not permitted(row, allowed):
            continue
        whole: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        picture = cv2.cvtColor(_smaller(whole), cv2.COLOR_BGRA2RGBA)
        covers.append(Cover(path.stem, name, picture, apart))
    return covers


def read_pictures(
    folder: Path, find: Find, held: HeldOut | None = None, allowed: frozenset[str] | None = None
) -> list[Covered]:
    """Read the real covered faces of a folder. Pictures in which no face is found are left out.

    Args:
        folder: folder with `MANIFEST.csv` and the files that it lists.
        find: finds landmarks of a picture, float32 (478, 3) in pixels, or None.
        held: what is for measuring only.
        allowed: accepted licences (`licences.parse`). None accepts all.

    Raises:
        ValueError: there is no manifest.
    """
    held, out = held or HeldOut(), []
    for row in manifest_rows(folder):
        path = folder / row["file"]
        if row["kind"] != "cover" or not permitted(row, allowed):
            continue
        seen: Any = cv2.imread(str(path))
        image = cv2.cvtColor(seen, cv2.COLOR_BGR2RGB)
        mask: Any = cv2.imread(str(path.with_name(f"{path.stem}_mask.png")), cv2.IMREAD_GRAYSCALE)
        found = find(image)
        if found is None:
            logger.info("%s: no face found", path.name)
            continue
        matrix = crop_matrix(found, POOL_SIDE, POOL_PER_FACE)
        hidden = np.asarray(cut(cv2.merge([mask] * 3), matrix, POOL_SIDE)[..., 0] / 255, np.float32)
        upright, points = cut(image, matrix, POOL_SIDE), carried(found, matrix)
        out.append(
            Covered(
                path.stem,
                upright,
                np.asarray(hidden, np.float32),
                points,
                held.holds("cover", row["source_repo"]),
            )
        )
    return out


def held_clips(folder: Path, held: HeldOut | None = None) -> list[Path]:
    """List the held-out clips of people signing.

    Raises:
        ValueError: there is no manifest.
    """
    held = held or HeldOut()
    rows = [r for r in manifest_rows(folder) if r["kind"] == "clip" and held.holds("clip", r["source_repo"])]
    return [folder / r["file"] for r in rows]


def read_signing(clips: Sequence[Path], find: Find, hands: Hands) -> list[Covered]:
    """Read frames of people who sign before their face. The hands' masks come from their landmarks.

    Args:
        clips: videos, one person each.
        find: finds landmarks of a face.
        hands: finds hands.

    Returns: Every `SIGNING_EVERY`-th frame in which a face is found. A frame without a hand counts as
        uncovered only if the frames around it have no hand either, because moving hands are sometimes missed.
    """
    out: list[Covered] = []
    for path in clips:
        mine: list[Covered] = []
        for number, frame in enumerate(data.read_video(path)):
            points = find(frame) if number % SIGNING_EVERY == 0 else None
            if points is None:
                continue
            matrix = crop_matrix(points, POOL_SIDE, POOL_PER_FACE)
            upright = cut(frame, matrix, POOL_SIDE)
            found = [carried(hand, matrix) for hand in hands(frame)]
            mask, unsure = hand_masks(upright, found)
            name = f"{path.stem}-{number:04d}"
            mine.append(Covered(name, upright, mask, carried(points, matrix), False, unsure))
        busy = np.array([bool(p.mask.any() or (p.unsure is not None and p.unsure.any())) for p in mine])
        near = np.convolve(busy, np.ones(2 * AMONG + 1), "same") > 0
        out += [p for i, p in enumerate(mine) if busy[i] or not near[i]]
    return out


def _smaller(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    scale = min(1.0, SPRITE / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
