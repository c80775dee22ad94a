"""Reasons to refuse a frame as keyframe: blur, closed eyes, a face cut off, or something in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Float, Image, Landmarks
from correspondence.face.topology import topology
from correspondence.types import Hidden
from reference.face.parts import INNER_LIPS, LEFT_EYE, RIGHT_EYE, face_size
from reference.face.quality import GOOD, eyes_open, reference_score
from reference.keyframes.sights import Sight

SHUT = "the eyes are shut"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalConfig:
    """What a frame needs to become a keyframe.

    Raises:
        ValueError: a value outside [0, 1].
    """

    blur: float = (
        0.75  # share of the sharpness of the user's reference that is enough if the frame is not sharp
    )
    eyes_open: float = 0.2  # eyes are shut if `ReferenceScore.eyes_open` is below this ...
    eyes_share: float = 0.5  # ... and below this share of the user's reference
    in_frame: float = 0.5  # least `ReferenceScore.in_frame`
    size: float = 0.02  # least `ReferenceScore.size`
    hidden: float = 0.15  # unrecognised share of the face from which something is taken to cover it
    covered: float = 0.02  # share of the face that a hand or the like may hide, see `Hidden`
    unsure: float = 0.15  # confidence below which a part of the face is not recognised
    least_known: float = 0.3  # share of the edit that must come from earlier keyframes

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")


def why_not_by_looks(
    image: Image, landmarks: Landmarks | None, own: tuple[Image, Landmarks | None], config: RefusalConfig
) -> str | None:
    """Checks by a frame's picture and landmarks whether it may become a keyframe.

    Args:
        image: the frame, uint8 (H, W, 3).
        landmarks: landmarks of the frame's face; None without one.
        own: the user's reference and its landmarks; sharpness and eyes are judged against them.
        config: what a frame needs.

    Returns:
        Why it should not, in words for the user; None if it may.
    """
    if landmarks is None:
        return "no face found"
    score, wanted = reference_score(image, landmarks), reference_score(*own)
    if score.in_frame < config.in_frame:
        return "the face is cut off by the frame"
    if score.size < config.size:
        return "the face is small"
    if score.sharp < min(GOOD, config.blur * wanted.sharp):
        return "the picture is blurred"
    return SHUT if eyes_shut(landmarks, own[1], config) else None


def eyes_shut(landmarks: Landmarks, own: Landmarks | None, config: RefusalConfig) -> bool:
    """Whether the eyes are too far shut for a keyframe.

    Args:
        landmarks: landmarks of the frame.
        own: landmarks of the user's reference; without them no eyes count as shut.
        config: what a frame needs.
    """
    wanted = 0.0 if own is None else config.eyes_share * eyes_open(own)
    return eyes_open(landmarks) < min(config.eyes_open, wanted)


def why_not_by_sights(landmarks: Landmarks, sights: list[Sight], config: RefusalConfig) -> str | None:
    """Checks by a frame's matches with earlier keyframes whether it may become a keyframe.

    Args:
        landmarks: landmarks of the frame.
        sights: sights of the frame with earlier keyframes.
        config: what a frame needs.

    Returns:
        Why it should not, in words for the user; None if it may.
    """
    covered = max((covered_share(landmarks, s.match.hidden) for s in sights), default=0.0)
    if covered > config.covered or hidden_share(landmarks, sights, config.unsure) > config.hidden:
        return "something covers the face"
    return None


def covered_share(landmarks: Landmarks, hidden: Hidden | None) -> float:
    """Computes the share of the face that something hides, [0, 1].

    The share refers to the area of the mesh that faces the camera.

    Args:
        landmarks: landmarks of the frame.
        hidden: what hides the face in the frame; None if nothing does.
    """
    if hidden is None:
        return 0.0
    area = np.maximum(_areas(landmarks), 0)
    centres = landmarks.points[topology().triangles, :2].mean(axis=1)
    at = (centres @ hidden.matrix[:, :2].T + hidden.matrix[:, 2]).astype(np.float32)[None]
    share = cv2.remap(hidden.share, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[0]
    return float((area * share.ravel()).sum() / max(float(area.sum()), 1e-3))


def hidden_share(landmarks: Landmarks, sights: list[Sight], unsure: float) -> float:
    """Computes the share of the face that some keyframe shows but no match recognises.

    A triangle of the mesh counts if it faces the camera and is not much foreshortened, both in the frame and
    in some keyframe. A side of the head that newly turned into view therefore does not count: it is not
    recognised, but no keyframe shows it either. Mouth and eyes, which open and close, do not count, nor do
    small scattered places.

    Args:
        landmarks: landmarks of the frame.
        sights: sights of the frame; keyframes without a face are left out.
        unsure: confidence below which a place is not recognised.

    Returns:
        The share of the counted area, [0, 1].
    """
    mesh = topology()
    moving = np.any(np.isin(mesh.triangles, (*INNER_LIPS, *RIGHT_EYE, *LEFT_EYE)), axis=1)
    moving[mesh.skin :] = True
    area = _areas(landmarks)
    centres = landmarks.points[mesh.triangles, :2].mean(axis=1)
    shown = np.zeros(len(area), bool)
    sure = np.zeros(len(area), np.float32)
    for sight in sights:
        if sight.keyframe.prepared.landmarks is None:
            continue
        ratio = _areas(sight.keyframe.prepared.landmarks) / np.maximum(area, 1e-3)
        shown |= (area > 0) & (ratio > 0.4 * np.median(ratio[area > 0])) & ~moving
        sure = np.maximum(sure, _at(_widely(sight.confidence, landmarks, sight), centres, sight))
    counted = float(area[shown].sum())
    return float(area[shown & (sure < unsure)].sum()) / counted if counted > 0 else 0.0


def _areas(landmarks: Landmarks) -> Float:
    """Signed area of each triangle of the mesh, positive towards the camera, float32 (T,), pixels squared."""
    a, b, c = (landmarks.points[topology().triangles[:, k], :2] for k in range(3))
    u, v = b - a, c - a
    return np.asarray((u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 2, np.float32)


def _widely(confidence: Float, landmarks: Landmarks, sight: Sight) -> Float:
    """Confidence averaged over a twelfth of the face size, so that only broad doubt remains."""
    cell = sight.match.frame_size[1] / confidence.shape[1]
    side = max(1, round(face_size(landmarks) / 12 / cell))
    return np.asarray(cv2.blur(confidence, (side, side)), np.float32)


def _at(values: Float, centres: Float, sight: Sight) -> Float:
    """Reads a coarse grid over the frame at points in pixels, float32 (N,)."""
    height, width = sight.match.frame_size
    scale = np.array([values.shape[1] / width, values.shape[0] / height], np.float32)
    at = ((centres + 0.5) * scale - 0.5).astype(np.float32)[None]
    return np.asarray(cv2.remap(values, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0])
