"""The edits by words of one session. They are started, followed and worn when they are done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from correspondence import Float, Image
from reference.edits.prompt import PromptConfig, face_area
from stream.errors import CapacityError, ConflictError, NotFoundError, ServerError
from stream.events import Message
from stream.looks.editor import Editor
from stream.looks.layering import Target
from stream.looks.look import NO_FACE, ReferencePicture
from stream.looks.wardrobe import Wardrobe
from stream.prompting.service import PromptBusyError, PromptService, PromptStatus

logger = logging.getLogger(__name__)

Area = Literal["all", "face"]
State = Literal["idle", "loading", "editing", "placing", "done", "failed", "stopped"]
UNDER_WAY: tuple[State, ...] = ("loading", "editing", "placing")
TOLD_S = 0.25  # shortest time between two progress reports to the pages
RETRY_S = 10  # time after which a client may ask a busy server again
LABEL = "edit by words"
UNCHANGED = "the model left the picture as it was: say it in other words"
REPLACED = "the picture that was being edited was replaced or removed meanwhile"


@dataclass(slots=True, eq=False)
class _Begun:
    """A running edit: its target, its reference, its words and its number at the service."""

    target: Target
    reference: ReferencePicture
    words: str
    number: int = 0


class PromptEdits:
    """Edits pictures of one session by words, one at a time. It runs on the event loop and never blocks it.

    Args:
        service: does the edits of all sessions of the server.
        wardrobe: wardrobe of the session.
        editor: editor of the session.
        changed: sends the new state to the pages.
        note: adds an entry to the journal, called with its kind and a sentence.
    """

    def __init__(
        self,
        service: PromptService,
        wardrobe: Wardrobe,
        editor: Editor,
        changed: Callable[[], None],
        note: Callable[[str, str], None],
    ) -> None:
        self._service = service
        self._wardrobe = wardrobe
        self._editor = editor
        self._changed = changed
        self._note = note
        self._state: State = "idle"
        self._status: PromptStatus | None = None  # progress of the newest edit, and why it failed
        self._begun: _Begun | None = None  # set while the service works for this session
        self._placing: asyncio.Task[None] | None = None
        self._told_s = 0.0
        self._closed = False

    def describe(self) -> Message:
        """Describe the state of the newest edit."""
        status = self._status
        return {
            "state": self._state,
            "done": status.done if status is not None else 0,
            "total": status.total if status is not None else 0,
            "error": status.error if status is not None else None,
        }

    async def begin(self, words: str, target: Target, area: Area, config: PromptConfig) -> None:
        """Begin to edit a still. The result replaces the still's edit.

        Args:
            words: what to change.
            target: which still to edit, as for an upload.
            area: which part of the picture may change.
            config: settings of the edit.

        Raises:
            ConflictError: another edit of this session is running, there is no reference, or the reference
                lacks the face that `area` needs.
            CapacityError: the server is editing for another session.
            NotFoundError: the look or keyframe was removed.
        """
        named, reference = self._editor.aim(target)
        mask = await self._mask(reference) if area == "face" else None
        if self._closed:
            raise ConflictError("the session has ended")
        if self._state in UNDER_WAY:
            raise ConflictError("an edit by words is under way", "cancel it, or wait for it")
        loop = asyncio.get_running_loop()
        begun = _Begun(named, reference, words)

        def told(status: PromptStatus) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._hear, begun, status)

        try:
            begun.number = self._service.start(reference.image, words, mask=mask, config=config, told=told)
        except PromptBusyError as exc:
            raise CapacityError(
                "the server is editing by words for another session",
                "it does one edit at a time; try again in a moment",
                retry_after_s=RETRY_S,
            ) from exc
        self._begun, self._state, self._status = begun, "loading", None
        self._changed()

    async def _mask(self, reference: ReferencePicture) -> Float:
        if reference.landmarks is None:
            raise ConflictError(NO_FACE, "edit the whole picture, or take another reference")
        height, width = reference.image.shape[:2]
        return await self._wardrobe.run(partial(face_area, reference.landmarks, (height, width)))

    def cancel(self) -> None:
        """Stop this session's edit. Does nothing if none is running or its result is being put on already."""
        if self._begun is not None:
            self._service.cancel(self._begun.number)
            self._settle("stopped")

    async def close(self) -> None:
        """Stop the running edit and begin no further ones."""
        self._closed = True
        self.cancel()
        if self._placing is not None:
            self._placing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._placing

    def _hear(self, begun: _Begun, status: PromptStatus) -> None:
        """Handle a status report of an edit. Reports of a stopped edit are ignored."""
        if begun is not self._begun:
            return
        self._status = status
        if status.state == "failed":
            self._settle("failed", status.error or "")
        elif status.image is not None:
            self._begun, self._state = None, "placing"
            self._placing = asyncio.create_task(self._place(begun, status.image))
            self._changed()
        elif not self._is_there(begun.target):
            self._service.cancel(begun.number)
            self._settle("failed", REPLACED)
        else:
            self._progress(status)

    def _progress(self, status: PromptStatus) -> None:
        state: State = "editing" if status.state == "editing" else "loading"
        now_s = time.monotonic()
        if state != self._state or now_s - self._told_s >= TOLD_S:
            self._state, self._told_s = state, now_s
            self._changed()

    def _is_there(self, target: Target) -> bool:
        try:
            self._editor.aim(target)
        except (NotFoundError, ConflictError):
            return False
        return True

    async def _place(self, begun: _Begun, image: Image) -> None:
        """Wear the result of an edit."""
        try:
            if await self._wardrobe.run(partial(np.array_equal, image, begun.reference.image)):
                self._settle("failed", UNCHANGED)
                return
            await self._editor.put_made(image, begun.target, LABEL, begun.words)
        except NotFoundError:
            self._settle("failed", REPLACED)
        except ServerError as exc:
            self._settle("failed", exc.text)
        except Exception:  # the session goes on without this edit
            logger.exception("an edit by words could not be put on")
            self._settle("failed", "the edited picture could not be put on; the server's log says why")
        else:
            self._settle("done")

    def _settle(self, state: State, error: str = "") -> None:
        """Note the end of the edit in state and journal."""
        steps = self._status or PromptStatus("loading")
        self._begun, self._placing, self._state = None, None, state
        self._status = replace(steps, image=None, error=error or None)
        said = {"done": "Edited by words.", "stopped": "The edit by words was stopped."}
        self._note("prompt", said.get(state, f"The edit by words failed: {error}."))
        self._changed()
