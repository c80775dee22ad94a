"""Tints the hair. It is found by its colour among what belongs to the person, and refused where it cannot be.

No network tells hair from the rest. Above the face's outline, pixels of the person that differ from the skin
are hair for sure. GrabCut (Rother et al. 2004) goes on from there to all that has their colours and hangs
together with them. The picture's edges give the outline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image, Landmarks
from reference.compose.guided import guided_mask
from reference.errors import EditError
from reference.face.parts import FACE_OVAL, face_size, take
from reference.painters.drawing import Rgb

SIDE = 320  # longer side of the window in which hair is searched, pixels
ROOM = (0.8, 0.9, 0.8, 1.0)  # of the window about the face's box: left, up, right, down, face sizes
PERSON = 0.9  # share of the person from which a pixel is theirs for sure
LEAST_ROOM, LEAST_HAIR = 0.04, 0.03  # least area above the forehead, and of sure hair, face sizes squared
APART = 38.0  # least difference between the colours of hair and skin, CIE Lab with lightness halved
DARKER = 25.0  # by so much the hair must be darker than the skin, levels of lightness
ONE_COLOUR = 16.0  # largest difference of hue that three quarters of the sure hair keep, a and b of CIE Lab
DENSE = 0.8  # least share of the hair's area without its gaps
ROUNDS = 4  # of GrabCut
KEPT_TONE = 0.25  # share of the hair's own colours that stays
_EARS, _CHIN, _TOP = (234, 454), 152, 10
_LAB = np.array([0.5, 1, 1], np.float32)
WAY_OUT = "; take a still in even light before another backdrop, or paint it"


def tinted(picture: Float, still: Image, person: Float, landmarks: Landmarks, colour: Rgb) -> Float:
    """Tint the hair of a picture.

    Args:
        picture: the picture, RGB float32 (H, W, 3), 0 to 255.
        still: the unedited picture, in which hair is searched, uint8 (H, W, 3).
        person: share of the person in each pixel, float32 (H, W), [0, 1].
        landmarks: landmarks of the face.
        colour: the hair's new colour.

    Returns:
        The changed picture, float32 (H, W, 3).

    Raises:
        EditError: the hair cannot be told from the rest; why is said.
    """
    share = hair_share(still, person, landmarks)
    lab = cv2.cvtColor(picture * np.float32(1 / 255), cv2.COLOR_RGB2LAB)
    wanted = cv2.cvtColor(np.array([[colour]], np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)[0, 0]
    light = lab[..., 0]
    mean = float((light * share).sum() / max(float(share.sum()), 1.0))
    lit = light + 0.6 * (wanted[0] - mean) * np.clip(light / max(mean, 1.0), 0.2, 1.4)
    lit = np.clip(lit, 0, 100)
    vivid = np.clip(lit / max(float(wanted[0]), 15.0), 0.35, 1.15)[..., None]
    made = np.dstack([lit, KEPT_TONE * lab[..., 1:] + wanted[1:] * vivid]).astype(np.float32)
    out = np.clip(cv2.cvtColor(made, cv2.COLOR_LAB2RGB), 0, 1) * np.float32(255)
    return np.asarray(picture + share[..., None] * (out - picture), np.float32)


def hair_share(still: Image, person: Float, landmarks: Landmarks) -> Float:
    """Find the hair, float32 (H, W), [0, 1]. This is slow.

    Raises:
        EditError: it cannot be told from the rest; why is said.
    """
    head = _Head.of(still, person, landmarks)
    sure = head.sure_hair()
    found = head.grown(sure)
    x0, y0, x1, y1 = head.box
    part = np.ascontiguousarray(still[y0:y1, x0:x1])
    soft = np.clip((guided_mask(found, part, radius=3) - 0.15) / 0.7, 0, 1)
    share = np.zeros(person.shape, np.float32)
    share[y0:y1, x0:x1] = soft * np.clip(1.5 * person[y0:y1, x0:x1], 0, 1)
    return share


def _refusal(why: str) -> EditError:
    return EditError(f"the hair cannot be told: {why}{WAY_OUT}")


@dataclass(frozen=True, slots=True, eq=False)
class _Head:
    """The window about a head, shrunk.

    Attributes:
        box: the window in the still, (x0, y0, x1, y1), pixels.
        image: the window, uint8 (h, w, 3).
        lab: its colours, float32 (h, w, 3), CIE Lab as OpenCV scales it for 8 bits.
        person: share of the person, float32 (h, w).
        points: x and y of the landmarks in the window, float32 (478, 2).
        unit: face size, pixels of the window.
        oval: the face, bool (h, w).
        away: distance from the face, face sizes, float32 (h, w).
        high, side: height above the top of the face and distance from its middle line, face sizes.
        skin: median colour of cheeks and nose, float32 (3,).
        unlike: how unlike the skin a pixel is, in standard deviations, float32 (h, w).
    """

    box: tuple[int, int, int, int]
    image: Image
    lab: Float
    person: Float
    points: Float
    unit: float
    oval: Bool
    away: Float
    high: Float
    side: Float
    skin: Float
    unlike: Float

    @classmethod
    def of(cls, still: Image, person: Float, landmarks: Landmarks) -> _Head:
        size, (h, w) = face_size(landmarks), person.shape
        left, top, right, bottom = landmarks.box
        x0, y0 = max(0, int(left - ROOM[0] * size)), max(0, int(top - ROOM[1] * size))
        x1, y1 = min(w, int(right + ROOM[2] * size)), min(h, int(bottom + ROOM[3] * size))
        scale = SIDE / max(x1 - x0, y1 - y0)
        small = (round((x1 - x0) * scale), round((y1 - y0) * scale))
        image, seen = (
            cv2.resize(np.ascontiguousarray(each[y0:y1, x0:x1]), small, interpolation=cv2.INTER_AREA)
            for each in (still, person)
        )
        points = ((landmarks.points[:, :2] - (x0, y0)) * scale).astype(np.float32)
        unit = size * scale
        drawn = np.zeros(seen.shape, np.uint8)
        outline = (take(landmarks, FACE_OVAL) - (x0, y0)) * scale
        cv2.fillPoly(drawn, [np.rint(outline).astype(np.int32)], 1)
        up = points[_TOP] - points[_CHIN]
        up = up / np.linalg.norm(up)
        y, x = np.mgrid[: seen.shape[0], : seen.shape[1]].astype(np.float32)
        apart = (np.dstack([x, y]) - points[_TOP]) / unit
        high = apart @ up
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
        inner = cv2.erode(drawn, np.ones((3, 3), np.uint8), iterations=max(1, int(0.03 * unit))) > 0
        sample = lab[inner & (high < -0.22)]
        skin = np.median(sample, axis=0) if len(sample) else np.zeros(3, np.float32)
        sample = sample[np.abs(sample - skin).max(axis=1) < 45]
        if len(sample) < 50:
            raise _refusal("the face is too small or too unevenly lit")
        inverse = np.linalg.inv(np.cov(sample.T) + np.diag([60.0, 9.0, 12.0]))
        off = cv2.GaussianBlur(lab, (0, 0), 1.2) - skin
        unlike = np.sqrt(np.einsum("hwi,ij,hwj->hw", off, inverse, off)).astype(np.float32)
        away = cv2.distanceTransform(1 - drawn, cv2.DIST_L2, 5) / np.float32(unit)
        side = apart @ np.array([-up[1], up[0]], np.float32)
        oval = drawn > 0
        return cls(
            (x0, y0, x1, y1), image, lab, seen, points, unit, oval, away, high, side, skin, unlike
        )  # fmt: skip

    def sure_hair(self) -> tuple[Bool, float]:
        """Pixels above the face that are hair for sure, and how unlike skin they are at least."""
        above = ~self.oval & (self.away > 0.03) & (self.away < 0.6) & (self.high > -0.1)
        above &= (np.abs(self.side) < 0.6) & (self.person > PERSON)
        if above.sum() < LEAST_ROOM * self.unit**2:
            raise _refusal("none is seen above the forehead")
        levels = np.clip(25 * self.unlike[above], 0, 255).astype(np.uint8)
        limit = float(np.clip(cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)[0] / 25, 2.2, 3.5))
        sure = (above & (self.unlike > limit)).view(np.uint8)
        hair: Bool = cv2.erode(sure, np.ones((3, 3), np.uint8)) > 0
        if hair.sum() < LEAST_HAIR * self.unit**2:
            raise _refusal("above the forehead is little but skin, or what looks like it")
        own = np.median(self.lab[hair], axis=0)
        hues = np.linalg.norm((self.lab[hair] - own)[:, 1:], axis=1)
        if np.percentile(hues, 75) > ONE_COLOUR:
            raise _refusal("it has several colours, or something lies over it")
        return hair, limit

    def grown(self, sure: tuple[Bool, float]) -> Float:
        """All hair, float32 (h, w), 0 or 1, from the part that is sure."""
        marks, hair = self._marks(*sure)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(1)
        bgr = cv2.cvtColor(self.image, cv2.COLOR_RGB2BGR)
        cv2.grabCut(bgr, marks, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
        found = ((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)).astype(np.uint8)
        found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        _, labels = cv2.connectedComponents(found)
        joined = np.unique(labels[hair & (found > 0)])
        found = np.isin(labels, joined[joined > 0])
        if found.sum() < LEAST_HAIR * self.unit**2:
            raise _refusal("it has no colour of its own")
        own = np.median(self.lab[found], axis=0)
        if np.linalg.norm((own - self.skin) * _LAB) < APART or own[0] > self.skin[0] - DARKER:
            raise _refusal("it is not clearly darker than the skin, or a hat covers it")
        side = max(3, int(0.12 * self.unit)) | 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        closed = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_CLOSE, disc) * ~self.oval
        if found.sum() < DENSE * closed.sum():
            raise _refusal("it is too thin")
        return found.astype(np.float32)

    def _marks(self, hair: Bool, limit: float) -> tuple[npt.NDArray[np.uint8], Bool]:
        """What GrabCut starts from, and the hair whose colour is typical."""
        own = np.median(self.lab[hair], axis=0)
        to_hair = np.linalg.norm((self.lab - own) * _LAB, axis=2)
        to_skin = np.linalg.norm((self.lab - self.skin) * _LAB, axis=2)
        typical = hair & (to_hair <= np.percentile(to_hair[hair], 75))
        theirs = self.person > 0.5
        marks = np.full(self.person.shape, cv2.GC_BGD, np.uint8)
        marks[(self.high > -1.9) & (self.person > 0.35)] = cv2.GC_PR_BGD
        near = ~self.oval & (self.away < 0.35) & (self.high > -0.6) & (self.unlike > 0.8 * limit)
        alike = ~self.oval & (to_hair <= np.percentile(to_hair[hair], 80)) & (self.unlike > limit)
        marks[theirs & (near | alike)] = cv2.GC_PR_FGD
        marks[self.oval] = cv2.GC_PR_BGD
        marks[self.oval & (self.high < -0.23)] = cv2.GC_BGD
        marks[theirs & (self.unlike < 0.55 * limit) & (self.high > -0.3) & (self.away < 0.4)] = cv2.GC_BGD
        marks[self._ears() & (to_skin < 0.8 * to_hair)] = cv2.GC_BGD
        marks[typical] = cv2.GC_FGD
        marks[self.person < 0.2] = cv2.GC_BGD
        low = self.high + float(np.linalg.norm(self.points[_TOP] - self.points[_CHIN])) / self.unit
        marks[(low < -0.05) & (np.abs(self.side) < 0.22)] = cv2.GC_BGD
        marks[low < -0.75] = cv2.GC_BGD
        return marks, typical

    def _ears(self) -> Bool:
        """Where the ears may be, bool (h, w)."""
        ears: Any = np.zeros(self.person.shape, np.uint8)
        middle = self.points[list(_EARS)].mean(axis=0)
        for number in _EARS:
            out = self.points[number] - middle
            at = self.points[number] + 0.06 * self.unit * out / np.linalg.norm(out)
            cv2.circle(ears, [round(float(v)) for v in at], round(0.16 * self.unit), 1, -1)
        return np.asarray(ears > 0)
