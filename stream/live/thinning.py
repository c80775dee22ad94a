"""Lets the match of a session give way while its steps take too long, before frames are dropped.

Under overload a live session gives way in this order: first the match becomes thinner, level by level
(`Matcher.match`); then fewer frames are edited, since only the newest is taken. Their size stays.
"""

from __future__ import annotations

from correspondence.matchers.reuse import SHARED

MOST_THIN = SHARED  # the last level
LATE = 0.88  # share of a frame's time that steps take on average, from which on the match gives way
EASY = 0.6  # share below which it becomes fuller; the last level takes two thirds to nine tenths of the first
FRESH = 0.12  # weight of the newest step in that average
USUAL = 0.7  # the average before the first step
THINNER_S, FULLER_S = 0.3, 4.0  # time for which steps must be late, or easy, before the level changes
LONGEST = 2.0  # a step counts for at most so many frames' time, so that a single one decides nothing


class Thinning:
    """Chooses how far the match gives way.

    Attributes:
        level: how far, 0 (not at all) to MOST_THIN.
    """

    def __init__(self) -> None:
        self.level = 0
        self._share = USUAL
        self._since_s: float | None = None  # since when steps are late, or easy
        self._late = False

    def note(self, took_s: float, fps: float, now_s: float, *, held_back: bool = False) -> int:
        """Note a step and return the level for the next one.

        Args:
            took_s: duration of the step, seconds.
            fps: frames that arrive per second.
            now_s: time, seconds.
            held_back: whether the session's frame rate is lowered, which the thinnest match comes before.
        """
        share = min(took_s * fps, LONGEST)
        self._share += FRESH * (share - self._share)
        late, easy = self._share > LATE, self._share < EASY and self.level > 0
        if held_back:
            self.level, self._since_s = MOST_THIN, None
        elif not (late or easy):
            self._since_s = None
        elif self._since_s is None or late != self._late:
            self._since_s, self._late = now_s, late
        elif now_s - self._since_s >= (THINNER_S if late else FULLER_S):
            self.level = min(max(self.level + (1 if late else -1), 0), MOST_THIN)
            self._since_s = None
        return self.level
