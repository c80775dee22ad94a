"""Windows: the same field as that of the whole frame, for the work of a window only."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Box, Image, Landmarks, Match, Matcher, detect_landmarks
from correspondence.face.mesh import face_reference, landmark_field, similarity
from correspondence.face.topology import LIPS, RIGID
from correspondence.geometry import flow as flow_module
from correspondence.geometry.region import GRID, Part, Region, crop, crop_part, ideal_region
from correspondence.matchers import coarse
from correspondence.matchers.bias import added
from correspondence.matchers.reuse import Carried
from correspondence.matchers.windows import (
    EVERY,
    LEAST_MARGIN,
    MOST,
    WindowMatch,
    beyond_landmarks,
    choose_parts,
    even,
    face_patch,
    is_due,
)
from correspondence.types import Float


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return Matcher.load("classical", cover=False)


@pytest.fixture(scope="module")
def pair(astronaut: Image) -> tuple[Image, Landmarks, Image, Landmarks]:
    """A portrait and a later frame: the head moved, turned by 8 degrees and 6 % nearer."""
    large = np.asarray(cv2.resize(astronaut, (1024, 1024), interpolation=cv2.INTER_LINEAR), np.uint8)
    turn = cv2.getRotationMatrix2D((450.0, 230.0), 8.0, 1.06) + np.array([[0, 0, 14.0], [0, 0, 9.0]])
    moved = np.asarray(cv2.warpAffine(large, turn, (1024, 1024), borderMode=cv2.BORDER_REFLECT), np.uint8)
    first, second = detect_landmarks(large), detect_landmarks(moved)
    assert first is not None
    assert second is not None
    return large, first, moved, second


def lips_box(face: Landmarks, margin: int = 12) -> Box:
    points = face.points[list(LIPS), :2]
    (x0, y0), (x1, y1) = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    return int(x0) - margin, int(y0) - margin, int(x1) + margin, int(y1) + margin


def in_window(
    matcher: Matcher, pair: tuple[Image, Landmarks, Image, Landmarks], previous: Match | None = None
) -> WindowMatch:
    image, face, frame, seen = pair
    prepared = matcher.prepare(image, face) if previous is None else previous.prepared  # type: ignore[attr-defined]
    match = matcher.match(frame, prepared, previous, seen, window=lips_box(seen))
    assert isinstance(match, WindowMatch)
    return match


def test_a_window_has_the_field_of_the_whole_frame(matcher: Matcher, pair: Any) -> None:
    image, face, frame, seen = pair
    box = lips_box(seen)
    whole = matcher.match(frame, matcher.prepare(image, face), None, seen)
    first = in_window(matcher, pair)
    later = in_window(matcher, pair, first)
    assert (first.age, later.age) == (0, 1)
    for match in (first, later):
        field, log_b = match.window(box)
        expected, sure = whole.window(box)
        apart = np.linalg.norm(field - expected, axis=2)
        assert np.median(apart) < 0.3
        assert np.percentile(apart, 95) < 1.2
        assert np.abs(log_b - sure).mean() < 0.5


def test_a_window_matches_the_pixels_of_the_window_only(
    matcher: Matcher, pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, face, frame, seen = pair
    match = in_window(matcher, pair)
    cells: list[int] = []
    flow = flow_module._flow

    def counted(source: Any, *rest: Any) -> Any:
        cells.append(source.size)
        return flow(source, *rest)

    monkeypatch.setattr(flow_module, "_flow", counted)
    in_window(matcher, pair, match)
    within = sum(cells)
    cells.clear()
    matcher.match(frame, matcher.prepare(image, face), None, seen)
    assert 0 < within < 0.25 * sum(cells)


def test_the_flow_of_the_whole_frame_is_computed_at_intervals(
    matcher: Matcher, pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    whole = coarse.coarse_field

    def counted(*args: Any) -> Any:
        computed.append(len(computed))
        return whole(*args)

    monkeypatch.setattr(coarse, "coarse_field", counted)
    match: WindowMatch | None = None
    ages: list[int] = []
    for _ in range(2 * EVERY):
        assert is_due(match, match.prepared if match is not None else matcher.prepare(*pair[:2])) == (
            len(ages) % EVERY == 0
        )
        match = in_window(matcher, pair, match)
        ages.append(match.age)
    assert ages == 2 * list(range(EVERY))
    assert len(computed) == 2


def test_a_box_that_leaves_the_region_is_matched_as_a_whole(matcher: Matcher, pair: Any) -> None:
    image, face, frame, seen = pair
    prepared = matcher.prepare(image, face)
    for box in ((0, 0, 1024, 1024), (2, 2, 60, 60)):
        match = matcher.match(frame, prepared, None, seen, window=box)
        assert not isinstance(match, WindowMatch)
        np.testing.assert_array_equal(match.field, matcher.match(frame, prepared, None, seen).field)
    assert not isinstance(matcher.match(frame, prepared, None, None, window=(2, 2, 60, 60)), WindowMatch)


def test_beyond_the_window_the_face_follows_its_landmarks(matcher: Matcher, pair: Any) -> None:
    match = in_window(matcher, pair)
    _, face, _, seen = pair
    brow = seen.points[9, :2]
    x, y = (int(v) for v in brow)
    field, _ = match.window((x, y, x + 1, y + 1))
    assert np.abs(brow + field[0, 0] - face.points[9, :2]).max() < 4


def test_windows_of_frame_and_reference_have_one_size_and_are_kept(pair: Any) -> None:
    _, face, _, seen = pair
    region = even(ideal_region(seen, (1024, 1024)))
    assert region is not None
    assert region.side % 32 == 0
    reference = face_reference(face, ideal_region(face, (1024, 1024))).points
    box = lips_box(seen)
    found = choose_parts(box, region, seen, reference, None)
    assert found is not None
    here, there = found
    assert here.shape == there.shape
    assert here.columns * here.rows <= MOST * GRID * GRID
    left, _, _, bottom = region.pixels_of(here)
    margin = LEAST_MARGIN * region.side / GRID
    assert left <= box[0] - margin
    assert bottom >= box[3] + margin
    nudged = (box[0] + 6, box[1] + 6, box[2] + 6, box[3] + 6)
    kept = choose_parts(nudged, region, seen, reference, here)
    assert kept is not None
    assert kept[0] == here
    far = (box[0] - 60, box[1] - 40, box[2] - 60, box[3] - 40)
    moved = choose_parts(far, region, seen, reference, here)
    assert moved is not None
    assert moved[0] != here


def test_a_part_is_cropped_like_the_whole_region(pair: Any) -> None:
    frame = pair[2]
    for region in (Region(130, -60, 992), Region(300, 100, 320), Region(-40, 700, 640)):
        part = Part(64, 8, 96, 120)
        whole, cut = crop(frame, region)[part.cells], crop_part(frame, region, part)
        assert cut.shape == whole.shape
        assert np.abs(whole.astype(int) - cut).max() <= 2


@pytest.mark.parametrize("here", [Part(88, 120, 72, 56), Part(40, 24, 176, 200), Part(0, 0, 64, 64)])
def test_a_part_of_the_landmark_field_is_that_of_the_whole(pair: Any, here: Part) -> None:
    _, face, _, seen = pair
    region, own = (ideal_region(f, (1024, 1024)) for f in (seen, face))
    reference, there = face_reference(face, own), Part(here.x + 8, here.y + 16, here.columns, here.rows)
    whole, part = (
        landmark_field(seen, reference, region),
        landmark_field(seen, reference, region, here, there),
    )
    np.testing.assert_array_equal(part.inside, whole.inside[here.cells])
    apart = np.abs(part.field + (8, 16) - whole.field[here.cells])
    assert apart[part.inside].max(initial=0) < 1e-3
    assert apart.mean() < 0.1
    assert apart.max() < 1, "beyond the mesh its outline is drawn on a grid of 4 cells"
    assert np.abs(part.validity - whole.validity[here.cells]).max() < 0.06


def test_what_the_whole_frame_showed_moves_with_the_head(pair: Any) -> None:
    _, face, _, seen = pair
    first, second = (even(ideal_region(f, (1024, 1024))) for f in (face, seen))
    assert first is not None
    assert second is not None
    reference = face_reference(face, ideal_region(face, (1024, 1024)))
    here = Part(64, 64, 128, 128)
    before, now = (
        landmark_field(f, reference, r, here) for f, r in zip((face, seen), (first, second), strict=True)
    )

    def bump(region: Region, landmarks: Landmarks) -> Float:
        """A difference of (3, -2) cells around the tip of the nose."""
        at = region.to_grid(landmarks.points[4:5, :2])[0] - (here.x, here.y)
        y, x = np.mgrid[: here.rows, : here.columns]
        near = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 12.0**2))
        return np.asarray(near[..., None] * (3, -2), np.float32)

    scene = Carried(beyond_landmarks(before.field + bump(first, face), before), first, here, face)
    carried = added(now.field, scene.on(second, here, seen)) - now.field
    np.testing.assert_allclose(carried, bump(second, seen), atol=0.35)


def test_the_patch_of_a_face_is_its_affine_motion(pair: Any) -> None:
    _, face, _, _ = pair
    rigid = list(RIGID)
    turn = np.array([[1.1, 0.2, 15], [-0.1, 0.9, 8]], np.float32)
    points = face.points.copy()
    points[:, :2] = points[:, :2] @ turn[:, :2].T + turn[:, 2]
    patch = face_patch(Landmarks(points, face.image_size), face)
    assert similarity(points[rigid, :2], face.points[rigid, :2]).shape == (2, 3)
    for index in (1, 33, 152, 454):
        x, y = (int(v) for v in points[index, :2])
        dx, dy, log_b = patch.sample((x, y, x + 1, y + 1))[0, 0]
        back = np.linalg.solve(turn[:, :2], np.array([x, y]) - turn[:, 2])
        assert np.abs((x + dx, y + dy) - back).max() < 0.2
        assert log_b == pytest.approx(np.log(0.5))
