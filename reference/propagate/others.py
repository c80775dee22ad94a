"""The people of a stream other than the first: what each of them wears, and how it is put onto a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from correspondence import Landmarks, Match, Matcher
from correspondence.face.crowd import FurtherFace
from correspondence.face.look import FaceLook, KnownPerson
from correspondence.matchers.coarse import Begun
from reference.compose.crowd import Painted, join
from reference.keyframes.sights import ReadyKeyframe
from reference.propagate.fits import Fits
from reference.propagate.outfit import Outfit
from reference.propagate.result import OtherFace, Result, Step
from reference.propagate.wearer import Wearer

STAGE = "faces"  # name of the stage in `Result.stages`
REMEMBERED = 16  # people whose edit is remembered


class Others:
    """Puts the edit on further people of a stream. Call it from the thread of `step` only.

    Each wears the edit of the reference face that they look like most, among the edits that nobody else in
    the frame wears, or among all if there is none left. They keep it, also when they leave and return.

    Args:
        matcher: matches the frames.
        fade_frames: frames over which the edit fades in on a new face, and out on a lost one.
        fits: fits the edit to each person.
    """

    def __init__(self, matcher: Matcher, fade_frames: int, fits: Fits) -> None:
        self._matcher, self._fade_frames, self._fits = matcher, fade_frames, fits
        self._outfit: Outfit | None = None
        self._known: list[KnownPerson] = []  # the faces that the outfit's edits were made on
        self._chosen: dict[int, int] = {}  # for each person, which of `Outfit.further` they wear
        self._wearers: dict[int, Wearer] = {}
        self._begins = True

    def forget(self) -> None:
        """Forgets the last matches. On the next frame the edit does not fade in."""
        self._wearers.clear()
        self._begins = True

    def dress(
        self, step: Step, outfit: Outfit, first: Result, faces: Sequence[FurtherFace], strength: float
    ) -> Result:
        """Puts an outfit on further faces of a frame.

        Args:
            step: the running step, with the frame.
            outfit: what is worn; `Outfit.further` is not empty.
            first: the result for the first person.
            faces: the further faces.
            strength: strength of the edit, [0, 1].

        Returns:
            The result for all people. Its coverage is the mean over those who are seen.

        Raises:
            StageError: a stage failed.
        """
        if outfit is not self._outfit:
            self._change(outfit)
        if not faces:
            self._wearers.clear()
            self._begins = False
            return first
        with step.stage(STAGE):
            self._choose(step, faces, {0} if first.landmarks is not None else set())
        present = {face.number for face in faces}
        self._wearers = {n: wearer for n, wearer in self._wearers.items() if n in present}
        begun: dict[int, Begun] = {}
        painted, others = [Painted(first.image, first.box, first.landmarks)], []
        for face in faces:
            ready = outfit.further[self._chosen[face.number]]
            made = None if ready.edit.is_empty else self._dressed(step, face, ready, strength, begun)
            if made is not None:
                painted.append(made[0])
                others.append(made[1])
        self._begins = False
        with step.stage(STAGE):
            image, box = join(step.frame, painted)
        coverages = [other.coverage for other in others]
        coverages += [] if first.match is None else [first.coverage]
        return replace(
            first, image=image, box=box, others=tuple(others), reason=None if box else first.reason,
            coverage=sum(coverages) / max(1, len(coverages)),
        )  # fmt: skip

    def _change(self, outfit: Outfit) -> None:
        """Changes to another outfit. People keep what they wear if it has edits of the same faces."""
        pictures = [ready.keyframe.prepared for ready in outfit.further]
        before = [] if self._outfit is None else [r.keyframe.prepared for r in self._outfit.further]
        self._outfit = outfit
        self.forget()
        if len(pictures) == len(before) and all(a is b for a, b in zip(pictures, before, strict=True)):
            return
        self._chosen.clear()
        self._known = [KnownPerson(p.image, p.landmarks) for p in pictures if p.landmarks is not None]

    def _choose(self, step: Step, faces: Sequence[FurtherFace], worn: set[int]) -> None:
        """Chooses what new faces wear, the most alike first; `worn` is what others in the frame wear."""
        new = [face for face in faces if face.number not in self._chosen]
        if not new:
            return
        worn |= {self._chosen[face.number] for face in faces if face.number in self._chosen}
        alike = {
            (face.number, i): self._likeness(step, face.landmarks, known)
            for face in new
            for i, known in enumerate(self._known)
        }
        for (number, i), _ in sorted(alike.items(), key=lambda item: -item[1]):
            if number not in self._chosen and i not in worn:
                self._chosen[number] = i
                worn.add(i)
        for face in new:
            scores = [alike[face.number, i] for i in range(len(self._known))]
            best = scores.index(max(scores))
            self._chosen.setdefault(face.number, best)
        while len(self._chosen) > REMEMBERED:
            del self._chosen[next(iter(self._chosen))]

    def _likeness(self, step: Step, landmarks: Landmarks | None, known: KnownPerson) -> float:
        if landmarks is None or len(self._known) == 1:
            return 0.0
        return known.likeness(FaceLook.of(step.frame, landmarks)) - known.away(landmarks)

    def _dressed(
        self, step: Step, face: FurtherFace, ready: ReadyKeyframe, strength: float, begun: dict[int, Begun]
    ) -> tuple[Painted, OtherFace] | None:
        """Puts one keyframe on one face; None if the face is not found and its edit has faded out."""
        wearer = self._wearers.get(face.number)
        if wearer is None:
            wearer = Wearer(self._matcher, self._fade_frames, 1.0 if self._begins else 0.0)
            self._wearers[face.number] = wearer
        worn, match = self._matched(step, face, ready, wearer, begun)
        if match is not None and face.landmarks is not None:
            with step.stage(STAGE):
                self._fits.ask(face.number, ready, step.frame, step.now_s, face.landmarks, match)
            if self._fits.of(face.number) not in (None, worn):  # it was fitted at once, as in files
                worn, match = self._matched(step, face, ready, wearer, begun)
        if match is None:
            return None
        with step.stage(STAGE):
            made = worn.compositor.compose(step.frame, match, strength * wearer.fade)
            made = worn.with_stickers(step.frame, match, made, strength * wearer.fade)
        painted = Painted(made.image, made.box, face.landmarks)
        return painted, OtherFace(face.number, face.landmarks, match, made.box, made.coverage)

    def _matched(
        self, step: Step, face: FurtherFace, ready: ReadyKeyframe, wearer: Wearer, begun: dict[int, Begun]
    ) -> tuple[ReadyKeyframe, Match | None]:
        """Matches a face with the edit as it is fitted to the person, else as it is on the reference."""
        worn = self._fits.of(face.number) or ready
        prepared = worn.keyframe.prepared
        started = begun.get(id(prepared)) or wearer.begin(step.frame, worn, step.thin)
        if started is not None:
            begun[id(prepared)] = started
        return worn, wearer.match(step, worn, face.landmarks, started, STAGE)

    def close(self) -> None:
        """Ends the work beside the frame's path."""
        self._fits.close()
