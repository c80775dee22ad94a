"""Undo and redo of a session's edits: the last ones, bounded in number and memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from stream.looks.look import Look, Pictures

MOST_STEPS = 30
MERGE_S = 3.0  # steps of one kind that follow sooner are one, as a colour that is dragged


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One step.

    Attributes:
        look: what was changed.
        before, after: its pictures; None where the look was not there.
        label: what was done, for people.
        place: of the look among the others.
        merges: changes of the same value are one step; None never.
        at_s: when.
    """

    look: Look
    before: Pictures | None
    after: Pictures | None
    label: str
    place: int = 0
    merges: str | None = None
    at_s: float = 0.0

    @property
    def pictures(self) -> tuple[Pictures, ...]:
        """What it holds."""
        return tuple(p for p in (self.before, self.after) if p is not None)


class History:
    """What can be taken back and done again.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done: list[Change] = []
        self._undone: list[Change] = []

    def add(self, change: Change) -> None:
        """Remember a step; ends what could be done again."""
        change = replace(change, at_s=self._clock())
        last = self._done[-1] if self._done else None
        self._undone.clear()
        if (
            last is not None
            and change.merges is not None
            and (last.look, last.merges) == (change.look, change.merges)
            and change.at_s - last.at_s < MERGE_S
        ):
            self._done[-1] = replace(change, before=last.before)
            return
        self._done.append(change)
        del self._done[:-MOST_STEPS]

    @property
    def undo(self) -> Change | None:
        """The step to take back next."""
        return self._done[-1] if self._done else None

    @property
    def redo(self) -> Change | None:
        """The step to do again next."""
        return self._undone[-1] if self._undone else None

    def undone(self) -> None:
        """`undo` was carried out."""
        self._undone.append(self._done.pop())

    def redone(self) -> None:
        """`redo` was carried out."""
        self._done.append(self._undone.pop())

    def pictures(self) -> list[Pictures]:
        """All that is held for it."""
        return [p for change in (*self._done, *self._undone) for p in change.pictures]

    def forget_oldest(self) -> bool:
        """Drop the step that would be taken back last; False where there is none."""
        if not self._done:
            self._undone.clear()
            return False
        del self._done[0]
        return True
