from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks, LandmarkTracker, Matcher, detect_landmarks
from correspondence.matchers import coarse
from correspondence.matchers.reuse import SHARED as MOST_THIN
from correspondence.matchers.reuse import FlowMatch
from correspondence.matchers.windows import EVERY, WindowMatch
from reference import (
    Edit,
    EditChanged,
    FaceFound,
    FaceLost,
    Mode,
    Outfit,
    Propagator,
    PropagatorConfig,
    StageError,
    UserKeyframe,
    presets,
)
from tests.reference.helpers import FakeMatcher, FakeTracker, paint_square, translated

CHEEK = (215, 140, 225, 150)


def fake(
    edit: Edit | None, face: Landmarks | None, **config: Any
) -> tuple[Propagator, FakeMatcher, FakeTracker]:
    matcher, tracker = FakeMatcher(face), FakeTracker(face)
    propagator = Propagator(edit, matcher, tracker, PropagatorConfig(**config))  # type: ignore[arg-type]
    return propagator, matcher, tracker


@pytest.fixture
def spot(astronaut: Image) -> Edit:
    """A spot on the cheek."""
    return Edit(astronaut, paint_square(astronaut, CHEEK, (20, 200, 40)))


def change_at_spot(image: Image, frame: Image) -> float:
    return float(np.abs(image[145, 220].astype(int) - frame[145, 220]).sum())


def test_an_edited_frame(astronaut: Image, face: Landmarks, spot: Edit) -> None:
    propagator, _, _ = fake(spot, face)
    result = propagator.step(astronaut, now_s=0.0)
    np.testing.assert_allclose(result.image[145, 220], (20, 200, 40), atol=1)
    assert result.reason is None
    assert result.landmarks is face
    assert result.events == [FaceFound(0.0)]
    assert set(result.stages) == {"landmarks", "match", "composite", "references"}
    assert all(0 <= seconds < 5 for seconds in result.stages.values())
    assert result.confidence.shape == (512, 512)
    assert result.confidence.min() > 0.9
    assert result.coverage == pytest.approx(1.0)
    assert result.box is not None


def made(propagator: Propagator, edit: Edit, mode: Mode | None = None) -> Outfit:
    return propagator.workshop.outfit([UserKeyframe(edit=edit)], mode, propagator.worn)


def test_each_reason_to_pass_a_frame_through(astronaut: Image, face: Landmarks, spot: Edit) -> None:
    propagator, _, tracker = fake(None, face)

    def reason() -> str | None:
        result = propagator.step(astronaut, now_s=0.0)
        if result.reason is not None:
            assert result.image is astronaut
            assert not result.confidence.any() or result.match is not None
        return result.reason

    assert reason() == "no edit yet"
    propagator.put_on(made(propagator, Edit(astronaut, astronaut.copy())))
    assert reason() == "the edit changes nothing"
    outfit = made(propagator, spot)
    propagator.put_on(outfit, enabled=False)
    assert reason() == "the edit is switched off"
    propagator.put_on(outfit, strength=0.0)
    assert reason() == "strength is 0"
    propagator.put_on(outfit)
    assert reason() is None
    propagator.put_on(None)
    assert reason() == "no edit yet"
    tracker.landmarks = None
    propagator.put_on(outfit)
    assert reason() == "no face found"


def test_a_lost_face_fades_out_and_a_found_one_in(astronaut: Image, face: Landmarks, spot: Edit) -> None:
    propagator, _, tracker = fake(spot, face, fade_frames=4)
    full = change_at_spot(propagator.step(astronaut, 0.0).image, astronaut)
    tracker.landmarks = None
    lost = [propagator.step(astronaut, 1.0 + i) for i in range(6)]
    assert lost[0].events == [FaceLost(1.0)]
    assert lost[1].events == []
    out = [change_at_spot(result.image, astronaut) / full for result in lost]
    np.testing.assert_allclose(out, [0.75, 0.5, 0.25, 0, 0, 0], atol=0.03)
    assert lost[3].reason == "no face found"
    assert lost[3].image is astronaut
    tracker.landmarks = face
    found = [propagator.step(astronaut, 10.0 + i) for i in range(5)]
    assert found[0].events == [FaceFound(10.0)]
    back = [change_at_spot(result.image, astronaut) / full for result in found]
    np.testing.assert_allclose(back, [0.25, 0.5, 0.75, 1, 1], atol=0.03)


def test_a_global_edit_goes_on_without_a_face(astronaut: Image, face: Landmarks) -> None:
    warm = Edit(astronaut, presets.apply("warm", astronaut, face))
    propagator, _, tracker = fake(warm, face)
    tracker.landmarks = None
    result = propagator.step(astronaut, 0.0)
    assert result.reason is None
    assert np.abs(result.image.astype(int) - warm.edited).mean() < 1.5


def test_the_last_match_helps_the_next_one_of_the_same_size(
    astronaut: Image, face: Landmarks, spot: Edit
) -> None:
    propagator, matcher, tracker = fake(spot, face)
    first = propagator.step(astronaut, 0.0)
    propagator.step(astronaut, 0.1)
    assert matcher.previous == [None, first.match]
    tracker.landmarks = None
    small = np.ascontiguousarray(astronaut[::2, ::2])
    assert propagator.step(small, 0.2).image is small


