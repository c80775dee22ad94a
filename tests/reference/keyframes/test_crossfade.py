from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from correspondence import Image, Landmarks, LandmarkTracker, Matcher, detect_landmarks
from reference import (
    CompositeConfig,
    Edit,
    KeeperConfig,
    KeyframeMade,
    Propagator,
    PropagatorConfig,
    ReferenceSwitched,
    presets,
)
from reference.keyframes.bank import Bank
from reference.keyframes.crossfade import LAG, Apart, CrossFade
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.lookout import Lookout
from reference.keyframes.policy import Action, Decision, PolicyConfig
from reference.keyframes.showing import Showing
from reference.keyframes.sights import EditStyle, ReadyKeyframe
from stream.media.demo import DemoSource
from tests.reference.helpers import FakeMatcher, FakePrepared, moved, paint_square, shift_match, translated

SIZE = (96, 96)
PAINT = (30, 30, 66, 66)
LOOK = EditStyle("delta", 1.0, CompositeConfig(follow_light=False))
FRAMES = 4


def worn(image: Image, colour: tuple[int, int, int]) -> ReadyKeyframe:
    prepared: Any = FakePrepared(image, None)
    return LOOK.ready(Keyframe(image, paint_square(image, PAINT, colour), prepared))


@pytest.mark.parametrize(("sure_old", "sure_new"), [(-3.0, -3.0), (6.0, -3.0), (-3.0, 6.0)])
def test_the_edit_changes_in_small_steps_and_nothing_else_does(sure_old: float, sure_new: float) -> None:
    frame = np.random.default_rng(0).integers(110, 130, (*SIZE, 3)).astype(np.uint8)
    old, new = worn(frame, (200, 120, 120)), worn(frame.copy(), (120, 120, 200))
    before, after = shift_match(SIZE, (0, 0), log_b=sure_old), shift_match(SIZE, (0, 0), log_b=sure_new)
    fade = CrossFade(old, before, FRAMES, radius=0.03)
    matcher: Any = FakeMatcher(None)
    composed = new.compositor.compose(frame, after)
    start = old.compositor.compose(frame, before).image
    shown = [start]
    while not fade.done:
        shown.append(fade.blend(frame, after, composed, new, None, 1.0, matcher).image)
    shown.append(composed.image)
    assert len(shown) == FRAMES + 2
    middle = np.array([image[48, 48].astype(int) for image in shown])
    steps = np.abs(np.diff(middle, axis=0)).max(axis=1)
    whole = np.abs(middle[-1] - middle[0]).max()
    assert steps.max() <= (1 + LAG) / (FRAMES + 1) * whole + 2
    for image in shown:
        far = np.ones(SIZE, bool)
        far[20:76, 20:76] = False
        np.testing.assert_array_equal(image[far], frame[far])


@pytest.mark.parametrize(("match_s", "frames"), [(0.01, 5), (0.02, 2)])
def test_a_fade_is_short_where_there_is_little_time(match_s: float, frames: int) -> None:
    frame = np.full((*SIZE, 3), 120, np.uint8)
    old, new = worn(frame, (200, 120, 120)), worn(frame.copy(), (120, 120, 200))
    match, matcher = shift_match(SIZE, (0, 0)), cast(Any, FakeMatcher(None))
    showing = Showing(matcher, KeeperConfig(fade_frames=5, hurried_frames=2, hurried_match_s=0.015))
    showing.change(old, new, match, None, fades=True, match_s=match_s)
    count = 0
    while showing.fading:
        showing.blend(frame, match, new.compositor.compose(frame, match), new, None, 1.0)
        count += 1
    assert count == frames


def test_where_there_is_little_time_keyframes_are_changed_but_none_is_made() -> None:
    lookout = Lookout(KeeperConfig(max_match_s=0.01), Bank())
    lookout.decision = Decision(Action.MAKE, "low")
    assert lookout.wanted(0.5, 0.02, 1.0) is None
    assert "too long for more" in lookout.decision.reason
    other = worn(np.full((*SIZE, 3), 120, np.uint8), (200, 120, 120)).keyframe
    lookout.decision, lookout._other = Decision(Action.SWITCH, "low"), (other, 0.9)
    wanted = lookout.wanted(0.5, 0.02, 1.0)
    assert wanted is not None, "else a made keyframe would serve on where another shows more"
    assert wanted.candidate is other


def test_one_reference_with_two_edits_is_matched_once() -> None:
    frame = np.full((*SIZE, 3), 120, np.uint8)
    old = worn(frame, (200, 120, 120))
    twin = Keyframe(frame, paint_square(frame, PAINT, (120, 120, 200)), old.keyframe.prepared)
    new = LOOK.ready(twin)
    matcher: Any = FakeMatcher(None)
    match = shift_match(SIZE, (0, 0))
    fade = CrossFade(old, None, FRAMES, radius=0.03)
    mixed = fade.blend(frame, match, new.compositor.compose(frame, match), new, None, 1.0, matcher)
    assert matcher.previous == []
    assert 120 < mixed.image[48, 48, 0] < 200
    assert 120 < mixed.image[48, 48, 2] < 200


