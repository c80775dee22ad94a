"""Which candidate is believed: the landmarks on skin, unless a flow explains the frame clearly better."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Bool
from correspondence.face.mesh import LandmarkField
from correspondence.geometry.grid import Float
from correspondence.matchers.choice import (
    BESIDE,
    CHOICE,
    OUTLINE,
    PRICE,
    belief,
    choose,
    loop,
    weigh,
)

SIZE = 64
NOISE = 6  # gray levels: flow does not explain a frame without rest either
STEP = 2.0  # cells between the flow, which is right, and the landmark field, which is not


def chosen(contrast: float | Float, inside: bool | Bool, validity: float = 1.0) -> Float:
    """The field where a flow by STEP meets the picture and the landmarks, at 0, miss by `contrast`.

    `contrast` and `inside` are the same everywhere or given for each column, those of the choice grid and
    those of the field.
    """
    n = SIZE // CHOICE
    stripes = np.where(np.arange(n) % 2 == 0, 100, 100 + np.asarray(contrast)).astype(np.uint8)
    reference = np.ascontiguousarray(np.broadcast_to(stripes[None, :, None], (n, n, 4)))
    noise = np.random.default_rng(0).integers(-NOISE, NOISE + 1, (n, n, 4))
    frame = (np.roll(reference, -round(STEP / CHOICE), axis=1) + noise).astype(np.uint8)
    flow = np.zeros((SIZE, SIZE, 2), np.float32)
    flow[..., 0] = STEP
    still = np.full((SIZE, SIZE, 2), 2 * STEP, np.float32)
    face = LandmarkField(
        np.zeros((SIZE, SIZE, 2), np.float32),
        np.full((SIZE, SIZE), validity, np.float32),
        np.tile(inside, (SIZE, SIZE if isinstance(inside, bool) else 1)),
    )
    parts = np.zeros((n, n), np.float32)
    fields = flow, flow, still, face.field
    field, spread = choose(weigh(fields, PRICE, frame, reference), face, parts)
    assert field.shape == (SIZE, SIZE, 2)
    assert (spread >= 0).all()
    return field[..., 0]


@pytest.mark.parametrize(
    ("contrast", "inside", "expected"),
    [(4, True, 0.0), (4, False, STEP), (50, True, STEP)],
    ids=["a little better on skin", "a little better elsewhere", "clearly better on skin"],
)
def test_skin_follows_the_landmarks_unless_a_flow_is_clearly_better(
    contrast: float, inside: bool, expected: float
) -> None:
    middle = np.s_[SIZE // 4 : -SIZE // 4]
    np.testing.assert_allclose(chosen(contrast, inside)[middle, middle], expected, atol=0.1)


def test_the_mesh_is_followed_where_the_reference_hides_its_skin() -> None:
    middle = np.s_[SIZE // 4 : -SIZE // 4]
    np.testing.assert_allclose(chosen(4, True, validity=0)[middle, middle], 0, atol=0.1)


def test_what_flow_explains_at_the_outline_does_not_speak_against_the_landmarks() -> None:
    skin = np.zeros((SIZE, SIZE), np.float32)
    skin[:, : SIZE // 2] = 1
    by_landmarks = np.full((SIZE, SIZE), 4, np.uint8)
    by_landmarks[:, SIZE // 2 - OUTLINE :] = 200  # hair before the mesh's rim
    by_flow = np.full((SIZE, SIZE), 4, np.uint8)
    assert belief(by_landmarks, by_flow, skin)[:, : SIZE // 2].min() > 0.95
    assert belief(3 * by_flow, by_flow, skin)[:, : SIZE // 2].max() < 0.05, "all over the skin, it does"


def test_the_landmarks_are_followed_a_little_beyond_the_outline() -> None:
    face = np.arange(SIZE) < SIZE // 2
    found = chosen(4, face)
    assert found[:, SIZE // 2 : SIZE // 2 + BESIDE].max() < STEP / 4
    np.testing.assert_allclose(found[:, -SIZE // 4 :], STEP, atol=0.1)


def test_the_way_there_and_back_closes_for_the_inverse() -> None:
    there = np.zeros((SIZE // CHOICE, SIZE // CHOICE, 2), np.float32)
    there[..., 0] = 6
    back = np.zeros((SIZE, SIZE, 2), np.float32)
    back[..., 0] = -6
    np.testing.assert_allclose(loop(there, back), 0, atol=1e-5)
    np.testing.assert_allclose(loop(there, 0 * back), 6, atol=1e-5)
