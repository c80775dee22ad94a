"""What is sent at a low bit rate: first coarser pictures, then fewer of them, then smaller ones."""

from __future__ import annotations

from dataclasses import dataclass

HD_PIXELS, HD_FPS = 1280 * 720, 30.0
LEAST_BPS = 700_000  # below it, pictures of 720p30 are too coarse
POWER = 0.75  # rates scale with pixels and pictures per second to this power
FALL_S, RISE_S = 0.5, 1.5  # time for which another step must fit before it is taken
SPARE = 1.2  # a higher step must fit with so much to spare


@dataclass(frozen=True, slots=True)
class Step:
    """One way to send: the share of each side's length, and the most pictures per second (None: all)."""

    share: float
    fps: float | None

    def needs(self, size: tuple[int, int], fps: float) -> float:
        """The lowest rate at which this looks fair, bits per second.

        Args:
            size: (H, W) of the pictures that there are.
            fps: how many there are per second.
        """
        pixels = size[0] * size[1] * self.share**2
        rate = fps if self.fps is None else min(fps, self.fps)
        return LEAST_BPS * (pixels / HD_PIXELS) ** POWER * (rate / HD_FPS) ** POWER

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) to send of pictures of `size`: even sides."""
        height, width = (max(round(side * self.share) & ~1, 2) for side in size)
        return height, width


STEPS = (
    Step(1.0, None), Step(1.0, 20.0), Step(1.0, 15.0), Step(0.75, 15.0), Step(0.5, 15.0), Step(0.375, 12.0),
    Step(0.25, 10.0),
)  # fmt: skip


class Ladder:
    """Chooses the step for the present rate. A short change of the rate changes nothing."""

    def __init__(self) -> None:
        self.step = STEPS[0]
        self._other_since_s: float | None = None  # since when another step has fitted better
        self._goes_down = False

    def choose(self, bps: float, size: tuple[int, int], fps: float, now_s: float) -> Step:
        """Return the step to use.

        Args:
            bps: what may be sent, bits per second.
            size: (H, W) of the pictures that there are.
            fps: how many there are per second.
            now_s: time in seconds.
        """
        present = STEPS.index(self.step)
        fits = next((n for n, step in enumerate(STEPS) if step.needs(size, fps) <= bps), len(STEPS) - 1)
        if fits < present:
            spare = (n for n, step in enumerate(STEPS) if step.needs(size, fps) * SPARE <= bps)
            fits = min(next(spare, present), present)
        if fits == present:
            self._other_since_s = None
            return self.step
        down = fits > present
        if self._other_since_s is None or down != self._goes_down:
            self._other_since_s, self._goes_down = now_s, down
        if now_s - self._other_since_s >= (FALL_S if down else RISE_S):
            self.step, self._other_since_s = STEPS[fits], None
        return self.step


class Pace:
    """Measures how many pictures per second there are, and thins them out evenly."""

    def __init__(self) -> None:
        self.fps = HD_FPS
        self._last_s: float | None = None
        self._due_s = float("-inf")  # when the next picture is sent

    def note(self, captured_s: float) -> None:
        """Note a picture that there is."""
        if self._last_s is not None and 0.001 < captured_s - self._last_s < 1.0:
            self.fps += 0.1 * (min(1 / (captured_s - self._last_s), 120.0) - self.fps)
        self._last_s = captured_s

    def is_due(self, captured_s: float, fps: float | None) -> bool:
        """Whether to send a picture at `fps` pictures per second. None sends all."""
        step_s = 0.0 if fps is None else 1 / fps
        if 0.2 / self.fps < self._due_s - captured_s <= 2 * step_s:
            return False
        late = not 0 <= captured_s - self._due_s <= step_s  # after a pause, or the first one
        self._due_s = (captured_s if late else self._due_s) + step_s
        return True
