"""Material for training the cover network, in one cache folder: face crops with landmarks, and covers.

`faces.npz` and `unseen.npz` hold crops of portrait clips and photos at `POOL_SIDE` pixels as JPEG, with their
landmarks. `covers.npz` holds cut-out hands and objects as PNG. `pictures.npz` holds crops of real covered
faces with the mask of the cover. Held-out material is marked, see `HeldOut`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.cover.crop import carried, crop_matrix, cut
from correspondence.training import data, licences
from correspondence.training.cover.occluders import (
    POOL_PER_FACE,
    POOL_SIDE,
    Cover,
    Covered,
    Find,
    HeldOut,
    manifest_rows,
    permitted,
    read_covers,
    read_pictures,
    read_signing,
)
from correspondence.training.cover.signing import Hands
from correspondence.types import Float, Image

logger = logging.getLogger(__name__)

EVERY, MOST = 9, 18  # every 9th frame of a clip is taken, at most 18
HAND_NEAR = 0.15  # a frame with a hand this near to the face's box, face sizes, does not count as uncovered
LICENCES = "licences.json"  # of a cache, what it was limited to; missing where it was not
Near = Callable[[Image, Float], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Uncovered face crops.

    Attributes:
        images: uint8 (N, POOL_SIDE, POOL_SIDE, 3) RGB.
        points: float32 (N, 478, 2), pixels of the crop.
        clip: number of the clip or photo of each crop, int (N,).
        names: names of the clips and photos.
    """

    images: npt.NDArray[np.uint8]
    points: Float
    clip: npt.NDArray[np.int32]
    names: tuple[str, ...]


def prepare(
    portraits: Path,
    occluders: Path,
    out: Path,
    hands: Hands,
    find: Find | None = None,
    held: HeldOut | None = None,
    allowed: frozenset[str] | None = None,
) -> None:
    """Write the cache.

    Args:
        portraits: folder with `train/`, `stills/` and `val/`. The last one goes into `unseen.npz` only.
        occluders: folder with `MANIFEST.csv` and the files that it lists.
        out: folder of the cache; made if missing.
        hands: finds hands. Frames with a hand near the face do not count as uncovered.
        find: finds landmarks of a picture, float32 (478, 3) in pixels, or None. MediaPipe's by default.
        held: what is held out.
        allowed: accepted licences (`licences.parse`) of all that is read. None accepts all.

    Raises:
        ValueError: a folder has no manifest, a clip cannot be read, or the portraits have nothing to train on
            or nothing unseen under these licences.
    """
    covers = manifest_rows(occluders)  # raises before the work begins
    seen, unseen = _portraits(portraits, allowed)
    if not any(permitted(row, allowed) for row in covers):
        logger.warning("no cover is under these licences: drawn ones alone are trained on")
    find, near = find or one_face(), hand_near(hands)
    out.mkdir(parents=True, exist_ok=True)
    (out / LICENCES).unlink(missing_ok=True)
    _write_covers(occluders, out, held or HeldOut(), find, hands, allowed)
    _write_faces(seen, out / "faces.npz", find, near)
    _write_faces(unseen, out / "unseen.npz", find, near)
    if allowed is not None:
        (out / LICENCES).write_text(json.dumps(sorted(allowed)), encoding="utf-8")


def _portraits(folder: Path, allowed: frozenset[str] | None) -> tuple[list[Path], list[Path]]:
    """List the clips and photos to train on, and the unseen clips, as far as their licences permit."""
    seen = sorted((folder / "train").glob("*.mp4")) + sorted((folder / "stills").glob("*.jpg"))
    unseen = sorted((folder / "val").glob("*.mp4"))
    if allowed is None:
        return seen, unseen
    stated = {folder / row["file"]: row.get("licence") or "" for row in manifest_rows(folder)}
    kept = []
    for paths in (seen, unseen):
        kept.append([path for path in paths if licences.permits(allowed, stated.get(path, ""))])
        licences.check_found(allowed, (stated.get(path, "") for path in paths), len(kept[-1]))
    return kept[0], kept[1]


def check_licences(cache: Path, allowed: frozenset[str] | None) -> None:
    """Check that a cache holds nothing but material under `allowed` (`licences.parse`). None accepts all.

    Raises:
        ValueError: the cache was made of other material.
    """
    if allowed is None:
        return
    path = cache / LICENCES
    made = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else ["any licence"]
    if not allowed.issuperset(made):
        raise ValueError(
            f"--licences {','.join(sorted(allowed))}: the cache in {cache} holds material under "
            f"{', '.join(made)}; make another with --prepare, --cache and the same --licences"
        )


def one_face() -> Find:
    """Return a function that finds the landmarks of single pictures with MediaPipe."""
    from correspondence.face.mediapipe_graphs import FaceMesh

    mesh = FaceMesh(static=True, faces=1)

    def find(image: Image) -> Float | None:
        found = mesh(image)
        h, w = image.shape[:2]
        return np.asarray(found[0] * (w, h, w) - (0.5, 0.5, 0), np.float32) if found else None

    return find