def test_the_old_reference_is_matched_once_and_then_carried_with_the_head(
    astronaut: Image, face: Landmarks
) -> None:
    x, y = (int(v) for v in face.points[50, :2])
    spot = (x - 6, y - 6, x + 6, y + 6)

    def wearing(image: Image, colour: tuple[int, int, int]) -> ReadyKeyframe:
        prepared: Any = FakePrepared(image, face)
        return LOOK.ready(Keyframe(image, paint_square(image, spot, colour), prepared))

    old, new = wearing(astronaut, (20, 200, 40)), wearing(astronaut.copy(), (20, 40, 200))
    matcher: Any = FakeMatcher(face)
    fade = CrossFade(old, None, FRAMES, radius=0.03)
    fade.blend(
        astronaut,
        (match := shift_match((512, 512), (0, 0), face)),
        new.compositor.compose(astronaut, match),
        new,
        face,
        1.0,
        matcher,
    )
    for step in (1, 2):  # the head moves on, and the new match with it
        frame, here = translated(astronaut, 10 * step, 0), moved(face, 10 * step, 0)
        match = shift_match((512, 512), (-10 * step, 0), here)
        composed = new.compositor.compose(frame, match)
        mixed = fade.blend(frame, match, composed, new, here, 1.0, matcher).image
        assert mixed[y, x + 10 * step, 1] > composed.image[y, x + 10 * step, 1] + 20  # green is left
        np.testing.assert_array_equal(mixed[:, :150], frame[:, :150])
    assert len(matcher.previous) == 1


def test_without_a_match_the_new_one_shows_at_once() -> None:
    frame = np.full((*SIZE, 3), 120, np.uint8)
    old, new = worn(frame, (200, 120, 120)), worn(frame.copy(), (120, 120, 200))
    match = shift_match(SIZE, (0, 0))
    composed = new.compositor.compose(frame, match)
    fade = CrossFade(old, None, FRAMES, radius=0.03)
    matcher: Any = FakeMatcher(None)
    assert fade.blend(frame, match, composed, new, None, 1.0, matcher) is composed
    assert fade.done


def sweep(source: DemoSource, edit: Edit, references: KeeperConfig | None) -> tuple[list[Image], list[Any]]:
    """What each frame of a turn and back becomes, and the events."""
    config = PropagatorConfig(references=references)
    propagator = Propagator(edit, Matcher.load("classical"), LandmarkTracker(), config)
    images, events = [], []
    try:
        for i in range(0, 80, 2):
            result = propagator.step(source.frame(i), i / source.fps)
            images.append(result.image)
            events.append(result.events)
    finally:
        propagator.close()
    return images, events


def test_on_a_turning_head_a_switch_is_smaller_than_the_motion() -> None:
    """Against the same frames with one reference: what a switch alone changes, from frame to frame."""
    source = DemoSource(size=(240, 320), fps=15.0)
    first = source.frame(0)
    face: Landmarks | None = detect_landmarks(first)
    assert face is not None
    edit = Edit(first, presets.apply("clown", first, face))
    eager = KeeperConfig(
        background=False,
        max_match_s=10.0,
        radius=0.008,
        threshold=0.9,
        policy=PolicyConfig(min_coverage=0.95, recover=0.97, window_s=0.2, cooldown_s=0.5),
    )
    kept, events = sweep(source, edit, eager)
    alone, _ = sweep(source, edit, None)
    flat = [event for found in events for event in found]
    assert any(isinstance(event, KeyframeMade) for event in flat)
    switches = [i for i, found in enumerate(events) if any(isinstance(e, ReferenceSwitched) for e in found)]
    assert switches
    frames = [source.frame(i).astype(int) for i in range(0, 80, 2)]
    edited = [
        np.abs(image.astype(int) - frame).max(axis=2) > 2 for image, frame in zip(kept, frames, strict=True)
    ]
    motion = [
        np.abs(b - a).mean(axis=2)[where].mean()
        for a, b, where in zip(frames[:-1], frames[1:], edited[1:], strict=True)
    ]
    apart = [k.astype(int) - a for k, a in zip(kept, alone, strict=True)]
    limit = np.percentile(motion, 95)
    for i in switches:
        for k in range(i, min(i + eager.fade_frames + 1, len(kept))):
            change = np.abs(apart[k] - apart[k - 1]).mean(axis=2)[edited[k]].mean()
            assert change < limit
    for image, other, frame in zip(kept, alone, frames, strict=True):
        far = (np.abs(image.astype(int) - frame).max(axis=2) == 0) & (other != frame).any(axis=2)
        assert far.mean() < 0.02  # both edit the same place


def test_what_a_job_knows_of_the_old_reference_spares_matching_it(astronaut: Image, face: Landmarks) -> None:
    x, y = (int(v) for v in face.points[50, :2])
    spot = (x - 6, y - 6, x + 6, y + 6)
    old_prepared, new_prepared = (FakePrepared(image, face) for image in (astronaut, astronaut.copy()))
    old, new = (
        LOOK.ready(Keyframe(p.image, paint_square(p.image, spot, colour), cast("Any", p)))
        for p, colour in ((old_prepared, (20, 200, 40)), (new_prepared, (20, 40, 200)))
    )
    before, after = (shift_match((512, 512), shift, face) for shift in ((3, 0), (0, 0)))
    matcher: Any = FakeMatcher(face)
    pictures = []
    for apart in (Apart.between(before, after, face), Apart.between(before, None, face)):
        fade = CrossFade(old, None, FRAMES, radius=0.03, apart=apart)
        composed = new.compositor.compose(astronaut, after)
        pictures.append(fade.blend(astronaut, after, composed, new, face, 1.0, matcher).image)
    assert matcher.previous == []
    assert pictures[0][y, x - 9, 1] > astronaut[y, x - 9, 1] + 20  # 3 px to the left of where it was painted
    np.testing.assert_array_equal(pictures[0], pictures[1])
