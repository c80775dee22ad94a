"""Carries two edits of one clip, one near its start and one near its end, and blends between them.

Each frame is matched with both references. The share of the end's edit rises with time. Where only one
reference is sure of a pixel, that reference gives it, so that each shows what the other could not see (the
start and end references of Qffusion, without its diffusion). Two edits that agree look like one lasting edit.
Two edits that differ turn smoothly into each other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from correspondence import Box, Float, Image, Landmarks, LandmarkTracker, Match, Matcher
from reference.compose.blend_weights import union
from reference.edits.edit import Edit
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.pair import mix, sureness
from reference.propagate.propagator import Propagator, PropagatorConfig, Tracker
from reference.propagate.result import Result

OWN = KeeperConfig(make=False, background=False)  # both references are the user's, so none is made
LEAST = 1e-5  # least trust in either edit, so that time alone decides where neither is sure
OTHER = 0.004  # least weight of the other edit: one level at most, but all of it where only that one is sure


class Between:
    """Carries two edits of one clip onto its frames. It is used like a `Propagator`.

    Args:
        start, end: the edits; their references are frames of the clip, or look like them.
        start_s, end_s: times of these frames, seconds. Before the first and after the second the nearer edit
            is preferred.
        matcher: matcher; the best shipped one when None.
        tracker: landmark tracker for this clip alone; a `LandmarkTracker` when None.
        config: as for a `Propagator`; no further references are made, since both are the user's own.

    Raises:
        ValueError: `end_s` is not after `start_s`.
    """

    def __init__(
        self,
        start: Edit,
        end: Edit,
        *,
        start_s: float,
        end_s: float,
        matcher: Matcher | None = None,
        tracker: Tracker | None = None,
        config: PropagatorConfig | None = None,
    ) -> None:
        if not end_s > start_s:
            raise ValueError(f"end_s must be after start_s, got {end_s} and {start_s}")
        matcher = matcher or Matcher.load()
        self._tracker = _Once(tracker or LandmarkTracker())
        self._config = replace(config or PropagatorConfig(), references=OWN)
        self._times = (start_s, end_s)
        self._edits = (start, end)
        self._sides = tuple(Propagator(edit, matcher, self._tracker, self._config) for edit in self._edits)

    def step(self, frame: Image, now_s: float) -> Result:
        """Composes both edits on the next frame of the clip.

        Args:
            frame: RGB uint8 (H, W, 3); never written to.
            now_s: time of the frame, seconds, growing from call to call.

        Returns:
            The blended result. Its match and landmarks are those of the edit that is preferred at this time,
            its coverage is the larger one, and `stages` holds the sums of both.

        Raises:
            ValueError: a frame of another dtype or shape.
            StageError: a stage failed.
        """
        first, last = (side.step(frame, now_s) for side in self._sides)
        share = self.share(now_s)
        main = last if share > 0.5 else first
        stages = {name: first.stages.get(name, 0.0) + last.stages.get(name, 0.0) for name in main.stages}
        box = union(first.box, last.box)
        coverage = max(first.coverage, last.coverage)
        if box is None:
            return replace(main, stages=stages, coverage=coverage)
        weight = self._weight(first.match, last.match, box, share)
        image = mix(frame, first.image, last.image, box, weight)
        return replace(main, image=image, box=box, coverage=coverage, reason=None, stages=stages)

    def share(self, now_s: float) -> float:
        """Share of the end's edit at time `now_s`, [0, 1]; it rises smoothly from `start_s` to `end_s`."""
        start_s, end_s = self._times
        t = min(1.0, max(0.0, (now_s - start_s) / (end_s - start_s)))
        return t * t * (3 - 2 * t)

    def _weight(self, first: Match | None, last: Match | None, box: Box, share: float) -> Float:
        """Share of the end's edit on the grid of `pair.cells_of`, for `pair.mix`.

        It combines the share by time with the sureness of both matches.
        """
        a, b = (
            sureness(edit, match, box, self._config.composite) ** 2 + np.float32(LEAST)
            for edit, match in zip(self._edits, (first, last), strict=True)
        )
        b *= np.float32((share + OTHER) / (1 - share + OTHER))
        return np.asarray(b / (a + b), np.float32)

    def close(self) -> None:
        """Closes both propagators and the tracker."""
        for side in self._sides:
            side.close()
        self._tracker.free()


class _Once:
    """A tracker that finds a frame's landmarks once and returns them to both propagators."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._seen: tuple[Image, float, Landmarks | None] | None = None

    def __call__(self, image: Image, now_s: float) -> Landmarks | None:
        seen = self._seen
        if seen is None or seen[0] is not image or seen[1] != now_s:
            seen = (image, now_s, self._tracker(image, now_s))
            self._seen = seen
        return seen[2]

    def free(self) -> None:
        """Closes the tracker. The propagators share it and therefore do not close it."""
        close = getattr(self._tracker, "close", None)
        if close is not None:
            close()