def hand_near(hands: Hands) -> Near:
    """Return a function that tells whether a hand is near a face."""

    def near(image: Image, points: Float) -> bool:
        low, high = points[:468, :2].min(axis=0), points[:468, :2].max(axis=0)
        margin = HAND_NEAR * float((high - low).max())
        return any(((at > low - margin) & (at < high + margin)).all(axis=1).any() for at in hands(image))

    return near


def _frames(path: Path) -> Iterator[Image]:
    if path.suffix == ".jpg":
        yield cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        return
    for i, frame in enumerate(data.read_video(path)):
        if i % EVERY == 0 and i // EVERY < MOST:
            yield frame


def _write_faces(paths: list[Path], out: Path, find: Find, near: Near) -> None:
    pictures: list[npt.NDArray[np.uint8]] = []
    points: list[Float] = []
    clip: list[int] = []
    for number, path in enumerate(paths):
        for frame in _frames(path):
            found = find(frame)
            if found is None or near(frame, found):
                continue
            matrix = crop_matrix(found, POOL_SIDE, POOL_PER_FACE)
            pictures.append(_jpeg(cut(frame, matrix, POOL_SIDE)))
            points.append(carried(found, matrix))
            clip.append(number)
        if number % 20 == 0:
            logger.info("%s: %d crops", path.name, len(pictures))
    tables: dict[str, Any] = {f"{i:05d}": p for i, p in enumerate(pictures)}
    tables["points"], tables["clip"] = np.asarray(points, np.float16), np.array(clip, np.int32)
    tables["names"] = np.array([f"{p.parent.name}/{p.name}" for p in paths])
    np.savez(out, **tables)


def _write_covers(
    folder: Path, out: Path, held: HeldOut, find: Find, hands: Hands, allowed: frozenset[str] | None
) -> None:
    covers: dict[str, Any] = {
        f"{c.kind}/{int(c.held)}/{c.name}": _png(cv2.cvtColor(c.picture, cv2.COLOR_RGBA2BGRA))
        for c in read_covers(folder, held, allowed)
    }
    pictures: dict[str, Any] = {}
    taken = [
        folder / r["file"]
        for r in manifest_rows(folder)
        if r["kind"] == "clip" and not held.holds("clip", r["source_repo"]) and permitted(r, allowed)
    ]
    for p in (*read_pictures(folder, find, held, allowed), *read_signing(taken, find, hands)):
        key = f"{int(p.held)}/{p.name}"
        pictures[f"{key}/image"], pictures[f"{key}/points"] = _jpeg(p.image), p.points
        unsure = np.zeros_like(p.mask) if p.unsure is None else p.unsure
        both = np.dstack([p.mask, unsure, unsure])
        pictures[f"{key}/mask"] = _png(np.rint(255 * both).astype(np.uint8))
    np.savez(out / "covers.npz", **covers)
    np.savez(out / "pictures.npz", **pictures)
    logger.info("%d covers, %d covered pictures", len(covers), len(pictures) // 3)


def _jpeg(image: Image) -> npt.NDArray[np.uint8]:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 93])[1]


def _png(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return cv2.imencode(".png", picture)[1]


def load_faces(path: Path) -> Faces:
    """Read the crops of a `faces.npz` or `unseen.npz`.

    Raises:
        ValueError: there is no such file.
    """
    _there(path)
    with np.load(path) as held:
        count = len(held["clip"])
        images = [
            cv2.cvtColor(cv2.imdecode(held[f"{i:05d}"], cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            for i in range(count)
        ]
        names = tuple(str(n) for n in held["names"])
        return Faces(np.stack(images), held["points"].astype(np.float32), held["clip"], names)


def load_covers(path: Path) -> list[Cover]:
    """Read the cut-out covers of a `covers.npz`.

    Raises:
        ValueError: there is no such file.
    """
    _there(path)
    out = []
    with np.load(path) as held:
        for key in held.files:
            kind, apart, name = key.split("/")
            picture: Any = cv2.imdecode(held[key], cv2.IMREAD_UNCHANGED)
            out.append(Cover(name, kind, cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA), apart == "1"))
    return out


def load_pictures(path: Path) -> list[Covered]:
    """Read the real covered faces of a `pictures.npz`.

    Raises:
        ValueError: there is no such file.
    """
    _there(path)
    out = []
    with np.load(path) as held:
        for key in sorted({k.rsplit("/", 1)[0] for k in held.files}):
            apart, name = key.split("/")
            image = cv2.cvtColor(cv2.imdecode(held[f"{key}/image"], cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            coded: Any = cv2.imdecode(held[f"{key}/mask"], cv2.IMREAD_COLOR)
            masks = np.asarray(coded * np.float32(1 / 255), np.float32)
            points, unsure = held[f"{key}/points"], masks[..., 1]
            out.append(Covered(name, image, masks[..., 0], points, apart == "1", unsure))
    return out


def _there(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"no {path.name} in {path.parent}: write it with `livery train cover --prepare DIR`")
