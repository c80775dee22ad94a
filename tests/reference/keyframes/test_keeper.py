from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from correspondence import Float, Image, Landmarks
from reference import (
    KeeperConfig,
    KeyframeMade,
    KeyframeRefused,
    Propagator,
    PropagatorConfig,
    ReferenceSwitched,
    Result,
)
from reference.keyframes.bank import BankConfig
from reference.keyframes.policy import PolicyConfig
from reference.keyframes.refusal import RefusalConfig
from tests.reference.helpers import paint_square, shut
from tests.reference.views import (
    PAINT,
    Scene,
    TurnMatcher,
    TurnTracker,
    compose_in,
    edit_by_hand,
    remove,
    turning,
)

FPS = 25
EDGE = np.s_[PAINT[3] + 40 :]  # rows far below the paint


@pytest.fixture
def scene(astronaut: Image, face: Landmarks) -> Scene:
    return Scene(np.ascontiguousarray(astronaut[:256, 96:352]), face)


def play(propagator: Propagator, scene: Scene, yaws: list[int], start: int = 0) -> list[Result]:
    results = []
    for i, yaw in enumerate(yaws):
        frame = scene.frame(yaw)
        result = propagator.step(frame, (start + i) / FPS)
        np.testing.assert_array_equal(result.image[EDGE], frame[EDGE])
        results.append(result)
    return results


def events(results: list[Result], kind: type) -> list[Any]:
    return [event for result in results for event in result.events if isinstance(event, kind)]


class Blinking(Scene):
    """A head whose eyes are shut at odd turns."""

    def landmarks(self, image: Image) -> Landmarks:
        found = super().landmarks(image)
        return shut(found) if self.yaw(image) % 2 else found


def test_a_keyframe_wanted_in_a_blink_is_made_as_soon_as_the_eyes_open(scene: Scene, face: Landmarks) -> None:
    blinking = Blinking(scene.frame(0), face)
    propagator = turning(blinking)
    blink = play(propagator, blinking, [0] * 10 + [25] * 10)
    assert events(blink, KeyframeMade) == []
    assert events(blink, KeyframeRefused) == []
    decision = propagator.decision
    assert decision is not None
    assert decision.reason.endswith("but the eyes are shut")
    opened = play(propagator, blinking, [26] * 2, start=20)  # asked for in the first, there in the next
    assert len(events(opened, KeyframeMade)) == 1


def test_a_head_that_looks_down_gets_its_keyframe_though_the_lids_are_low(
    scene: Scene, face: Landmarks
) -> None:
    down = Blinking(scene.frame(0), face)
    propagator = turning(down)
    results = play(propagator, down, [0] * 10 + [25] * 60)
    first = next(n for n, r in enumerate(results) if any(isinstance(e, KeyframeMade) for e in r.events))
    assert (first - 10) / FPS > KeeperConfig().lids_s, "a blink is waited for"
    assert events(results, KeyframeRefused) == []
    assert results[-1].coverage > results[first - 1].coverage


def test_a_turn_makes_a_keyframe_and_turning_back_makes_none(scene: Scene) -> None:
    propagator = turning(scene)
    turned = play(propagator, scene, [0] * 10 + [25] * 40)
    made = events(turned, KeyframeMade)
    assert len(made) == 1
    assert made[0].index == 1
    assert 0.3 < made[0].known < 0.8  # the half that the user's own still covers
    assert [e.index for e in events(turned, ReferenceSwitched)] == [1]
    back = play(propagator, scene, [0] * 40 + [25] * 40 + [0] * 40, start=50)
    assert events(back, KeyframeMade) == []
    assert [e.index for e in events(back, ReferenceSwitched)] == [0, 1, 0]
    assert [k.pinned for k in propagator.keyframes()] == [True, False]
    assert propagator.keyframes()[0].active
    assert propagator.decision is not None
    assert propagator.decision.reason == "covered"


def test_an_object_that_the_head_carries_needs_no_keyframe(scene: Scene) -> None:
    propagator = turning(scene)
    compose_in(propagator, "layer")
    turned = play(propagator, scene, [0] * 10 + [25] * 40)
    assert events(turned, KeyframeMade) == []
    assert len(propagator.keyframes()) == 1
    compose_in(propagator, "delta")
    assert len(events(play(propagator, scene, [25] * 40, start=50), KeyframeMade)) == 1
    compose_in(propagator, "layer")  # two keyframes, so that one is chosen for each view
    assert events(play(propagator, scene, [0] * 10 + [-25] * 40, start=90), KeyframeMade) == []


