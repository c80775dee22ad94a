"""Gives aiortc's connections transport-wide congestion control: packets are numbered, their arrival reported.

A sender learns by it what the network takes (`stream.congestion`). Peers without the extension fall back to
REMB. Publishers are steered by REMB in any case: with feedback Chromium raises its rate by 8 % in a second
after the network has recovered, while it follows this server's own estimate at once.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from aiortc import codecs, rtp
from aiortc.rtcrtpparameters import (
    RTCRtcpFeedback,
    RTCRtpHeaderExtensionParameters,
    RTCRtpParameters,
)

from stream.congestion.bandwidth import Bandwidth
from stream.congestion.feedback import URI, ArrivalLog, FeedbackError, SentLog
from stream.refused import refused

_FEEDBACK = re.compile(r"a=rtcp-fb:\S+ transport-cc\b")
EXTENSION_ID = 5  # in this server's own offers; answers take the other side's
START_BPS = 2_500_000  # first estimate, for a track that does not tell its rate
SILENCE_S = 1.0  # packets sent for so long without a report: the path is taken to be cut


@runtime_checkable
class Steered(Protocol):
    """A sender that follows what its path takes. Rates are in bits per second."""

    @property
    def start_bps(self) -> int:
        """The rate at which it begins."""
        ...

    def take_bandwidth(self, bitrate_bps: int, pause_s: float) -> None:
        """Take what the path takes, and for how many seconds to send nothing, so that its queue empties."""
        ...


class NumberingMap(rtp.HeaderExtensionsMap):
    """Writes a sender's header extensions and numbers each packet, if the peer agreed to it.

    Args:
        log: returns the connection's log, or None if it keeps none.
    """

    def __init__(self, log: Callable[[], SentLog | None]) -> None:
        super().__init__()
        self._log = log
        self._agreed = False

    def configure(self, parameters: RTCRtpParameters) -> None:
        """Take the extensions that both sides know."""
        super().configure(parameters)
        self._agreed = any(extension.uri == URI for extension in parameters.headerExtensions)

    def set(self, values: rtp.HeaderExtensions) -> tuple[int, bytes]:
        """Pack the extensions of one packet."""
        log = self._log() if self._agreed else None
        values.transport_sequence_number = None if log is None else log.number(time.monotonic())
        return super().set(values)


class PathState:
    """What one connection knows of its path in both directions."""

    def __init__(self) -> None:
        self.sent = SentLog()
        self.arrivals = ArrivalLog()
        self.bandwidth: Bandwidth | None = None  # None until the first report

    def take(self, report: bytes, start_bps: int) -> tuple[int, float] | None:
        """Take a report on sent packets.

        Returns:
            What the path takes, bits per second, and the pause that it needs, seconds. None if the report
            is unreadable.
        """
        try:
            fates = self.sent.take(report)
        except FeedbackError as exc:
            refused.note("transport_feedback", exc)
            return None
        if self.bandwidth is None:
            self.bandwidth = Bandwidth(start_bps)
        for fate in sorted(fates, key=lambda one: one.arrived_s or 0.0):
            if fate.arrived_s is None:
                self.bandwidth.lost()
            else:
                self.bandwidth.arrived(fate.sent_s, fate.arrived_s, fate.size)
        return self.bandwidth.update(time.monotonic()), self.bandwidth.pause_s

    def silent(self) -> int | None:
        """Return the lower rate if packets are sent and nothing is heard of them. None if all is well."""
        if self.bandwidth is None or self.sent.unanswered_s < SILENCE_S:
            return None
        return self.bandwidth.silent()


def without_feedback(sdp: str) -> str:
    """Return a description that does not offer transport-wide feedback."""
    lines = sdp.splitlines(keepends=True)
    return "".join(line for line in lines if URI not in line and not _FEEDBACK.match(line))


def _with_feedback() -> dict[str, list[Any]]:
    known = {kind: list(entries) for kind, entries in codecs.CODECS.items()}
    known["video"] = copy.deepcopy(known["video"])
    for codec in known["video"]:
        if not codecs.is_rtx(codec):
            codec.rtcpFeedback.append(RTCRtcpFeedback(type="transport-cc"))
    return known


def _with_extension() -> dict[str, list[RTCRtpHeaderExtensionParameters]]:
    known = {kind: list(entries) for kind, entries in codecs.HEADER_EXTENSIONS.items()}
    known["video"].append(RTCRtpHeaderExtensionParameters(id=EXTENSION_ID, uri=URI))
    return known


CODECS, HEADER_EXTENSIONS = _with_feedback(), _with_extension()
