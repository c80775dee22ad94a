"""The virtual camera of the server, and which session feeds it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial

from correspondence.types import Image
from stream.errors import ConflictError
from stream.live.pipeline import LiveFrame
from stream.live.virtual_camera import SinkConfig, VirtualCamera, VirtualCameraError

logger = logging.getLogger(__name__)

PROBE = SinkConfig(size=(720, 1280))


class VirtualOutput:
    """The virtual camera of the server. At most one session feeds it.

    It is opened when a session first feeds it and closed when no session feeds it. All methods may be called
    from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._camera: VirtualCamera | None = None
        self._holder: str | None = None
        self._lost: Callable[[], None] = _nothing

    @property
    def free(self) -> bool:
        """Whether no session feeds the camera."""
        return self._holder is None

    def device_of(self, session: str) -> str | None:
        """The camera's name if `session` feeds it, else None."""
        with self._lock:
            return self._camera.device if self._camera is not None and self._holder == session else None

    def take(self, session: str, size: tuple[int, int], lost: Callable[[], None]) -> None:
        """Let a session feed the camera in place of the present one. Opening the camera is slow.

        Args:
            session: id of the session.
            size: (H, W) of the session's pictures. A camera that is already open keeps its size.
            lost: called, from any thread, when another session takes the camera over.

        Raises:
            VirtualCameraError: this machine has no virtual camera.
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
        """Offer a session's picture (see `VirtualCamera.put`). It is dropped if another session feeds it."""
        if self._holder == session:
            with self._lock:
                if self._camera is not None and self._holder == session:
                    self._camera.put(image, captured_s)

    def blank(self, session: str) -> None:
        """Show a card, since the session's source has ended. Only the session that feeds the camera can."""
        if self._holder == session:
            with self._lock:
                if self._camera is not None and self._holder == session:
                    self._camera.blank()

    def release(self, session: str) -> None:
        """Close the camera if `session` feeds it."""
        with self._lock:
            if self._holder != session:
                return
            camera, self._camera, self._holder, self._lost = self._camera, None, None, _nothing
        if camera is not None:
            camera.close()

    def close(self) -> None:
        """Close the camera, whichever session feeds it."""
        if self._holder is not None:
            self.release(self._holder)


class Feed:
    """Connects one session to the virtual camera.

    Args:
        executor: runs the opening of the camera.
        output: the virtual camera of the server.
        name: id of the session.
        newest: returns the newest live frame. Raises ConflictError if there is none.
        changed: called on the event loop when the session begins or stops feeding the camera.
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
        """The camera's name if this session feeds it, else None."""
        return self._output.device_of(self._name)

    async def turn(self, on: bool) -> None:
        """Begin or stop feeding the camera.

        Args:
            on: True takes the camera over from another session, False releases it.

        Raises:
            ConflictError: nothing is live, or this machine has no virtual camera.
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
        """Feed the camera as soon as there are pictures, if no other session feeds it.

        Args:
            first: waits for the first frame. Raises ConflictError if none arrives.
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
        """Stop feeding the camera."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._output.release(self._name)


def require_virtual_camera() -> None:
    """Check that this machine has a virtual camera, by opening it.

    Raises:
        VirtualCameraError: there is none. The message says how to get one.
    """
    VirtualCamera(PROBE).close()


def _nothing() -> None:
    pass
