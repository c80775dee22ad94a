"""Finds the faces of a reference that an edit was made on, and divides the edit among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from correspondence import Float, Landmarks
from correspondence.face.landmarks import detect_faces
from reference.edits.edit import Edit
from reference.edits.mask import smoothstep
from reference.face.parts import face_size

RIM = 0.25  # margin around the face's box for hair, ears and chin, share of its sides
ON_FACE = 0.5  # share of an edit that must lie on a face for the edit to belong to that face
OWN_EDIT = 0.05  # share of an edit on a head from which that person was edited too
HEAD = (0.35, 0.9, 0.35, 0.2)  # reach of the head from the face's box: left, up, right, down, face sizes
FALL = 0.15  # width over which an edit fades out beyond the head, face sizes
REST = 0.01  # share of an edit off the head that is not worth removing


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """An edit divided among the people of its reference.

    Attributes:
        first: the edit without what lies on other edited heads; None if there is nothing of the kind.
        heads: what each edited person wears on their head, and the landmarks of their face in the reference.
            The person of `first` comes first. None stands for `first` itself, which lies on the head alone.
    """

    first: Edit | None
    heads: tuple[tuple[Edit | None, Landmarks], ...]


def edited_face(edit: Edit, largest: Landmarks | None) -> Landmarks | None:
    """Finds the face that holds most of an edit.

    Args:
        edit: the edit, with its reference.
        largest: landmarks of the reference's largest face; None without a face.

    Returns:
        The landmarks of that face. It is the largest one unless another face holds more of the edit, and more
        than `ON_FACE` of it.
    """
    if largest is None or edit.box is None or edit.is_global or _share(edit, largest) >= ON_FACE:
        return largest
    best = max(detect_faces(edit.reference), key=lambda face: _share(edit, face), default=largest)
    return best if _share(edit, best) > max(ON_FACE, _share(edit, largest)) else largest


def _share(edit: Edit, face: Landmarks) -> float:
    """Share of an edit's mask that lies on a face."""
    x0, y0, x1, y1 = face.box
    across, down = RIM * (x1 - x0), RIM * (y1 - y0)
    left, top = max(0, round(x0 - across)), max(0, round(y0 - down))
    right, bottom = max(0, round(x1 + across)), max(0, round(y1 + down))
    return float(edit.mask[top:bottom, left:right].sum() / max(float(edit.mask.sum()), 1e-6))


def divide(edit: Edit, face: Landmarks) -> Division:
    """Divides an edit among the people of its reference who were edited.

    Slow: it looks for all faces of the reference.

    Args:
        edit: the edit, bound to a face and not empty.
        face: landmarks of the face that it belongs to, see `edited_face`.
    """
    if edit.box is None:  # stickers alone
        return Division(None, ((None, face),))
    faces = [face, *(other for other in detect_faces(edit.reference) if not _same(other, face))]
    total = float(edit.mask.sum())
    zones = _zones(faces, edit.mask.shape)
    shares = [float((edit.mask * zone).sum()) / total for zone in zones]
    worn = [0, *(i for i in range(1, len(faces)) if shares[i] >= OWN_EDIT)]
    rest = 1 - sum((zones[i] for i in worn[1:]), np.zeros_like(edit.mask))
    first = _weighted(edit, rest) if len(worn) > 1 else None
    off_head = float((edit.mask * rest).sum()) / total - shares[0]
    main = None if off_head < REST else _weighted(edit, zones[0])
    bare = replace(edit, stickers=())  # these lie on the first face
    bare.__dict__.update({name: edit.__dict__[name] for name in ("mask", "visible") if name in edit.__dict__})
    others = ((_weighted(bare, zones[i]), faces[i]) for i in worn[1:])
    return Division(first, ((main, face), *others))


def _same(a: Landmarks, b: Landmarks) -> bool:
    """Whether two sets of landmarks of one picture are of the same face."""
    apart = np.subtract(a.points[:468, :2].mean(axis=0), b.points[:468, :2].mean(axis=0))
    return float(np.hypot(*apart)) < 0.5 * face_size(b)


def _zones(faces: Sequence[Landmarks], shape: tuple[int, ...]) -> list[Float]:
    """The heads of a picture, each float32 (H, W), 1: on this head. A pixel is on the nearest head only."""
    y, x = (np.arange(side, dtype=np.float32) for side in shape[:2])
    away = []
    for face in faces:
        (x0, y0, x1, y1), size = face.box, face_size(face)
        left, up, right, down = HEAD
        across = np.maximum(np.maximum(x0 - left * size - x, x - x1 - right * size), 0) / size
        along = np.maximum(np.maximum(y0 - up * size - y, y - y1 - down * size), 0) / size
        centre = np.hypot((x - (x0 + x1) / 2)[None] / size, (y - (y0 + y1) / 2)[:, None] / size)
        away.append((np.hypot(across[None], along[:, None]), centre))
    nearest = np.argmin([centre for _, centre in away], axis=0)
    return [
        ((1 - smoothstep(beyond, 0, FALL)) * (nearest == i)).astype(np.float32)
        for i, (beyond, _) in enumerate(away)
    ]


def _weighted(edit: Edit, weight: Float) -> Edit:
    """An edit multiplied by a weight at each pixel, float32 (H, W), [0, 1]. It keeps the edit's mask."""
    share = (weight * (edit.mask > 0))[..., None]
    changed = np.rint(edit.reference + edit.delta * share)
    part = replace(edit, edited=np.clip(changed, 0, 255).astype(np.uint8))
    part.__dict__["mask"] = np.asarray(edit.mask * weight, np.float32)  # noise of the rest is not judged anew
    part.__dict__["visible"] = edit.visible & (weight > 0)
    return part
