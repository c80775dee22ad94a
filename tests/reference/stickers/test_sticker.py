"""Stickers lie on their place of the face, on the skin or carried by the head."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks
from correspondence.types import Hidden
from reference import Edit, EditError, KeeperConfig, Look, Propagator, PropagatorConfig, carry
from reference.compose.composite import CompositeConfig, Composition
from reference.edits.objects import find_objects
from reference.face.parts import face_size
from reference.face.sticker import SPOTS, HeadSticker, Spot, Sticker, sticker_picture
from reference.looks.file import look_file, read_look_file
from reference.looks.layers import PaintLayer, StickerLayer
from reference.stickers.carried import CarriedStickers
from tests.reference.helpers import scaled_face, shift_match

RED = np.dstack([np.full((40, 20), value, np.uint8) for value in (200, 0, 0, 255)])


def drawn(face: Landmarks, at: Spot, size: float = 0.2, **place: float) -> Image:
    return Sticker(picture=RED, at=at, size=size, **place).drawn(face)


def middle(rgba: Image) -> list[float]:
    y, x = np.nonzero(rgba[..., 3] > 127)
    return [float(x.mean()), float(y.mean())]


@pytest.mark.parametrize("at", SPOTS)
def test_a_sticker_lies_on_its_spot_in_its_size(face: Landmarks, at: Spot) -> None:
    rgba = drawn(face, at)
    assert rgba.shape == (*face.image_size, 4)
    area = (rgba[..., 3] > 127).sum() / (2 if at == "cheeks" else 1)
    assert area == pytest.approx(2 * (0.2 * face_size(face)) ** 2, rel=0.1)
    assert (rgba[rgba[..., 3] > 200][:, :3] == (200, 0, 0)).all(), "no dark rim"


def test_its_middle_is_the_landmark_and_it_stands_upright_with_the_head(face: Landmarks) -> None:
    rgba = drawn(face, "nose", 0.3)
    assert middle(rgba) == pytest.approx(face.points[4, :2].tolist(), abs=1.0)
    y, x = np.nonzero(rgba[..., 3] > 127)
    eyes = face.points[263, :2] - face.points[33, :2]
    spread = np.cov(np.stack([x, y]).astype(float))
    up = np.linalg.eigh(spread)[1][:, -1]
    assert abs(up @ eyes) / np.linalg.norm(eyes) < 0.05


def test_it_is_moved_along_the_heads_axes_and_turned(face: Landmarks) -> None:
    start, size = np.array(middle(drawn(face, "nose"))), face_size(face)
    eyes = face.points[263, :2] - face.points[33, :2]
    across = eyes / np.linalg.norm(eyes)
    moved = np.array(middle(drawn(face, "nose", right=0.2, down=-0.1))) - start
    assert moved @ across == pytest.approx(0.2 * size, abs=1.0)
    assert moved @ (-across[1], across[0]) == pytest.approx(-0.1 * size, abs=1.0)
    y, x = np.nonzero(drawn(face, "nose", turn_deg=90)[..., 3] > 127)
    assert np.ptp(x) > 1.7 * np.ptp(y), "it lies on its side"


@pytest.mark.parametrize(
    "place",
    [
        {"at": "knee"}, {"size": 0.0}, {"size": float("nan")}, {"size": 9.0}, {"right": 3.0},
        {"turn_deg": 200.0}, {"size": "big"}, {"down": True},
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_said(place: dict[str, Any]) -> None:
    with pytest.raises(EditError, match="must be"):
        Sticker(picture=RED, **place)


def test_a_large_picture_is_shrunk_and_a_tiny_one_refused() -> None:
    large = sticker_picture(np.full((3000, 1500, 4), 90, np.uint8))
    assert large.shape == (1024, 512, 4)
    assert (large == 90).all()
    with pytest.raises(EditError, match="16 to 1024 pixels, got 4x300"):
        StickerLayer.of(np.zeros((300, 4, 4), np.uint8))


def test_the_head_carries_glasses_and_hats_unless_told(astronaut: Image, face: Landmarks) -> None:
    look = Look(astronaut, face).sticker(RED, "eyes").sticker(RED, "nose").sticker(RED, "crown", rigid=False)
    assert [layer.rigid for layer in look.layers if isinstance(layer, StickerLayer)] == [True, False, False]
    with pytest.raises(EditError, match="shows none"):
        Look(astronaut, None).sticker(RED)


def test_one_on_the_skin_is_part_of_the_edit_and_no_rigid_object(astronaut: Image, face: Landmarks) -> None:
    bar = np.full((20, 60, 4), 255, np.uint8)
    bar[..., :3] = np.random.default_rng(0).integers(0, 255, (20, 60, 3))  # has a texture, as glasses have
    edit = Look(astronaut, face).sticker(bar, "eyes", 0.8, rigid=False).edit()
    assert not edit.stickers
    found = find_objects(edit, face)
    assert found.rigid is None
    assert found.soft is not None
    assert found.soft.max() == 1
    paint = PaintLayer(rgba=StickerLayer.of(bar, "eyes", 0.8).sticker.drawn(face))
    assert find_objects(Edit(astronaut, Look(astronaut, face, (paint,)).image), face).rigid is not None


def test_the_head_carries_one_as_one_piece_through_a_changed_expression(
    astronaut: Image, face: Landmarks
) -> None:
    """The cheeks and the jaw move; a sticker that the head carries stays where it is and keeps its shape."""
    layer = StickerLayer.of(RED, "left_cheek", 0.3, rigid=True)
    stuck = CarriedStickers([HeadSticker.on(layer.sticker, 1.0, astronaut, face)], CompositeConfig())
    points = face.points.copy()
    low = points[:, 1] > points[4, 1]  # all below the tip of the nose
    points[low, 1] += 0.1 * face_size(face)
    smile = Landmarks(points, face.image_size)
    images = []
    for landmarks in (face, smile):
        match = shift_match(astronaut.shape[:2], (0, 0), landmarks=landmarks)
        image = stuck.lay(astronaut, match, Composition(astronaut, None, 0.0), 1.0, alone=True).image
        images.append((image != astronaut).any(axis=2))
    assert images[0].sum() > 500
    assert np.logical_xor(*images).sum() < 0.2 * images[0].sum()


def test_it_stays_on_the_nose_as_the_head_turns(face: Landmarks) -> None:
    large = scaled_face(face, 256 / (face.box[3] - face.box[1]), (512, 512))
    blank = np.full((512, 512, 3), 128, np.uint8)
    sticker = Sticker(picture=RED.repeat(2, axis=1), at="nose", size=0.15)
    stuck = CarriedStickers([HeadSticker.on(sticker, 1.0, blank, large)], CompositeConfig())
    for yaw_deg in (-25.0, 0.0, 25.0):
        turned = scaled_face(large, 1.0, (512, 512), yaw_deg)
        match = shift_match((512, 512), (0, 0), landmarks=turned)
        image = stuck.lay(blank, match, Composition(blank, None, 0.0), 1.0, alone=True).image
        y, x = np.nonzero((image != blank).any(axis=2))
        assert [x.mean(), y.mean()] == pytest.approx(turned.points[4, :2].tolist(), abs=4.0)


def test_it_follows_the_light_and_goes_under_a_hand(astronaut: Image, face: Landmarks) -> None:
    sticker = Sticker(picture=RED, at="nose", size=0.4)
    stuck = CarriedStickers([HeadSticker.on(sticker, 1.0, astronaut, face)], CompositeConfig())
    dark = (astronaut * 0.6).astype(np.uint8)
    size = (astronaut.shape[0], astronaut.shape[1])
    match = shift_match(size, (0, 0), landmarks=face)
    x, y = np.rint(face.points[4, :2]).astype(int)

    def at_the_nose(frame: Image, hidden: Hidden | None) -> list[int]:
        object.__setattr__(match, "hidden", hidden)
        image = stuck.lay(frame, match, Composition(frame, None, 0.0), 1.0, alone=True).image
        assert (frame == dark).all() or (frame == astronaut).all(), "the frame is not written to"
        return [int(v) for v in image[y, x]]

    assert at_the_nose(astronaut, None) == [200, 0, 0]
    assert at_the_nose(dark, None)[0] == pytest.approx(120, abs=8)
    hand = Hidden(np.ones((16, 16), np.float32), np.array([[16 / 512, 0, 0], [0, 16 / 512, 0]]), 5.0)
    assert at_the_nose(dark, hand) == dark[y, x].tolist()


def test_a_stream_wears_a_sticker_alone_and_with_make_up(astronaut: Image, face: Landmarks) -> None:
    look = Look(astronaut, face).sticker(RED, "nose", 0.2, rigid=True)
    edit = look.edit()
    assert edit.box is None
    assert not edit.is_empty
    assert (edit.shown == look.image).all()
    config = PropagatorConfig(references=KeeperConfig(background=False))
    for worn in (look, look.preset("lipstick", "#1020e0", 1.0)):
        with closing(Propagator(worn.edit(), config=config)) as propagator:
            result = propagator.step(astronaut, 0.0)
            assert result.reason is None
            assert result.coverage > 0.9
            apart = np.abs(result.image.astype(int) - worn.image).max(axis=2)
            assert np.median(apart[(worn.image != astronaut).any(axis=2)]) < 12, (
                "the tracker moves an edge a little"
            )
            shifted = np.roll(astronaut, 12, axis=1)
            moved = propagator.step(shifted, 0.04).image
            x, y = np.rint(face.points[4, :2]).astype(int)
            assert moved[y, x + 12].tolist() == [200, 0, 0]


def test_a_look_file_keeps_stickers_and_older_files_are_read(astronaut: Image, face: Landmarks) -> None:
    look = Look(astronaut, face).sticker(RED, "eyes", 0.5, turn_deg=10.0, right=0.1, down=-0.2, strength=0.5)
    (again,) = read_look_file(look_file([look]))
    (before,), (after,) = look.layers, again.layers
    assert isinstance(before, StickerLayer)
    assert isinstance(after, StickerLayer)
    for name in ("at", "size", "turn_deg", "right", "down"):
        assert getattr(after.sticker, name) == getattr(before.sticker, name)
    assert (after.rigid, after.strength) == (True, 0.5)
    np.testing.assert_array_equal(after.sticker.picture, RED)
    assert b'"version": 2' in look_file([look])
    assert b'"version": 1' in look_file([Look(astronaut, face).preset("lipstick")]), (
        "earlier releases read it"
    )


def test_another_person_wears_it_in_the_same_place(astronaut: Image, face: Landmarks) -> None:
    look = Look(astronaut, face).sticker(RED, "nose", 0.3, rigid=True)
    small = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    half = scaled_face(face, 0.5, (256, 256))
    carried = carry(look, small, half)
    assert not carried.left
    assert carried.look.layers == look.layers