def test_a_failing_stage_is_named_and_the_next_step_goes_on(
    astronaut: Image, face: Landmarks, spot: Edit
) -> None:
    propagator, matcher, _ = fake(spot, face)
    propagator.step(astronaut, 0.0)
    matcher.fails = True
    with pytest.raises(StageError, match="match") as raised:
        propagator.step(astronaut, 0.1)
    assert raised.value.stage == "match"
    assert str(raised.value.__cause__) == "matcher broke"
    matcher.fails = False
    assert propagator.step(astronaut, 0.2).reason is None
    assert matcher.previous[-1] is None


def test_a_wrong_frame_is_the_callers_error(face: Landmarks, spot: Edit) -> None:
    propagator, _, _ = fake(spot, face)
    with pytest.raises(ValueError, match="frame must be uint8"):
        propagator.step(np.zeros((4, 4, 3), np.float32), 0.0)


def test_settings_take_effect_and_are_checked(astronaut: Image, face: Landmarks, spot: Edit) -> None:
    propagator, _, _ = fake(spot, face)
    full = change_at_spot(propagator.step(astronaut, 0.0).image, astronaut)
    outfit = propagator.worn
    assert outfit is not None
    propagator.put_on(outfit, strength=0.5)
    half = propagator.step(astronaut, 0.1)
    assert change_at_spot(half.image, astronaut) == pytest.approx(full / 2, rel=0.05)
    with pytest.raises(ValueError, match="strength"):
        propagator.put_on(None, strength=-1.0)
    assert propagator.worn is outfit, "what is refused changes nothing"
    propagator.put_on(made(propagator, spot, "replace"))
    replaced = propagator.step(astronaut, 0.2)
    assert EditChanged(0.2, True) in replaced.events
    np.testing.assert_allclose(replaced.image[145, 220], (20, 200, 40), atol=1)


def test_a_new_edit_is_announced_and_takes_a_prepared_reference(
    astronaut: Image, face: Landmarks, spot: Edit
) -> None:
    propagator, matcher, _ = fake(spot, face)
    propagator.step(astronaut, 0.0)
    assert propagator.worn is not None
    prepared = propagator.worn.own.keyframe.prepared
    painted = Edit(astronaut, paint_square(astronaut, CHEEK, (200, 20, 40)))
    propagator.put_on(propagator.workshop.outfit([UserKeyframe(edit=painted, prepared=prepared)]))
    result = propagator.step(astronaut, 0.1)
    assert result.events == [EditChanged(0.1, True)]
    np.testing.assert_allclose(result.image[145, 220], (200, 20, 40), atol=1)
    assert len(matcher.prepared) == 1
    propagator.put_on(None)
    assert propagator.step(astronaut, 0.2).events == [EditChanged(0.2, False)]


def test_edits_from_other_threads_never_shows_half_an_edit(astronaut: Image, face: Landmarks) -> None:
    colours = [(220, 10, 10), (10, 220, 10), (10, 10, 220)]
    edits = [Edit(astronaut.copy(), paint_square(astronaut, CHEEK, colour)) for colour in colours]
    propagator, _, _ = fake(edits[0], face)
    done = threading.Event()

    def setter(edit: Edit) -> None:
        while not done.wait(0.002):
            propagator.put_on(made(propagator, edit, "delta"))
            propagator.put_on(made(propagator, edit, "replace"))

    threads = [threading.Thread(target=setter, args=(edit,)) for edit in edits]
    for thread in threads:
        thread.start()
    try:
        for i in range(60):
            pixel = propagator.step(astronaut, i / 30).image[145, 220].astype(int)
            assert min(int(np.abs(pixel - colour).max()) for colour in colours) <= 2
    finally:
        done.set()
        for thread in threads:
            thread.join(timeout=20)
    propagator.put_on(made(propagator, edits[1]))
    np.testing.assert_allclose(propagator.step(astronaut, 9.0).image[145, 220], colours[1], atol=2)


def test_lipstick_follows_a_moving_face_end_to_end(astronaut: Image, face: Landmarks) -> None:
    edited = presets.apply("lipstick", astronaut, face, colour="#1030ff")
    propagator = Propagator(Edit(astronaut, edited), Matcher.load("classical"), LandmarkTracker())
    try:
        for i, (dx, dy) in enumerate([(0, 0), (6, 2), (12, 4), (18, 6)]):
            frame = translated(astronaut, dx, dy)
            result = propagator.step(frame, now_s=i / 25)
            assert result.reason is None
            found = detect_landmarks(frame)
            assert found is not None
            lip = ((found.points[14, :2] + found.points[17, :2]) / 2).round().astype(int)
            assert int(result.image[lip[1], lip[0], 2]) > int(result.image[lip[1], lip[0], 0]) + 60
            far = np.ones((512, 512), bool)
            x0, y0, x1, y1 = (int(side) for side in found.box)
            far[y0:y1, x0:x1] = False
            np.testing.assert_array_equal(result.image[far], frame[far])
    finally:
        propagator.close()


