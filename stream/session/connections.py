"""The connections of a session: one publisher or the demo, and any number of viewers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator

from aiortc import MediaStreamTrack

from stream.errors import ConflictError
from stream.events import EventHub
from stream.live.pipeline import LiveFrame
from stream.media.demo import DemoSource
from stream.metrics import SessionMetrics
from stream.refused import refused
from stream.rtc.audio import DelayedAudioTrack
from stream.rtc.ice import NEAR_BPS, own_addresses
from stream.rtc.offers import Offer, Purpose, with_start_bitrate
from stream.rtc.peer import HUNG_UP, Peer, cause_of
from stream.rtc.receivers import end_reason
from stream.rtc.relay import IceServer
from stream.rtc.sound import Sound
from stream.rtc.watchdog import watch
from stream.session.egress import Broadcast
from stream.session.ingest import ingest, play_demo
from stream.session.room import Room
from stream.session.services import Services

logger = logging.getLogger(__name__)

MAX_VIEWERS = 50
MAX_PUBLISHING = 4  # offers to publish that are answered at the same time
ENDED_KEPT = 256  # ids of ended connections that are remembered, to tell a repeated DELETE from a wrong id


class Connections:
    """Holds the peers of one session and carries media between them and the pipeline.

    Args:
        services: what all sessions share.
        broadcast: the outgoing picture, which the viewers receive. `close` ends it.
        metrics: metrics of the session.
        events: events of the session. Its listeners count as watching.
        submit: called on the event loop with each arriving frame.
        changed: called on the event loop when the session's state has changed.
        name: name of the session in the logs of TURN servers.
    """

    def __init__(
        self,
        services: Services,
        broadcast: Broadcast,
        metrics: SessionMetrics,
        events: EventHub,
        submit: Callable[[LiveFrame], None],
        changed: Callable[[], None],
        name: str,
    ) -> None:
        self.note: str | None = None  # why the last publisher left
        self.used_s = time.monotonic()  # when a peer was last connected
        self.size: tuple[int, int] | None = None  # (H, W) of the arriving pictures
        self.broadcast = broadcast
        self._services = services
        self._name = name
        self._metrics = metrics
        self._events = events
        self._deliver = submit
        self._changed = changed
        self._publisher: Peer | None = None
        self._viewers: dict[str, Peer] = {}
        self._answering = 0  # viewers whose offers are being answered
        self._publishing = Room(MAX_PUBLISHING, "cameras' offers", "publishers")
        self._ended: dict[str, None] = {}
        self._demo: asyncio.Task[None] | None = None
        self._sound = Sound()
        self._closed = False

    async def publish(self, offer: Offer, *, here: bool = False) -> tuple[Peer, str]:
        """Answer a publisher. It replaces the present publisher.

        Args:
            offer: the checked offer.
            here: whether the offer came from this machine. If its media comes from here too, no network
                limits it, and Chromium is told a least bit rate.

        Returns:
            The publisher's connection and the answer's SDP.

        Raises:
            OfferError: the offer cannot be answered; the present publisher stays.
            CapacityError: no UDP port is free, or too many offers come at once; the present publisher stays.
        """
        with self._publishing.place(), self._admitted():
            async with self._new_peer("publish") as peer:
                peer.on_track(lambda track: self._take_track(peer, track))
                answer = await peer.answer(offer)
        before, self._publisher = self._publisher, peer
        await self._stop_demo()
        if before is not None:
            self._ended[before.id] = None  # its page may send DELETE before it is closed
            await before.close("a newer connection replaced it")
        self.note = None
        self.size = None
        self._start_watch(peer)
        near = here and any(candidate.ip in own_addresses() for candidate in offer.candidates)
        return peer, with_start_bitrate(answer, self._services.config.bitrate_bps, NEAR_BPS if near else 0)

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        """Count the session as live. If the block fails, it stays counted only while a source remains.

        Raises:
            CapacityError: the session does not fit.
        """
        self._services.admission.enter(self)
        try:
            yield
        except BaseException:
            self._no_longer_live()
            raise

    def _no_longer_live(self) -> None:
        if not self.expecting:
            self._services.admission.leave(self)

    def _take_track(self, peer: Peer, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            peer.spawn(self._sound.drain(track))
            return

        def submit(frame: LiveFrame) -> None:
            if self._publisher is peer:
                self._submit(frame)

        async def run() -> None:
            await ingest(track, submit, peer.touch, self._services.codecs, self._metrics)
            await peer.close(end_reason(track) or "the publisher stopped sending")

        peer.spawn(run())

    def _submit(self, frame: LiveFrame) -> None:
        """Hand a frame to the pipeline, on the event loop. Tell the page when the picture size changes."""
        self._deliver(frame)
        size = (frame.image.shape[0], frame.image.shape[1])
        if size != self.size:
            self.size = size
            self._changed()

    async def start_demo(self) -> None:
        """Publish the demo source instead of a camera.

        Raises:
            CapacityError: another live session does not fit.
            ConflictError: the session has ended.
        """
        if self._demo is not None:
            return
        with self._admitted():
            source = await asyncio.get_running_loop().run_in_executor(self._services.heavy, DemoSource)
            if self._closed:
                raise ConflictError("the session has ended")
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self._ended[publisher.id] = None
            await publisher.close("the demo replaced it")
        if self._demo is None and not self._closed:
            self._demo = asyncio.create_task(
                play_demo(source, self._submit, self._is_watched, self._services.codecs)
            )
        self.note = None
        self._changed()

    async def stop_demo(self) -> None:
        """End the demo source. Nothing is published afterwards."""
        await self._stop_demo()
        self._changed()

    async def _stop_demo(self) -> None:
        demo, self._demo = self._demo, None
        if demo is not None:
            demo.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await demo
            self.size = None
            self._no_longer_live()

    async def view(self, offer: Offer) -> tuple[Peer, str]:
        """Answer a viewer. All viewers share one encode.

        Returns:
            The viewer's connection and the answer's SDP.

        Raises:
            OfferError: the offer cannot be answered.
            CapacityError: no UDP port is free.
            ConflictError: there are too many viewers, or the session has ended.
        """
        if len(self._viewers) + self._answering >= MAX_VIEWERS:
            refused.note("viewers")
            raise ConflictError(f"the session has {MAX_VIEWERS} viewers, its limit", "try again later")
        self._answering += 1  # counted before the first wait, so that simultaneous offers respect the limit
        try:
            async with self._new_peer("view") as peer:
                video = self.broadcast.track(offer.codec)
                peer.send(video, offer.codec)
                if offer.audio:
                    peer.send(DelayedAudioTrack(self._sound.track(), lambda: video.last_delay_s), "opus")
                answer = await peer.answer(offer)
        finally:
            self._answering -= 1
        self._viewers[peer.id] = peer
        self._start_watch(peer)
        return peer, answer

    @contextlib.asynccontextmanager
    async def _new_peer(self, purpose: Purpose) -> AsyncIterator[Peer]:
        """Make a connection to answer an offer. Any failure in the block closes it and frees its ports."""
        peer = Peer(purpose, self.ice_servers(), self._peer_closed)
        try:
            yield peer
            if self._closed:
                raise ConflictError("the session has ended")
        except BaseException:
            await peer.close("it could not be answered")
            raise

    def ice_servers(self) -> list[IceServer]:
        """The ICE servers for this session's peers, with credentials of the session's own."""
        return self._services.config.ice.servers(self._name)

    def _start_watch(self, peer: Peer) -> None:
        config = self._services.config
        peer.spawn(
            watch(
                peer, connect_timeout_s=config.connect_timeout_s, silence_timeout_s=config.silence_timeout_s
            )
        )
        peer.spawn(self._announce(peer))
        self._changed()

    async def _announce(self, peer: Peer) -> None:
        await peer.connected.wait()
        logger.info("%s %s connected", peer.purpose, peer.id[:6])
        self._changed()

    async def _peer_closed(self, peer: Peer, reason: str) -> None:
        labels = f'purpose="{peer.purpose}",cause="{cause_of(reason)}"'
        self._services.registry.count("peers_closed", labels)
        self._ended[peer.id] = None
        while len(self._ended) > ENDED_KEPT:
            self._ended.pop(next(iter(self._ended)))
        self._viewers.pop(peer.id, None)
        if self._publisher is peer:
            self._publisher = None
            self.size = None
            self._no_longer_live()
            if reason != HUNG_UP:
                self.note = reason
                self._events.say(f"the camera's connection ended: {reason}", "warning")
        self.used_s = time.monotonic()
        if not self._closed:
            self._changed()

    def peer(self, peer_id: str) -> Peer | None:
        """The live connection with this id. None if there is none."""
        if self._publisher is not None and self._publisher.id == peer_id:
            return self._publisher
        return self._viewers.get(peer_id)

    def has_ended(self, peer_id: str) -> bool:
        """Whether a connection with this id existed and has ended."""
        return peer_id in self._ended

    @property
    def demo(self) -> bool:
        """Whether the demo is the source."""
        return self._demo is not None

    @property
    def publishing(self) -> bool:
        """Whether there is a connected publisher or the demo."""
        return self.demo or (self._publisher is not None and self._publisher.connected.is_set())

    @property
    def publisher(self) -> str | None:
        """Id of the publisher's connection, connected or still connecting. None if there is none."""
        return self._publisher.id if self._publisher is not None else None

    @property
    def expecting(self) -> bool:
        """Whether there is a publisher, connected or still connecting, or the demo."""
        return self.demo or self._publisher is not None

    @property
    def viewers(self) -> int:
        """Number of connected viewers."""
        return sum(peer.connected.is_set() for peer in self._viewers.values())

    @property
    def busy(self) -> bool:
        """Whether there is any peer, connected or still connecting."""
        return self._publisher is not None or bool(self._viewers)

    async def dismiss(self, *, publisher: bool, viewers: bool) -> None:
        """Close the publisher, the viewers, or both. Peers whose token is still valid connect again."""
        peers = list(self._viewers.values()) if viewers else []
        if publisher and self._publisher is not None:
            peers.append(self._publisher)
        await asyncio.gather(*(peer.close("its token was renewed") for peer in peers))

    def _is_watched(self) -> bool:
        return bool(self._viewers or self._events.listeners)

    async def close(self) -> None:
        """End everything."""
        self._closed = True
        await self._stop_demo()
        publisher, self._publisher = self._publisher, None
        peers = [peer for peer in (publisher, *self._viewers.values()) if peer is not None]
        await asyncio.gather(*(peer.close("the session ended") for peer in peers))
        self._services.admission.leave(self)
        self._sound.close()
        await self.broadcast.close()
