"""The keyframes of one edit: those held, the one that serves, and the changes that wait for the next step."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from correspondence import Landmarks
from reference.edits.edit import Mode
from reference.keyframes.bank import Bank, BankConfig
from reference.keyframes.keyframe import Keyframe, KeyframeInfo
from reference.keyframes.sights import EditStyle, ReadyKeyframe
from reference.keyframes.view_job import Found, Swap


class HeldKeyframes:
    """The bank of one edit and the keyframe that serves. Its methods may be called from any thread.

    Args:
        first: the user's keyframe and edit, made ready.
        style: how edits are worn.
        config: bounds of the bank.

    Attributes:
        bank: the keyframes; only changed while `lock` is held.
        lock: guards changes of `bank`, `worn` and `waiting`.
        worn: the keyframe that serves the next frame.
        waiting: results of jobs and changes by the user, oldest first; the next step applies them.
        generation: rises when the user changes the keyframes. Results of jobs that were started in an older
            generation are ignored.
        retired: whether the edit is worn no more. Results of jobs are ignored then.
    """

    def __init__(self, first: ReadyKeyframe, style: EditStyle, config: BankConfig) -> None:
        self.bank = Bank(config)
        self.bank.add(first.keyframe)
        self.style = style
        self.lock = threading.Lock()
        self.worn = first
        self.waiting: list[Found] = []
        self.generation = 0
        self.retired = False

    def __iter__(self) -> Iterator[Keyframe]:
        """Iterates over the keyframes, oldest first."""
        return iter(self.bank)

    @property
    def first(self) -> Keyframe:
        """The user's first keyframe."""
        return next(k for k in self.bank if k.pinned)

    @property
    def nbytes(self) -> int:
        """Memory that the keyframes hold, bytes."""
        return self.bank.nbytes

    def describe(self) -> list[KeyframeInfo]:
        """Returns the keyframes' descriptions for the page's film strip, oldest first."""
        with self.lock:
            active, first = self.worn.keyframe, self.first
            return [k.describe(active=k is active, first=first) for k in self.bank]

    def holds(self, keyframe_id: int) -> bool:
        """Whether a keyframe of this id is held."""
        return any(k.id == keyframe_id for k in self.bank)

    def sources(self, landmarks: Landmarks, most: int) -> list[Keyframe]:
        """Chooses the keyframes that a new keyframe of a view is drawn from, see `Bank.sources`."""
        with self.lock:
            return self.bank.sources(landmarks, most)

    def counts(self, generation: int) -> bool:
        """Whether results of a job still count: nobody changed the keyframes or retired them meanwhile.

        Args:
            generation: the value of `generation` when the job was started.
        """
        return generation == self.generation and not self.retired

    def take(self, found: Found, generation: int) -> None:
        """Keeps a job's result for the next step if it still counts, see `counts`.

        Args:
            found: the result.
            generation: the value of `generation` when the job was started.
        """
        with self.lock:
            if self.counts(generation):
                self.waiting.append(found)

    def wants(self, keyframe: Keyframe, generation: int) -> bool:
        """Whether a keyframe, or its filled version, is still held or waits to be.

        Args:
            keyframe: the keyframe; found by its id.
            generation: the value of `generation` when the job that asks was started.
        """
        with self.lock:
            if not self.counts(generation):
                return False
            coming = [f.swap.worn.keyframe for f in self.waiting if f.swap is not None]
            return any(keyframe.id == held.id for held in (*self.bank, *coming))

    def follow(self, own: Sequence[Keyframe], style: EditStyle) -> None:
        """Updates to the user's current keyframes, see `Bank.follow`. The last changed one serves next.

        Args:
            own: the user's keyframes, at least one.
            style: how all edits are worn; only a changed mode takes effect.

        Raises:
            ValueError: the keyframes do not fit into the bank.
        """
        changed = self.bank.changed(own)
        if style.mode != self.style.mode:
            self._compose_in(style.mode)
        worn = style.ready(changed[-1] if changed else own[0])
        with self.lock:
            self.bank.follow(own)
            if changed:
                self._supersede(worn, "this keyframe was edited")
            elif self.worn.keyframe not in list(self.bank):
                self._supersede(worn, "the keyframe that served was removed")

    def remove(self, keyframe: Keyframe) -> None:
        """Removes a keyframe that Livery made.

        Raises:
            ValueError: it is no longer held.
        """
        with self.lock:
            self.bank.remove(keyframe)
        self.follow([k for k in self.bank if k.pinned], self.style)

    def retire(self) -> None:
        """Ends the work on an edit that is worn no more.

        Running jobs stop at their next stage, also jobs that a step submits later.
        """
        with self.lock:
            self.retired = True
            self.waiting.clear()

    def _compose_in(self, mode: Mode) -> None:
        """Composes in another mode from the next step on."""
        self.style = style = replace(self.style, mode=mode)
        waiting = self.waiting[-1].swap if self.waiting else None  # perhaps the user's last edit
        worn = style.ready(self.worn.keyframe)
        other = None if waiting is None else Swap(style.ready(waiting.worn.keyframe), waiting.reason)
        with self.lock:
            self.generation += 1
            self.waiting = [] if other is None else [Found(swap=other)]
            self.worn = worn

    def _supersede(self, worn: ReadyKeyframe, reason: str) -> None:
        """Lets `worn` serve next, whatever jobs are running. Call it while `lock` is held."""
        self.generation += 1
        self.waiting = [Found(swap=Swap(worn, reason))]
