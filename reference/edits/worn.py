"""Finds the face of a reference that an edit was made on."""

from __future__ import annotations

from correspondence import Landmarks
from correspondence.face.landmarks import detect_faces
from reference.edits.edit import Edit

RIM = 0.25  # margin around the face's box for hair, ears and chin, share of its sides
ON_FACE = 0.5  # share of an edit that must lie on a face for the edit to belong to that face


def edited_face(edit: Edit, largest: Landmarks | None) -> Landmarks | None:
    """Finds the face that holds most of an edit.

    Args:
        edit: the edit, with its reference.
        largest: landmarks of the reference's largest face; None without a face.

    Returns:
        The landmarks of that face. It is the largest one unless another face holds more of the edit, and more
        than `ON_FACE` of it.
    """
    if largest is None or edit.is_empty or edit.is_global or _share(edit, largest) >= ON_FACE:
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
