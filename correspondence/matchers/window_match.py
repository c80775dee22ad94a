"""Matches a window of a frame: the classical matcher's work, where an edit can land only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from correspondence.certainty.uncertainty import Evidence
from correspondence.face.mesh import LandmarkField, landmark_field
from correspondence.geometry.flow import SMOOTH, Gray, appearance, dis_flow, full_flow
from correspondence.geometry.grid import Float, shifted
from correspondence.geometry.region import GRID, Part, Region, choose_region, crop_part, shrink
from correspondence.matchers.bias import Seen, added, correction
from correspondence.matchers.choice import CHOICE, PRICE, choose, parts_of, weigh
from correspondence.matchers.classical import (
    ClassicalMatcher,
    ClassicalReference,
    fine_values,
    flow_back,
    gray_of,
    region_of,
    still_field,
    witness,
)
from correspondence.matchers.coarse import Begun, grid_patch
from correspondence.matchers.reuse import FINEST, Beside, Carried, takes_over
from correspondence.matchers.windows import (
    LEAST_MARGIN,
    WindowMatch,
    beyond_landmarks,
    choose_parts,
    even,
    face_patch,
    is_due,
    last_of,
)
from correspondence.types import Box, Image, Landmarks, Match, Patch

_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="window")


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A window of a frame and that of the reference.

    Attributes:
        region: the frame's region.
        here: the window on its grid.
        there: the window on the grid of the reference's region, of the same size.
    """

    region: Region
    here: Part
    there: Part

    @property
    def shift(self) -> Float:
        """What a displacement between the windows exceeds that between the grids by, float32 (2,), cells.

        Cells of a window count from its own first cell.
        """
        return np.array([self.here.x - self.there.x, self.here.y - self.there.y], np.float32)


def match_window(
    matcher: ClassicalMatcher,
    frame: Image,
    prepared: ClassicalReference,
    previous: Match | None,
    landmarks: Landmarks,
    begun: Begun | None,
    box: Box,
    thin: int = 0,
) -> WindowMatch | None:
    """Match a window around a box. None if that would save little, and the whole frame should be matched.

    Args:
        matcher: matches the whole frame at intervals.
        frame: the frame, RGB uint8 (H, W, 3).
        prepared: a reference from the matcher's `prepare`.
        previous: the match of the last frame; None without one.
        landmarks: landmarks of the frame's face.
        begun: the result of the matcher's `begin` for this frame, which has the flow of the whole frame.
        box: the part of the frame that is needed, (x0, y0, x1, y1), pixels.
        thin: how far the match gives way, see `reuse`.
    """
    if prepared.face is None or prepared.landmarks is None:
        return None
    size = (frame.shape[0], frame.shape[1])
    region = even(choose_region(landmarks, size, region_of(previous)))
    last = last_of(previous, prepared)
    if region is None:
        return None
    kept = last.here if last is not None and last.region == region else None
    parts = choose_parts(box, region, landmarks, prepared.face.points, kept)
    if parts is None:
        return None
    window = Window(region, *parts)
    face = landmark_field(landmarks, prepared.face, region, *parts)
    at = region, window.here, landmarks
    shared = last is not None and takes_over(last, prepared, thin)
    if last is not None and (shared or (begun is None and not is_due(last, prepared))):
        scene, outer, age = last.scene, last.patches[0], last.age + 1
    else:
        scene, outer = _seen(begun or matcher.begin(frame, prepared), prepared, window, face, landmarks)
        age = 0
    by_landmarks = shifted(face.field, -window.shift)
    if last is not None and shared:
        beside, bias = last.beside, last.bias
        values = beside.on(*at, by_landmarks)
    else:
        last_bias = None if last is None else last.bias.on(*at)
        field, evidence, found = _field(frame, prepared, window, face, scene, landmarks, last_bias, thin)
        values = fine_values(shifted(field, -window.shift), evidence)
        beside, bias = Beside(values, by_landmarks, *at), Carried(found, *at)
    fine = grid_patch(values, region, prepared.region, LEAST_MARGIN / 2 * region.side / GRID, window.here)
    return WindowMatch(
        (outer, face_patch(landmarks, prepared.landmarks), fine), landmarks, size, prepared.size,
        prepared=prepared, beside=beside, shared=shared, region=region, here=window.here, scene=scene,
        bias=bias, age=age,
    )  # fmt: skip


def _seen(
    begun: Begun, prepared: ClassicalReference, window: Window, face: LandmarkField, landmarks: Landmarks
) -> tuple[Carried, Patch]:
    """What the flow of the whole frame says about the window, and its patch."""
    coarse = begun.field()
    flow = shifted(coarse.on(window.region, prepared.region, GRID, window.here), window.shift)
    return Carried(beyond_landmarks(flow, face), window.region, window.here, landmarks), coarse.patch


def _field(
    frame: Image,
    prepared: ClassicalReference,
    window: Window,
    face: LandmarkField,
    scene: Carried,
    landmarks: Landmarks,
    last: Float | None,
    thin: int,
) -> tuple[Float, Evidence, Float]:
    """Compute the field of a window, float32 (H, W, 2), cells, and its evidence, as `fine_field` does.

    The third result is the correction of the landmarks' error in it. `last` is that of the frame before.
    """
    region, here, there = window.region, window.here, window.there
    known: Gray = np.ascontiguousarray(prepared.gray[there.cells])
    known_look: Image = np.ascontiguousarray(prepared.look[there.coarser(CHOICE).cells])
    inner = crop_part(frame, region, here)
    gray, look = gray_of(inner), appearance(shrink(inner, here.rows // CHOICE, here.columns // CHOICE))
    back = _pool.submit(flow_back, known, gray, face.field)
    if thin >= FINEST:
        guided = dis_flow(gray, known, face.field, smooth=SMOOTH)
    else:
        guided = full_flow(gray, known, face.field)
    size = (frame.shape[0], frame.shape[1])
    still = shifted(still_field(region, prepared, size, GRID, here), window.shift)
    fields = guided, added(face.field, scene.on(region, here, landmarks)), still, face.field
    candidates = weigh(fields, PRICE, look, known_look)
    parts = parts_of(landmarks, region, GRID // CHOICE, here.coarser(CHOICE))
    field, spread = choose(candidates, face, parts)
    bias = correction(field, Seen(candidates[0].small, face, parts, look, known_look), last)
    field = added(field, bias)
    evidence = witness(field, spread, candidates, face, parts, (look, known_look), back.result())
    return field, evidence, bias
