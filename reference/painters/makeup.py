"""Functions that draw make-up at full strength on the crop of a face.

Each takes the crop (RGB float32 (h, w, 3), 0 to 255), its canvas and a colour, and returns the painted crop.
"""

from __future__ import annotations

import numpy as np

from correspondence import Float
from reference.face import parts
from reference.painters.drawing import Canvas, Rgb, curve, flush, screen, stain, tint

_FRECKLE_SEED = 7
# Triangles of landmarks on cheeks and bridge of the nose, and the number of freckles in each.
_FRECKLED = (
    ((118, 205, 126), 15),
    ((347, 425, 355), 15),
    ((117, 50, 205), 9),
    ((346, 280, 425), 9),
    ((6, 48, 278), 16),
    ((205, 36, 129), 5),
    ((425, 266, 358), 5),
)


def lips(canvas: Canvas, soft: float = 0.5) -> Float:
    """Coverage of the lips without the mouth's inside, float32 in [0, 1]."""
    outer = canvas.fill(curve(canvas.at(*parts.OUTER_LIPS), closed=True), soft=soft)
    inner = canvas.fill(curve(canvas.at(*parts.INNER_LIPS), closed=True), soft=0.3)
    return np.asarray(np.clip(outer - inner, 0, 1), np.float32)


def eye_holes(canvas: Canvas) -> Float:
    """Coverage of both eye openings, float32 in [0, 1]."""
    return canvas.fill(
        curve(canvas.at(*parts.RIGHT_EYE), closed=True), curve(canvas.at(*parts.LEFT_EYE), closed=True)
    )


