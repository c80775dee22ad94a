"""Functions that draw face paint: opaque colours with the skin's light on them."""

from __future__ import annotations

import numpy as np

from correspondence import Float
from reference.face import parts
from reference.painters.drawing import Canvas, Rgb, curve, screen, tint
from reference.painters.makeup import eye_holes, lips

_BLACK: Rgb = (22, 18, 18)
_WHITE: Rgb = (240, 236, 228)


def tiger(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Orange ground, white brows and muzzle, black stripes, nose and whisker spots."""
    holes = 1 - np.clip(eye_holes(canvas) + _mouth(canvas), 0, 1)
    oval = canvas.at(*parts.FACE_OVAL)
    inner = oval.mean(axis=0) + 0.97 * (oval - oval.mean(axis=0))
    out = tint(face, 0.85 * canvas.fill(curve(inner, closed=True), soft=1.2) * holes, colour, 0.6)
    white = np.zeros(canvas.size, np.float32)
    for patch in ((70, 63, 105, 66, 107, 55, 159, 33), (300, 293, 334, 296, 336, 285, 386, 263)):
        white = np.maximum(white, canvas.fill(curve(canvas.at(*patch), closed=True), soft=1.2))
    muzzle = canvas.at(
        2, 98, 203, 206, 216, 212, 202, 204, 194, 201, 200, 421, 418, 424, 422, 432, 436, 426, 423, 327
    )
    white = np.maximum(white, canvas.fill(curve(muzzle, closed=True), soft=1.2))
    out = tint(out, 0.9 * white * holes, _WHITE, 0.5)
    black = np.zeros(canvas.size, np.float32)
    for stripe, widths in _tiger_stripes(canvas):
        black = np.maximum(black, canvas.stroke(stripe, widths, soft=0.15))
    nose = canvas.at(5, 45, 48, 64, 98, 97, 2, 326, 327, 294, 278, 275)
    black = np.maximum(black, canvas.fill(curve(nose, closed=True), soft=0.4))
    black = np.maximum(black, canvas.stroke(canvas.at(2, 164, 0), (0.8, 0.8, 0.8), soft=0.15))
    spots = np.stack([canvas.between(a, b, t) for a, b in ((206, 92), (426, 322)) for t in (-0.1, 0.4, 0.9)])
    spots = np.concatenate([spots, spots + (0, 2.6 * canvas.unit)]).astype(np.float32)
    size = len(spots)
    black = np.maximum(black, canvas.dots(spots, np.full(size, 0.65, np.float32), np.ones(size, np.float32)))
    return tint(out, 0.95 * black * holes, _BLACK, 0.4)


def _tiger_stripes(canvas: Canvas) -> list[tuple[Float, tuple[float, ...]]]:
    """Paths (N, 2) and widths in units of the stripes on forehead, cheeks and jaw, which taper inward."""
    stripes: list[tuple[Float, tuple[float, ...]]] = [
        (np.stack([canvas.between(top, 9, t) for t in (0.12, 0.45, 0.8)]), (2.6, 2.2, 0.2))
        for top in (10, 109, 338)
    ]
    for start, via, end in (
        (67, 69, 66), (103, 104, 105), (54, 68, 63),
        (297, 299, 296), (332, 333, 334), (284, 298, 293),
        (127, 34, 143), (234, 116, 117), (93, 123, 50), (132, 147, 207), (172, 192, 216),
        (356, 264, 372), (454, 345, 346), (323, 352, 280), (361, 376, 427), (397, 416, 436),
    ):  # fmt: skip
        path = np.stack([canvas.between(start, via, 0.15), canvas.at(via)[0], canvas.between(via, end, 0.85)])
        stripes.append((path, (2.8, 2.3, 0.2)))
    return stripes


def warpaint(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Two slanting bars on each cheek and one across the nose, with rough ends."""
    coverage = np.zeros(canvas.size, np.float32)
    for inner, outer, below in ((126, 116, 203), (355, 345, 423)):
        first = np.stack([canvas.between(inner, outer, t) for t in (0.12, 0.5, 0.95)])
        down = 0.55 * (canvas.at(below)[0] - canvas.at(inner)[0])
        second = first + np.stack([down, 0.9 * down, 0.8 * down])
        coverage = np.maximum(coverage, canvas.stroke(first, (3.4, 3.8, 2.6), soft=0.25))
        coverage = np.maximum(coverage, canvas.stroke(second.astype(np.float32), (3.0, 3.4, 2.2), soft=0.25))
    bridge = canvas.at(188, 6, 412)
    coverage = np.maximum(coverage, canvas.stroke(bridge, (2.6, 3.2, 2.6), soft=0.25))
    coverage = coverage * (1 - eye_holes(canvas))
    return tint(face, 0.92 * _brushed(coverage, canvas), colour, 0.65)


def _brushed(coverage: Float, canvas: Canvas) -> Float:
    """Thins coverage along streaks as a brush leaves them. The streaks are fixed to the face's axes."""
    right, left = canvas.at(234)[0], canvas.at(454)[0]
    across = (left - right) / max(float(np.linalg.norm(left - right)), 1e-3)
    down = np.array([-across[1], across[0]], np.float32)
    h, w = canvas.size
    x = np.arange(w, dtype=np.float32)[None, :] + canvas.box[0] - right[0]
    y = np.arange(h, dtype=np.float32)[:, None] + canvas.box[1] - right[1]
    u, v = (x * across[0] + y * across[1]) / canvas.unit, (x * down[0] + y * down[1]) / canvas.unit
    grain = np.sin(7.1 * v + 0.6 * np.sin(0.9 * u)) * np.sin(3.3 * v + 1.3 + 0.4 * np.sin(0.5 * u))
    return np.asarray(coverage * (0.9 + 0.1 * grain), np.float32)


def clown(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """A round red nose, a painted smile, white eyes with blue marks."""
    holes = 1 - np.clip(eye_holes(canvas) + _mouth(canvas), 0, 1)
    white = np.zeros(canvas.size, np.float32)
    marks = np.zeros(canvas.size, np.float32)
    for lid, brow in ((159, 105), (386, 334)):
        centre = canvas.between(lid, brow, 0.25)
        white = np.maximum(white, np.clip(3.0 * canvas.blob(centre, (7.0, 8.5)), 0, 1))
        top = centre - (0, 12.5 * canvas.unit)
        bottom = centre + (0, 14.5 * canvas.unit)
        marks = np.maximum(marks, canvas.stroke(_line(top, centre - (0, 7 * canvas.unit)), (0.3, 1.8, 2.2)))
        marks = np.maximum(
            marks, canvas.stroke(_line(centre + (0, 8 * canvas.unit), bottom), (2.2, 1.8, 0.3))
        )
    smile = canvas.at(*parts.OUTER_LIPS)
    middle = smile.mean(axis=0)
    ring = canvas.fill(curve(middle + 1.75 * (smile - middle), closed=True), soft=0.5)
    out = tint(face, 0.9 * np.maximum(white, ring) * holes, _WHITE, 0.5)
    out = tint(out, 0.9 * marks * holes, (38, 92, 190), 0.4)
    out = tint(out, lips(canvas), colour, 0.6)
    tip = canvas.between(4, 1, 0.4)
    radius = 7.2 * canvas.unit
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = (tip + radius * np.stack([np.cos(angle), np.sin(angle)], 1)).astype(np.float32)
    ball = canvas.fill(circle, soft=0.25)
    shaded = tint(out, ball, colour, 0.15)
    rim = ball * (1 - np.clip(1.5 * canvas.blob(tip - 0.15 * radius, (4.6, 4.6)), 0, 1))
    shaded = tint(shaded, 0.55 * rim, (90, 8, 16), 0.1)
    return screen(shaded, 0.8 * canvas.blob(tip - 0.38 * radius, (1.3, 1.0)), _WHITE)


def _line(start: Float, end: Float) -> Float:
    return np.stack([start, (start + end) / 2, end]).astype(np.float32)


def _mouth(canvas: Canvas) -> Float:
    return canvas.fill(curve(canvas.at(*parts.INNER_LIPS), closed=True))
