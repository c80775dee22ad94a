"""Training material: portrait clips and photos with their landmarks, stored in one small cache folder.

A cache contains the original clips (`clips/*.mp4`), the photos at 256 pixels (`stills.npz`), all landmarks
(`landmarks.xz`: int16 steps of 1/16 pixel, coded as differences over time and compressed), the face mesh's
triangles and `index.json`. So training needs torch, OpenCV and numpy only.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import lzma
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.face import topology
from correspondence.training import licences
from correspondence.types import LANDMARK_COUNT, Float, Image

logger = logging.getLogger(__name__)

GRID = 256  # side of every training picture, pixels
STEPS = 16  # landmark steps in a pixel
HALF = np.array([0.5, 0.5, 0.0], np.float32)  # from the border of a picture to the centre of its first pixel
MISSING = np.iinfo(np.int16).min  # stands for a landmark of a frame without a face
Int16 = npt.NDArray[np.int16]
Detector = Callable[[Iterable[Image]], Iterator[Float | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One clip, or one photo (a clip of one frame).

    Attributes:
        name: name of the file in the portraits folder.
        group: source of the clip. A group is either held out or not, as a whole.
        frames: the frames, RGB uint8 (N, 256, 256, 3).
        points: landmarks, float32 (N, 478, 3), pixels of the 256 grid; NaN if no face was found.
    """

    name: str
    group: str
    frames: npt.NDArray[np.uint8]
    points: Float

    @property
    def faces(self) -> npt.NDArray[np.intp]:
        """Numbers of the frames that show a face."""
        return np.flatnonzero(np.isfinite(self.points[:, 0, 0]))


def read_video(path: Path) -> Iterator[Image]:
    """Read the frames of a video file in order, RGB uint8 (H, W, 3).

    Raises:
        ValueError: OpenCV cannot read a single frame.
    """
    capture = cv2.VideoCapture(str(path))
    empty = True
    try:
        while True:
            good, frame = capture.read()
            if not good:
                break
            empty = False
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()
    if empty:
        raise ValueError(f"{path} has no frame OpenCV can decode: give a readable video file")


def fit(image: Image, side: int = GRID) -> Image:
    """Cut the largest centred square out of a picture and resize it to (side, side, 3)."""
    h, w = image.shape[:2]
    s = min(h, w)
    top, left = (h - s) // 2, (w - s) // 2
    square = image[top : top + s, left : left + s]
    if s == side:
        return np.ascontiguousarray(square)
    return np.asarray(
        cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA if s > side else cv2.INTER_CUBIC)
    )


def hold_out(sizes: dict[str, int], share: float = 0.1, seed: int = 0) -> set[str]:
    """Choose the groups that are held out for calibration, about `share` of all frames.

    Groups are taken in the order of a seeded hash of their name. A group that would exceed the share by more
    than a fifth is skipped. So adding a source never moves other groups.

    Args:
        sizes: number of frames in each group.
        share: share of frames to hold out, (0, 1).
        seed: seed of the hash.
    """
    budget = share * sum(sizes.values())
    chosen: set[str] = set()
    taken = 0
    for group in sorted(sizes, key=lambda g: hashlib.sha256(f"{seed}/{g}".encode()).hexdigest()):
        if taken + sizes[group] <= 1.2 * budget and taken < budget:
            chosen.add(group)
            taken += sizes[group]
    return chosen


def face_mesh(frames: Iterable[Image]) -> Iterator[Float | None]:
    """Find MediaPipe's landmarks of each frame, tracked over time: float32 (478, 3) in pixels, or None."""
    from correspondence.face.mediapipe_graphs import FaceMesh

    mesh = FaceMesh(static=False, faces=1)
    for frame in frames:
        found = mesh(frame)
        h, w = frame.shape[:2]
        yield found[0] * np.array([w, h, w], np.float32) - HALF if found else None
    mesh.close()


