"""What the cover's tests share: the demo's face as material, drawn covers, a folder to prepare from."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from correspondence import Landmarks
from correspondence.cover.crop import carried, crop_matrix, cut
from correspondence.training.cover.data import Faces
from correspondence.training.cover.occluders import POOL_PER_FACE, POOL_SIDE, Cover
from correspondence.types import Float, Image

MOUTH = 13  # a landmark between the lips


def faces_of(image: Image, landmarks: Landmarks, count: int = 3) -> Faces:
    """A pool of one face, brighter from crop to crop."""
    matrix = crop_matrix(landmarks.points, POOL_SIDE, POOL_PER_FACE)
    crop = cut(image, matrix, POOL_SIDE)
    images = np.stack([np.clip(crop * (0.8 + 0.1 * i), 0, 255).astype(np.uint8) for i in range(count)])
    points = np.stack([carried(landmarks.points, matrix)] * count)
    return Faces(images, points, np.zeros(count, np.int32), ("train/a.mp4",))


def disc_cover(kind: str = "hand", held: bool = False) -> Cover:
    """A skin-coloured disc."""
    picture = np.zeros((60, 60, 4), np.uint8)
    cv2.circle(picture, (30, 30), 25, (190, 140, 115, 255), -1)
    return Cover("disc", kind, picture, held)


def blob_over(image: Image, at: Float, radius: float) -> tuple[Image, Float]:
    """The picture under a hand-coloured, shaded blob with fingers, and the blob's alpha, float32 (H, W)."""
    alpha = np.zeros(image.shape[:2], np.uint8)
    centre = np.asarray(at, np.float64) + (0, 0.4 * radius)
    cv2.circle(alpha, tuple(int(v) for v in np.rint(centre)), round(0.8 * radius), 255, -1, cv2.LINE_AA)
    for i in range(4):
        root = centre + ((i - 1.5) * 0.42 * radius, -0.4 * radius)
        ends = np.rint(np.stack([root, root + ((i - 1.5) * 4, -0.9 * radius)])).astype(np.int32)
        cv2.polylines(alpha, [ends], False, 255, round(0.36 * radius), cv2.LINE_AA)
    inside = cv2.distanceTransform((alpha > 127).astype(np.uint8), cv2.DIST_L2, 3)
    shade = 1 - 0.35 * np.exp(-inside / 5)
    share = cv2.GaussianBlur(alpha, (0, 0), 0.8).astype(np.float32)[..., None] / 255
    colour = shade[..., None] * np.array([198, 142, 112])
    picture = image * (1 - share) + colour * share
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), share[..., 0]


def write_occluders(folder: Path, face: Image) -> None:
    """A folder of covers: two hands, six objects, and two covered pictures, of which one is held out.

    Objects with an even number are under MIT, the rest states no licence.
    """
    folder.mkdir()
    rows = []

    def add(name: str, kind: str, source: str, path: str) -> None:
        picture = cv2.cvtColor(disc_cover().picture, cv2.COLOR_RGBA2BGRA)
        if kind == "cover":
            mask = np.zeros(face.shape[:2], np.uint8)
            mask[200:, 100:300] = 255
            cv2.imwrite(str(folder / f"{name}_mask.png"), mask)
            picture = cv2.cvtColor(face, cv2.COLOR_RGB2BGR)
        file = f"{name}.{'jpg' if kind == 'cover' else 'png'}"
        cv2.imwrite(str(folder / file), picture)
        licence = "MIT" if name in ("object_0", "object_2", "object_4") else "none stated"
        row = {"file": file, "kind": kind, "source_repo": source, "path": path, "what_was_done": ""}
        rows.append({**row, "licence": licence})

    add("hand_a", "hand", "someone/hands", "a.mp4")
    add("hand_b", "hand", "Sheherazade8/hands", "b.jpg")
    add("hand_c", "hand", "AlpYksl/signs", "seen.mp4")  # of the video of a held-out picture
    for i in range(6):
        add(f"object_{i}", "object", "someone/things", f"{i}.jpg")
    add("cover_a", "cover", "AlpYksl/signs", "seen.mp4")
    add("cover_b", "cover", "someone/signs", "other.mp4")
    with (folder / "MANIFEST.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
