"""Bit rates told by REMB (draft-alvestrand-rmcat-remb-03): where transport-wide feedback is not agreed on."""

from __future__ import annotations

from stream.congestion.bandwidth import Bandwidth
from stream.congestion.feedback import unwrapped
from stream.congestion.growth import Growth

SEND_TIME_BITS, SEND_TIME_S = 24, 1 / (1 << 18)  # abs-send-time: seconds with 18 bits behind the point
TOLD_EVERY_S = 0.5  # time between two messages while the rate does not fall
FALL = 0.97  # a value below this share of the one before is a fall
MOST_LOSS, MOST_QUEUE_S = 0.1, 0.1  # more loss or waiting than this is trouble
UNKNOWN_BPS = 30_000_000


class ReceiveEstimator:
    """The receiver's estimate of what a sender may send. It takes the place of aiortc's.

    aiortc's own estimate grows by some 30 kb/s in a second after a fall, so that a picture stays poor for a
    minute after the network has recovered.
    """

    def __init__(self) -> None:
        self._bandwidth = Bandwidth(UNKNOWN_BPS)
        self._sources: dict[int, None] = {}
        self._ticks: int | None = None  # unwrapped time of sending of the newest packet
        self._begun_s = self._updated_s = self._told_s = float("-inf")
        self._told_bps = 0

    def add(
        self, arrival_time_ms: int, abs_send_time: int, payload_size: int, ssrc: int
    ) -> tuple[int, list[int]] | None:
        """Note a packet. The signature is aiortc's.

        Returns:
            The rate to tell, bits per second, and the sources it is for. None if nothing has to be told now.
        """
        now_s = arrival_time_ms / 1000
        self._sources[ssrc] = None
        if self._ticks is None:
            self._ticks, self._begun_s = abs_send_time, now_s
        self._ticks = unwrapped(abs_send_time, self._ticks, SEND_TIME_BITS)
        self._bandwidth.arrived(self._ticks * SEND_TIME_S, now_s, payload_size)
        if now_s - self._updated_s < 0.1:
            return None
        self._updated_s = now_s
        bps = self._bandwidth.update(now_s)
        if now_s - self._begun_s < 1.0 or bps >= UNKNOWN_BPS:
            return None
        if now_s - self._told_s < TOLD_EVERY_S and bps >= FALL * self._told_bps:
            return None
        self._told_s, self._told_bps = now_s, bps
        return bps, list(self._sources)


class RembFollower:
    """The rate for one viewer that tells its estimate by REMB.

    The receiver's estimate rises slowly, and hardly beyond what is sent. So the rate is raised beyond the
    estimate as long as there is no trouble: the estimate does not fall, little is lost, and the round trip
    does not grow. In trouble it falls, down to the estimate.
    """

    def __init__(self) -> None:
        self._growth: Growth | None = None
        self._last_bps = 0
        self._last_s = 0.0
        self._loss = 0.0
        self._round_trip_s = self._least_s = float("inf")

    def report(self, loss: float, round_trip_s: float | None) -> None:
        """Note a receiver report.

        Args:
            loss: share of packets lost since the report before, [0, 1].
            round_trip_s: seconds. None if it was not measured.
        """
        self._loss = loss
        if round_trip_s is not None:
            self._round_trip_s = round_trip_s
            self._least_s = min(self._least_s, round_trip_s)

    def take(self, remb_bps: int, sent_bps: float, now_s: float) -> int:
        """Take an estimate. Returns the rate for this viewer, bits per second.

        Args:
            remb_bps: what the viewer told.
            sent_bps: what is sent at present.
            now_s: time in seconds.
        """
        growth, fell = self._growth, remb_bps < FALL * self._last_bps
        if growth is None:
            growth = self._growth = Growth(remb_bps)
        elif fell:
            growth.cut(remb_bps, remb_bps / 0.85)  # receivers tell this share of what arrived
        elif self._is_troubled:
            growth.cut(0.8 * growth.bps, 0.9 * growth.bps)
        else:
            growth.grow(min(now_s - self._last_s, 1.0), sent_bps)
        growth.bps = max(growth.bps, remb_bps)
        self._last_bps, self._last_s = remb_bps, now_s
        return round(growth.bps)

    @property
    def _is_troubled(self) -> bool:
        waited_s = 0.0 if self._least_s == float("inf") else self._round_trip_s - self._least_s
        return self._loss > MOST_LOSS or waited_s > MOST_QUEUE_S
