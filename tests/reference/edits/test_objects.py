"""Objects are told from paint and colour by what they hide and where they are."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from benchmarks.matching.fixed_edits import mark
from correspondence import Image, Landmarks
from reference import Edit, presets
from reference.edits.objects import find_objects
from tests.reference import props
from tests.reference.helpers import paint_square


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("glasses", props.glasses),
        ("tinted glasses", lambda image, face: props.glasses(image, face, 0.35)),
        ("sunglasses", lambda image, face: props.glasses(image, face, 0.9)),
        ("hat", props.hat),
        ("eye patch", props.eye_patch),
    ],
)
def test_things_worn_on_the_head_are_rigid(
    astronaut: Image, face: Landmarks, name: str, draw: Callable[[Image, Landmarks], Image]
) -> None:
    edited = draw(astronaut, face)
    found = find_objects(Edit(astronaut, edited), face)
    assert found.rigid is not None, name
    assert found.soft is None
    changed = cv2.absdiff(astronaut, edited).max(axis=2) > 100  # the object's own pixels, not its rim
    assert found.rigid[changed].mean() > 0.9


def test_a_beard_is_soft(astronaut: Image, face: Landmarks) -> None:
    edit = Edit(astronaut, props.beard(astronaut, face))
    found = find_objects(edit, face)
    assert found.rigid is None
    assert found.soft is not None
    assert found.soft[cv2.absdiff(astronaut, edit.edited).max(axis=2) > 60].mean() > 0.85


@pytest.mark.parametrize("name", ["lipstick", "tiger", "warpaint", "freckles", "blush", "eyeshadow"])
def test_paint_and_make_up_are_no_objects(astronaut: Image, face: Landmarks, name: str) -> None:
    found = find_objects(Edit(astronaut, presets.apply(name, astronaut, face)), face)
    assert found.rigid is None
    assert found.soft is None


def test_a_stroke_over_the_nose_is_no_pair_of_glasses(astronaut: Image, face: Landmarks) -> None:
    edit = Edit(astronaut, mark(astronaut, face))
    assert find_objects(edit, face).rigid is None


def test_a_scar_and_coloured_hair_are_no_objects(astronaut: Image, face: Landmarks) -> None:
    x0, y0, x1, _ = (int(v) for v in face.box)
    hair = astronaut.copy()
    hair[max(0, y0 - 60) : y0, x0:x1] = np.clip(hair[max(0, y0 - 60) : y0, x0:x1] * [1.3, 0.8, 0.8], 0, 255)
    for edited in (props.scar(astronaut, face), hair):
        found = find_objects(Edit(astronaut, edited), face)
        assert found.rigid is None
        assert found.soft is None


def test_what_hangs_beside_the_head_is_no_object(astronaut: Image, face: Landmarks) -> None:
    x0, y0, x1, _ = (int(v) for v in face.box)
    above = paint_square(astronaut, (x0, y0 - 60, x1, y0 - 30), (200, 30, 30))
    assert find_objects(Edit(astronaut, above), face).rigid is None


def test_a_clear_lens_is_left_to_the_skin(astronaut: Image, face: Landmarks) -> None:
    """The tint of a lens moves with what is seen through it; only the rim is an object."""
    edit = Edit(astronaut, props.glasses(astronaut, face, 0.3))
    rim = Edit(astronaut, props.glasses(astronaut, face))
    found, bare = find_objects(edit, face).rigid, find_objects(rim, face).rigid
    assert found is not None
    assert bare is not None
    pupil = face.points[468, :2].round().astype(int)
    assert found[pupil[1], pupil[0]] < 0.2
    assert found[bare > 0.9].mean() > 0.8


def test_other_modes_and_edits_without_a_face_have_no_objects(astronaut: Image, face: Landmarks) -> None:
    edit = Edit(astronaut, props.glasses(astronaut, face))
    assert find_objects(edit, None).rigid is None
    assert find_objects(edit.with_mode("delta"), face).rigid is None
    assert find_objects(edit.with_mode("replace"), face).rigid is None
    assert find_objects(Edit(astronaut, np.asarray(255 - astronaut, np.uint8)), face).rigid is None
    assert find_objects(Edit(astronaut, astronaut.copy()), face).rigid is None


def test_layer_mode_makes_all_of_it_an_object(astronaut: Image, face: Landmarks) -> None:
    edit = Edit(astronaut, paint_square(astronaut, (200, 100, 220, 110), (9, 200, 9)), mode="layer")
    rigid = find_objects(edit, face).rigid
    assert rigid is not None
    np.testing.assert_array_equal(rigid, edit.mask)
