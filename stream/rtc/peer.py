"""One WebRTC connection of a session, from offer to close."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidStateError, OperationError

from stream.errors import OfferError
from stream.refused import refused
from stream.rtc.offers import UNREADABLE, Codec, Fragment, Offer, Purpose
from stream.rtc.relay import IceServer
from stream.rtc.sdp_bounds import AS_MADE, MAX_CANDIDATES
from stream.rtc.transport_wide import without_feedback

logger = logging.getLogger(__name__)

HUNG_UP = "the client ended it"
NO_RESTART, NEW_POST = "ICE restart is not supported", "open a new connection with a new POST"
CLOSE_TIMEOUT_S = 5.0  # longest wait for a connection to close


_CAUSES = (  # what a reason says -> its name in the figures
    (HUNG_UP, "hung_up"),
    ("the other side hung up", "hung_up"),
    ("no media connection", "never_connected"),
    ("no picture arrived", "silent"),
    ("no sign of life", "silent"),
    ("the connection failed", "failed"),
    ("replaced it", "replaced"),
    ("token was renewed", "token_renewed"),
    ("could not be answered", "not_answered"),
    ("the session ended", "session_ended"),
    ("stopped sending", "stopped_sending"),
    ("its video has", "too_large"),
)


def cause_of(reason: str) -> str:
    """Return the name under which a connection's end is counted: one of a few, "other" at last."""
    return next((name for said, name in _CAUSES if said in reason), "other")


class Peer:
    """The connection of a publisher or a viewer.

    Args:
        purpose: "publish" or "view".
        ice_servers: servers that are asked for candidates. Without any, gathering stays local and quick.
        on_closed: called once with the peer and the reason when the connection has ended.
    """

    def __init__(
        self,
        purpose: Purpose,
        ice_servers: Sequence[IceServer],
        on_closed: Callable[[Peer, str], Awaitable[None]],
    ) -> None:
        self.id = secrets.token_urlsafe(18)
        self.purpose = purpose
        self.connected = asyncio.Event()
        self.closed = False
        self.media_at_s: float | None = None  # monotonic time of its last sign of life, None before the first
        self.connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[server.rtc() for server in ice_servers])
        )
        self.connection.on("connectionstatechange", self._state_changed)
        self._on_closed = on_closed
        self._offer: Offer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._candidates = 0  # number of the client's candidates accepted so far

    def send(self, track: MediaStreamTrack, codec: Codec | Literal["opus"]) -> None:
        """Send a track to this peer in `codec` only. Call this before `answer`."""
        transceiver = self.connection.addTransceiver(track, direction="sendonly")
        capabilities = RTCRtpSender.getCapabilities(track.kind).codecs
        first = [c for c in capabilities if c.name == codec]
        transceiver.setCodecPreferences(first + [c for c in capabilities if c.name == "rtx"])

    def on_track(self, take: Callable[[MediaStreamTrack], None]) -> None:
        """Register `take` to be called with each track the peer sends. Call this before `answer`."""
        self.connection.on("track", take)

    async def answer(self, offer: Offer) -> str:
        """Apply the offer. Returns the SDP of the answer with all candidates.

        Raises:
            OfferError: the offer is readable but cannot be answered.
        """
        self._offer = offer
        sdp = without_feedback(offer.sdp) if self.purpose == "publish" else offer.sdp
        try:
            await self.connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
            await self.connection.setLocalDescription()
        except (ValueError, InvalidStateError, InternalError, OperationError) as exc:
            raise OfferError(f"the offer cannot be answered: {exc}", AS_MADE) from exc
        except UNREADABLE as exc:
            logger.warning("aiortc tripped over an offer to %s: %r", self.purpose, exc)
            raise OfferError(
                "the offer cannot be answered: the server's WebRTC library does not take a part of it",
                f"{AS_MADE}; if it was, the server's log names the fault",
            ) from exc
        self._candidates = len(offer.candidates)
        if offer.candidates:
            self.spawn(self._add(Fragment(offer.candidates, None)))
        return offer.complete(str(self.connection.localDescription.sdp))

    async def trickle(self, fragment: Fragment) -> None:
        """Add trickled candidates.

        Raises:
            OfferError: the fragment asks for an ICE restart, which is not supported, or there are too many
                candidates.
        """
        if self._offer is None or (fragment.ufrag is not None and fragment.ufrag != self._offer.ufrag):
            raise OfferError(NO_RESTART, NEW_POST)
        if self._candidates + len(fragment.candidates) > MAX_CANDIDATES:
            refused.note("too_many_candidates")
            raise OfferError(
                f"a connection takes at most {MAX_CANDIDATES} candidates; it has {self._candidates} already",
                NEW_POST,
            )
        self._candidates += len(fragment.candidates)
        await self._add(fragment)

    @property
    def mid(self) -> str:
        """Name of the m-section that candidates belong to."""
        return self._offer.mid if self._offer is not None else "0"

    async def _add(self, fragment: Fragment) -> None:
        for candidate in fragment.candidates:
            candidate.sdpMid = self.mid
            await self.connection.addIceCandidate(candidate)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a task that ends with the peer."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of %s %s failed", self.purpose, self.id[:6], exc_info=error)

    def touch(self) -> None:
        """Note a sign of life."""
        self.media_at_s = time.monotonic()

    async def _state_changed(self) -> None:
        state = self.connection.connectionState
        logger.debug("%s %s is %s", self.purpose, self.id[:6], state)
        if state == "connected":
            self.touch()
            self.connected.set()
        elif state == "failed":
            await self.close("the connection failed")
        elif state == "closed":
            await self.close("the other side hung up")

    async def close(self, reason: str) -> None:
        """End the connection. Later calls do nothing."""
        if self.closed:
            return
        self.closed = True
        current = asyncio.current_task()
        for task in list(self._tasks):
            if task is not current:
                task.cancel()
        self.connection.remove_all_listeners()
        for sender in self.connection.getSenders():
            if sender.track is not None:
                sender.track.stop()  # a sender that never began to send does not stop its track
        try:
            await asyncio.wait_for(self.connection.close(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            logger.warning("%s %s took over %.0f s to close", self.purpose, self.id[:6], CLOSE_TIMEOUT_S)
        except Exception:  # a connection that was only half built must still leave its session
            logger.exception("%s %s did not close in order", self.purpose, self.id[:6])
        logger.info("%s %s closed: %s", self.purpose, self.id[:6], reason)
        await self._on_closed(self, reason)
