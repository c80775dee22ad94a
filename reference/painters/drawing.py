"""Antialiased shapes on a face, and the blend modes of make-up on skin."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Box, Float, Image, Landmarks
from reference.face.parts import face_size

BITS = 4  # sub-pixel bits of OpenCV's drawing
Rgb = tuple[int, int, int]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def parse_colour(text: str) -> Rgb:
    """Parses "#rrggbb" to (r, g, b), 0 to 255.

    Raises:
        ValueError: the text has another form.
    """
    digits = text.removeprefix("#")
    if len(digits) != 6 or not text.startswith("#") or any(c not in "0123456789abcdefABCDEF" for c in digits):
        raise ValueError(f"colour must be like #b3122e, got {text!r}")
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


def curve(points: Float, closed: bool = False, steps: int = 8) -> Float:
    """Samples a Catmull-Rom spline through points (N, 2) at `steps` places per segment; float32 (M, 2)."""
    if closed:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:
        padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = (np.arange(steps, dtype=np.float32) / steps)[:, None]
    a, b, c, d = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    places = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat = places.reshape(-1, 2)
    whole = flat if closed else np.concatenate([flat, points[-1:]])
    return whole.astype(np.float32)


class Canvas:
    """Draws shapes on one face at up to 4 times its resolution and returns their coverage on a crop.

    Args:
        landmarks: landmarks of the face.

    Attributes:
        box: the crop (x0, y0, x1, y1) of the picture that all coverages refer to.
        unit: a hundredth of the face's longer side, pixels.
        size: (h, w) of the crop.
    """

    def __init__(self, landmarks: Landmarks) -> None:
        h, w = landmarks.image_size
        size = face_size(landmarks)
        left, top, right, bottom = landmarks.box
        margin = 0.25 * size + 2
        self.box: Box = (
            int(np.clip(left - margin, 0, w - 1)),
            int(np.clip(top - margin, 0, h - 1)),
            int(np.clip(right + margin, 1, w)) or 1,
            int(np.clip(bottom + margin, 1, h)) or 1,
        )
        self.unit = size / 100
        x0, y0, x1, y1 = self.box
        self.size = (max(1, y1 - y0), max(1, x1 - x0))
        self._factor = int(np.clip(1600 // max(self.size), 1, 4))
        self._points = landmarks.points[:, :2]

    def at(self, *numbers: int) -> Float:
        """Returns landmarks by number, float32 (N, 2), pixels of the picture."""
        return self._points[list(numbers)]

    def between(self, a: int, b: int, share: float) -> Float:
        """Returns the place at `share` of the way from landmark a to b, float32 (2,), pixels."""
        place: Float = self._points[a] + np.float32(share) * (self._points[b] - self._points[a])
        return place

    def fill(self, *outlines: Float, soft: float = 0.0) -> Float:
        """Fills polygons (N, 2) and blurs them by a Gaussian of `soft` units; float32 in [0, 1]."""
        large = self._blank()
        for outline in outlines:
            cv2.fillPoly(large, [self._place(outline)], 255, cv2.LINE_AA, BITS)
        return self._shrunk(large, soft)

    def stroke(self, points: Float, widths: Sequence[float], soft: float = 0.0) -> Float:
        """Draws a line through points (N, 2), blurred by `soft` units; float32 in [0, 1].

        The width of the line, in units, runs through `widths` from its start to its end.
        """
        large = self._blank()
        path = curve(np.asarray(points, np.float32))
        along = np.linspace(0, len(widths) - 1, len(path))
        radius = np.interp(along, np.arange(len(widths)), widths) * self.unit / 2
        step = np.gradient(path, axis=0)
        normal = np.stack([-step[:, 1], step[:, 0]], 1) / (np.linalg.norm(step, axis=1, keepdims=True) + 1e-6)
        side = normal * radius[:, None]
        outline = np.concatenate([path + side, (path - side)[::-1]])
        cv2.fillPoly(large, [self._place(outline.astype(np.float32))], 255, cv2.LINE_AA, BITS)
        return self._shrunk(large, soft)

    def blob(self, centre: Float, axes: tuple[float, float], turn_deg: float = 0.0) -> Float:
        """Draws a Gaussian spot with standard deviations `axes`, units; float32 in [0, 1].

        It is turned by `turn_deg` degrees and falls to 0 at 2.6 standard deviations.
        """
        h, w = self.size
        x = np.arange(w, dtype=np.float32)[None, :] + self.box[0] - centre[0]
        y = np.arange(h, dtype=np.float32)[:, None] + self.box[1] - centre[1]
        c, s = np.float32(np.cos(np.radians(turn_deg))), np.float32(np.sin(np.radians(turn_deg)))
        scaled = ((c * x + s * y) / (axes[0] * self.unit)) ** 2 + (
            (c * y - s * x) / (axes[1] * self.unit)
        ) ** 2
        low = np.float32(np.exp(-(2.6**2) / 2))
        spot: Float = np.maximum(np.exp(-scaled / 2) - low, 0) / (1 - low)
        return spot.astype(np.float32)

    def dots(self, centres: Float, radii: Float, strengths: Float) -> Float:
        """Draws round spots, each with its radius in units and its strength; float32 in [0, 1]."""
        large = self._blank()
        for centre, radius, strength in zip(centres, radii, strengths, strict=True):
            place = self._place(centre[None])[0, 0]
            reach = max(1, round(float(radius) * self.unit * self._factor * 16))
            cv2.circle(large, place.tolist(), reach, int(255 * strength), -1, cv2.LINE_AA, BITS)
        return self._shrunk(large, 0.25)

    def _blank(self) -> npt.NDArray[np.uint8]:
        return np.zeros((self.size[0] * self._factor, self.size[1] * self._factor), np.uint8)

    def _place(self, points: Float) -> npt.NDArray[np.int32]:
        inside = (points - np.array(self.box[:2], np.float32) + 0.5) * self._factor - 0.5
        return np.rint(np.clip(inside, -8000, 8000) * 16).astype(np.int32)[:, None]

    def _shrunk(self, large: npt.NDArray[np.uint8], soft: float) -> Float:
        small = cv2.resize(large, self.size[::-1], interpolation=cv2.INTER_AREA)
        sigma = soft * self.unit
        if sigma > 0.3:  # blurred in 8 bits, so that it ends in exact zeros
            small = cv2.GaussianBlur(small, (0, 0), sigma)
        return small.astype(np.float32) / np.float32(255)


def luma(image: Float) -> Float:
    """Luma of an RGB picture, float32 (H, W, 1)."""
    return np.asarray((image @ _LUMA)[..., None], np.float32)


def tint(image: Float, coverage: Float, colour: Rgb, shading: float = 0.75) -> Float:
    """Lays a colour with the light and texture of the skin below it: lipstick, eyeshadow, paint.

    Args:
        image: RGB float32 (H, W, 3), 0 to 255.
        coverage: float32 (H, W), [0, 1].
        colour: the colour that skin of mean brightness takes.
        shading: share of the skin's light and dark that is kept, [0, 1].
    """
    bright = luma(image)
    weight = coverage[..., None]
    mean = float((bright * weight).sum() / max(float(weight.sum()), 1e-6))
    relief = np.clip(bright / max(mean, 8.0), 0.0, 2.2)
    lit = np.array(colour, np.float32) * (1 - shading + shading * relief)
    glint = np.maximum(bright - 1.45 * mean, 0) * np.float32(0.5)  # moist highlights stay white
    return blend(image, lit + glint, coverage)


def stain(image: Float, coverage: Float, colour: Rgb) -> Float:
    """Multiplies by a colour. It darkens and colours the skin without hiding it: freckles, contour, brows."""
    return blend(image, image * (np.array(colour, np.float32) / np.float32(255)), coverage)


def flush(image: Float, coverage: Float, colour: Rgb) -> Float:
    """Gives the skin a colour's hue at a slightly lower brightness than its own: blush."""
    target = np.array(colour, np.float32)
    bright = luma(image)
    shifted = bright * (0.97 * target / max(float(target @ _LUMA), 8.0))
    return blend(image, np.clip(shifted, 0, 255), coverage)


def screen(image: Float, coverage: Float, colour: Rgb) -> Float:
    """Lightens by a colour (screen blending): highlights."""
    light = np.array(colour, np.float32)
    return blend(image, 255 - (255 - image) * (255 - light) / np.float32(255), coverage)


def blend(image: Float, over: Float, coverage: Float) -> Float:
    """Blends `over` onto `image` by coverage, float32 (H, W, 3)."""
    return np.asarray(image + coverage[..., None] * (over - image), np.float32)


def crop(image: Image, box: Box) -> Float:
    """Returns a box of a picture as float32 (h, w, 3), 0 to 255."""
    x0, y0, x1, y1 = box
    return image[y0:y1, x0:x1].astype(np.float32)
