"""The course of a bit rate: down to what the network took, up again fast, and slowly near the last limit."""

from __future__ import annotations

from dataclasses import dataclass

FAST, SLOW = 2.0, 1.2  # growth in a second: usually, and near the rate at which the network was full
NEAR = (0.8, 1.1)  # what counts as near, in shares of that rate
HEADROOM, HEADROOM_BPS = 2.0, 50_000  # a rate grows to this multiple of what is used, and this more


@dataclass(slots=True)
class Growth:
    """A bit rate that grows while nothing speaks against it.

    At double speed a rate that fell to a tenth is back within four seconds. Near the rate at which the
    network was last full, the growth is slow, so that the limit is seldom exceeded, and by little.

    Attributes:
        bps: the rate, bits per second.
        full_bps: the rate at which the network was last full. None if it was not, or if the rate passed it.
    """

    bps: float
    full_bps: float | None = None

    def cut(self, bps: float, full_bps: float) -> None:
        """Lower the rate to `bps`, since the network was full at `full_bps`."""
        self.bps, self.full_bps = min(self.bps, bps), full_bps

    def grow(self, seconds: float, used_bps: float) -> None:
        """Raise the rate after `seconds` without trouble.

        Args:
            seconds: time since the last call.
            used_bps: the rate that was really sent. A rate that is not used says nothing about the network,
                so it does not grow far beyond this.
        """
        full = self.full_bps
        near = full is not None and NEAR[0] * full < self.bps <= NEAR[1] * full
        if full is not None and self.bps > NEAR[1] * full:
            self.full_bps = None
        grown = self.bps * (SLOW if near else FAST) ** seconds
        self.bps = max(self.bps, min(grown, HEADROOM * used_bps + HEADROOM_BPS))
