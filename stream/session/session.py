"""One session: who may use it, the parts it is made of, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time

from stream.errors import AuthError, ConflictError
from stream.events import EventHub
from stream.looks.editor import Editor
from stream.metrics import SessionMetrics
from stream.prompting.edits import PromptEdits
from stream.recording.shelf import Shelf
from stream.rtc.codecs import LiveEncoderConfig
from stream.rtc.offers import Offer
from stream.rtc.peer import Peer
from stream.session.connections import Connections
from stream.session.egress import Broadcast
from stream.session.live_path import LivePath
from stream.session.notices import Notices
from stream.session.room import Room
from stream.session.saver import Saver
from stream.session.services import Services
from stream.session.status import Status
from stream.session.stills import Stills
from stream.session.virtual import Feed
from stream.storage.keys import Keys, Right, Shared
from stream.storage.record import Snapshot, frozen
from stream.storage.storage import Stored

logger = logging.getLogger(__name__)

MAX_UPLOADS, MAX_DOWNLOADS = 4, 12  # pictures of one session in transfer at the same time


class Session:
    """One user's session. It makes its parts, opens its sources, and closes everything in order.

    The parts do the work: `wardrobe` and `editor` hold and edit looks, `stills` takes references from the
    live picture, `connections` holds the peers, `live` the pipeline, `shelf` the recordings, `feed` the
    virtual camera, `prompts` edits by words, `saver` writes to disk, `status` describes all of it. Call
    `changed` after a change that the pages have to learn of.

    Args:
        services: what all sessions share.
        keys: decide who may use the session.
        session_id: the session's name in addresses. None makes a new one.
        pinned: whether the session is kept without peers (the demo's is).
    """

    def __init__(
        self, services: Services, keys: Keys, *, session_id: str | None = None, pinned: bool = False
    ) -> None:
        self.id = session_id or secrets.token_urlsafe(9)
        self.keys = keys
        self.events = EventHub()
        self.uploads = Room(MAX_UPLOADS, "uploads to this session", "uploads")
        self.downloads = Room(MAX_DOWNLOADS, "downloads of this session's pictures", "downloads")
        self._services, self._pinned = services, pinned
        self._restoring: asyncio.Task[None] | None = None
        self._used_s = time.monotonic()
        self._closed = False

        config, metrics = services.config, SessionMetrics(services.registry)
        self._notices = Notices(self.events, self.changed)
        self.shelf = Shelf(services.recording, services.filler, services.heavy, self.id, self.changed)
        broadcast = Broadcast(
            services.codecs, LiveEncoderConfig(bitrate_bps=config.bitrate_bps), sent=metrics.timeline.sent
        )
        self.live = LivePath(services, self.id, broadcast, self.shelf, metrics, self._notices)
        self.wardrobe = self.live.wardrobe
        self.editor = Editor(self.wardrobe)
        self.prompts = (
            PromptEdits(services.prompts, self.wardrobe, self.editor, self.changed, self._notices.note)
            if services.prompts is not None
            else None
        )
        self.connections = Connections(
            services, broadcast, metrics, self.events, self.live.submit, self.changed, self.id[:6]
        )
        self.stills = Stills(
            self.connections, self.live.stages, self.wardrobe, self.editor, config.auto_reference_s,
            self.changed,
        )  # fmt: skip
        self.feed = Feed(services.heavy, services.virtual, self.id, self.stills.frame, self.changed)
        self.saver = Saver(services.storage, self.id, self._snapshot, self._publish)
        self.status = Status(
            session_id=self.id, connections=self.connections, live=self.live, shelf=self.shelf,
            saver=self.saver, feed=self.feed, notices=self._notices, metrics=metrics, prompts=self.prompts,
            filler=services.filler,
        )  # fmt: skip

    def restore(self, stored: Stored) -> None:
        """Restore the stored state.

        The journal tells the owner what could not be read. The looks are made ready in the background.

        Args:
            stored: the session as it was read from disk.
        """
        kept = stored.snapshot
        self.wardrobe.restore(kept.looks, kept.active, enabled=kept.enabled, overlay=kept.overlay)
        self.shelf.names = list(kept.recordings)
        for problem in stored.problems:
            self._notices.journal.tell("store", f"Could not be read back: {problem}.")
        self._restoring = asyncio.create_task(self._take_up(kept.demo))

    async def _take_up(self, demo: bool) -> None:
        if demo:
            await self.start_demo()
        for problem in await self.wardrobe.make_ready():
            self._notices.note("store", problem)
        self._publish()

    def _snapshot(self) -> tuple[Keys, Snapshot]:
        wardrobe = self.wardrobe
        snapshot = Snapshot(
            looks=tuple(frozen(look) for look in wardrobe.looks),
            active=wardrobe.active.id,
            enabled=wardrobe.enabled,
            overlay=wardrobe.overlay,
            demo=self.connections.demo,
            recordings=tuple(self.shelf.names),
        )
        return self.keys, snapshot

    async def publish(self, offer: Offer, *, here: bool = False) -> tuple[Peer, str]:
        """Answer a publisher (see `Connections.publish`). The pipeline is built while it connects."""
        answered = await self.connections.publish(offer, here=here)
        answered[0].spawn(self._build())
        self._begin_feed()
        return answered

    async def _build(self) -> None:
        await self.live.stages.ready()

    async def start_demo(self) -> None:
        """Publish the demo source instead of a camera.

        Raises:
            CapacityError: another live session does not fit.
            ConflictError: the session has ended.
        """
        self._services.admission.check(self.connections)
        await self.live.stages.ready()
        await self.connections.start_demo()
        self._begin_feed()

    def _begin_feed(self) -> None:
        """Feed the virtual camera with the source that has just begun, if the server is set to."""
        if self._services.config.virtual_camera:
            self.feed.begin_unasked(self.stills.awaited)

    async def renew(self, right: Shared, owner_token: str) -> None:
        """Revoke the token of a right and issue another. Peers of the old one are disconnected."""
        self.keys = self.keys.renewed(owner_token, right)
        self.changed()
        await self.saver.saved()
        self.events.dismiss()  # listeners whose token is still valid connect again by themselves
        await self.connections.dismiss(publisher=right == "publish", viewers=right != "publish")

    def check(self, token: str | None, right: Right) -> None:
        """Check that a token still gives a right, after something was waited for.

        Raises:
            AuthError: the token was made void meanwhile.
            ConflictError: the session has ended.
        """
        if self._closed:
            raise ConflictError("the session has ended")
        if token is None or not self.keys.allows(token, right):
            raise AuthError("the token was made void", "ask the session's owner for a new link")

    def touch(self) -> None:
        """Count the session as used now, as by a request of somebody with a token."""
        self._used_s = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds since it was last used. 0 while a peer or page is connected, or if it is pinned."""
        if self._pinned or self.connections.busy or self.events.listeners:
            self.touch()
        return time.monotonic() - max(self._used_s, self.connections.used_s)

    @property
    def holds_work(self) -> bool:
        """Whether the session holds something a user made: a reference, an edit or a second look."""
        looks = self.wardrobe.looks
        return len(looks) > 1 or any(look.pictures.reference is not None for look in looks)

    def changed(self) -> None:
        """Send the new state to the pages and save it."""
        self._publish()
        self.saver.soon()

    def _publish(self) -> None:
        if not self.connections.publishing:
            self._services.virtual.blank(self.id)
        self.events.publish({"type": "state", **self.status.state()})

    async def close(self, said: str = "the session ended") -> None:
        """End everything. Connections are closed before the stages.

        Args:
            said: the message that the session's pages receive.
        """
        if self._closed:
            return
        self._closed = True
        if self._restoring is not None:
            self._restoring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._restoring
        if self.prompts is not None:
            await self.prompts.close()
        await self.connections.close()
        self.feed.close()
        self.wardrobe.close()
        await self.live.stages.close()
        self.events.say(said)
        self.events.closed.set()
        logger.info("session %s closed", self.id[:6])
