"""Carries a look to another person: presets and stickers are drawn anew, what lies on the face is laid on.

Paint and pictures are placed by FaceMesh's own coordinates, which are the same points of every face, and
blended with the other face's colour and light as an edit is on a frame. Hair, clothes and backdrop have no
such points; what lies on them is left out and named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from correspondence import DETECT, Float, Image, Landmarks, Matcher, MaybeLandmarks, detect_landmarks
from reference.compose.composite import CompositeConfig
from reference.edits.edit import Edit
from reference.errors import EditError
from reference.face.parts import FACE_OVAL, face_size, take
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.sights import EditStyle
from reference.looks.drawn import is_exact
from reference.looks.layers import Layer, PictureLayer, PresetLayer, StickerLayer
from reference.looks.look import Look
from reference.propagate.fitted import fitted

MARGIN = 0.03  # beyond the face's outline that still counts as face, face sizes
LEAST = 0.02  # share of a layer off the face from which it is told


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """A look carried to another person.

    Attributes:
        look: the look on the other person's still.
        left: a sentence for people about each layer that was not carried, or not all of it.
    """

    look: Look
    left: tuple[str, ...]


def carry(
    look: Look, still: Image, landmarks: MaybeLandmarks = DETECT, matcher: Matcher | None = None
) -> Carried:
    """Carry a look to another still, of the same or another person. This is slow.

    Args:
        look: the look.
        still: RGB uint8 (H, W, 3).
        landmarks: landmarks of its face; DETECT to detect them.
        matcher: matches the two stills; the classical one when None.

    Raises:
        EditError: one of the stills shows no face.
    """
    face = detect_landmarks(still) if landmarks is DETECT else landmarks
    own = look.landmarks
    if not isinstance(face, Landmarks):
        raise EditError("no face was found in the picture that is to wear the look; take another one")
    layers, left = list[Layer](), list[str]()
    for layer in look.layers:
        if isinstance(layer, PresetLayer | StickerLayer):
            layers.append(layer)
            continue
        if not isinstance(own, Landmarks):
            raise EditError(
                "the look's own still shows no face, so nothing of it can be laid on another one; make the "
                "look from a still that shows the whole face"
            )
        made, rest = _laid(look.still, own, layer, still, face, matcher or Matcher.load("classical"))
        if made is not None:
            layers.append(made)
        if rest > LEAST:
            left.append(_told(layer.title, rest, whole=made is None))
    return Carried(replace(look, still=still, landmarks=face, layers=tuple(layers)), tuple(left))


def _told(title: str, rest: float, *, whole: bool) -> str:
    if whole:
        return f"{title} was left out: it lies on hair, clothes or backdrop, not on the face."
    return f"{title}: {rest:.0%} of it lies on hair, clothes or backdrop and was left out."


def _laid(
    still: Image, own: Landmarks, layer: Layer, onto: Image, face: Landmarks, matcher: Matcher
) -> tuple[PictureLayer | None, float]:
    """Lay a layer on another face. Returns it, None if none of it is on the face, and the share left out."""
    whole = replace(layer, strength=1.0, shown=True).draw(still, still, own)
    edit = Edit(still, whole, exact=is_exact((layer,)))
    on_face = _on_face(own)
    total = float(edit.mask.sum())
    rest = float((edit.mask * (1 - on_face)).sum()) / total if total else 0.0
    part = _mixed(still, whole, on_face)
    edit = Edit(still, part, exact=edit.exact)
    if edit.is_empty or rest > 1 - LEAST:
        return None, rest
    style = EditStyle("auto", 1.0, CompositeConfig())
    ready = style.fresh(Keyframe(still, part, matcher.prepare(still, landmarks=own), edit=edit))
    laid = fitted(ready, onto, face, matcher, style).keyframe.edited
    laid = _mixed(onto, laid, _on_face(face))  # beside the face a match of two persons means nothing
    picture = PictureLayer(image=laid, strength=layer.strength, shown=layer.shown)
    return picture, rest


def _mixed(before: Image, after: Image, share: Float) -> Image:
    change = share[..., None] * np.subtract(after, before, dtype=np.int16)
    return np.clip(np.rint(before + change), 0, 255).astype(np.uint8)


def _on_face(landmarks: Landmarks) -> Float:
    """Coverage of the face in its picture, float32 (H, W), [0, 1], soft at the edge."""
    drawn = np.zeros(landmarks.image_size, np.uint8)
    cv2.fillPoly(drawn, [np.rint(take(landmarks, FACE_OVAL)).astype(np.int32)], 255)
    side = 2 * max(1, round(MARGIN * face_size(landmarks))) + 1
    grown = cv2.dilate(drawn, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return cv2.blur(grown, (side, side)).astype(np.float32) / np.float32(255)
