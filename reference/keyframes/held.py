"""The keyframes of one edit: which are held, which one serves, and what jobs and the user brought."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from correspondence import Landmarks
from reference.edits.edit import Mode
from reference.keyframes.bank import Bank, BankConfig, Keyframe
from reference.keyframes.keyframe_info import KeyframeInfo
from reference.keyframes.sights import EditStyle, ReadyKeyframe
from reference.keyframes.view_job import Found, Swap


class HeldKeyframes:
    """A bank with the keyframe that serves; its methods may be called from any thread.

    Args:
        first: the user's keyframe and edit, made ready.
        style: how edits are worn.
        config: bounds of the bank.

    Attributes:
        bank: the keyframes; changed under `lock` alone.
        lock: guards the bank's changes, `worn` and `waiting`.
        worn: what serves the next frame.
        waiting: what jobs and the user brought, oldest first; the step takes it from there.
        generation: jobs of an older one bring nothing.
    """

    def __init__(self, first: ReadyKeyframe, style: EditStyle, config: BankConfig) -> None:
        self.bank = Bank(config)
        self.bank.add(first.keyframe)
        self.style = style
        self.lock = threading.Lock()
        self.worn = first
        self.waiting: list[Found] = []
        self.generation = 0

    def __iter__(self) -> Iterator[Keyframe]:
        """Oldest first."""
        return iter(self.bank)

    @property
    def first(self) -> Keyframe:
        """The user's first keyframe."""
        return next(k for k in self.bank if k.pinned)

    @property
    def nbytes(self) -> int:
        """Memory of the keyframes, bytes."""
        return self.bank.nbytes

    def describe(self) -> list[KeyframeInfo]:
        """The keyframes as the film strip shows them, oldest first."""
        with self.lock:
            active, first = self.worn.keyframe, self.first
            return [k.describe(active=k is active, first=first) for k in self.bank]

    def holds(self, keyframe_id: int) -> bool:
        """Whether a keyframe of this name is among them."""
        return any(k.id == keyframe_id for k in self.bank)

    def sources(self, landmarks: Landmarks, most: int) -> list[Keyframe]:
        """What a new keyframe of a view is drawn from, see `Bank.sources`."""
        with self.lock:
            return self.bank.sources(landmarks, most)

    def take(self, found: Found, generation: int) -> None:
        """Keep what a job found for the next step, unless the user changed the keyframes meanwhile."""
        with self.lock:
            if generation == self.generation:
                self.waiting.append(found)

    def wants(self, keyframe: Keyframe, generation: int) -> bool:
        """Whether a keyframe, or what it became when its hole was filled, is still held or about to be."""
        with self.lock:
            if generation != self.generation:
                return False
            coming = [f.swap.worn.keyframe for f in self.waiting if f.swap is not None]
            return any(keyframe.id == held.id for held in (*self.bank, *coming))

    def follow(self, own: Sequence[Keyframe], style: EditStyle) -> None:
        """Hold the user's keyframes as they are now, see `Bank.follow`, and serve next what changed last.

        Args:
            own: at least one.
            style: how all edits are worn from now on.

        Raises:
            ValueError: they do not fit into the bank.
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
        """Take out a keyframe that was made beside the path.

        Raises:
            ValueError: it is no longer there.
        """
        with self.lock:
            self.bank.remove(keyframe)
        self.follow([k for k in self.bank if k.pinned], self.style)

    def retire(self) -> None:
        """Let jobs under way bring nothing any more."""
        with self.lock:
            self.generation += 1
            self.waiting.clear()

    def _compose_in(self, mode: Mode) -> None:
        """Compose in another mode from the next step on."""
        self.style = style = replace(self.style, mode=mode)
        waiting = self.waiting[-1].swap if self.waiting else None  # perhaps what the user edited last
        worn = style.ready(self.worn.keyframe)
        other = None if waiting is None else Swap(style.ready(waiting.worn.keyframe), waiting.reason)
        with self.lock:
            self.generation += 1
            self.waiting = [] if other is None else [Found(swap=other)]
            self.worn = worn

    def _supersede(self, worn: ReadyKeyframe, reason: str) -> None:
        """Serve this next, whatever jobs are under way; under the lock."""
        self.generation += 1
        self.waiting = [Found(swap=Swap(worn, reason))]