def test_of_two_faces_one_wears_the_edit(astronaut: Image, face: Landmarks) -> None:
    edit = Edit(astronaut, presets.apply("lipstick", astronaut, face, colour="#1030ff"))
    small = np.ascontiguousarray(astronaut[:256, 100:356][::2, ::2])
    frame = np.concatenate([astronaut, np.zeros((512, 160, 3), np.uint8)], axis=1)
    frame[300:428, 530:658] = small
    propagator = Propagator(edit, Matcher.load("classical"), LandmarkTracker())
    try:
        result = propagator.step(frame, 0.0)
    finally:
        propagator.close()
    assert result.reason is None
    assert (result.image != frame).any()
    np.testing.assert_array_equal(result.image[:, 512:], frame[:, 512:])


@pytest.mark.parametrize("size", [(64, 64), (121, 83)])
def test_small_and_odd_frames_go_through(astronaut: Image, spot: Edit, size: tuple[int, int]) -> None:
    propagator = Propagator(spot, Matcher.load("classical"), LandmarkTracker())
    try:
        frame = np.ascontiguousarray(astronaut[: size[0], : size[1]])
        result = propagator.step(frame, 0.0)
        assert result.image.shape == frame.shape
        assert result.reason == "no face found"
    finally:
        propagator.close()


def test_config_checks_its_ranges() -> None:
    with pytest.raises(ValueError, match="fade_frames"):
        PropagatorConfig(fade_frames=0)


def test_a_local_edit_is_matched_where_it_lands_only(
    astronaut: Image, face: Landmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flow of the whole frame is computed in one of EVERY frames; an edit of all needs it in each."""
    wholes: list[int] = []
    whole = coarse.coarse_field

    def counted(*args: Any) -> Any:
        wholes.append(1)
        return whole(*args)

    monkeypatch.setattr(coarse, "coarse_field", counted)
    matcher, frames = Matcher.load("classical"), EVERY + 2
    bright = np.clip(
        astronaut.astype(np.int16) + np.random.default_rng(0).integers(-9, 40, (512, 512, 1)), 0, 255
    )
    edits = {
        2: Edit(astronaut, presets.apply("lipstick", astronaut, face)),
        frames: Edit(astronaut, bright.astype(np.uint8)),
    }
    for expected, edit in edits.items():
        propagator = Propagator(
            edit, matcher, FakeTracker(face), PropagatorConfig(references=None, split=False)
        )
        wholes.clear()
        for i in range(frames):
            result = propagator.step(astronaut, i / 30)
            assert isinstance(result.match, WindowMatch) == (expected == 2)
        propagator.close()
        assert len(wholes) == expected


def test_frames_share_a_flow_where_the_match_gives_way(astronaut: Image, face: Landmarks) -> None:
    local = Edit(astronaut, presets.apply("lipstick", astronaut, face))
    light = np.linspace(0, 40, 512).astype(np.uint8)[None, :, None]
    for edit in (local, Edit(astronaut, cv2.add(astronaut, np.broadcast_to(light, astronaut.shape)))):
        propagator = Propagator(
            edit, Matcher.load("classical"), FakeTracker(face), PropagatorConfig(references=None, split=False)
        )
        shared = []
        for i in range(6):
            if i in (2, 5):
                propagator.give_way(MOST_THIN if i == 2 else 0)
            match = propagator.step(astronaut, i / 30).match
            assert isinstance(match, FlowMatch)
            shared.append(match.shared)
        assert shared == [False, False, True, False, True, False]
        propagator.close()


def test_how_far_a_match_gives_way_is_checked(face: Landmarks, spot: Edit) -> None:
    propagator, _, _ = fake(spot, face)
    for thin in (-1, MOST_THIN + 1):
        with pytest.raises(ValueError, match=f"thin must be 0 to {MOST_THIN}, got {thin}"):
            propagator.give_way(thin)


def test_what_is_no_edit_and_no_time_is_refused(astronaut: Image) -> None:
    with pytest.raises(TypeError, match="edit must be an Edit or None, got str"):
        Propagator("me.png")  # type: ignore[arg-type]
    propagator = Propagator(matcher=Matcher.load("classical"))
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="now_s must be a time in seconds, got"):
            propagator.step(astronaut, wrong)
    propagator.close()


def test_a_change_of_tone_is_not_matched(astronaut: Image, face: Landmarks) -> None:
    """Its table alone makes it, and the frame's own pixels get it."""
    brighter = np.clip(np.arange(256) * 0.8 + 30, 0, 255).astype(np.uint8)
    tone = Edit(astronaut, np.asarray(cv2.LUT(astronaut, brighter), np.uint8))
    assert tone.is_tone
    propagator, matcher, _ = fake(tone, face)
    frame = translated(astronaut, 30, 12)
    result = propagator.step(frame, now_s=0.0)
    assert matcher.previous == []
    assert result.coverage == 1.0
    assert result.confidence.min() > 0.9
    assert result.landmarks is face
    assert tone.tone is not None
    np.testing.assert_array_equal(result.image, cv2.LUT(frame, tone.tone[None]))
