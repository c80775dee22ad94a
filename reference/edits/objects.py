"""Finds the objects that an edit puts in front of the face (glasses, a hat, a beard) among colour and paint.

A change of colour keeps the texture below it. An object hides that texture, or has a texture of its own.
Where the reference is too smooth to decide, the surroundings decide. An object that spans both eyes, hides
one, or lies largely beside the face is rigid and moves with the head as one piece (see `rigid`). An object on
the lower face moves with the skin. Both are laid over the frame and not added to it, because otherwise what
they hide would shine through.

The residual of local affine colour maps (`affine_grid.structure`) does not identify objects: it is small for
a plain hat, and large for freckles.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image, Landmarks
from reference.edits.edit import Edit
from reference.edits.mask import smoothstep
from reference.face.parts import FACE_OVAL, LEFT_EYE, RIGHT_EYE, face_size, take

LEAST_CHANGE = 8  # pixels that change by less belong to a rim, levels
QUIET = 9.0  # variance of luma below which there is no texture to judge by, levels squared
WINDOW = 0.025  # half the side of the window in which texture is judged, face sizes
NEARBY = 0.1  # sigma of the neighbourhood that decides where texture cannot, face sizes
OBJECT = 0.5  # least mean cover of an object
SURE_OBJECT = 0.8  # least mean cover of an object on the skin of the lower face
LEAST_AREA = 0.01  # least area of a rigid object (half of this) and of a beard, squares of the face size
LOWER = 0.1  # largest share of a rigid object's area on the lower face or below
BESIDE = 0.35  # least share of a hat's area beside the face
TOUCH = 0.08  # largest distance of a hat from the face, face sizes; others may hang on the wall
HIDDEN_EYE = 0.6  # least share of an eye's opening that an eye patch hides
BAND = 0.5  # distance from the line through the eyes within which glasses lie, distances of the eyes
IN_BAND = 0.6  # least share of the area of glasses within that distance
LENS = 0.4  # half the width of a lens, distances of the eyes


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """The objects of an edit, as cover on its reference.

    Attributes:
        rigid: cover of the objects that move with the head as one piece, float32 (H, W) in [0, 1]; None if
            there are none.
        soft: cover of the objects that move with the skin and hide it, float32 (H, W) in [0, 1]; None if
            there are none.
    """

    rigid: Float | None = None
    soft: Float | None = None


def find_objects(edit: Edit, landmarks: Landmarks | None) -> Objects:
    """Finds the objects of an edit.

    In mode "auto" objects are recognised by how they look. In mode "layer" the whole edit is one rigid
    object. There are none in other modes, without a face, or for a global edit in mode "auto". What is known
    to lie on the skin is a soft object, see `Edit.skin`.

    Args:
        edit: the edit.
        landmarks: landmarks of its reference; None without a face.
    """
    if edit.box is None or landmarks is None:
        return Objects()
    if edit.mode == "layer":
        return Objects(rigid=edit.mask)
    if edit.mode != "auto" or edit.is_global:
        return Objects()
    reach = round(3 * NEARBY * face_size(landmarks))
    x0, y0, x1, y1 = edit.box
    height, width = edit.mask.shape
    x0, y0, x1, y1 = max(0, x0 - reach), max(0, y0 - reach), min(width, x1 + reach), min(height, y1 + reach)
    cut = np.s_[y0:y1, x0:x1]
    before, after = (np.ascontiguousarray(image[cut]) for image in (edit.reference, edit.edited))
    core = (edit.mask[cut] > 0.5) & (cv2.absdiff(before, after).max(axis=2) > LEAST_CHANGE)
    if edit.skin is not None:
        core &= edit.skin[cut] == 0
    cover = hiding(before, after, core, face_size(landmarks))
    kinds = _kinds(core, cover, landmarks, (x0, y0))
    found: list[Float | None] = []
    for kind in (1, 2):
        if not (kinds == kind).any():
            found.append(None)
            continue
        alpha = np.zeros_like(edit.mask)
        alpha[cut] = _alpha(cover, kinds == kind, edit.mask[cut])
        found.append(alpha)
    rigid, soft = found
    if edit.skin is not None:
        soft = edit.skin if soft is None else np.maximum(soft, edit.skin)
    return Objects(rigid, soft)


def frames_eyes(alpha: Float, landmarks: Landmarks) -> bool:
    """Whether an object spans both eyes and lies around them, as glasses do.

    Args:
        alpha: cover of the object, float32 (H, W), [0, 1].
        landmarks: landmarks of the picture that it lies on.
    """
    group = alpha > 0.5
    return bool(group.any()) and _Face(landmarks, alpha.shape, (0, 0)).frames_eyes(group)


def hiding(before: Image, after: Image, core: Bool, size: float) -> Float:
    """Computes how far each changed pixel hides what was there.

    In a window around each pixel, the luma after the edit is fitted by the luma before it. A pixel counts as
    hidden if texture is lost (a slope near 0), or if the fit leaves a large residual.

    Args:
        before, after: uint8 (H, W, 3).
        core: bool (H, W), the pixels that clearly changed.
        size: face size, pixels.

    Returns:
        float32 (H, W) in [0, 1], 0 outside `core`.
    """
    side = 2 * max(1, round(WINDOW * size)) + 1
    inside = core.astype(np.float32)
    weight = np.maximum(cv2.blur(inside, (side, side)), 1e-3)

    def mean(values: Float) -> Float:
        return np.asarray(cv2.blur(values * inside, (side, side)) / weight, np.float32)

    a, b = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) for image in (before, after))
    mean_a, mean_b = mean(a), mean(b)
    var_a: Float = np.maximum(mean(a * a) - mean_a**2, 0)
    var_b: Float = np.maximum(mean(b * b) - mean_b**2, 0)
    covariance = mean(a * b) - mean_a * mean_b
    rest = np.maximum(var_b - covariance**2 / (var_a + QUIET), 0)
    textured = smoothstep(var_a, 2 * QUIET, 10 * QUIET)
    lost = textured * (1 - smoothstep(covariance / (var_a + QUIET), 0.25, 0.6))
    new = smoothstep(rest, 2 * QUIET, 8 * QUIET) * smoothstep(rest / (var_a + QUIET), 0.5, 1.5)
    hides, known = np.maximum(lost, new), np.maximum(textured, new)
    sigma = NEARBY * size
    shares = [cv2.GaussianBlur(x * inside, (0, 0), sigma) for x in (hides, known)]
    nearby = np.clip(shares[0] / np.maximum(shares[1], 1e-4), 0, 1)
    return np.asarray((hides + (1 - known) * nearby) * inside, np.float32)


def _kinds(core: Bool, cover: Float, landmarks: Landmarks, corner: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Classifies pixels: 1 on rigid objects, 2 on soft ones, 0 elsewhere, uint8 (H, W)."""
    size = face_size(landmarks)
    close = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, round(0.01 * size)) + 1,) * 2)
    joined = cv2.morphologyEx(core.astype(np.uint8), cv2.MORPH_CLOSE, close)
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    face = _Face(landmarks, core.shape, corner)
    kinds = np.zeros(core.shape, np.uint8)
    for label in range(1, count):
        group = (labels == label) & core
        area = int(group.sum())
        if area < LEAST_AREA * size**2 * 0.5:
            continue
        covered = float(cover[group].mean())
        if covered >= OBJECT and face.holds_rigid(group, area):
            kinds[group] = 1
        elif covered >= SURE_OBJECT and area >= LEAST_AREA * size**2 and face.is_lower(group, area):
            kinds[group] = 2
    return kinds


