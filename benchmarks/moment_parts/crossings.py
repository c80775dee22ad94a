"""Hands and objects laid over each frame of a clip, so that they cross the face, with the known truth."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import ROOT
from correspondence import Landmarks
from correspondence.training.cover.occluders import Cover
from correspondence.types import Float, Image

SIZES = {"hand": (0.8, 1.15), "object": (0.5, 0.85), "mask": (0.7, 0.9), "glasses": (0.8, 1.0)}  # faces
REACH = 1.1  # a path begins and ends this far from the face's middle, face sizes
SKIN = (50, 280, 9, 205, 425, 4)  # landmarks on cheeks, forehead, nose
OWN_COLOUR = 0.5  # share of hands that are given the face's colour


def occluders_dir() -> Path:
    """Return the folder of covers: $LIVERY_OCCLUDERS, else ../shared/occluders beside the repository.

    Raises:
        FileNotFoundError: the folder has no manifest.
    """
    named = os.environ.get("LIVERY_OCCLUDERS")
    folder = Path(named) if named else ROOT.parent / "shared" / "occluders"
    if not (folder / "MANIFEST.csv").is_file():
        raise FileNotFoundError(
            f"no covers in {folder}: set LIVERY_OCCLUDERS to a folder with a MANIFEST.csv and what it lists"
        )
    return folder


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A clip's frames and one cover that crosses them.

    Attributes:
        name: name of the clip.
        kind: kind of cover.
        clean, covered: frames without and with the cover, uint8 (H, W, 3) each. The first frame is not
            covered.
        alpha: opacity of the cover in each frame, float32 (H, W), [0, 1].
        seen: landmarks found in each covered frame. None where the face is lost.
    """

    name: str
    kind: str
    clean: list[Image]
    covered: list[Image]
    alpha: list[Float]
    seen: list[Landmarks | None]


@dataclass(frozen=True, slots=True, eq=False)
class Crossing:
    """One cover's path over a face: in on one side and out on the other, turning a little.

    Attributes:
        picture: the cover in the face's light, premultiplied, float32 (h, w, 4), RGB in [0, 255] and alpha in
            [0, 1].
        size: its longer side, face sizes.
        heading: direction of the path, radians.
        offset: distance of the path from the face's middle, face sizes.
        turn: rotation at both ends of the path, radians.
    """

    picture: Float
    size: float
    heading: float
    offset: float
    turn: tuple[float, float]

    @classmethod
    def of(cls, cover: Cover, frame: Image, landmarks: Landmarks, rng: np.random.Generator) -> Crossing:
        """Draw a random path. The cover is lit as the face of the frame is."""
        picture = cover.picture.astype(np.float32)
        alpha = picture[..., 3:] / 255
        at = np.clip(np.rint(landmarks.points[list(SKIN), :2]), 0, np.array(frame.shape[1::-1]) - 1).astype(
            int
        )
        skin = np.median(frame[at[:, 1], at[:, 0]], axis=0).astype(np.float32)
        own = (picture[..., :3] * alpha).sum(axis=(0, 1)) / max(float(alpha.sum()), 1.0)
        if cover.kind == "hand" and rng.random() < OWN_COLOUR:
            gain = skin / np.maximum(own, 8)
        else:
            gain = np.full(3, (skin.mean() / max(float(own.mean()), 8)) ** 0.4)
        colour = np.minimum(picture[..., :3] * (gain * rng.uniform(0.9, 1.1)).astype(np.float32), 255)
        turn = float(rng.normal(0, 0.5))
        return cls(
            np.concatenate([colour * alpha, alpha], axis=2).astype(np.float32),
            float(rng.uniform(*SIZES[cover.kind])),
            float(rng.uniform(0, 2 * np.pi)),
            float(rng.normal(0, 0.15)),
            (turn, turn + float(rng.normal(0, 0.3))),
        )

    def over(self, frame: Image, landmarks: Landmarks, time: float, step: float) -> tuple[Image, Float]:
        """Lay the cover over a frame.

        Args:
            frame: uint8 (H, W, 3).
            landmarks: landmarks of its face.
            time: position on the path, [0, 1].
            step: the part of the path in one frame, by which the cover is blurred.

        Returns:
            The picture, uint8 (H, W, 3), and the cover's alpha, float32 (H, W), [0, 1].
        """
        x0, y0, x1, y1 = landmarks.box
        face = max(x1 - x0, y1 - y0)
        way = np.array([np.cos(self.heading), np.sin(self.heading)])
        beside = np.array([-way[1], way[0]])
        middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        at = middle + face * ((2 * time - 1) * REACH * way + self.offset * beside)
        scale = self.size * face / max(self.picture.shape[:2])
        turn = self.turn[0] + time * (self.turn[1] - self.turn[0])
        linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        shift = at - linear @ (np.array(self.picture.shape[1::-1]) - 1) / 2
        size = (frame.shape[1], frame.shape[0])
        matrix = np.concatenate([linear, shift[:, None]], axis=1)
        laid = cv2.warpAffine(self.picture, matrix, size, flags=cv2.INTER_LINEAR)
        laid = _moved(
            cv2.GaussianBlur(laid, (0, 0), 0.7), (0.25 * step * 2 * REACH * face * way).astype(np.float32)
        )
        alpha = np.clip(laid[..., 3:], 0, 1)
        near = cv2.GaussianBlur(alpha, (0, 0), 0.02 * face)
        fall = np.array([[1, 0, 0.02 * face], [0, 1, 0.04 * face]])
        shade = 1 - np.float32(0.3) * cv2.warpAffine(near, fall, size)[..., None]
        picture = frame * shade * (1 - alpha) + laid[..., :3]
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8), alpha[..., 0]


def _moved(laid: Float, by: Float) -> Float:
    """Blur a picture along a path of some pixels."""
    length = round(float(np.hypot(*by)))
    if length < 2:
        return laid
    kernel = np.zeros((2 * length + 1,) * 2, np.float32)
    ends = [tuple(int(v) for v in np.rint(length + s * np.asarray(by) / 2)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1)
    return np.asarray(cv2.filter2D(laid, -1, kernel / kernel.sum()), np.float32)