def prepare(
    portraits: Path,
    out: Path,
    detect: Detector = face_mesh,
    allowed: frozenset[str] | None = None,
) -> None:
    """Write the cache of a portraits folder (`train/`, `stills/`, `MANIFEST.csv`); `val/` is not read.

    Args:
        portraits: the folder of clips and photos.
        out: folder of the cache; made if missing.
        detect: finds landmarks in successive frames.
        allowed: accepted licences (`licences.parse`); None accepts all.

    Raises:
        ValueError: the manifest has nothing under these licences.
    """
    with (portraits / "MANIFEST.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    stated = {name: row.get("licence") or "" for name, row in rows.items()}
    taken = [name for name in stated if allowed is None or licences.permits(allowed, stated[name])]
    if allowed is not None:
        licences.check_found(allowed, stated.values(), len(taken))
    groups = {name: rows[name]["source_repo"] for name in taken}
    (out / "clips").mkdir(parents=True, exist_ok=True)
    index: list[dict[str, Any]] = []
    points: list[Int16] = []
    stills: list[Image] = []
    for path in sorted((portraits / "train").glob("*.mp4")):
        name = f"train/{path.name}"
        if allowed is not None and name not in groups:
            continue
        coded = encode_points(list(detect(map(fit, read_video(path)))))
        shutil.copyfile(path, out / "clips" / path.name)
        index.append({"name": name, "group": groups[name], "frames": len(coded), "licence": stated[name]})
        points.append(coded)
        logger.info("%s: %d frames", name, len(coded))
    for path in sorted((portraits / "stills").glob("*.jpg")):
        name = f"stills/{path.name}"
        if allowed is not None and name not in groups:
            continue
        picture = fit(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))
        stills.append(picture)
        index.append({"name": name, "group": groups[name], "frames": 1, "licence": stated[name]})
        points.append(encode_points(list(detect([picture]))))
    write_points(out / "landmarks.xz", np.concatenate(points))
    jpegs = [
        cv2.imencode(".jpg", cv2.cvtColor(s, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
        for s in stills
    ]
    packed: dict[str, Any] = {f"{i:04d}": j for i, j in enumerate(jpegs)}
    np.savez(out / "stills.npz", **packed)
    mesh = topology.topology()
    np.savez(out / "mesh.npz", triangles=mesh.triangles, skin=mesh.skin)
    (out / "index.json").write_text(json.dumps(index, indent=0))


def encode_points(found: Sequence[Float | None]) -> Int16:
    """Landmarks of a run of frames as int16 (N, 478, 3) steps of 1/16 pixel; `MISSING` without a face."""
    coded = np.full((len(found), LANDMARK_COUNT, 3), MISSING, np.int16)
    for i, points in enumerate(found):
        if points is not None:
            coded[i] = np.clip(np.rint(points * STEPS), MISSING + 1, 32767).astype(np.int16)
    return coded


def decode_points(coded: Int16) -> Float:
    """Reverse `encode_points`: float32 (N, 478, 3) pixels, NaN without a face."""
    points = coded.astype(np.float32) / np.float32(STEPS)
    points[coded[:, 0, 0] == MISSING] = np.nan
    return points


def write_points(path: Path, coded: Int16) -> None:
    """Store int16 (N, 478, 3) landmarks as compressed differences over time, low and high bytes apart."""
    steps = np.diff(coded, axis=0, prepend=np.zeros_like(coded[:1])).transpose(2, 1, 0)
    planes = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, 2).T
    header = np.array(coded.shape, np.int64).tobytes()
    path.write_bytes(lzma.compress(header + planes.tobytes(), preset=6))


def read_points(path: Path) -> Int16:
    """Read landmarks that `write_points` stored."""
    raw = lzma.decompress(path.read_bytes())
    n, k, d = np.frombuffer(raw[:24], np.int64)
    planes = np.frombuffer(raw[24:], np.uint8).reshape(2, -1)
    steps = np.ascontiguousarray(planes.T).view(np.int16).reshape(d, k, n)
    return np.cumsum(steps.transpose(2, 1, 0), axis=0, dtype=np.int16)


def load(
    cache: Path,
    part: str = "train",
    stride: int = 1,
    limit: int | None = None,
    allowed: frozenset[str] | None = None,
) -> list[Clip]:
    """Load and decode the clips and photos of a cache.

    Args:
        cache: folder written by `prepare`.
        part: "train", or "calibration" for the held-out groups.
        stride: keep every stride-th frame of a clip.
        limit: stop after this many clips and photos; None keeps all.
        allowed: licences (`licences.parse`) of what is kept, the hold-out among it; None keeps all.

    Raises:
        ValueError: an unknown part, no cache in that folder, or nothing in it under these licences.
    """
    if part not in ("train", "calibration"):
        raise ValueError(f'part must be "train" or "calibration", got {part!r}')
    if not (cache / "index.json").is_file():
        raise ValueError(f"no training cache in {cache}: write one with `livery train matcher --prepare`")
    with np.load(cache / "mesh.npz") as mesh:
        topology.lend(topology.Topology(mesh["triangles"], int(mesh["skin"])))
    index = json.loads((cache / "index.json").read_text(encoding="utf-8"))
    kept = [allowed is None or licences.permits(allowed, entry.get("licence", "")) for entry in index]
    if allowed is not None:
        licences.check_found(allowed, (entry.get("licence", "") for entry in index), sum(kept))
    sizes: dict[str, int] = {}
    for entry in compress(index, kept):
        sizes[entry["group"]] = sizes.get(entry["group"], 0) + entry["frames"]
    held = hold_out(sizes)
    points = decode_points(read_points(cache / "landmarks.xz"))
    clips: list[Clip] = []
    start = still = 0
    with np.load(cache / "stills.npz") as stills:
        for entry, wanted in zip(index, kept, strict=True):
            mine = points[start : start + entry["frames"] : stride]
            start += entry["frames"]
            photo = entry["name"].startswith("stills/")
            still += photo
            other_part = (entry["group"] in held) != (part == "calibration")
            if not wanted or other_part or (limit is not None and len(clips) >= limit):
                continue
            if photo:
                decoded = cv2.imdecode(stills[f"{still - 1:04d}"], cv2.IMREAD_COLOR)
                frames = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)[None]
            else:
                video = read_video(cache / "clips" / Path(entry["name"]).name)
                frames = np.stack([fit(f) for i, f in enumerate(video) if i % stride == 0])
            clips.append(Clip(entry["name"], entry["group"], frames, mine[: len(frames)]))
    return clips