def _alpha(cover: Float, of: Bool, mask: Float) -> Float:
    """Cover of one kind, float32 (H, W), with a soft rim of two pixels around it."""
    hard = (of * smoothstep(cover, 0.25, 0.6)).astype(np.float32)
    rim = cv2.blur(cv2.dilate(hard, np.ones((3, 3), np.uint8)), (3, 3))
    return np.asarray(np.maximum(np.minimum(rim, mask), hard), np.float32)


class _Face:
    """Tells where a group of pixels lies on the face.

    Args:
        landmarks: landmarks of the reference.
        shape: (H, W) of the window that is examined.
        corner: (x, y) of the window's first pixel on the reference.
    """

    def __init__(self, landmarks: Landmarks, shape: tuple[int, ...], corner: tuple[int, int]) -> None:
        eyes = np.stack([take(landmarks, eye).mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE)])
        across = eyes[1] - eyes[0]
        self._apart = max(float(np.linalg.norm(across)), 1.0)
        across = across / self._apart
        down = np.array([-across[1], across[0]], np.float32)
        x = np.arange(shape[1], dtype=np.float32)[None] + np.float32(corner[0]) - eyes[0, 0]
        y = np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(corner[1]) - eyes[0, 1]
        self._across = x * across[0] + y * across[1]  # from the right eye's centre towards the left's, pixels
        self._down = x * down[0] + y * down[1]  # distance below the line through the eyes, pixels
        self._nose = float((landmarks.points[2, :2] - eyes[0]) @ down)
        self._chin = float((landmarks.points[152, :2] - eyes[0]) @ down)
        oval = take(landmarks, FACE_OVAL)
        self._oval = self._drawn(oval, shape, corner)
        outward = oval - oval.mean(axis=0)
        length = np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-3)
        reach = np.float32(TOUCH * face_size(landmarks))
        self._near = self._drawn(oval + outward / length * reach, shape, corner)
        self._eyes = [self._drawn(take(landmarks, eye), shape, corner) for eye in (RIGHT_EYE, LEFT_EYE)]

    @staticmethod
    def _drawn(outline: Float, shape: tuple[int, ...], corner: tuple[int, int]) -> Bool:
        out = np.zeros(shape, np.uint8)
        at = np.asarray(outline - np.asarray(corner, np.float32), np.float32)
        cv2.fillPoly(out, [np.rint(at * 16).astype(np.int32)], 1, shift=4)
        return out > 0

    def holds_rigid(self, group: Bool, area: int) -> bool:
        """Whether a group of `area` pixels can be a rigid object such as glasses, an eye patch or a hat."""
        lower = group & (((self._down > self._nose) & self._oval) | (self._down > self._chin))
        if lower.sum() > LOWER * area:
            return False
        beside = int((group & ~self._oval).sum())
        if beside >= BESIDE * area:
            return bool((group & self._near).any())
        if any(int((group & eye).sum()) >= HIDDEN_EYE * max(int(eye.sum()), 1) for eye in self._eyes):
            return True
        return self.frames_eyes(group)

    def frames_eyes(self, group: Bool) -> bool:
        """Whether a group spans both eyes and lies around them. A stroke over the nose does not."""
        along, down = self._across[group], self._down[group]
        at_eyes = np.abs(down) < BAND * self._apart
        if along.min() >= 0 or along.max() <= self._apart or at_eyes.mean() < IN_BAND:
            return False
        above = at_eyes & (down < 0)
        return all(
            bool((above & (np.abs(along - eye) < LENS * self._apart)).any()) for eye in (0.0, self._apart)
        )

    def is_lower(self, group: Bool, area: int) -> bool:
        """Whether a group of `area` pixels can be a beard: it lies low and hardly reaches the eyes."""
        reaches_eyes = int((group & (self._down < 0)).sum()) > 0.05 * area
        return not reaches_eyes and float((self._down[group] > self._nose).mean()) > 0.5
