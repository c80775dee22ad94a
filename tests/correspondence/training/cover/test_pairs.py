from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from correspondence import Landmarks
from correspondence.cover.crop import SIDE
from correspondence.training.cover import drawn, worn
from correspondence.training.cover.data import Faces
from correspondence.training.cover.occluders import Covered
from correspondence.training.cover.pairs import NONE, CoverPairConfig, CoverPairs
from correspondence.training.cover.quantise import inputs_of
from correspondence.types import Float, Image
from tests.correspondence.cover.material import disc_cover, faces_of

PLAIN = CoverPairConfig(
    make_up=0,
    glasses=0,
    put_on=0,
    side_light=0,
    tongue=0,
    behind=0,
    real=0,
    shadow=0,
    second=0,
    alone=0,
    real_alone=0,
)


@pytest.fixture(scope="module")
def faces(astronaut: Image, face: Landmarks) -> Faces:
    return faces_of(astronaut, face)


def test_a_number_decides_a_pair(faces: Faces) -> None:
    a, b = (CoverPairs(faces, [disc_cover()], [], seed=5).pair(11) for _ in range(2))
    np.testing.assert_array_equal(a.frame, b.frame)
    np.testing.assert_array_equal(a.hidden, b.hidden)
    assert (CoverPairs(faces, [disc_cover()], [], seed=5).pair(12).frame != a.frame).any()


def test_pairs_stay_in_their_ranges(faces: Faces) -> None:
    pairs = CoverPairs(faces, [disc_cover(k) for k in ("hand", "object", "mask", "glasses")], [])
    kinds = set()
    for number in range(60):
        pair = pairs.pair(number)
        kinds.add(pair.kind)
        assert pair.frame.shape == pair.reference.shape == (SIDE, SIDE, 3)
        assert pair.frame.min() >= -1e-3
        assert pair.frame.max() <= 255.5
        assert pair.hidden.min() >= 0
        assert pair.hidden.max() <= 1
        assert set(np.unique(pair.face)) <= {0, 1}
    assert len(kinds) > 5


def test_nothing_is_hidden_without_a_cover(faces: Faces) -> None:
    config = replace(PLAIN, uncovered=1.0, make_up=1, glasses=1, tongue=1, side_light=1)
    for number in range(12):
        assert CoverPairs(faces, [disc_cover()], [], config).pair(number).hidden.max() == 0


def test_what_is_hidden_is_what_changed(faces: Faces) -> None:
    """The disc is where the frame differs from the same frame without it."""
    with_it = CoverPairs(faces, [disc_cover()], [], replace(PLAIN, motion=0)).pair(4, kind="hand")
    surely = with_it.hidden > 0.95
    assert surely.sum() > 100
    spread = with_it.frame[surely].std(axis=0).max()
    assert spread < with_it.frame[(with_it.face > 0) & (with_it.hidden < 0.05)].std(axis=0).max() / 2


def test_a_real_picture_keeps_its_mask_and_what_is_unsure(astronaut: Image, face: Landmarks) -> None:
    faces = faces_of(astronaut, face)
    mask, unsure = np.zeros((2, 208, 208), np.float32)
    mask[104:, :], unsure[:, :60] = 1, 1
    covered = Covered("clip-0003", faces.images[0], mask, faces.points[0], False, unsure)
    bare = Covered(
        "clip-0030", faces.images[1], np.zeros_like(mask), faces.points[0], False, np.zeros_like(mask)
    )
    pair = CoverPairs(faces, [], [covered, bare], PLAIN).real(np.random.default_rng(0), covered)
    assert pair.hidden[:40].max() == 0
    assert pair.hidden[-20:].min() == 1
    assert (pair.face[:, 5] == 2).all()
    assert (pair.reference != NONE).any()
    alone = CoverPairs(faces, [], [covered], PLAIN).real(np.random.default_rng(0), covered)
    assert (alone.reference == NONE).all()


@pytest.mark.parametrize("kind", list(drawn._DRAWN))
def test_every_drawn_cover_hides_something(kind: str, astronaut: Image) -> None:
    for seed in range(4):
        rng, skin = np.random.default_rng(seed), np.array([190, 140, 115], np.float32)
        picture = drawn._DRAWN[kind](rng, astronaut, skin)
        assert picture.shape == (drawn.CANVAS, drawn.CANVAS, 4)
        assert np.isfinite(picture).all()
        assert picture[..., 3].min() >= 0
        assert picture[..., 3].max() <= 1
        assert (picture[..., 3] > 0.5).mean() > 0.01
        assert picture[..., :3].min() >= -1e-3
        assert picture[..., :3].max() <= 255.5


def test_make_up_is_the_same_on_two_pictures_of_a_face(faces: Faces) -> None:
    plain = faces.images[0].astype(np.float32)
    points = faces.points[0]
    for seed in range(6):
        a, b = plain.copy(), plain.copy()
        worn.make_up(a, points, seed)
        worn.make_up(b, points, seed)
        np.testing.assert_array_equal(a, b)
        assert (a != plain).any()


def test_a_peeking_cover_reaches_a_little_way_over_the_outline(faces: Faces) -> None:
    def shares(peeking: float) -> list[float]:
        config = replace(PLAIN, peeking=peeking, motion=0, shadow=0)
        made = [CoverPairs(faces, [disc_cover()], [], config).pair(n, kind="hand") for n in range(24)]
        return [float(p.hidden[p.face > 0].mean()) for p in made]

    peeking, free = shares(1.0), shares(0.0)
    assert np.mean([0 < share < 0.2 for share in peeking]) > 0.8
    assert np.mean(peeking) < 0.5 * np.mean(free)


def test_a_reference_apart_is_the_one_turned_furthest(faces: Faces) -> None:
    shift = np.zeros_like(faces.points)
    shift[1], shift[2] = 3, 30
    other = Faces(faces.images, faces.points + shift, faces.clip, faces.names)
    for share, least, most in ((0.0, 0, 35), (1.0, 36, 40)):
        pairs = CoverPairs(other, [], [], replace(PLAIN, apart=share))
        chosen = [pairs._reference(np.random.default_rng(i), 0, np.arange(3)) for i in range(40)]
        assert least <= chosen.count(2) <= most


def test_clear_and_moving_glasses_hide_the_face(faces: Faces) -> None:
    points = faces.points[0] * (SIDE / faces.images.shape[1])
    skin = np.full((SIDE, SIDE, 3), 120, np.float32)
    sharp: list[Float] = []
    blurred: list[Float] = []
    for seed in range(40):
        for into, motion in ((sharp, None), (blurred, np.random.default_rng(seed))):
            image = skin.copy()
            hidden = worn.glasses(image, points, seed, motion)
            change = np.abs(image - skin).max(axis=2)
            assert hidden.max() <= 1.001
            assert change[hidden < 0.003].max() < 0.31 * 120  # lenses with a light tint hide nothing
            into.append(hidden)
    assert min(h.max() for h in sharp) > 0.9
    assert np.mean([h.max() for h in blurred]) < np.mean([h.max() for h in sharp])


def test_inputs_of_the_network_are_in_its_range(faces: Faces) -> None:
    inputs = inputs_of(CoverPairs(faces, [disc_cover()], []), 12)
    assert {i.shape for i in inputs} == {(1, 6, SIDE, SIDE)}
    assert all(i.dtype == np.float32 and np.abs(i).max() <= 1 for i in inputs)
    alone = [bool((i[0, 3:] == 0).all()) for i in inputs]
    assert any(alone)
    assert not all(alone)
