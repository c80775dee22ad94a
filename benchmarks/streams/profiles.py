"""Networks by name, or by their figures, for `livery bench latency --network`."""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.streams.relay import Condition

PROFILES = {
    "wifi": Condition(delay_s=0.003, jitter_s=0.010, loss=0.002),
    "dsl": Condition(delay_s=0.015, jitter_s=0.005, rate_bps=10e6),
    "4g": Condition(delay_s=0.035, jitter_s=0.030, loss=0.005, rate_bps=8e6),
    "poor": Condition(delay_s=0.075, jitter_s=0.050, loss=0.05, rate_bps=1e6),
}
PARTS = {  # name: (field of Condition, factor, largest value in the user's unit)
    "delay": ("delay_s", 1e-3, 5_000.0),
    "jitter": ("jitter_s", 1e-3, 5_000.0),
    "loss": ("loss", 1e-2, 90.0),
    "rate": ("rate_bps", 1e3, 1e6),
}
HELP = (
    f"network to both sides: {', '.join(PROFILES)}, or figures as in delay=20,jitter=10,loss=1,rate=2000 "
    "(ms one way, ms, %%, kb/s to the viewer; the published clip is encoded beforehand at 4 Mb/s)"
)


def parse_network(text: str) -> Condition:
    """Read a network: the name of a profile, or figures.

    Args:
        text: "wifi", or "delay=20,jitter=10,loss=1,rate=2000": delay and jitter of one way in ms, loss in %,
            rate in kb/s. Figures that are left out are those of a good network.

    Raises:
        argparse.ArgumentTypeError: there is no such profile or figure, or a value is out of range.
    """
    if text in PROFILES:
        return PROFILES[text]
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, mark, value = part.partition("=")
        if not mark or name not in PARTS:
            raise argparse.ArgumentTypeError(
                f"{part!r} is no network; there are {', '.join(PROFILES)}, or {', '.join(PARTS)} with a value"
            )
        field, factor, most = PARTS[name]
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        least = 1.0 if name == "rate" else 0.0
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{name} must lie in [{least:g}, {most:g}], got {value!r}")
        found[field] = number * factor
    return Condition(**found)
