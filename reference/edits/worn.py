"""Which face of a reference an edit was made on."""

from __future__ import annotations

from correspondence import Landmarks
from correspondence.face.landmarks import detect_faces
from reference.edits.edit import Edit

RIM = 0.25  # of the face's sides: hair, ears and chin belong to it
ON_FACE = 0.5  # share of an edit that lies on a face which it was made for


def edited_face(edit: Edit, largest: Landmarks | None) -> Landmarks | None:
    """The landmarks of the face that holds most of an edit.

    Args:
        edit: of a reference.
        largest: of the reference's largest face, which stands where no other holds more.
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
