"""Takes references and keyframes from a session's live picture."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from stream.errors import ConflictError
from stream.live.pipeline import LiveFrame
from stream.looks.editor import Editor
from stream.looks.layering import Target
from stream.looks.look import ReferencePicture
from stream.looks.wardrobe import Wardrobe
from stream.session.connections import Connections
from stream.session.stages import Stages

GOOD_SCORE = 0.8  # the search for a reference ends at this score
SEARCH_STEP_S = 0.1
FRAME_WAIT_S = 5.0  # longest wait for the first frame of a source that has just begun


class Stills:
    """Takes still pictures from the live source and gives them to the active look.

    Args:
        connections: the session's sources.
        stages: holds the pipeline, which knows the newest frame.
        wardrobe: the session's looks.
        editor: edits the looks of `wardrobe`.
        search_s: longest search for a good reference, seconds.
        changed: called on the event loop when a still was taken.
    """

    def __init__(
        self,
        connections: Connections,
        stages: Stages,
        wardrobe: Wardrobe,
        editor: Editor,
        search_s: float,
        changed: Callable[[], None],
    ) -> None:
        self._connections, self._stages = connections, stages
        self._wardrobe, self._editor = wardrobe, editor
        self._search_s, self._changed = search_s, changed

    @property
    def newest(self) -> LiveFrame | None:
        """The newest live frame. None if nothing is published or no frame has arrived."""
        latest = self._stages.pipeline.latest if self._stages.pipeline is not None else None
        return latest if self._connections.publishing else None

    def frame(self) -> LiveFrame:
        """Return the newest live frame.

        Raises:
            ConflictError: nothing is published, or no frame has arrived yet.
        """
        if (newest := self.newest) is None:
            raise ConflictError("no live picture has arrived yet", "start the camera or the demo first")
        return newest

    async def awaited(self) -> LiveFrame:
        """Return the newest live frame. Waits up to `FRAME_WAIT_S` if a source has just begun.

        Raises:
            ConflictError: nothing is published, or no frame has arrived.
        """
        until_s = time.monotonic() + FRAME_WAIT_S
        while self._connections.expecting and not self._arrived():
            if time.monotonic() > until_s:
                break
            await asyncio.sleep(0.05)
        return self.frame()

    def _arrived(self) -> bool:
        """Whether frames of the present source have arrived."""
        return self.newest is not None and self._connections.size is not None

    async def take_reference(self, *, auto: bool = False) -> ReferencePicture:
        """Make the newest frame the reference of the active look.

        Args:
            auto: whether to take the best frame of the next few seconds instead.

        Raises:
            ConflictError: no frame has arrived.
        """
        target = Target(look=self._wardrobe.active.id)
        best = await self._examined(await self.awaited())
        until_s = time.monotonic() + self._search_s
        while auto and (best.score or 0.0) < GOOD_SCORE and time.monotonic() < until_s:
            await asyncio.sleep(SEARCH_STEP_S)
            other = await self._examined(self.frame())
            if (other.score or 0.0) > (best.score or 0.0):
                best = other
        await self._editor.take(best, target)
        self._changed()
        return best

    async def take_keyframe(self) -> ReferencePicture:
        """Add the newest frame to the active look as another keyframe (see `Editor.add_keyframe`).

        Raises:
            ConflictError: no frame has arrived, or the frame cannot be a keyframe.
        """
        target = Target(look=self._wardrobe.active.id)
        taken = await self._examined(await self.awaited())
        await self._editor.add_keyframe(taken, target)
        self._changed()
        return taken

    async def _examined(self, frame: LiveFrame) -> ReferencePicture:
        return await self._editor.examine(frame.image, frame.captured_s)
