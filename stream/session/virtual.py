"""The server's one virtual camera, and which session feeds it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial

from correspondence.types import Image
from stream.errors import ConflictError
from stream.session.pipeline import LiveFrame
from stream.session.virtual_camera import SinkConfig, VirtualCamera, VirtualCameraError

logger = logging.getLogger(__name__)

PROBE = SinkConfig(size=(720, 1280))


class VirtualOutput:
    """Opened when a session first feeds it, closed when none does any more; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._camera: VirtualCamera | None = None
        self._holder: str | None = None
        self._lost: Callable[[], None] = _nothing

    @property
    def free(self) -> bool:
        """Whether no session feeds it."""
        return self._holder is None

    def device_of(self, session: str) -> str | None:
        """The camera's name where this session feeds it."""
        with self._lock:
            return self._camera.device if self._camera is not None and self._holder == session else None

    def take(self, session: str, size: tuple[int, int], lost: Callable[[], None]) -> None:
        """Let a session feed it, in place of the present one; slow where it must be opened.

        Args:
            session: its id.
            size: (H, W) of its pictures; a camera that is open keeps the size it has.
            lost: called, from any thread, when another session takes it over.

        Raises:
            VirtualCameraError: there is none here.
        """
        with self._lock:
            if self._camera is None:
                self._camera = VirtualCamera(SinkConfig(size=size))
            before, self._lost = self._lost, lost
            taken_over = self._holder is not None and self._holder != session
            self._holder = session
        if taken_over:
            before()

    def put(self, session: str, image: Image, captured_s: float) -> None:
        """Offer a session's picture, see `VirtualCamera.put`; dropped where another one feeds it."""
        if self._holder == session:
            with self._lock:
                if self._camera is not None and self._holder == session:
                    self._camera.put(image, captured_s)

    def blank(self, session: str) -> None:
        """Show a card: the session's source has gone."""
        if self._holder == session:
            with self._lock:
                if self._camera is not None and self._holder == session:
                    self._camera.blank()

    def release(self, session: str) -> None:
        """Close it where this session feeds it."""
        with self._lock:
            if self._holder != session:
                return
            camera, self._camera, self._holder, self._lost = self._camera, None, None, _nothing
        if camera is not None:
            camera.close()

    def close(self) -> None:
        """Close it, whoever feeds it."""
        if self._holder is not None:
            self.release(self._holder)


class Feed:
    """One session's side of the virtual camera.

    Args:
        executor: opens the camera.
        output: the server's.
        name: the session's id.
        newest: gives the newest live frame; raises ConflictError where there is none.
        changed: called on the loop when the session feeds it, or no more.
    """

    def __init__(
        self,
        executor: Executor,
        output: VirtualOutput,
        name: str,
        newest: Callable[[], LiveFrame],
        changed: Callable[[], None],
    ) -> None:
        self._executor = executor
        self._output = output
        self._name = name
        self._newest = newest
        self._changed = changed
        self._waiting: asyncio.Task[None] | None = None

    @property
    def device(self) -> str | None:
        """The camera's name where this session feeds it."""
        return self._output.device_of(self._name)

    async def turn(self, on: bool) -> None:
        """Feed it from now on, in place of another session, or no more.

        Raises:
            ConflictError: nothing is live, or there is no virtual camera here.
        """
        if not on:
            self._output.release(self._name)
        else:
            size = self._newest().image.shape[:2]
            loop = asyncio.get_running_loop()

            def lost() -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(self._changed)

            take = partial(self._output.take, self._name, (size[0], size[1]), lost)
            try:
                await loop.run_in_executor(self._executor, take)
            except VirtualCameraError as exc:
                raise ConflictError(*exc.parts) from exc
        self._changed()

    def begin_unasked(self, first: Callable[[], Awaitable[object]]) -> None:
        """Feed it as soon as there are pictures, where no other session does.

        Args:
            first: waits for the first frame; raises ConflictError where none comes.
        """
        if self._output.free:
            self._waiting = asyncio.create_task(self._begin(first))

    async def _begin(self, first: Callable[[], Awaitable[object]]) -> None:
        try:
            await first()
            if self._output.free:
                await self.turn(True)
        except ConflictError as exc:
            logger.warning("the virtual camera is not fed: %s", exc.text)

    def close(self) -> None:
        """Feed it no more."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._output.release(self._name)


def require_virtual_camera() -> None:
    """See that there is one, by opening it.

    Raises:
        VirtualCameraError: there is none; says how to get one.
    """
    VirtualCamera(PROBE).close()


def _nothing() -> None:
    pass
