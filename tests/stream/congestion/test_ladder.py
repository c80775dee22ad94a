"""A low rate makes pictures fewer, then smaller; a short change does nothing; more rate brings them back."""

from __future__ import annotations

import itertools

import pytest

from stream.congestion.ladder import STEPS, Ladder, Pace

HD = (720, 1280)


def settled(
    ladder: Ladder, bps: float, from_s: float, size: tuple[int, int] = HD
) -> tuple[float, float | None]:
    for tick in range(40):
        ladder.choose(bps, size, 30.0, from_s + tick / 10)
    return ladder.step.share, ladder.step.fps


def test_the_frame_rate_falls_before_the_size() -> None:
    ladder = Ladder()
    rates = (2_500_000, 900_000, 600_000, 450_000, 300_000, 150_000, 60_000, 1)
    steps = [settled(ladder, bps, 10.0 * at) for at, bps in enumerate(rates)]
    assert steps == [
        (1.0, None), (1.0, None), (1.0, 20.0), (1.0, 15.0), (0.75, 15.0), (0.5, 15.0), (0.25, 10.0),
        (0.25, 10.0),
    ]  # fmt: skip
    assert settled(ladder, 2_500_000, 100.0) == (1.0, None)


def test_small_pictures_keep_their_size_longer() -> None:
    assert settled(Ladder(), 300_000, 0.0, (360, 640)) == (1.0, None)
    assert settled(Ladder(), 300_000, 0.0, (1080, 1920))[0] < 0.75


def test_a_short_change_does_nothing_and_the_edge_does_not_flutter() -> None:
    ladder = Ladder()
    ladder.choose(2_500_000, HD, 30.0, 0.0)
    for tick in range(100):  # low for 0.3 s of each second
        ladder.choose(200_000 if tick % 10 < 3 else 2_500_000, HD, 30.0, tick / 10)
    assert ladder.step is STEPS[0]
    settled(ladder, 600_000, 20.0)
    assert ladder.step.fps == 20.0
    assert settled(ladder, 720_000, 30.0)[1] == 20.0, "it fits by a hair"
    assert settled(ladder, 900_000, 40.0)[1] is None


def test_steps_need_ever_less_and_sizes_are_even() -> None:
    needs = [step.needs(HD, 30.0) for step in STEPS]
    assert needs == sorted(needs, reverse=True)
    for step in STEPS:
        assert all(side % 2 == 0 and side > 0 for side in (*step.size((2, 2)), *step.size((359, 641))))


@pytest.mark.parametrize(
    ("source", "wanted", "got"), [(30, 15.0, 15), (30, 20.0, 20), (25, 15.0, 15), (15, 20.0, 15)]
)
def test_pictures_are_thinned_evenly(source: int, wanted: float, got: int) -> None:
    pace, sent = Pace(), []
    for number in range(source * 20):
        pace.note(number / source)
        if pace.is_due(number / source, wanted):
            sent.append(number / source)
    assert len([at_s for at_s in sent if at_s >= 10]) == pytest.approx(10 * got, rel=0.2)
    gaps = [later - before for before, later in itertools.pairwise(sent[50:])]
    assert max(gaps) < 2.1 / wanted
    assert pace.fps == pytest.approx(source, rel=0.05)


def test_without_a_limit_each_picture_is_due() -> None:
    pace = Pace()
    assert all(pace.is_due(number / 60, None) for number in range(100))
