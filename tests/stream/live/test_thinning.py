"""The order in which a session gives way, with steps and frames on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from stream.live.thinning import FULLER_S, MOST_THIN, THINNER_S, Thinning

FPS = 30.0


@dataclass
class Told:
    """What happened: (second, level) of each change, and the seconds at which a frame was dropped."""

    levels: list[tuple[float, int]] = field(default_factory=list)
    drops: list[float] = field(default_factory=list)


def live(thinning: Thinning, step_s: Sequence[float], seconds: float, held_back: bool = False) -> Told:
    """Run frames through a slot that keeps the newest one. A step takes `step_s[level]`."""
    told, free_s, waiting_s = Told(), 0.0, None
    level = thinning.level
    for number in range(round(seconds * FPS)):
        now_s = number / FPS
        while waiting_s is not None and free_s <= now_s:
            took_s = step_s[level]
            free_s, waiting_s = max(free_s, waiting_s) + took_s, None
            changed = thinning.note(took_s, FPS, free_s, held_back=held_back)
            if changed != level:
                told.levels.append((free_s, changed))
                level = changed
        if waiting_s is not None:
            told.drops.append(now_s)
        waiting_s = now_s
    return told


def test_the_match_gives_way_before_a_frame_is_dropped() -> None:
    told = live(Thinning(), (0.035, 0.034, 0.024), 20.0)
    assert [level for _, level in told.levels] == [1, MOST_THIN]
    assert told.drops == []
    kept = live(Thinning(), (0.0345, 0.0345, 0.0345), 20.0)
    assert kept.drops, "steps above a frame's time do drop frames"
    assert kept.levels[-1][0] < kept.drops[0], "but only after the match gave way"


def test_steps_in_time_change_nothing() -> None:
    assert live(Thinning(), (0.028, 0.0, 0.0), 20.0) == Told()


def test_one_long_step_changes_nothing() -> None:
    thinning = Thinning()
    thinning.note(0.9, FPS, 1.0)
    for number in range(30):
        assert thinning.note(0.02, FPS, 1.0 + number / FPS) == 0


def test_the_match_becomes_full_again_and_stays_so() -> None:
    thinning = Thinning()
    live(thinning, (0.05, 0.05, 0.05), 5.0)
    assert thinning.level == MOST_THIN
    told = live(thinning, (0.02, 0.019, 0.015), 20.0)
    assert [level for _, level in told.levels] == [1, 0]
    assert told.levels[0][0] > FULLER_S > THINNER_S


def test_the_level_does_not_swing() -> None:
    """A match that just had to give way does not come back as long as steps take as long as then."""
    thinning = Thinning()
    told = live(thinning, (0.030, 0.028, 0.0205), 60.0)
    assert [level for _, level in told.levels] == [1]
    told = live(thinning, (0.033, 0.030, 0.0205), 60.0)
    assert [level for _, level in told.levels] == [MOST_THIN]


def test_a_session_that_is_held_back_matches_thinly_until_it_is_not() -> None:
    thinning = Thinning()
    assert [level for _, level in live(thinning, (0.01,) * 3, 10.0, held_back=True).levels] == [MOST_THIN]
    assert [level for _, level in live(thinning, (0.01,) * 3, 20.0).levels] == [1, 0]
