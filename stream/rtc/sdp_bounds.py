"""Limits of offers and trickled fragments, checked before parsing, and of candidates' addresses.

aiortc parses SDP on the event loop, in time quadratic in the number of some lines. Browsers and encoders stay
far below these limits: Chromium's largest offers have about 400 lines, 60 codecs and 250 feedback lines.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

from aiortc import RTCIceCandidate

from stream.errors import SignalingError
from stream.refused import refused

MAX_SDP_BYTES = 64_000
MAX_FRAGMENT_BYTES = 16_000
MAX_LINES = 1000
MAX_LINE = 2048  # characters
MAX_CANDIDATES = 100  # most candidates of a connection, in its offer and all fragments
MAX_OF = {  # most lines of one kind in an offer
    "m=": 16,
    "a=rtpmap:": 400,
    "a=fmtp:": 400,
    "a=rtcp-fb:": 600,
    "a=rtcp-fb:*": 16,  # each applies to every codec
    "a=extmap:": 300,
    "a=ssrc:": 400,
    "a=ssrc-group:": 100,
    "a=fingerprint:": 64,
    "a=group:": 8,
    "a=candidate:": MAX_CANDIDATES,
}
AS_MADE = "send the offer as the browser or encoder made it"


def check_offer(text: str) -> None:
    """Check that an offer can be parsed within some milliseconds.

    Raises:
        SignalingError: the offer is too long, or has too many lines in all or of one kind.
    """
    _check_lines(text, MAX_SDP_BYTES)
    counts: Counter[str] = Counter()
    mapped: set[int | None] = set()
    for line in text.splitlines():
        for kind in MAX_OF:
            counts[kind] += line.startswith(kind)
        if line.startswith("m="):
            mapped.clear()
        elif line.startswith("a=rtpmap:"):
            payload = _number(line.removeprefix("a=rtpmap:").partition(" ")[0])
            if payload in mapped:
                raise SignalingError(
                    f"malformed SDP: payload type {payload} has two a=rtpmap lines in a section",
                    AS_MADE,
                )
            if payload is not None:  # else the parser reports the error later, in better words
                mapped.add(payload)
    for kind, most in MAX_OF.items():
        if counts[kind] > most:
            refused.note("large_offer", kind)
            raise SignalingError(
                f"the offer has {counts[kind]} {kind} lines; at most {most} are read", AS_MADE
            )


def check_fragment(text: str) -> None:
    """Check that a trickled fragment can be parsed quickly.

    Raises:
        SignalingError: the fragment is too long, or has too many lines or candidates.
    """
    _check_lines(text, MAX_FRAGMENT_BYTES)
    candidates = sum(line.lstrip().startswith("a=candidate") for line in text.splitlines())
    if candidates > MAX_CANDIDATES:
        refused.note("large_offer", "a=candidate:")
        raise SignalingError(
            f"the fragment has {candidates} candidates; at most {MAX_CANDIDATES} are taken", AS_MADE
        )


def _check_lines(text: str, most_bytes: int) -> None:
    size, lines = len(text.encode()), text.splitlines()
    longest = max(map(len, lines), default=0)
    for what, found, most in (
        ("bytes", size, most_bytes),
        ("lines", len(lines), MAX_LINES),
        ("characters in a line", longest, MAX_LINE),
    ):
        if found > most:
            refused.note("large_offer", what)
            raise SignalingError(f"malformed SDP: {found} {what}; at most {most} are read", AS_MADE)


def is_usable(candidate: RTCIceCandidate) -> bool:
    """Whether checks may be sent to a candidate. It must be UDP at the plain address of one other machine.

    Host names are never resolved. Names that end in .local hide a browser's address. The address of such a
    peer, and of any other whose candidate is left out, is learnt from the peer's own checks.
    """
    if candidate.protocol.lower() != "udp" or candidate.ip.lower().endswith(".local"):
        return False  # common, but not usable here
    try:
        address = ipaddress.ip_address(candidate.ip)
    except ValueError:
        refused.note("candidate_host", candidate.ip)
        return False
    odd = (
        getattr(address, "scope_id", None) is not None
        or address.is_multicast
        or address.is_unspecified
        or address.is_loopback
        or address.is_reserved
        or not 0 < candidate.port <= 0xFFFF
        or not 0 <= candidate.priority <= 0xFFFFFFFF
        or candidate.component != 1
        or len(candidate.foundation) > 32
        or candidate.type not in ("host", "srflx", "prflx", "relay")
    )
    if odd:
        refused.note("candidate_address", candidate.ip)
    return not odd


def _number(text: str) -> int | None:
    try:
        return int(text)  # as aiortc reads it: "096" is 96
    except ValueError:
        return None
