"""Views passed on the way to a new keyframe: which join the bank, with what on them, and what stops them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from correspondence import Float, Image, Landmarks
from reference import Edit, FillHint, KeyframeMade, KeyframeRefused, Propagator, ReferenceSwitched
from reference.keyframes.bank import BankConfig
from reference.keyframes.drawn import KeyframeGap
from reference.keyframes.passed_job import PassedJob
from tests.reference.helpers import paint_square
from tests.reference.views import PAINT, Scene, TurnMatcher, compose_in, edit_by_hand, remove, turning

FPS = 25
BLUE = (10, 20, 200)
LEFT, RIGHT = np.s_[26:33, 102:118], np.s_[26:33, 140:154]  # of the paint; views from one side know one half
TO_THE_SIDE = [0] * 10 + [20, 40, 40] + [60] * 30  # the keyframe is made of the first 60


def painted(image: Image) -> Image:
    """The edit on any view: checks too fine to be told by their place's colour."""
    x0, y0, x1, y1 = PAINT
    y, x = np.mgrid[y0:y1, x0:x1]
    out = image.copy()
    out[y0:y1, x0:x1] = np.where(((x // 2 + y // 2) % 2)[..., None] > 0, (20, 200, 40), (220, 10, 160))
    return out


class Checked(Scene):
    """A scene whose edit is structure, so that what no keyframe knows stays open."""

    def edit(self) -> Edit:
        return Edit(self.frame(0), painted(self.frame(0)))


@pytest.fixture
def scene(astronaut: Image, face: Landmarks) -> Scene:
    return Checked(np.ascontiguousarray(astronaut[:256, 96:352]), face)


class SidedMatcher(TurnMatcher):
    """Beyond its reach it is sure of the half of the paint that lies towards the keyframe's side."""

    def match(self, frame: Image, prepared: Any, *args: Any, **named: Any) -> Any:
        match = super().match(frame, prepared, *args, **named)
        if match.log_b.max() < 0 or not self.flips(self.scene.yaw(frame), self.scene.yaw(prepared.image)):
            return match
        log_b = np.ascontiguousarray(match.log_b)
        log_b[:] = -2.0
        log_b[2:56, 74:128] = 6.0
        return type(match).from_field(match.field, log_b, match.landmarks)

    def flips(self, frame_deg: int, keyframe_deg: int) -> bool:
        return frame_deg < keyframe_deg


class HidingMatcher(SidedMatcher):
    """What is hidden at 60 is seen at 50, and the other way round."""

    def flips(self, frame_deg: int, keyframe_deg: int) -> bool:
        return frame_deg == 50


def played(propagator: Propagator, scene: Scene, turns: Sequence[int], start: int = 0) -> list[Any]:
    """The events of some frames."""
    results = [propagator.step(scene.frame(yaw), (start + n) / FPS) for n, yaw in enumerate(turns)]
    return [event for result in results for event in result.events]


def made(happened: list[Any]) -> list[KeyframeMade]:
    return [event for event in happened if isinstance(event, KeyframeMade)]


def turns_held(propagator: Propagator, scene: Scene) -> list[int]:
    return [scene.yaw(k.image) for k in propagator.keyframes()]


def truly(image: Image, mask: Float, hint: Any) -> Image:
    """Fills a hole with what is there in truth."""
    return np.where(mask[..., None] > 0, painted(image), image)


class Inventing:
    """Fills keyframes at once, and a gap's frames with another colour when told to."""

    def __init__(self, reach: int = 0) -> None:
        self.asked: list[tuple[KeyframeGap, Callable[[Sequence[Image]], None], Callable[[], bool]]] = []
        self._reach = reach

    def __call__(self, image: Image, mask: Float, hint: FillHint) -> Image:
        return truly(image, mask, hint)

    def between(
        self, gap: KeyframeGap, then: Callable[[Sequence[Image]], None], wanted: Callable[[], bool]
    ) -> None:
        self.asked.append((gap, then, wanted))

    def answer(self) -> None:
        gap, then, _ = self.asked.pop()
        pictures = [picture.copy() for picture, _ in gap.frames]
        for picture, hole in zip(pictures, gap.holes, strict=True):
            picture[np.roll(hole > 0, self._reach, axis=1)] = BLUE
        then(pictures)


def assert_near(shown: Image, truth: Image) -> None:
    """Equal but for a soft mask and a hole's mean colour; the paint itself is far from the live picture."""
    assert np.abs(shown.astype(int) - truth).mean() < 8


def passing(scene: Scene, **config: Any) -> Propagator:
    return turning(scene, **{"ask_every_s": 0.0, **config})


def test_views_on_the_way_join_the_bank_and_the_keyframe_goes_on_serving(scene: Scene) -> None:
    propagator = passing(scene)
    happened = played(propagator, scene, TO_THE_SIDE)
    assert [(e.index, e.passed) for e in made(happened)] == [(1, False), (2, True), (3, True)]
    assert turns_held(propagator, scene) == [0, 60, 20, 40]
    assert [e.index for e in happened if isinstance(e, ReferenceSwitched)] == [1]
    assert [k.pinned for k in propagator.keyframes()] == [True, False, False, False]
    assert propagator.keyframes()[1].active
    assert len({k.made_s for k in propagator.keyframes()[1:]}) == 1  # as old as what they are drawn from


def test_none_join_where_none_are_wanted(scene: Scene) -> None:
    propagator = passing(scene, passed_views=0)
    assert len(made(played(propagator, scene, TO_THE_SIDE))) == 1
    assert turns_held(propagator, scene) == [0, 60]


def test_what_the_new_keyframe_covers_does_not_join(scene: Scene) -> None:
    propagator = passing(scene)
    played(propagator, scene, [0] * 10 + [20, 50, 50] + [60] * 30)
    assert turns_held(propagator, scene) == [0, 60, 20]


def test_what_another_view_of_the_way_covers_does_not_join(scene: Scene) -> None:
    propagator = passing(scene)
    played(propagator, scene, [0] * 10 + [20, 32, 32] + [60] * 30)
    assert turns_held(propagator, scene) == [0, 60, 20]


def test_what_two_keyframes_show_together_alone_joins(scene: Scene) -> None:
    """The end covers all of its own edit in a near view, but its own lacks the half that its view hid."""
    propagator = passing(scene, matcher=HidingMatcher(scene))
    played(propagator, scene, [0] * 10 + [20, 50, 50] + [60] * 30)
    assert turns_held(propagator, scene) == [0, 60, 20, 50]
    kept = propagator.keyframes()[3]
    assert_near(kept.edited[LEFT], painted(kept.image)[LEFT])
    assert_near(kept.edited[RIGHT], painted(kept.image)[RIGHT])


def test_without_a_fill_the_unknown_stays_live(scene: Scene) -> None:
    propagator = passing(scene)
    played(propagator, scene, TO_THE_SIDE)
    live = scene.frame(0)
    assert np.abs(painted(live)[RIGHT].astype(int) - live[RIGHT]).mean() > 60
    for keyframe in propagator.keyframes()[2:]:
        assert_near(keyframe.edited[LEFT], painted(keyframe.image)[LEFT])
        assert_near(keyframe.edited[RIGHT], keyframe.image[RIGHT])


def test_a_view_takes_from_both_ends_what_each_is_sure_of(scene: Scene) -> None:
    propagator = passing(scene, matcher=SidedMatcher(scene), fill=truly)
    played(propagator, scene, TO_THE_SIDE)
    assert turns_held(propagator, scene) == [0, 60, 20, 40]
    for keyframe in propagator.keyframes()[2:]:
        truth = painted(keyframe.image)
        assert_near(keyframe.edited[LEFT], truth[LEFT])
        assert_near(keyframe.edited[RIGHT], truth[RIGHT])
        beside = (truth == keyframe.image).all(axis=2)
        assert_near(keyframe.edited[beside], keyframe.image[beside])


def test_holes_are_filled_between_both_ends_and_nothing_else_is(scene: Scene) -> None:
    fill = Inventing()
    propagator = passing(scene, fill=fill)
    played(propagator, scene, TO_THE_SIDE)
    before = propagator.keyframes()
    (gap, _, wanted) = fill.asked[0]
    assert wanted()
    np.testing.assert_array_equal(gap.ends[0][0], before[0].edited)
    np.testing.assert_array_equal(gap.ends[1][0], before[1].edited)
    np.testing.assert_array_equal(gap.ends[1][0][RIGHT], painted(gap.ends[1][0])[RIGHT])  # its hole is filled
    assert [landmarks is not None for _, landmarks in (*gap.ends, *gap.frames)] == [True] * 4
    fill.answer()
    assert played(propagator, scene, [60], start=60) == []
    after = propagator.keyframes()
    for n, hole in ((2, gap.holes[0]), (3, gap.holes[1])):
        assert hole[RIGHT].min() > 0.5
        assert hole[LEFT].max() == 0
        np.testing.assert_array_equal(after[n].edited[hole == 0], before[n].edited[hole == 0])
        assert (after[n].edited[hole > 0] == BLUE).all()
        assert after[n].id == before[n].id


def test_a_fill_that_paints_beside_the_hole_brings_nothing(scene: Scene) -> None:
    fill = Inventing(reach=9)
    propagator = passing(scene, fill=fill)
    played(propagator, scene, TO_THE_SIDE)
    before = [k.edited for k in propagator.keyframes()]
    with pytest.raises(ValueError, match="outside its mask"):
        fill.answer()
    played(propagator, scene, [60], start=60)
    assert all(k.edited is edited for k, edited in zip(propagator.keyframes(), before, strict=True))


def test_a_fill_is_not_wanted_once_the_user_changed_a_keyframe(scene: Scene) -> None:
    fill = Inventing()
    propagator = passing(scene, fill=fill)
    played(propagator, scene, TO_THE_SIDE)
    (_, _, wanted) = fill.asked[0]
    edit_by_hand(propagator, 1, paint_square(scene.frame(60), PAINT, BLUE))
    assert not wanted()
    fill.answer()
    played(propagator, scene, [60], start=60)
    assert turns_held(propagator, scene) == [0, 60]  # what was drawn from it went with it


class Slow(Inventing):
    """Fills keyframes later."""

    def __init__(self) -> None:
        super().__init__()
        self.holes: list[Callable[[], None]] = []

    def later(self, image: Image, mask: Float, hint: Any, then: Any, wanted: Any) -> None:
        self.holes.append(lambda: then(truly(image, mask, hint)))


@pytest.mark.parametrize("answers", [True, False])
def test_views_wait_for_the_hole_of_the_keyframe_to_be_filled(scene: Scene, answers: bool) -> None:
    fill = Slow()
    propagator = passing(scene, matcher=SidedMatcher(scene), fill=fill, passed_wait_s=3.0)
    played(propagator, scene, TO_THE_SIDE)
    assert turns_held(propagator, scene) == [0, 60]
    if answers:
        fill.holes[0]()
        played(propagator, scene, [60] * 15, start=50)
    else:
        played(propagator, scene, [60] * 45, start=50)  # over three seconds after it was made
    assert turns_held(propagator, scene) == [0, 60, 20, 40]
    for keyframe in propagator.keyframes()[2:]:
        known = painted(keyframe.image) if answers else keyframe.image
        assert_near(keyframe.edited[RIGHT], known[RIGHT])


class Held:
    """A worker that does nothing until told."""

    failures = 0

    def __init__(self, propagator: Propagator) -> None:
        self.jobs: list[Any] = []
        ready = propagator.worn
        assert ready is not None
        assert ready.keeper is not None
        ready.keeper._worker = ready.keeper._passing._worker = self
        self.keeper = ready.keeper

    def submit(self, job: Any) -> None:
        self.jobs = [job]

    def close(self) -> None:
        self.jobs = []

    def work(self) -> None:
        while self.jobs:
            self.jobs.pop()()


def waiting(scene: Scene, **config: Any) -> tuple[Propagator, Held]:
    """The keyframe is made, and the first of two views waits to be drawn on."""
    propagator = passing(scene, **config)
    worker = Held(propagator)
    played(propagator, scene, TO_THE_SIDE[:14])
    worker.work()
    played(propagator, scene, [60] * 10, start=14)
    assert turns_held(propagator, scene) == [0, 60]
    assert [type(job) for job in worker.jobs] == [PassedJob]
    return propagator, worker


def test_one_view_is_drawn_on_at_a_time(scene: Scene) -> None:
    propagator, worker = waiting(scene)
    for start, held in ((24, [0, 60, 20]), (30, [0, 60, 20, 40])):
        worker.work()
        played(propagator, scene, [60] * 2, start)
        assert turns_held(propagator, scene) == held
    assert worker.jobs == []


def test_a_keyframe_that_waits_to_be_made_keeps_its_place(scene: Scene) -> None:
    propagator, worker = waiting(scene)
    played(propagator, scene, [-30] * 20, start=24)
    urgent = worker.jobs[0]
    assert not isinstance(urgent, PassedJob)
    played(propagator, scene, [60] * 10, start=44)
    assert not any(isinstance(job, PassedJob) for job in worker.jobs)
    urgent.over = True  # as if it had been done
    played(propagator, scene, [60] * 10, start=54)
    assert [type(job) for job in worker.jobs] == [PassedJob]


@pytest.mark.parametrize(
    "stop",
    [
        lambda propagator: edit_by_hand(
            propagator, 0, paint_square(propagator.keyframes()[0].image, PAINT, BLUE)
        ),
        lambda propagator: remove(propagator, 1),
        lambda propagator: compose_in(propagator, "replace"),
    ],
)
def test_a_stale_job_brings_nothing(scene: Scene, stop: Callable[[Propagator], None]) -> None:
    propagator, worker = waiting(scene)
    matcher: Any = propagator._matcher
    stop(propagator)
    before, matched = len(worker.keeper.held.describe()), matcher.matched
    worker.work()
    assert matcher.matched == matched
    played(propagator, scene, [60], start=24)
    assert len(worker.keeper.held.describe()) == before


def test_a_source_that_begins_anew_drops_what_waits(scene: Scene) -> None:
    propagator, worker = waiting(scene)
    worker.jobs = []
    played(propagator, scene, [60] * 20)
    assert not any(isinstance(job, PassedJob) for job in worker.jobs)


def test_a_view_drives_nothing_out_of_a_full_bank(scene: Scene) -> None:
    propagator = passing(scene, bank=BankConfig(max_keyframes=3))
    happened = played(propagator, scene, TO_THE_SIDE)
    assert turns_held(propagator, scene) == [0, 60, 20]
    assert len(made(happened)) == 2
    propagator = passing(scene, bank=BankConfig(max_keyframes=2))
    happened = played(propagator, scene, TO_THE_SIDE)
    assert turns_held(propagator, scene) == [0, 60]
    assert not any(isinstance(e, KeyframeRefused) for e in happened)
