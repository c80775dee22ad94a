"""The thorough matcher, for files. It refines another matcher's field by flow at the picture's own size.

Each pixel has three candidates: the field of the network or the classical matcher (the base), DIS flow
between the whole pictures (MEDIUM preset, down to single pixels), and such a flow started from the base's
field. The candidate that explains the frame best around the pixel is taken. On skin, lips and eyes known
from landmarks, flow that leads elsewhere has a cost, since flow slides there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from correspondence.face import topology as topo
from correspondence.geometry.flow import SMALLEST_SIDE, medium_flow, sample
from correspondence.geometry.grid import Float, pixel_grid
from correspondence.matchers.backend import Backend
from correspondence.matchers.choice import BITS, apart, corners, drawn_parts, mix
from correspondence.matchers.classical import gray_of
from correspondence.matchers.coarse import Begun
from correspondence.matchers.thorough_doubt import SIDE, features, judged
from correspondence.types import DETECT, Image, Match, MaybeLandmarks, Patch, Prepared, check_image

LONGEST_SIDE = 1280  # larger frames are matched at this size; a flow takes 0.2 us for each pixel on one core
WINDOW = (5, 5)  # pixels over which the pictures are compared
SHARPNESS = 1.0  # gray levels over which the choice changes from one candidate to another
SEAM = 1.0  # pixels over which neighbouring choices are blended
# Costs of flow, in gray levels, on parts known from landmarks. They were chosen on eight training clips with
# the classical base: 33.46 dB and a landmark error of 0.98 px. Half of these costs with flow at half
# resolution gave 33.34 dB and 1.20 px, the base alone 31.27 dB and 0.75 px, DIS alone 33.66 dB and 4.71 px.
SKIN_PRICE = 6.0
FAR_PRICE = 3.0  # for each pixel beyond the first by which flow differs from the base, at 512 pixels
PART_PRICE = 12.0  # on lips, eyes and brows
EVEN = np.full((1, 3), 1 / 3, np.float32)  # weights of the channels in a difference
_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="thorough")


@dataclass(frozen=True, eq=False)
class ThoroughMatch(Match):
    """A match that keeps the base's match, which serves as the previous match of the next frame.

    Attributes:
        base: the match of the network or the classical matcher.
    """

    base: Match


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """A refined field with the features of its error.

    Attributes:
        base: the match of the network or the classical matcher.
        field: the refined field, float32 (h, w, 2), pixels at the working size.
        features: what the judge weighs; see `thorough_doubt.features`.
    """

    base: Match
    field: Float
    features: list[Float]


class ThoroughMatcher:
    """Refines the field of a base matcher at each pixel. It is safe to share between threads.

    Args:
        base: the network or the classical matcher.
    """

    kind = "thorough"

    def __init__(self, base: Backend) -> None:
        self.base = base

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> Prepared:
        """Prepare a reference; see `Matcher.prepare`."""
        return self.base.prepare(image, landmarks)

    def begin(self, frame: Image, prepared: Prepared) -> Begun:
        """Start the part of a match that needs no landmarks; see `Matcher.begin`."""
        return self.base.begin(frame, prepared)

    def match(
        self,
        frame: Image,
        prepared: Prepared,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
        begun: Begun | None = None,
    ) -> Match:
        """Find the place of each pixel of `frame` in the reference; see `Matcher.match`.

        A frame with a side below `SMALLEST_SIDE` at the working size gets the base's match.
        """
        size = check_image(frame, "frame")
        last = previous.base if isinstance(previous, ThoroughMatch) else previous
        shrink = min(1.0, LONGEST_SIDE / max(size))
        work = max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))
        if min(work) < SMALLEST_SIDE:
            return self.base.match(frame, prepared, last, landmarks, begun)
        found = self.refine(frame, prepared, last, landmarks, begun, work)
        return _assemble(found.base, found.field, judged(found.features, work))

    def refine(
        self,
        frame: Image,
        prepared: Prepared,
        previous: Match | None,
        landmarks: MaybeLandmarks,
        begun: Begun | None,
        work: tuple[int, int],
    ) -> Refined:
        """Compute the refined field and the features of its error.

        Both pictures are resized to the working size `work`, (h, w). The other arguments are those of
        `match`.
        """
        here, there = _resized(frame, work), _resized(prepared.image, work)
        grays = gray_of(here), gray_of(there)
        free = _pool.submit(medium_flow, *grays, full=True)
        back = _pool.submit(medium_flow, *grays[::-1])
        base = self.base.match(frame, prepared, previous, landmarks, begun)
        start, known = _on_work(base, work), _known(base, work)
        fields = start, free.result(), medium_flow(*grays, start, full=True)
        field = _choose(list(fields), here, there, known)
        log_b = cv2.resize(base.log_b, work[::-1], interpolation=cv2.INTER_AREA)
        log_b -= np.float32(np.log(_scale(base.reference_size, work).mean()))
        return Refined(base, field, features(field, fields, back.result(), log_b, (here, there), known))


def _resized(image: Image, size: tuple[int, int]) -> Image:
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _scale(size: tuple[int, int], other: tuple[int, int]) -> Float:
    """Return the number of pixels at `size` for each pixel at `other`, along x and y. Sizes are (H, W)."""
    return np.array([size[1] / other[1], size[0] / other[0]], np.float32)


def _on_work(match: Match, work: tuple[int, int]) -> Float:
    """Convert a match's field to pictures of size `work`: float32 (h, w, 2), pixels at that size."""
    field = match.field
    at = pixel_grid(*match.frame_size) + field
    there = (at + np.float32(0.5)) * _scale(work, match.reference_size) - np.float32(0.5)
    if match.frame_size != work:
        there = cv2.resize(there, work[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(there - pixel_grid(*work), np.float32)


def _known(match: Match, work: tuple[int, int]) -> Float:
    """Masks from a frame's landmarks: skin, and lips with eyes and brows; float32 (h, w, 2), [0, 1]."""
    if match.landmarks is None:
        return np.zeros((*work, 2), np.float32)
    points = (match.landmarks.points[:, :2] + np.float32(0.5)) * _scale(work, match.frame_size) - 0.5
    skin, parts = np.zeros(work, np.uint8), drawn_parts(points, work)
    cv2.fillPoly(skin, [corners(points, topo.OVAL)], 255, 8, BITS)
    face = float(np.ptp(points[list(topo.OVAL)], axis=0).max())
    reach = 2 * max(1, round(0.02 * face)) + 1
    parts = cv2.dilate(parts, np.ones((reach, reach), np.uint8))
    both = cv2.blur(cv2.merge([skin, parts]), (reach, reach))
    return np.asarray(both.astype(np.float32) / 255, np.float32)


def _choose(fields: list[Float], here: Image, there: Image, known: Float) -> Float:
    """Choose the field that explains the frame best at each pixel. The first field contains the landmarks."""
    grid = pixel_grid(*here.shape[:2])
    unit = min(here.shape[:2]) / SIDE
    costs = []
    for field in fields:
        difference = cv2.absdiff(sample(there, grid + field), here).astype(np.float32)
        cost = cv2.blur(cv2.transform(difference, EVEN), WINDOW)
        if field is not fields[0]:
            away = apart(field, fields[0]) / np.float32(unit)
            cost += known[..., 0] * (SKIN_PRICE + FAR_PRICE * np.maximum(away - 1, 0))
            cost += known[..., 1] * PART_PRICE
        costs.append(cost)
    low = np.minimum.reduce(costs)
    weights = [cv2.GaussianBlur(cv2.exp((low - cost) / SHARPNESS), (0, 0), SEAM) for cost in costs]
    return mix(fields, weights)[0]


def _assemble(base: Match, field: Float, log_b: Float) -> ThoroughMatch:
    """Make a match from a field and its log_b, both in pixels at the working size."""
    height, width = base.frame_size
    work = field.shape[0], field.shape[1]
    to_reference, to_frame = _scale(base.reference_size, work), _scale(base.frame_size, work)
    grid = pixel_grid(*work) + np.float32(0.5)
    shift = (grid + field) * to_reference - grid * to_frame
    values = np.dstack([shift, log_b + np.log(to_reference.mean())]).astype(np.float32)
    patch = Patch(values, (0, 0, width, height))
    return ThoroughMatch((patch,), base.landmarks, base.frame_size, base.reference_size, base)
