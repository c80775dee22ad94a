"""Undo and redo of a session's latest edits, bounded in number and memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from reference import Mode
from stream.looks.look import Look, Pictures

MOST_STEPS = 30
Worn = tuple[Mode, float]  # mode and strength of a look
MERGE_S = 3.0  # steps of one kind within this time count as one, for example a colour that is dragged


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One step of the undo history.

    Attributes:
        look: the look that was changed.
        before: the look's pictures before the step. None if the look did not exist.
        after: the look's pictures after the step. None if the look was removed.
        label: what was done, for people.
        place: position of the look among the others.
        worn: mode and strength of the look before and after the step. None if the step does not change them.
        merges: steps in quick succession with the same value become one step. None never merges.
        at_s: time of the step, seconds.
    """

    look: Look
    before: Pictures | None
    after: Pictures | None
    label: str
    place: int = 0
    worn: tuple[Worn, Worn] | None = None
    merges: str | None = None
    at_s: float = 0.0

    @property
    def pictures(self) -> tuple[Pictures, ...]:
        """The pictures before and after the step, as far as there are any."""
        return tuple(p for p in (self.before, self.after) if p is not None)


class History:
    """Holds the steps that can be undone and redone.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done: list[Change] = []
        self._undone: list[Change] = []

    def add(self, change: Change) -> None:
        """Add a step. The steps that could be redone are forgotten."""
        change = replace(change, at_s=self._clock())
        last = self._done[-1] if self._done else None
        self._undone.clear()
        if (
            last is not None
            and change.merges is not None
            and (last.look, last.merges) == (change.look, change.merges)
            and change.at_s - last.at_s < MERGE_S
        ):
            worn = change.worn and last.worn and (last.worn[0], change.worn[1])
            self._done[-1] = replace(change, before=last.before, worn=worn)
            return
        self._done.append(change)
        del self._done[:-MOST_STEPS]

    @property
    def undo(self) -> Change | None:
        """The step to undo next. None if there is none."""
        return self._done[-1] if self._done else None

    @property
    def redo(self) -> Change | None:
        """The step to redo next. None if there is none."""
        return self._undone[-1] if self._undone else None

    def undone(self) -> None:
        """Note that the step `undo` was carried out."""
        self._undone.append(self._done.pop())

    def redone(self) -> None:
        """Note that the step `redo` was carried out."""
        self._done.append(self._undone.pop())

    def pictures(self) -> list[Pictures]:
        """All pictures that the history holds."""
        return [p for change in (*self._done, *self._undone) for p in change.pictures]

    def forget_oldest(self) -> bool:
        """Drop the oldest step. Returns False if there is none; then the redo steps are dropped."""
        if not self._done:
            self._undone.clear()
            return False
        del self._done[0]
        return True