def test_none_keeps_the_one_reference(scene: Scene) -> None:
    matcher: Any = TurnMatcher(scene)
    propagator = Propagator(scene.edit(), matcher, TurnTracker(scene), PropagatorConfig(references=None))
    results = play(propagator, scene, [0] * 5 + [25] * 40)
    assert matcher.matched == 45
    assert set(results[-1].stages) == {"landmarks", "match", "composite"}
    assert len(propagator.keyframes()) == 1
    assert propagator.decision is None
    with pytest.raises(ValueError, match="no made keyframe"):
        remove(propagator, 0)


def test_a_switch_fades_and_never_pops(scene: Scene) -> None:
    def fill(image: Image, mask: Float, hint: Any) -> Image:
        out = image.copy()
        out[mask > 0] = (20, 200, 40)
        return out

    propagator = turning(scene, fill=fill, fade_frames=5)
    results = play(propagator, scene, [0] * 10 + [25] * 50)
    assert len(events(results, ReferenceSwitched)) == 2  # the new keyframe, then its filled twin
    x = (PAINT[0] + 3 * PAINT[2]) // 4  # on the half that was not sure
    values = np.array([r.image[(PAINT[1] + PAINT[3]) // 2, x].astype(int) for r in results[12:]])
    whole = np.abs(values[-1] - values[0]).max()
    assert whole > 60
    assert np.abs(np.diff(values, axis=0)).max() <= 0.35 * whole


@pytest.mark.parametrize("fade_frames", [0, 3])
def test_a_replacement_changes_no_unedited_pixel(scene: Scene, fade_frames: int) -> None:
    propagator = turning(scene, fade_frames=fade_frames)
    reach = np.zeros(scene.size, bool)
    reach[: PAINT[3] + 40, PAINT[0] - 60 : PAINT[2] + 60] = True
    for i, yaw in enumerate([0] * 10 + [25] * 40 + [0] * 40):
        frame = scene.frame(yaw)
        result = propagator.step(frame, i / FPS)
        np.testing.assert_array_equal(result.image[~reach], frame[~reach])
    assert len(propagator.keyframes()) == 2


def test_bad_frames_are_refused_with_a_reason_once(scene: Scene) -> None:
    propagator = turning(scene, refusal=RefusalConfig(least_known=1.0, hidden=1.0))
    results = play(propagator, scene, [0] * 10 + [25] * 60)
    refused = events(results, KeyframeRefused)
    assert [e.reason for e in refused] == ["too little of the edit is known from this side"]
    assert len(propagator.keyframes()) == 1


def broken(image: Image, mask: Float, hint: Any) -> Image:
    raise RuntimeError("out of memory")


def overreaching(image: Image, mask: Float, hint: Any) -> Image:
    return np.zeros_like(image)


@pytest.mark.parametrize("fill", [broken, overreaching])
def test_a_failing_fill_leaves_the_stream_as_it_was(scene: Scene, fill: Any) -> None:
    plain, failing = turning(scene), turning(scene, fill=fill)
    yaws = [0] * 10 + [25] * 30
    for a, b in zip(play(plain, scene, yaws), play(failing, scene, yaws), strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        assert a.events == b.events
    assert failing.workshop.worker.failures == 1
    assert plain.workshop.worker.failures == 0


def test_a_hanging_fill_holds_no_frame_and_close_ends_it(scene: Scene) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hanging(image: Image, mask: Float, hint: Any) -> Image:
        entered.set()
        assert leave.wait(20)
        return image

    propagator = turning(scene, fill=hanging, background=True, stale_s=100.0)
    try:
        play(propagator, scene, [0] * 10 + [25] * 20)
        assert entered.wait(20)
        results = play(propagator, scene, [25] * 30, start=30)
        assert all(result.reason is None for result in results)
        assert len(propagator.keyframes()) == 2  # unfilled, but there
    finally:
        leave.set()
        propagator.close()
    assert not any(thread.name == "references" for thread in threading.enumerate())


def test_memory_stays_bounded(scene: Scene) -> None:
    bank = BankConfig(max_keyframes=3)
    propagator = turning(scene, bank=bank, policy=PolicyConfig(cooldown_s=0.2, switch_cooldown_s=0.1))
    start = 0
    for yaw in (20, 40, 60, -20, -40, 0, 50):
        play(propagator, scene, [yaw] * 25, start)
        start += 25
        assert len(propagator.keyframes()) <= 3
        assert propagator.keyframes()[0].pinned
    assert len(propagator.keyframes()) == 3


def test_a_stale_job_is_dropped(scene: Scene) -> None:
    class LateWorker:
        failures = 0
        job: Any = None

        def submit(self, job: Any) -> None:
            self.job = job

        def close(self) -> None:
            self.job = None

    propagator = turning(scene)
    late = LateWorker()
    ready = propagator.worn
    assert ready is not None
    assert ready.keeper is not None
    ready.keeper._worker = late
    play(propagator, scene, [0] * 10 + [25] * 12)
    job = late.job
    assert job is not None
    play(propagator, scene, [25] * 10, start=100)
    matched = propagator._matcher.matched  # type: ignore[attr-defined]
    job()
    assert propagator._matcher.matched == matched  # type: ignore[attr-defined]


@pytest.mark.parametrize(("pair_match_s", "matches"), [(10.0, 2), (1e-9, 1), (0.0, 1)])
def test_the_users_own_is_matched_too_where_there_is_time(
    scene: Scene, pair_match_s: float, matches: int
) -> None:
    propagator = turning(scene, pair_match_s=pair_match_s)
    play(propagator, scene, [0] * 10 + [25] * 40)
    assert not next(k for k in propagator.keyframes() if k.active).pinned
    matcher: Any = propagator._matcher
    before = matcher.matched
    play(propagator, scene, [25] * 10, start=50)
    assert matcher.matched - before == 10 * matches


def test_editing_a_keyframe_pins_it(scene: Scene) -> None:
    propagator = turning(scene)
    play(propagator, scene, [0] * 10 + [25] * 40)
    red = paint_square(scene.frame(25), PAINT, (220, 10, 10))
    edit_by_hand(propagator, 1, red)
    shown = play(propagator, scene, [25] * 12, start=50)
    assert [k.pinned for k in propagator.keyframes()] == [True, True]
    assert [e.reason for e in events(shown, ReferenceSwitched)] == ["this keyframe was edited"]
    np.testing.assert_allclose(shown[-1].image[29, 108], (220, 10, 10), atol=3)
    np.testing.assert_array_equal(propagator.keyframes()[1].edited, red)


def test_editing_the_first_keyframe_makes_the_later_ones_anew(scene: Scene) -> None:
    propagator = turning(scene)
    play(propagator, scene, [0] * 10 + [25] * 40)
    red = paint_square(scene.frame(0), PAINT, (220, 10, 10))
    edit_by_hand(propagator, 0, red)
    assert len(propagator.keyframes()) == 1
    assert propagator.worn is not None
    np.testing.assert_array_equal(propagator.worn.edit.edited, red)
    shown = play(propagator, scene, [25] * 50, start=50)
    assert len(events(shown, KeyframeMade)) == 1
    np.testing.assert_allclose(shown[-1].image[29, 108], (220, 10, 10), atol=3)
    compose_in(propagator, "replace")
    assert len(propagator.keyframes()) == 2  # another mode keeps the keyframes
    assert propagator.step(scene.frame(25), 9.0).reason is None


def test_removing_keyframes(scene: Scene) -> None:
    propagator = turning(scene)
    play(propagator, scene, [0] * 10 + [25] * 40)
    remove(propagator, 1)
    assert [e.index for e in events(play(propagator, scene, [25] * 2, start=50), ReferenceSwitched)] == [0]
    with pytest.raises(ValueError, match="no made keyframe"):
        remove(propagator, 0)


def test_a_source_that_begins_anew_is_no_error(scene: Scene) -> None:
    propagator = turning(scene)
    play(propagator, scene, [0] * 10 + [25] * 40)
    again = play(propagator, scene, [25] * 10 + [0] * 30)
    assert all(result.reason is None for result in again)
    assert propagator.keyframes()[0].active


def test_a_slow_matcher_makes_nothing_new(scene: Scene) -> None:
    propagator = turning(scene, max_match_s=1e-9)
    play(propagator, scene, [0] * 10 + [25] * 40)
    assert len(propagator.keyframes()) == 1
    assert propagator.decision is not None
    assert "too long" in propagator.decision.reason


@pytest.mark.parametrize(
    ("name", "value"),
    [("radius", 0.0), ("threshold", 2.0), ("fade_frames", -1), ("max_sources", 0), ("stale_s", 0.0)],
)
def test_config_checks_its_ranges(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        KeeperConfig(**{name: value})
