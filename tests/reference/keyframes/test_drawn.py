from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import pytest

from correspondence import Float, Image, Landmarks
from correspondence.face.topology import OVAL
from reference import CompositeConfig, FillHint
from reference.face.parts import INNER_LIPS, OUTER_LIPS
from reference.keyframes.drawn import draw, filled
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.sights import EditStyle, Sight, sight_of
from tests.reference.helpers import FakeMatcher, FakePrepared, MapMatcher, paint_square

SIZE = (128, 128)
LOOK = EditStyle("delta", 1.0, CompositeConfig(follow_light=False))
PAINT = (32, 32, 96, 96)
SURE, UNSURE = -3.0, 7.0


def gray(level: int = 120) -> Image:
    return np.full((*SIZE, 3), level, np.uint8)


def keyframe(colour: tuple[int, int, int], image: Image | None = None) -> Keyframe:
    image = gray() if image is None else image
    prepared: Any = FakePrepared(image, None)
    return Keyframe(image, paint_square(image, PAINT, colour), prepared)


def sights(frame: Image, known: list[tuple[Keyframe, Float]]) -> list[Sight]:
    matcher: Any = MapMatcher({id(k.prepared): log_b for k, log_b in known})
    return [sight_of(frame, None, k, matcher, LOOK, radius=0.02, threshold=0.5) for k, _ in known]


def sure_of(columns: slice) -> Float:
    log_b = np.full(SIZE, UNSURE, np.float32)
    log_b[:, columns] = SURE
    return log_b


def test_the_earliest_sure_keyframe_gives_each_pixel() -> None:
    red, green = keyframe((200, 60, 60)), keyframe((60, 200, 60))
    frame = gray()
    everywhere = sure_of(np.s_[:])
    drawn = draw(frame, sights(frame, [(red, everywhere), (green, everywhere)]), LOOK)
    np.testing.assert_allclose(drawn.edited[64, 64], (200, 60, 60), atol=1)
    drawn = draw(frame, sights(frame, [(red, sure_of(np.s_[:64])), (green, everywhere)]), LOOK)
    np.testing.assert_allclose(drawn.edited[64, 40], (200, 60, 60), atol=2)
    np.testing.assert_allclose(drawn.edited[64, 88], (60, 200, 60), atol=2)
    assert drawn.known == pytest.approx(1, abs=0.01)
    assert not drawn.hole.any()


def test_two_keyframes_meet_without_a_seam() -> None:
    one, other = keyframe((170, 120, 120)), keyframe((150, 120, 120))
    frame = gray()
    pairs = [(one, sure_of(np.s_[:64])), (other, sure_of(np.s_[:]))]
    drawn = draw(frame, sights(frame, pairs), LOOK)
    row = drawn.edited[64, 36:92, 0].astype(int)
    assert row[0] - row[-1] >= 19
    assert np.abs(np.diff(row)).max() <= 3  # of a step of 20
    assert (np.diff(row) <= 0).all()


