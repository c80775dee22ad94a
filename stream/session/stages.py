"""The parts of a session that are built when they are first needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from reference import Workshop
from stream.errors import ConflictError
from stream.live.pipeline import Pipeline, Stepper
from stream.recording.shelf import Shelf
from stream.session.services import Services

logger = logging.getLogger(__name__)


class Stages:
    """The pipeline of a session, and its recording if every session is recorded.

    The build belongs to the session, not to the client that waits for it. If that client disconnects, the
    build goes on and serves the next client. `close` waits for the build and closes its result.

    Args:
        services: what all sessions share.
        name: name of the session.
        make_pipeline: makes a pipeline around a propagator, on the event loop. The pipeline is started here.
        shelf: the session's recordings.
        started: called on the event loop before the first frame.
        failed: called on the event loop with a sentence that says what could not be built.
    """

    def __init__(
        self,
        services: Services,
        name: str,
        make_pipeline: Callable[[Stepper], Pipeline],
        shelf: Shelf,
        started: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self.pipeline: Pipeline | None = None
        self._services, self._name = services, name
        self._make_pipeline, self._started, self._failed = make_pipeline, started, failed
        self._shelf = shelf
        self._task: asyncio.Task[Pipeline] | None = None
        self._closed = False

    async def ready(self) -> Pipeline:
        """Return the pipeline. The first call builds it; after a failed build the next call tries again.

        Raises:
            ConflictError: the session has ended.
        """
        if self._closed:
            raise ConflictError("the session has ended")
        if self._task is None or (self._task.done() and self.pipeline is None):
            self._task = asyncio.get_running_loop().create_task(self._build())
            self._task.add_done_callback(self._settled)
        return await asyncio.shield(self._task)

    async def workshop(self) -> Workshop:
        """Return the workshop that makes the pipeline's outfits (see `ready`)."""
        return (await self.ready()).workshop

    def _settled(self, task: asyncio.Task[Pipeline]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ConflictError):
            logger.error("the pipeline of session %s could not be built", self._name[:6], exc_info=error)
            self._failed("the edit could not be prepared; the server's log says why")

    async def _build(self) -> Pipeline:
        loop = asyncio.get_running_loop()
        propagator = await loop.run_in_executor(self._services.heavy, self._make)
        if self._shelf.always and not self._shelf.running:
            await self._record()
        self.pipeline = self._make_pipeline(propagator)
        self._started()
        self.pipeline.start()
        return self.pipeline

    async def _record(self) -> None:
        try:
            await self._shelf.begin()
        except ConflictError as exc:
            logger.warning("session %s is not recorded: %s", self._name[:6], exc)
            self._failed(f"this session is not recorded: {exc.text}")

    def _make(self) -> Stepper:
        """Make the propagator, which is slow. Nothing is made if the session ended before its turn came."""
        if self._closed:
            raise ConflictError("the session has ended")
        return self._services.new_propagator()

    async def close(self) -> None:
        """Wait for a running build, then close pipeline and recordings."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait([self._task])
        if self.pipeline is not None:
            await asyncio.get_running_loop().run_in_executor(None, self.pipeline.close)
        await self._shelf.close()
