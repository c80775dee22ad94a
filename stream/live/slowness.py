"""Says in a plain sentence what is slow in a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEAST_FPS = 5.0  # below it a source is slow by itself, as the demo is while nobody watches
SHOWN_SHARE = 0.8  # a smaller share of pictures shown is worth a sentence
STEP_SHARE = 0.8  # an edit that takes this share of a picture's time is the cause
LATE_MS = 250.0  # median time in the server that is worth a sentence
STARVED_BPS = 400_000  # lower rates look bad


def slowness(
    figures: Mapping[str, Any], *, held_back: bool, thin: int, viewers: int, rate_bps: int
) -> str | None:
    """Return what is slow, why, and what the server does about it. None if nothing is.

    Args:
        figures: `SessionMetrics.snapshot`.
        held_back: whether the server lowers this session's frame rate, since the machine is overloaded.
        thin: how far the match gives way, see `thinning`.
        viewers: number of viewers.
        rate_bps: bit rate at which pictures are sent to them, bits per second.
    """
    came, went = figures["fps_in"], figures["fps_out"]
    share = f"{went:.0f} of {came:.0f} pictures a second are shown"
    share += ", and the edit is placed less exactly" if thin else ""
    if held_back:
        return f"The server's computer is too busy for all its sessions: {share}."
    if came >= LEAST_FPS and went < SHOWN_SHARE * came:
        step_ms = figures["stages_ms"].get("step", 0.0)
        if step_ms > STEP_SHARE * 1000 / came:
            return f"The edit takes {step_ms:.0f} ms a picture on the server's computer: {share}."
        return f"The server's computer is too busy: {share}."
    latency = figures["latency_ms"]
    if latency is not None and latency["p50"] > LATE_MS:
        return f"The server's computer is too busy: each picture stays there for {latency['p50']:.0f} ms."
    if thin:
        return "The server's computer is busy: the edit is placed less exactly, and every picture is shown."
    if viewers and rate_bps < STARVED_BPS:
        rate = f"{rate_bps / 1e6:.1f} Mb/s"
        return f"The network to the viewers takes only {rate}: pictures are sent fewer, smaller or coarser."
    return None
