"""Estimates how many bits per second a network path takes, from when packets were sent and when they arrived.

The measure is the queue in front of the narrowest link: the delay of the quickest recent packet beyond the
least delay of the last seconds. The quickest one is little changed by jitter or by a computer that is busy
for a moment (the minimum filter of LEDBAT, RFC 6817, section 3.4.2). A growing queue means that more is sent
than the path takes; what arrives meanwhile is what it takes. Loss counts only if a lower rate lowers it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from stream.congestion.growth import Growth


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthConfig:
    """Limits of an estimate. Times are in seconds, rates in bits per second."""

    lowest_bps: float = 50_000.0
    highest_bps: float = 30_000_000.0
    filter_s: float = 0.15  # age of the packets whose quickest one measures the queue
    filter_packets: int = 5  # at least so many, however old
    base_s: float = 5.0  # the least delay is that of the last one to two such periods
    rate_s: float = 0.5  # period over which arriving bytes are counted
    short_queue_s: float = 0.025  # below it the rate grows, above it stays
    long_queue_s: float = 0.08  # above it the rate falls
    longest_pause_s: float = 0.4
    settle_s: float = 0.8  # time that a lower rate is given to empty the queue
    lossy: float = 0.10  # a larger share of lost packets is a sign of a full link
    loss_packets: int = 100  # packets over which loss is measured
    return_share: float = 0.6  # of the former rate, with which the stream begins after a cut


class Bandwidth:
    """The estimate for one direction of one connection. It uses the caller's clocks only.

    Args:
        start_bps: first estimate, bits per second.
        config: limits.
    """

    def __init__(self, start_bps: float, config: BandwidthConfig | None = None) -> None:
        self.queue_s = 0.0  # present queue in front of the narrowest link
        self.pause_s = 0.0  # if the last update lowered the rate: time in which a long queue empties itself
        self.loss = 0.0  # share of packets lost, of the last `loss_packets`
        self._config = config or BandwidthConfig()
        self._growth = Growth(start_bps)
        self._arrivals: deque[tuple[float, float, int]] = deque(maxlen=4096)  # (arrival, delay, bytes)
        self._bases = [float("inf"), float("inf")]  # least delays of this period and the one before
        self._base_from_s = float("-inf")
        self._fates: deque[bool] = deque(maxlen=self._config.loss_packets)  # whether each packet was lost
        self._harmless = 0.0  # share of loss that stays at lower rates
        self._before_cut: float | None = None  # loss when the rate fell for it
        self._cut_at_s, self._cut_queue_s = float("-inf"), 0.0
        self._updated_s: float | None = None
        self._before_silence: float | None = None

    @property
    def bps(self) -> int:
        """The estimate, bits per second."""
        return round(min(max(self._growth.bps, self._config.lowest_bps), self._config.highest_bps))

    def arrived(self, sent_s: float, arrived_s: float, size: int) -> None:
        """Note a packet that arrived.

        Args:
            sent_s: when it was sent, on the sender's clock.
            arrived_s: when it arrived, on the receiver's clock. The clocks may differ by any constant.
            size: its bytes.
        """
        delay_s = arrived_s - sent_s
        if arrived_s - self._base_from_s > self._config.base_s:
            self._bases = [float("inf"), self._bases[0]]
            self._base_from_s = arrived_s
        self._bases[0] = min(self._bases[0], delay_s)
        self._arrivals.append((arrived_s, delay_s, size))
        self._fates.append(False)

    def lost(self) -> None:
        """Note a packet that did not arrive."""
        self._fates.append(True)

    def update(self, now_s: float) -> int:
        """Take what was noted since the last call into account. Returns the estimate, bits per second.

        Args:
            now_s: the caller's time. Call it about every 0.1 s, whenever there is news.
        """
        last_s, self._updated_s, self.pause_s = self._updated_s, now_s, 0.0
        if self._before_silence is not None:
            self._go_on()
        if last_s is None or not self._arrivals:
            return self.bps
        self.queue_s, used_bps = self._queue(), self._arriving()
        self.loss = sum(self._fates) / max(len(self._fates), 1)
        if not self._fell(now_s, used_bps) and self._is_free(now_s):
            self._growth.grow(min(now_s - last_s, 0.5), used_bps)
        return self.bps

    def silent(self) -> int:
        """Halve the rate, since nothing is heard of the packets that are sent. Returns it, bits per second.

        When something is heard again, the rate begins with `return_share` of what it was.
        """
        if self._before_silence is None:
            self._before_silence = self._growth.bps
        self._growth.bps = max(self._growth.bps / 2, self._config.lowest_bps)
        return self.bps

    def _go_on(self) -> None:
        """Begin anew after a cut, perhaps on another path."""
        before, self._before_silence = self._before_silence or 0.0, None
        self._growth = Growth(max(self._growth.bps, self._config.return_share * before))
        newest = self._arrivals[-1] if self._arrivals else None
        self._bases = [float("inf") if newest is None else newest[1], float("inf")]
        self._fates.clear()

    def _queue(self) -> float:
        """Delay of the quickest recent packet beyond the least delay, seconds."""
        newest_s, quickest = self._arrivals[-1][0], float("inf")
        for count, (arrived_s, delay_s, _) in enumerate(reversed(self._arrivals)):
            if count >= self._config.filter_packets and newest_s - arrived_s > self._config.filter_s:
                break
            quickest = min(quickest, delay_s)
        return quickest - min(self._bases)

    def _arriving(self) -> float:
        """Rate of the arriving bytes, bits per second."""
        newest_s, size, span_s = self._arrivals[-1][0], 0, self._config.rate_s
        for arrived_s, _, one in reversed(self._arrivals):
            if newest_s - arrived_s > span_s:
                break
            size += one
        return 8 * size / span_s

    def _fell(self, now_s: float, used_bps: float) -> bool:
        """Lower the rate if the path is full. Returns whether it did."""
        config = self._config
        settled = now_s - self._cut_at_s > config.settle_s
        if self.queue_s > config.long_queue_s and (settled or self.queue_s > 1.5 * self._cut_queue_s):
            share = max(0.9 - self.queue_s, 0.6)  # the longer the queue, the more room to empty it
            self.pause_s = min(max(self.queue_s - config.long_queue_s, 0.0), config.longest_pause_s)
        elif settled and self._is_lossy():
            share = 0.95
        else:
            return False
        self._cut_at_s, self._cut_queue_s = now_s, self.queue_s
        self._growth.cut(max(share * used_bps, config.lowest_bps), used_bps)
        return True

    def _is_lossy(self) -> bool:
        """Whether packets are lost because too much is sent. Loss that a lower rate does not lower is not."""
        if len(self._fates) < self._config.loss_packets // 2:
            return False
        if self._before_cut is not None and self.loss > 0.6 * self._before_cut:
            self._harmless, self._before_cut = self.loss, None
        self._harmless = min(self._harmless, self.loss + 0.02)
        if self.loss - self._harmless <= self._config.lossy:
            self._before_cut = None
            return False
        self._before_cut = self.loss
        self._fates.clear()  # what is lost at the lower rate is counted anew
        return True

    def _is_free(self, now_s: float) -> bool:
        """Whether the rate may grow."""
        drained = now_s - self._cut_at_s > self._config.settle_s / 2
        return drained and self.queue_s < self._config.short_queue_s
