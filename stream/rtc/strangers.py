"""Drops and counts packets of strangers and packets of a peer that cost too much.

The UDP ports of a connection are open to everyone. aioice and aiortc 1.16 end the connection, or stop one of
its tasks, if a datagram is empty or a field cannot be unpacked. They also queue and remember data from any
address and any source without bound. `PARTS` lists the names that `stream.rtc.aiortc_patch` replaces.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pylibsrtp
from aioice import ice, stun
from aiortc import clock, rate, rtcdtlstransport, rtcpeerconnection, rtcrtpreceiver, rtcrtpsender

from stream.congestion.feedback import split_feedback
from stream.refused import refused
from stream.rtc import transport_wide
from stream.rtc.sdp_bounds import MAX_CANDIDATES

MAX_DATAGRAMS = 2048  # most datagrams of a connection that wait to be read: 2.5 MB
MAX_SOURCES = 16  # most SSRCs that a peer may send from
FIRST_STUN, FIRST_DTLS = range(4), 20  # first bytes, RFC 7983, section 7

Address = tuple[str, int]


class StunProtocol(ice.StunProtocol):
    """A socket that tolerates datagrams from anybody."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Take a datagram. It is dropped if it is empty or does not come from the peer."""
        if not data:
            refused.note("empty_datagram")
            return
        if data[0] not in FIRST_STUN and not _is_peer(self.receiver, (addr[0], addr[1])):
            refused.note("stranger_datagram")
            return
        try:
            super().datagram_received(data, addr)
        except Exception as exc:
            # Fields of any length are unpacked by struct, codecs and indexing, which raise various errors.
            refused.note("stun_packet", repr(exc))


def _is_peer(connection: ice.Connection, address: Address) -> bool:
    """Whether an address belongs to the peer: it was signalled, or it took part in a check."""
    if any(pair.remote_addr == address for pair in connection._nominated.values()):
        return True
    return _is_candidate(connection, address) or any(
        check[1] == address for check in connection._early_checks
    )


def _is_candidate(connection: ice.Connection, address: Address) -> bool:
    return any((c._network_host, c.port) == address for c in connection._remote_candidates)


def data_received(self: ice.Connection, data: bytes, component: int) -> None:
    """Queue a datagram of the peer if it is DTLS or SRTP and the queue is not full. Others are dropped."""
    if data[0] < FIRST_DTLS:
        refused.note("stun_packet", "cannot be parsed")
    elif self._queue.qsize() >= MAX_DATAGRAMS:
        refused.note("datagram_backlog")
    else:
        self._queue.put_nowait((data, component))


_check_incoming = ice.Connection.check_incoming


def check_incoming(self: ice.Connection, message: stun.Message, addr: Address, protocol: Any) -> None:
    """Handle an authenticated check. No more than `MAX_CANDIDATES` addresses are learnt."""
    if "PRIORITY" not in message.attributes:
        refused.note("stun_packet", "a check without PRIORITY")
    elif len(self._remote_candidates) >= MAX_CANDIDATES and not _is_candidate(self, addr):
        refused.note("too_many_candidates")
    else:
        _check_incoming(self, message, addr, protocol)


class BoundedSession:
    """An SRTP session for reading with at most `MAX_SOURCES` sources, since libsrtp keeps every source."""

    def __init__(self, session: pylibsrtp.Session) -> None:
        self._session = session
        self._sources: set[bytes] = set()

    def unprotect(self, packet: bytes) -> bytes:
        """Decrypt an SRTP packet to RTP. Raises pylibsrtp.Error if it is no packet of the peer."""
        return self._unprotect(self._session.unprotect, packet, packet[8:12])

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """Decrypt an SRTCP packet to RTCP. Raises pylibsrtp.Error if it is no packet of the peer."""
        return self._unprotect(self._session.unprotect_rtcp, packet, packet[4:8])

    def _unprotect(self, unprotect: Callable[[bytes], bytes], packet: bytes, source: bytes) -> bytes:
        if source not in self._sources and len(self._sources) >= MAX_SOURCES:
            refused.note("too_many_sources")
            raise pylibsrtp.Error(f"more than {MAX_SOURCES} sources")
        data = unprotect(packet)
        self._sources.add(source)  # the packet is now known to be the peer's
        return data


class DtlsTransport(rtcdtlstransport.RTCDtlsTransport):
    """A transport that survives packets that cannot be parsed, and knows what its path takes (`path`)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.path = transport_wide.PathState()

    def _setup_srtp(self) -> None:
        super()._setup_srtp()
        if self._rx_srtp is not None:
            self._rx_srtp = BoundedSession(self._rx_srtp)  # type: ignore[assignment]

    async def _send_rtp(self, data: bytes) -> None:
        self.path.sent.sized(len(data))
        await super()._send_rtp(data)

    async def _handle_rtcp_data(self, data: bytes) -> None:
        with _counted("rtcp_packet"):
            reports, data = split_feedback(data)
            for report in reports:
                self._take_feedback(report)
            if data:
                await super()._handle_rtcp_data(data)

    def _take_feedback(self, report: bytes) -> None:
        """Tell the senders what the path takes, from a report on their packets."""
        senders = [s for s in self._rtp_router.senders.values() if isinstance(s, transport_wide.Steered)]
        start_bps = max((s.start_bps for s in senders), default=transport_wide.START_BPS)
        taken = self.path.take(report, start_bps)
        if taken is not None:
            for sender in senders:
                sender.take_bandwidth(*taken)

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        with _counted("rtp_packet"):
            await super()._handle_rtp_data(data, arrival_time_ms)


@contextlib.contextmanager
def _counted(cause: str) -> Iterator[None]:
    """Count an error in the block instead of letting it end the connection."""
    try:
        yield
    except ConnectionError:
        raise
    except Exception as exc:
        refused.note(cause, repr(exc))


class StreamStatistics(rtcrtpreceiver.StreamStatistics):
    """Statistics whose values fit into a receiver report, whatever the peer sends."""

    @property
    def fraction_lost(self) -> int:
        """Share of packets lost since the last report, in 1/256."""
        return min(super().fraction_lost, 255)

    @property
    def jitter(self) -> int:
        """The jitter, in ticks of the stream's clock."""
        return min(super().jitter, 0xFFFFFFFF)


class RateCounter(rate.RateCounter):
    """Counts the bytes of the last second. A pause costs no time; aiortc steps through its milliseconds."""

    def _erase_old(self, now_ms: int) -> None:
        if self._origin_ms is not None and not 0 <= now_ms - self._origin_ms < 2 * self._window_size:
            self.reset()
            self._origin_ms = now_ms
        super()._erase_old(now_ms)


def monotonic_ms() -> int:
    """Time in milliseconds that never goes back. It replaces the wall clock, which may be set."""
    return time.monotonic_ns() // 1_000_000


_steady = SimpleNamespace(time=time.monotonic)  # replaces time.time() in aiortc

PARTS: list[tuple[Any, str, Any]] = [
    (ice, "StunProtocol", StunProtocol),
    (ice.Connection, "data_received", data_received),
    (ice.Connection, "check_incoming", check_incoming),
    (rtcpeerconnection, "RTCDtlsTransport", DtlsTransport),
    (rtcrtpreceiver, "StreamStatistics", StreamStatistics),
    (rate, "RateCounter", RateCounter),
    (clock, "current_ms", monotonic_ms),
    (rtcrtpreceiver, "time", _steady),
    (rtcrtpsender, "time", _steady),
]
