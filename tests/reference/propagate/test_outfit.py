"""Outfits: several edits ready at once, put on between two steps, each with keyframes of its own."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import Edit, EditChanged, KeyframeMade, Propagator, ReferenceSwitched, UserKeyframe
from tests.reference.helpers import paint_square
from tests.reference.views import PAINT, Scene, turning

RED, BLUE, GREEN = (220, 10, 10), (10, 10, 220), (10, 200, 10)
SPOT = np.s_[29, 108]  # painted in every view


@pytest.fixture
def scene(astronaut: Image, face: Landmarks) -> Scene:
    return Scene(np.ascontiguousarray(astronaut[:256, 96:352]), face)


def own(scene: Scene, colour: tuple[int, int, int], yaw: int = 0, **more: Any) -> UserKeyframe:
    frame = scene.frame(yaw)
    return UserKeyframe(edit=Edit(frame, paint_square(frame, PAINT, colour)), **more)


def steps(propagator: Propagator, scene: Scene, yaw: int, start_s: float, count: int = 10) -> list[Any]:
    return [propagator.step(scene.frame(yaw), start_s + i / 25) for i in range(count)]


def kinds(results: list[Any], kind: type) -> list[Any]:
    return [event for result in results for event in result.events if isinstance(event, kind)]


def test_the_next_step_shows_the_outfit_put_on(scene: Scene) -> None:
    propagator = turning(scene)
    outfits = [propagator.workshop.outfit([own(scene, colour)]) for colour in (RED, BLUE)]
    for turn, (outfit, colour) in enumerate(zip(outfits * 3, (RED, BLUE) * 3, strict=True)):
        propagator.put_on(outfit)
        shown = propagator.step(scene.frame(0), float(turn))
        np.testing.assert_allclose(shown.image[SPOT], colour, atol=3)  # at once: nothing is faded
        assert kinds([shown], EditChanged)
    propagator.put_on(outfits[0], strength=0.5)
    half = propagator.step(scene.frame(0), 9.0).image[SPOT]
    np.testing.assert_allclose(half, (np.array(RED) + scene.frame(0)[SPOT]) / 2, atol=4)
    propagator.put_on(outfits[0], enabled=False)
    assert propagator.step(scene.frame(0), 9.1).reason == "the edit is switched off"
    propagator.put_on(None)
    assert propagator.step(scene.frame(0), 9.2).reason == "no edit yet"


def test_putting_on_exchanges_pointers_only(scene: Scene) -> None:
    propagator = turning(scene)
    outfits = [propagator.workshop.outfit([own(scene, colour)]) for colour in (RED, BLUE)]
    begun_s = time.thread_time()
    for _ in range(100):
        for outfit in outfits:
            propagator.put_on(outfit)
    assert (time.thread_time() - begun_s) / 200 < 0.001


def test_each_outfit_keeps_the_keyframes_made_for_it(scene: Scene) -> None:
    propagator = turning(scene)
    first, second = (propagator.workshop.outfit([own(scene, colour)]) for colour in (RED, BLUE))
    propagator.put_on(first)
    steps(propagator, scene, 0, 0.0)
    assert len(kinds(steps(propagator, scene, 25, 1.0, 40), KeyframeMade)) == 1
    propagator.put_on(second)
    assert len(propagator.keyframes()) == 1
    steps(propagator, scene, 0, 3.0)
    propagator.put_on(first)
    assert [k.pinned for k in propagator.keyframes()] == [True, False]
    again = steps(propagator, scene, 25, 4.0, 40)
    assert kinds(again, KeyframeMade) == []
    np.testing.assert_allclose(again[-1].image[SPOT], RED, atol=3)


def test_the_users_keyframes_follow_by_id(scene: Scene) -> None:
    propagator = turning(scene)
    anchor, side = own(scene, RED), own(scene, GREEN, 25, made_s=2.0)
    outfit = propagator.workshop.outfit([anchor])
    propagator.put_on(outfit)
    steps(propagator, scene, 0, 0.0)
    outfit = propagator.workshop.outfit([anchor, side], before=outfit)
    propagator.put_on(outfit)
    assert outfit.keyframe(side.id) is not None
    shown = steps(propagator, scene, 25, 1.0, 12)
    assert [e.reason for e in kinds(shown, ReferenceSwitched)] == ["this keyframe was edited"]
    np.testing.assert_allclose(shown[-1].image[SPOT], GREEN, atol=3)

    blue = own(scene, BLUE, 25, id=side.id, made_s=2.0)
    versions = [k.version for k in outfit.keyframes()]
    outfit = propagator.workshop.outfit([anchor, blue], before=outfit)
    assert [k.id for k in outfit.keyframes()] == [anchor.id, side.id]
    assert [a == b.version for a, b in zip(versions, outfit.keyframes(), strict=True)] == [True, False]
    outfit = propagator.workshop.outfit([anchor], before=outfit)
    assert [k.id for k in outfit.keyframes()] == [anchor.id]
    propagator.put_on(outfit)
    back = steps(propagator, scene, 0, 3.0, 12)
    np.testing.assert_allclose(back[-1].image[SPOT], RED, atol=3)
    with pytest.raises(ValueError, match="at least one"):
        propagator.workshop.outfit([])


def test_a_made_keyframe_is_edited_given_back_and_removed(scene: Scene) -> None:
    propagator = turning(scene)
    anchor = own(scene, RED)
    outfit = propagator.workshop.outfit([anchor])
    propagator.put_on(outfit)
    steps(propagator, scene, 0, 0.0)
    steps(propagator, scene, 25, 1.0, 40)
    made = outfit.keyframes()[1]
    edited = UserKeyframe(
        edit=Edit(made.image, paint_square(made.image, PAINT, BLUE)), id=made.id, made_s=made.made_s
    )
    outfit = propagator.workshop.outfit([anchor, edited], before=outfit)
    assert [(k.id, k.pinned) for k in outfit.keyframes()] == [(anchor.id, True), (made.id, True)]
    as_it_was = UserKeyframe(edit=Edit(made.image, made.edited), id=made.id, made_s=made.made_s, pinned=False)
    outfit = propagator.workshop.outfit([anchor, as_it_was], before=outfit)
    assert [(k.id, k.pinned) for k in outfit.keyframes()] == [(anchor.id, True), (made.id, False)]
    with pytest.raises(ValueError, match="no made keyframe"):
        outfit.remove(anchor.id)
    outfit.remove(made.id)
    assert [k.id for k in outfit.keyframes()] == [anchor.id]


def test_where_nothing_is_made_the_users_keyframes_still_serve_in_turn(scene: Scene) -> None:
    propagator = turning(scene, make=False)
    anchor = own(scene, RED)
    alone = propagator.workshop.outfit([anchor])
    assert alone.keeper is None, "one keyframe costs the step nothing"
    both = propagator.workshop.outfit([anchor, own(scene, GREEN, 25, made_s=2.0)], before=alone)
    propagator.put_on(both)
    for start_s, yaw, colour in ((0.0, 0, RED), (3.0, 25, GREEN), (6.0, 0, RED)):
        shown = steps(propagator, scene, yaw, start_s, 50)
        np.testing.assert_allclose(shown[-1].image[SPOT], colour, atol=3)
    assert len(propagator.keyframes()) == 2
    assert len(kinds(steps(propagator, scene, 60, 9.0, 50), KeyframeMade)) == 0


def test_another_mode_keeps_what_was_edited_but_not_yet_shown(scene: Scene) -> None:
    propagator = turning(scene)
    anchor = own(scene, RED)
    outfit = propagator.workshop.outfit([anchor])
    blue = own(scene, BLUE, id=anchor.id)
    outfit = propagator.workshop.outfit([blue], "replace", before=outfit)
    propagator.put_on(outfit)
    np.testing.assert_allclose(steps(propagator, scene, 0, 0.0)[-1].image[SPOT], BLUE, atol=3)


def test_an_edit_is_carried_to_a_frame_for_further_editing(scene: Scene) -> None:
    propagator = turning(scene)
    outfit = propagator.workshop.outfit([own(scene, RED)])
    frame = scene.frame(0)
    prepared, edited = propagator.workshop.carry(outfit, frame)
    np.testing.assert_allclose(edited[SPOT], RED, atol=3)
    np.testing.assert_array_equal(prepared.image, frame)
    np.testing.assert_array_equal(edited[PAINT[3] + 40 :], frame[PAINT[3] + 40 :])
    assert (outfit.keyframes()[0].id,) == tuple(k.id for k in outfit.keyframes()), (
        "the outfit stays as it was"
    )
