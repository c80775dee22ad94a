"""The m-sections of an offer: whether they are complete, and the denial of those that are not accepted.

RFC 9429, section 5.3.1, tells how an answer denies a section.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiortc.sdp import MediaDescription, SessionDescription

from stream.errors import OfferError, SignalingError
from stream.rtc.sdp_bounds import AS_MADE

MAX_CREDENTIAL = 256  # characters (RFC 8839, section 5.4)
_MID = re.compile("[!-~]{0,64}")  # if empty, aiortc names it; it goes into an RTP header extension
_WHOLE = f"{AS_MADE}, whole; a page sends localDescription.sdp after setLocalDescription"
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(frozen=True, slots=True)
class Section:
    """One m-section of an offer.

    Attributes:
        text: the lines of the section.
        kind: "audio", "video", "application" or another kind.
        mid: name of the section. Empty if it has none.
        direction: its direction attribute, else "sendrecv" (RFC 8866, section 6.7).
        refused: whether the offerer rejects the section itself (port 0 that is not due to bundling).
    """

    text: str
    kind: str
    mid: str
    direction: str
    refused: bool

    @classmethod
    def of(cls, text: str) -> Section:
        """Parse the lines of a section."""
        lines = [line.strip() for line in text.splitlines()]
        kind, _, rest = lines[0].removeprefix("m=").partition(" ")
        port = rest.partition(" ")[0].partition("/")[0]
        mid = next((line.removeprefix("a=mid:") for line in lines if line.startswith("a=mid:")), "")
        said = (line.removeprefix("a=") for line in lines if line.startswith("a="))
        direction = next((word for word in said if word in DIRECTIONS), "sendrecv")
        return cls(text, kind, mid, direction, port == "0" and "a=bundle-only" not in lines)

    @property
    def denied(self) -> str:
        """The answer's section, with port 0, if this one is not accepted."""
        _, _, protocol, formats = (*self.text.splitlines()[0].strip().split(" ", 3), "", "", "")[:4]
        mid = [f"a=mid:{self.mid}"] if self.mid else []
        lines = [f"m={self.kind} 0 {protocol} {formats}".rstrip(), "c=IN IP4 0.0.0.0", *mid, "a=inactive"]
        return "\r\n".join(lines) + "\r\n"


def split(text: str) -> tuple[str, list[Section]]:
    """Split an offer into its head and its sections. Lines end where aiortc's parser ends them."""
    parts: list[list[str]] = [[]]
    for line in text.lstrip().splitlines():
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    head, *sections = ["".join(f"{line}\r\n" for line in part) for part in parts]
    return head, [Section.of(section) for section in sections]


def joined(head: str, sections: Iterable[Section]) -> str:
    """Make an offer of some of its sections. Directions are explicit; the bundle names only these sections.

    Candidates are left out, so that the answer waits for none of them.
    """
    kept = list(sections)
    mids = [section.mid for section in kept]

    def left(match: re.Match[str]) -> str:
        named = [mid for mid in match[2].split() if mid in mids]
        return match[1] + "".join(f" {mid}" for mid in named)

    whole = [re.sub(r"(?m)^(a=group:BUNDLE)((?: [^\r\n]*)?)", left, head)]
    for section in kept:
        lines = [
            line
            for line in section.text.splitlines()
            if not line.startswith(("a=candidate:", "a=end-of-candidates"))
        ]
        if not any(line.strip().removeprefix("a=") in DIRECTIONS for line in lines):
            lines.append("a=sendrecv")
        whole.append("\r\n".join(lines) + "\r\n")
    return "".join(whole)


def with_denied(answer: str, offered: Sequence[Section], taken: Sequence[int]) -> str:
    """Extend an answer to some sections of an offer by denying the others in their places.

    Args:
        answer: answer to the sections `taken` only.
        offered: all sections of the offer.
        taken: indices of the accepted sections, ascending.
    """
    head, *answers = re.split(r"(?m)^(?=m=)", answer)
    given = iter(answers)
    return head + "".join(
        next(given) if number in taken else section.denied for number, section in enumerate(offered)
    )


def check_complete(media: MediaDescription) -> None:
    """Check that a section has all that a connection needs.

    Raises:
        SignalingError: its ICE credentials, its DTLS fingerprint or its name are missing or malformed.
        OfferError: it wants a port of its own for RTCP.
    """
    if media.ice is None or not media.ice.usernameFragment or not media.ice.password:
        raise SignalingError(
            f"the {media.kind} section has no ICE credentials (a=ice-ufrag and a=ice-pwd), "
            "so no connection can be made",
            _WHOLE,
        )
    if media.dtls is None or not media.dtls.fingerprints or media.dtls.role is None:
        raise SignalingError(
            f"the {media.kind} section has no DTLS fingerprint or role (a=fingerprint and a=setup), "
            "so it cannot be encrypted; unencrypted streams are not taken",
            _WHOLE,
        )
    if not media.rtcp_mux:
        raise OfferError(
            f"the {media.kind} section offers RTP and RTCP on two ports; they are taken on one only",
            "let the client offer a=rtcp-mux (rtcpMuxPolicy: require)",
        )
    longest = max(len(media.ice.usernameFragment), len(media.ice.password))
    if longest > MAX_CREDENTIAL:
        raise SignalingError(
            f"an ICE credential has {longest} characters; at most {MAX_CREDENTIAL} are read", AS_MADE
        )
    if media.rtp.muxId is None or not _MID.fullmatch(media.rtp.muxId):
        raise SignalingError(
            f"the {media.kind} section's name (a=mid) is not 1 to 64 printable characters", AS_MADE
        )


def check_bundle(
    description: SessionDescription, offered: Sequence[Section], taken: Sequence[MediaDescription]
) -> None:
    """Check that the accepted sections share one transport. A single one needs no name.

    Args:
        description: the whole offer.
        offered: all its sections.
        taken: those that are accepted.

    Raises:
        SignalingError: a name is missing, used twice, or unknown to the bundle.
        OfferError: the sections are not bundled.
    """
    pairs = zip(description.media, offered, strict=True)
    mids = [media.rtp.muxId for media, section in pairs if not section.refused]
    groups = (group.items for group in description.group if group.semantic == "BUNDLE")
    bundle = next(groups, None)
    named = None if bundle is None else [str(mid) for mid in bundle]
    if named is None and len(taken) == 1:
        return
    if not all(mids) or len(set(mids)) < len(mids):
        raise SignalingError(
            f"each m-section needs a name of its own (a=mid), these have {_listed(mids)}", AS_MADE
        )
    if named is None:
        raise OfferError(
            "the offer wants a connection for each of its sections; one for all is taken",
            "bundle them with a=group:BUNDLE (bundlePolicy: max-bundle)",
        )
    wanted = {media.rtp.muxId for media in taken}
    known = {section.mid for section in offered}
    if len(set(named)) < len(named) or not wanted <= set(named) <= known:
        raise SignalingError(
            f"a=group:BUNDLE must name the m-sections, {_listed(mids)}, it names {_listed(named)}", AS_MADE
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:20]) for name in names[:8]) or "none"