def lipstick(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Colour on the lips that keeps their folds and gloss."""
    return tint(face, lips(canvas), colour, shading=0.8)


def blush(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """A flush on both cheeks, drawn out towards the temples."""
    coverage = np.zeros(canvas.size, np.float32)
    for apple, temple in ((205, 116), (425, 345)):
        toward = canvas.at(temple)[0] - canvas.at(apple)[0]
        turn = float(np.degrees(np.arctan2(toward[1], toward[0])))
        centre = canvas.between(apple, temple, 0.4)
        coverage = np.maximum(coverage, canvas.blob(centre, (9.0, 6.5), turn))
    holes = canvas.fill(canvas.at(*parts.RIGHT_EYE), canvas.at(*parts.LEFT_EYE), soft=1.0)
    return flush(face, 0.5 * coverage * _on_face(canvas) * (1 - holes), colour)


def eyeshadow(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Colour on the lids, strongest at the lashes, fading towards the brows."""
    coverage = np.zeros(canvas.size, np.float32)
    sides = (
        (parts.RIGHT_UPPER_LID, parts.RIGHT_CREASE, parts.RIGHT_BROW[1]),
        (parts.LEFT_UPPER_LID, parts.LEFT_CREASE, parts.LEFT_BROW[1]),
    )
    for lid, crease, brow in sides:
        lower = curve(canvas.at(*lid))
        fold = curve(canvas.at(*crease))
        under_brow = curve(canvas.at(*brow))
        at = np.linspace(0, len(under_brow) - 1, len(fold)).round().astype(int)
        high = fold + 0.62 * (under_brow[at] - fold)
        dense = canvas.fill(np.concatenate([lower, fold[::-1]]), soft=1.1)
        light = canvas.fill(np.concatenate([lower, high[::-1]]), soft=1.6)
        coverage = np.maximum(coverage, np.maximum(np.minimum(1.2 * dense, 0.85), 0.6 * light))
    coverage = coverage * (1 - eye_holes(canvas))
    return tint(face, coverage, colour, shading=0.85)


def eyeliner(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """A line along the upper lashes that thickens outward and ends in a small wing."""
    coverage = np.zeros(canvas.size, np.float32)
    sides = (
        (parts.RIGHT_UPPER_LID, parts.RIGHT_LOWER_LID, parts.RIGHT_CREASE),
        (parts.LEFT_UPPER_LID, parts.LEFT_LOWER_LID, parts.LEFT_CREASE),
    )
    for upper, lower, crease in sides:
        lid = canvas.at(*upper)
        outer, inner = lid[0], lid[-1]
        out = (outer - inner) / max(float(np.linalg.norm(outer - inner)), 1e-3)
        up = canvas.at(crease[4])[0] - canvas.at(lower[4])[0]
        up = up / max(float(np.linalg.norm(up)), 1e-3)
        tip = outer + canvas.unit * (3.4 * out + 2.0 * up)
        lifted = lid + 0.35 * canvas.unit * up
        path = np.concatenate([tip[None], (outer + canvas.unit * (0.8 * out + 0.5 * up))[None], lifted[1:]])
        line = canvas.stroke(path, (0.15, 1.3, 1.5, 1.4, 1.25, 1.1, 0.9, 0.7, 0.5, 0.25), soft=0.15)
        coverage = np.maximum(coverage, line)
    return tint(face, 0.95 * coverage, colour, shading=0.25)


def brows(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Filled brows: a soft ground and short hairs along them."""
    rng = np.random.default_rng(_FRECKLE_SEED)
    ground = np.zeros(canvas.size, np.float32)
    hairs = np.zeros(canvas.size, np.float32)
    for upper, lower in (parts.RIGHT_BROW, parts.LEFT_BROW):
        top, bottom = curve(canvas.at(*upper)), curve(canvas.at(*lower))
        ground = np.maximum(ground, canvas.fill(np.concatenate([top, bottom[::-1]]), soft=0.9))
        for share in np.linspace(0.03, 0.97, 26):
            i = round(share * (len(top) - 1))
            j = max(0, i - 4)
            low = bottom[i] + rng.uniform(0.0, 0.25) * (top[i] - bottom[i])
            high = bottom[j] + rng.uniform(0.75, 1.05) * (top[j] - bottom[j])
            bent = (low + high) / 2 + rng.normal(0, 0.15, 2).astype(np.float32) * canvas.unit
            line = canvas.stroke(np.stack([low, bent, high]).astype(np.float32), (0.5, 0.4, 0.15))
            hairs = np.maximum(hairs, line)
    return stain(face, np.clip(0.5 * ground + 0.5 * hairs, 0, 1), colour)


def contour(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Shade under cheekbones, along the jaw and the nose; light on its ridge and the cheekbones."""
    shade = np.zeros(canvas.size, np.float32)
    light = np.zeros(canvas.size, np.float32)
    for hollow, jaw, nose, bone in (
        ((177, 147, 187, 205), (127, 234, 132, 172), (193, 122, 196, 236, 198), (116, 117, 118)),
        ((401, 376, 411, 425), (356, 454, 361, 397), (417, 351, 419, 456, 420), (345, 346, 347)),
    ):
        shade = np.maximum(shade, canvas.stroke(canvas.at(*hollow), (5, 4.5, 3, 1), soft=2.2))
        shade = np.maximum(shade, 0.8 * canvas.stroke(canvas.at(*jaw), (4, 5, 5, 4), soft=2.2))
        shade = np.maximum(shade, 0.7 * canvas.stroke(canvas.at(*nose), (1, 1.5, 1.7, 1.7, 1), soft=0.9))
        light = np.maximum(light, canvas.stroke(canvas.at(*bone), (1, 3, 1), soft=1.8))
    light = np.maximum(light, canvas.stroke(canvas.at(6, 197, 195, 5), (0.7, 1.2, 1.2, 1.5), soft=0.7))
    within = _on_face(canvas)
    return screen(stain(face, shade * within, colour), 0.35 * light * within, (255, 236, 214))


def freckles(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Small uneven spots on nose and cheeks, at places fixed on the face."""
    rng = np.random.default_rng(_FRECKLE_SEED)
    centres = []
    for corners, count in _FRECKLED:
        shares = rng.dirichlet((1.0, 1.0, 1.0), count).astype(np.float32)
        centres.append(shares @ canvas.at(*corners))
    places = np.concatenate(centres)
    radii = rng.uniform(0.25, 0.62, len(places)).astype(np.float32)
    strengths = rng.uniform(0.35, 0.95, len(places)).astype(np.float32)
    return stain(face, canvas.dots(places, radii, strengths), colour)


def warm(picture: Float, colour: Rgb) -> Float:
    """A whole picture as in low sun: the colour laid on softly, contrast lifted a little."""
    tone = np.array(colour, np.float32) / 255
    unit = picture / 255
    soft = (1 - 2 * tone) * unit**2 + 2 * tone * unit  # soft light (Pegtop)
    mixed = unit + 0.55 * (soft - unit)
    curve_up = mixed + 0.12 * (mixed - 0.5) * (1 - np.abs(2 * mixed - 1))
    return np.asarray(np.clip(curve_up, 0, 1) * 255, np.float32)


def _on_face(canvas: Canvas) -> Float:
    """Coverage of the face within its oval, soft at the edge."""
    return canvas.fill(curve(canvas.at(*parts.FACE_OVAL), closed=True), soft=1.2)
