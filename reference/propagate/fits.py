"""Keeps the edit as it was fitted to each further person of a stream."""

from __future__ import annotations

from dataclasses import dataclass

from correspondence import Image, Landmarks, Match, Matcher
from correspondence.face.landmarks import MOST_FACES
from reference.compose.composite import CompositeConfig
from reference.keyframes.refusal import RefusalConfig, covered_share
from reference.keyframes.sights import EditStyle, ReadyKeyframe
from reference.propagate.fitted import fitted, misfit
from reference.side_work import Worker

AGAIN_S = 1.0  # time between two fits to one person, seconds
BETTER = 0.6  # a person is fitted again if the misfit is below this share of the last one's ...
LEAST_GAIN = 5.0  # ... and lower by at least this, degrees


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """An edit fitted to one person.

    Attributes:
        of: the edit as it is on the reference.
        ready: the edit on the person's frame.
        landmarks: landmarks of the person in that frame.
        misfit: see `fitted.misfit`.
        made_s: time of the frame, seconds.
    """

    of: ReadyKeyframe
    ready: ReadyKeyframe
    landmarks: Landmarks
    misfit: float
    made_s: float


class Fits:
    """Fits an edit to people, one at a time, beside the frame's path. Call it from the thread of `step` only.

    Args:
        matcher: the stream's matcher.
        composite: settings of composition.
        worker: runs the slow work; nobody else submits jobs to it. It is closed with this object.
    """

    def __init__(self, matcher: Matcher, composite: CompositeConfig, worker: Worker) -> None:
        self._matcher, self._composite, self._worker = matcher, composite, worker
        self._fits: dict[int, _Fit] = {}
        self._busy = False

    def of(self, number: int) -> ReadyKeyframe | None:
        """Returns the edit as it is fitted to a person; None if it is not fitted yet."""
        fit = self._fits.get(number)
        return None if fit is None else fit.ready

    def ask(
        self,
        number: int,
        ready: ReadyKeyframe,
        frame: Image,
        now_s: float,
        landmarks: Landmarks,
        match: Match,
    ) -> None:
        """Fits an edit to a person from this frame if that is due. Until it is done, the last fit serves.

        Args:
            number: the person.
            ready: the edit that the person wears.
            frame: uint8 (H, W, 3); copied if it is used.
            now_s: time of the frame, seconds.
            landmarks: landmarks of the person's face in it.
            match: the match of the frame by that face, with any reference.
        """
        if self._busy or ready.edit.strength <= 0:
            return
        fit = self._fits.get(number)
        if fit is not None and fit.of is not ready:  # the user changed the edit: the same frame serves
            self._begin(number, ready, fit.ready.keyframe.image, fit.landmarks, fit.misfit, fit.made_s)
            return
        if fit is not None and 0 <= now_s - fit.made_s < AGAIN_S:
            return
        bad = misfit(ready, landmarks)
        if bad is None or covered_share(landmarks, match.hidden) > RefusalConfig().covered:
            return
        if fit is None or (bad < BETTER * fit.misfit and bad < fit.misfit - LEAST_GAIN):
            self._begin(number, ready, frame.copy(), landmarks, bad, now_s)

    def _begin(
        self, number: int, ready: ReadyKeyframe, image: Image, landmarks: Landmarks, bad: float, now_s: float
    ) -> None:
        style = EditStyle(ready.edit.mode, ready.edit.strength, self._composite)

        def job() -> None:
            try:
                made = fitted(ready, image, landmarks, self._matcher, style)
                self._keep(number, _Fit(ready, made, landmarks, bad, now_s))
            finally:
                self._busy = False

        self._busy = True
        self._worker.submit(job)

    def _keep(self, number: int, fit: _Fit) -> None:
        fits = {n: kept for n, kept in self._fits.items() if n != number}
        while len(fits) >= MOST_FACES:
            del fits[next(iter(fits))]
        self._fits = {**fits, number: fit}  # replaced as a whole, since `of` reads it from another thread

    def close(self) -> None:
        """Ends the work beside the frame's path."""
        self._worker.close()
