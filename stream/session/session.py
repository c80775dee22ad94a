"""One session: who may use it, what it wears, and its pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time

from correspondence import Image
from reference import Event
from stream.errors import ConflictError
from stream.events import EventHub, Message
from stream.live.pipeline import LiveFrame, Pipeline, Stepper
from stream.looks.describe import describe
from stream.looks.editor import Editor, Target
from stream.looks.look import ReferencePicture, Settings
from stream.looks.wardrobe import Wardrobe
from stream.metrics import SessionMetrics
from stream.prompting.edits import PromptEdits
from stream.recording.shelf import Shelf
from stream.rtc.offers import Offer
from stream.rtc.peer import Peer
from stream.session.connections import Connections
from stream.session.journal import Journal, changes_strip
from stream.session.room import Room
from stream.session.saver import Saver
from stream.session.services import Services
from stream.session.stages import Stages
from stream.session.virtual import Feed
from stream.storage.keys import Keys, Shared
from stream.storage.record import Snapshot, frozen
from stream.storage.storage import Stored

logger = logging.getLogger(__name__)

GOOD_SCORE = 0.8  # the search for a reference ends at this score
SEARCH_STEP_S = 0.1
MAX_UPLOADS, MAX_DOWNLOADS = 4, 12  # pictures of one session in transfer at the same time
FRAME_WAIT_S = 5.0  # longest wait for the first frame of a source that has just begun


class Session:
    """One user's session: keys, looks, connections, recordings and pipeline.

    The stages are built when they are first needed. `close` closes them in reverse order.

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
        self.metrics = SessionMetrics(services.registry)
        self.journal = Journal()
        self.shelf = Shelf(services.recording, services.filler, services.heavy, self.id, self.changed)
        self._stages = Stages(services, self.id, self._new_pipeline, self.shelf, self._put_on, self._warn)
        self.wardrobe = Wardrobe(
            self._stages.workshop,
            self._put_on,
            services.heavy,
            max_looks=services.config.max_looks,
            max_bytes=services.config.looks_mib * 2**20,
        )
        self.editor = Editor(self.wardrobe)
        self.prompts = (
            PromptEdits(services.prompts, self.wardrobe, self.editor, self.changed, self._note)
            if services.prompts is not None
            else None
        )
        self.uploads = Room(MAX_UPLOADS, "uploads to this session", "uploads")
        self.downloads = Room(MAX_DOWNLOADS, "downloads of this session's pictures", "downloads")
        self.connections = Connections(
            services, self.metrics, self.events, self._submit, self.changed, self.id[:6]
        )
        self.saver = Saver(services.storage, self.id, self._snapshot, self._publish)
        self._services = services
        self._pinned = pinned
        self._restoring: asyncio.Task[None] | None = None
        self._used_s = time.monotonic()
        self._closed = False
        self.feed = Feed(services.heavy, services.virtual, self.id, self.live_frame, self.changed)
        self._comparing = 0  # pages that hold the live picture to compare
        self._loop: asyncio.AbstractEventLoop | None = None  # receives the pipeline's events

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
            self.journal.tell("store", f"Could not be read back: {problem}.")
        self._restoring = asyncio.create_task(self._take_up(kept.demo))

    async def _take_up(self, demo: bool) -> None:
        if demo:
            await self.start_demo()
        for problem in await self.wardrobe.make_ready():
            self._note("store", problem)
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

    async def publish(self, offer: Offer) -> tuple[Peer, str]:
        """Answer a publisher (see `Connections.publish`). The pipeline is built while it connects."""
        answered = await self.connections.publish(offer)
        answered[0].spawn(self._build())
        if self._services.config.virtual_camera:
            self.feed.begin_unasked(self._await_frame)
        return answered

    async def _build(self) -> None:
        await self._stages.ready()

    async def start_demo(self) -> None:
        """Publish the demo source instead of a camera."""
        self._services.admission.check(self.connections)
        await self._stages.ready()
        await self.connections.start_demo()
        if self._services.config.virtual_camera:
            self.feed.begin_unasked(self._await_frame)

    def _submit(self, frame: LiveFrame) -> None:
        self.shelf.source(frame.image, frame.captured_s)
        if self._stages.pipeline is not None:
            self._stages.pipeline.submit(frame)

    @property
    def newest(self) -> LiveFrame | None:
        """The newest live frame. None if nothing is published or no frame has arrived."""
        latest = self._stages.pipeline.latest if self._stages.pipeline is not None else None
        return latest if self.connections.publishing else None

    def live_frame(self) -> LiveFrame:
        """The newest frame.

        Raises:
            ConflictError: nothing is published, or no frame has arrived yet.
        """
        if (newest := self.newest) is None:
            raise ConflictError("no live picture has arrived yet", "start the camera or the demo first")
        return newest

    async def take_reference(self, *, auto: bool = False) -> ReferencePicture:
        """Make the newest frame the reference.

        Args:
            auto: whether to take the best frame of the next few seconds instead.

        Raises:
            ConflictError: no frame has arrived.
        """
        target = Target(look=self.wardrobe.active.id)
        best = await self._examined(await self._await_frame())
        until_s = time.monotonic() + self._services.config.auto_reference_s
        while auto and (best.score or 0.0) < GOOD_SCORE and time.monotonic() < until_s:
            await asyncio.sleep(SEARCH_STEP_S)
            other = await self._examined(self.live_frame())
            if (other.score or 0.0) > (best.score or 0.0):
                best = other
        await self.editor.take(best, target)
        self.changed()
        return best

    async def take_keyframe(self) -> ReferencePicture:
        """Add the newest frame to the active look as another keyframe (see `Editor.add_keyframe`).

        Raises:
            ConflictError: no frame has arrived, or the frame cannot be a keyframe.
        """
        target = Target(look=self.wardrobe.active.id)
        taken = await self._examined(await self._await_frame())
        await self.editor.add_keyframe(taken, target)
        self.changed()
        return taken

    async def _examined(self, frame: LiveFrame) -> ReferencePicture:
        return await self.editor.examine(frame.image, frame.captured_s)

    async def _await_frame(self) -> LiveFrame:
        """Return the newest frame. Waits a moment for the first frame of a source that has just begun."""
        until_s = time.monotonic() + FRAME_WAIT_S
        while self.connections.expecting and not self._has_frame():
            if time.monotonic() > until_s:
                break
            await asyncio.sleep(0.05)
        return self.live_frame()

    def _has_frame(self) -> bool:
        """Whether pictures of the present source have reached the pipeline."""
        arrived = self._stages.pipeline is not None and self._stages.pipeline.latest is not None
        return arrived and self.connections.publishing and self.connections.size is not None

    async def apply_settings(self, settings: Settings) -> None:
        """Apply settings to the session and its active look."""
        await self.wardrobe.change(settings)
        self.changed()

    def wear(self, look: int) -> None:
        """Wear another look from the next frame on.

        Raises:
            NotFoundError: there is no such look.
        """
        self.wardrobe.wear(look)
        self.changed()

    async def renew(self, right: Shared, owner_token: str) -> None:
        """Revoke the token of a right and issue another. Peers of the old one are disconnected."""
        self.keys = self.keys.renewed(owner_token, right)
        self.changed()
        await self.saver.saved()
        self.events.dismiss()  # listeners whose token is still valid connect again by themselves
        await self.connections.dismiss(publisher=right == "publish", viewers=right != "publish")

    def compare(self, holding: bool) -> None:
        """Show the live picture while at least one page compares.

        Args:
            holding: True when a page begins to compare, False when the same page stops.
        """
        self._comparing += 1 if holding else -1
        self._put_on()
        self.changed()

    def _put_on(self) -> None:
        """Make the pipeline wear the active look in its present state. Only pointers are exchanged."""
        pipeline, wardrobe = self._stages.pipeline, self.wardrobe
        if pipeline is None:
            return
        enabled = wardrobe.enabled and self._comparing == 0
        outfit, strength = wardrobe.active.outfit, wardrobe.active.strength
        pipeline.wear(outfit, enabled=enabled, strength=strength)
        self.shelf.wear(outfit, enabled=enabled, strength=strength)
        pipeline.overlay = wardrobe.overlay == "confidence"

    def _deliver(self, image: Image, captured_s: float) -> None:
        """Pass an outgoing picture to viewers, virtual camera and recording, on the pipeline's thread."""
        self.connections.broadcast.put(image, captured_s)
        self._services.virtual.put(self.id, image, captured_s)
        self.shelf.live(image, captured_s)

    def _happened(self, events: list[Event]) -> None:
        """Pass the events of a step from the pipeline's thread to the event loop."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._tell, events)

    def _tell(self, events: list[Event]) -> None:
        self._log(self.journal.note(events))
        if changes_strip(events):
            self.changed()

    def _new_pipeline(self, propagator: Stepper) -> Pipeline:
        self._loop = asyncio.get_running_loop()
        return Pipeline(
            propagator,
            self._deliver,
            self.metrics,
            name=f"pipeline-{self.id[:6]}",
            happened=self._happened,
        )

    def _warn(self, text: str) -> None:
        self.events.say(text, "warning")
        self._note("warning", text)

    @property
    def idle_s(self) -> float:
        """Seconds since a peer or page was last connected. 0 while one is, or if the session is pinned."""
        if self._pinned or self.connections.busy or self.events.listeners:
            self._used_s = time.monotonic()
        return time.monotonic() - max(self._used_s, self.connections.used_s)

    @property
    def holds_work(self) -> bool:
        """Whether the session holds something a user made: a reference, an edit or a second look."""
        looks = self.wardrobe.looks
        return len(looks) > 1 or any(look.pictures.reference is not None for look in looks)

    def state(self) -> Message:
        """The answer to `GET /api/sessions/ID`."""
        size = self.connections.size if self.connections.publishing else None
        return {
            "id": self.id,
            "publishing": self.connections.publishing,
            "demo": self.connections.demo,
            "source": size and {"width": size[1], "height": size[0], "fps": round(self.metrics.fps_in(), 1)},
            **describe(self.wardrobe),
            "comparing": self._comparing > 0,
            "viewers": self.connections.viewers,
            "note": self.connections.note,
            "prompt": self.prompts.describe() if self.prompts is not None else None,
            "storage": self.saver.describe(),
            "virtual_camera": self.feed.device,
            "recording": self.shelf.describe(),
        }

    def log(self) -> list[Message]:
        """The newest journal entries about the references, oldest first."""
        return self.journal.entries

    def stats(self) -> Message:
        """The statistics that the events socket sends twice a second."""
        pipeline, out = self._stages.pipeline, self.connections.broadcast.stats()
        self.metrics.dropped("encoder", out.replaced)
        self.metrics.dropped("viewers", out.viewer_drops)
        reason = pipeline.reason if pipeline is not None else None
        decision = pipeline.decision if pipeline is not None else None
        self._log(self.journal.follow(decision))
        if not self.connections.publishing:
            reason = self.connections.note or "nothing is published"
        return {
            **self.metrics.snapshot(out.encode_s if out.viewers else 0.0),
            "coverage": pipeline.coverage if pipeline is not None else None,
            "reason": reason,
            "decision": decision and {"action": decision.action.value, "reason": decision.reason},
            "viewers": self.connections.viewers,
            "bitrate_bps": out.sent_bps,
            "target_bps": out.bitrate_bps,
            "fill": self._services.filler.describe() if self._services.filler is not None else None,
            "recording": self.shelf.describe(),
        }

    def _note(self, kind: str, text: str) -> None:
        self._log(self.journal.tell(kind, text))

    def _log(self, fresh: list[Message]) -> None:
        if fresh:
            self.events.publish({"type": "log", "entries": fresh})

    def changed(self) -> None:
        """Send the new state to the pages and save it."""
        self._publish()
        self.saver.soon()

    def _publish(self) -> None:
        if not self.connections.publishing:
            self._services.virtual.blank(self.id)
        self.events.publish({"type": "state", **self.state()})

    def stall(self, seconds: float) -> None:
        """Hold the pipeline for `seconds` (see `Pipeline.stall`)."""
        if self._stages.pipeline is not None:
            self._stages.pipeline.stall(seconds)

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
        await self._stages.close()
        self.events.say(said)
        self.events.closed.set()
        logger.info("session %s closed", self.id[:6])