def test_unedited_pixels_are_the_frames_own(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    k = keyframe((200, 60, 60))
    for log_b in (sure_of(np.s_[:]), sure_of(np.s_[:64]), sure_of(np.s_[:0])):
        drawn = draw(frame, sights(frame, [(k, log_b)]), LOOK)
        far = k.edited == k.image
        far[PAINT[1] - 6 : PAINT[3] + 6, PAINT[0] - 6 : PAINT[2] + 6] = False
        np.testing.assert_array_equal(drawn.edited[far], frame[far])
        assert not drawn.hole[far.all(axis=2)].any()


def test_what_nobody_knows_is_coloured_where_colour_is_all(rng: np.random.Generator) -> None:
    frame = rng.integers(90, 150, (*SIZE, 3)).astype(np.uint8)
    table = np.clip(np.arange(256) * 0.7 + 60, 0, 255).astype(np.uint8)
    edited = frame.copy()
    x0, y0, x1, y1 = PAINT
    edited[y0:y1, x0:x1] = table[frame[y0:y1, x0:x1]]
    prepared: Any = FakePrepared(frame, None)
    k = Keyframe(frame, edited, prepared)
    drawn = draw(frame, sights(frame, [(k, sure_of(np.s_[:0]))]), LOOK)
    assert drawn.known == pytest.approx(0, abs=0.05)
    off = np.abs(drawn.edited.astype(int) - edited)[y0 + 6 : y1 - 6, x0 + 6 : x1 - 6]
    assert off.mean() < 2
    assert not drawn.hole[y0 + 6 : y1 - 6, x0 + 6 : x1 - 6].any()


def test_what_is_more_than_colour_stays_live_until_it_is_filled(rng: np.random.Generator) -> None:
    frame = gray()
    x0, y0, x1, y1 = PAINT
    edited = frame.copy()
    edited[y0:y1, x0:x1] = np.where(rng.random((y1 - y0, x1 - x0, 1)) < 0.5, 20, 220)
    prepared: Any = FakePrepared(frame, None)
    k = Keyframe(frame, edited, prepared)
    seen = sights(frame, [(k, sure_of(np.s_[:64]))])
    drawn = draw(frame, seen, LOOK)
    np.testing.assert_allclose(drawn.edited[40:88, 86:90], 120, atol=2)
    assert drawn.hole[64, 86:90].min() > 0.9
    assert drawn.hole[64, 40] == 0
    asked: list[FillHint] = []

    def fill(image: Image, mask: Float, hint: FillHint) -> Image:
        asked.append(hint)
        np.testing.assert_array_equal(image, drawn.edited)
        return np.where(mask[..., None] > 0, np.uint8(7), image).astype(np.uint8)

    whole = filled(drawn, None, seen[0], fill)
    assert (whole[drawn.hole > 0] == 7).all()
    np.testing.assert_array_equal(whole[drawn.hole == 0], drawn.edited[drawn.hole == 0])
    assert asked[0].reference is k.edited


def test_a_fill_must_keep_to_its_hole() -> None:
    frame = gray()
    seen = sights(frame, [(keyframe((200, 60, 60)), sure_of(np.s_[:64]))])
    drawn = draw(frame, seen, LOOK)
    with pytest.raises(ValueError, match="outside its mask"):
        filled(drawn, None, seen[0], lambda image, mask, hint: np.zeros_like(image))
    with pytest.raises(ValueError, match="must return uint8"):
        filled(drawn, None, seen[0], lambda image, mask, hint: image[:3])
    with pytest.raises(ValueError, match="at least one"):
        draw(frame, [], LOOK)


def test_paint_of_the_face_lies_where_the_mesh_carries_it(astronaut: Image, face: Landmarks) -> None:
    x, y = (int(v) for v in face.points[50, :2])  # on a cheek
    edited = paint_square(astronaut, (x - 5, y - 5, x + 5, y + 5), (20, 200, 40))
    prepared: Any = FakePrepared(astronaut, face)
    k = Keyframe(astronaut, edited, prepared)
    moved = Landmarks((face.points + np.array([0, 120, 0])).astype(np.float32), face.image_size)
    matcher: Any = FakeMatcher(face)  # its field stands still and is wrong
    sight = sight_of(astronaut, moved, k, matcher, LOOK, radius=0.03, threshold=0.5)
    assert sight.mask[y + 120, x] > 0.9
    assert sight.mask[y, x] == 0
    np.testing.assert_allclose(sight.places[y + 120, x], (x, y), atol=1.5)


def test_what_no_match_is_sure_of_comes_by_the_mesh(astronaut: Image, face: Landmarks) -> None:
    x, y = (int(v) for v in face.points[50, :2])
    edited = paint_square(astronaut, (x - 5, y - 5, x + 5, y + 5), (20, 200, 40))
    prepared: Any = FakePrepared(astronaut, face)
    k = Keyframe(astronaut, edited, prepared)
    down = Landmarks((face.points + np.array([0, 60, 0])).astype(np.float32), face.image_size)
    frame = np.roll(astronaut, 60, axis=0)
    matcher: Any = MapMatcher({id(prepared): np.full((512, 512), UNSURE, np.float32)})
    sight = sight_of(frame, down, k, matcher, LOOK, radius=0.03, threshold=0.5)
    drawn = draw(frame, [sight], LOOK)
    np.testing.assert_allclose(drawn.edited[y + 60, x], (20, 200, 40), atol=6)
    np.testing.assert_array_equal(drawn.edited[y - 10 : y + 10, x], frame[y - 10 : y + 10, x])
    assert drawn.known > 0.9
    assert not drawn.hole.any()


def test_a_mouth_that_opens_stays_live_in_the_keyframe(astronaut: Image, face: Landmarks) -> None:
    # Paint all over the mouth, which the reference shows less open than the frame does.
    low, high = face.points[list(OUTER_LIPS), :2].min(axis=0), face.points[list(OUTER_LIPS), :2].max(axis=0)
    x0, y0, x1, y1 = (int(v) for v in (*low - 4, *high + 4))
    edited = paint_square(astronaut, (x0, y0, x1, y1), (30, 120, 220))
    points = face.points.copy()
    inner = list(INNER_LIPS)
    middle = points[inner, 1].mean()
    points[inner, 1] = middle + 6 * (points[inner, 1] - middle)
    opened = Landmarks(points, face.image_size)
    prepared: Any = FakePrepared(astronaut, face)
    matcher: Any = FakeMatcher(face)
    sight = sight_of(
        astronaut, opened, Keyframe(astronaut, edited, prepared), matcher, LOOK, radius=0.03, threshold=0.5
    )
    x, y = (int(v) for v in points[inner, :2].mean(axis=0))
    assert sight.mask[y - 2 : y + 3, x - 2 : x + 3].max() == 0
    assert sight.mask[y0 - 1 : y0 + 3, x].max() > 0.9
    drawn = draw(astronaut, [sight], LOOK)
    np.testing.assert_array_equal(
        drawn.edited[y - 2 : y + 3, x - 2 : x + 3], astronaut[y - 2 : y + 3, x - 2 : x + 3]
    )


UNDER_LIP = (18, 83, 182, 106, 43, 313, 406, 335, 273)  # the ring of the mesh below the lower lip


@pytest.mark.parametrize(("broad", "expected"), [(False, 0.0), (True, 1.0)])
def test_skin_that_the_keyframe_hid_under_a_lip_is_edited_only_by_a_broad_edit(
    astronaut: Image, face: Landmarks, broad: bool, expected: float
) -> None:
    points = face.points.copy()
    points[list(UNDER_LIP), 1] = points[14, 1] + 2  # folded up over the lower lip, and behind it
    points[list(UNDER_LIP), 2] += 30
    folded = Landmarks(points, face.image_size)
    area = np.zeros(face.image_size, np.uint8)
    numbers = OVAL if broad else OUTER_LIPS
    cv2.fillPoly(area, [np.rint(points[list(numbers), :2]).astype(np.int32)], 1)
    edited = astronaut.copy()
    edited[area > 0] = (200, 30, 60)
    k = Keyframe(astronaut, edited, cast(Any, FakePrepared(astronaut, folded)))
    sight = sight_of(astronaut, face, k, cast(Any, FakeMatcher(face)), LOOK, radius=0.03, threshold=0.5)
    x, y = (face.points[17, :2] * 0.4 + face.points[18, :2] * 0.6).round().astype(int)
    on_lip = face.points[[0, 11], :2].mean(axis=0).round().astype(int)
    assert sight.mask[y, x] == pytest.approx(expected, abs=0.05)
    assert sight.mask[on_lip[1], on_lip[0]] > 0.9
