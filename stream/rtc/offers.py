"""The SDP of WHIP and WHEP: offers, answers and trickled fragments."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from aiortc import RTCIceCandidate
from aiortc.sdp import MediaDescription, SessionDescription, candidate_from_sdp

from stream.errors import OfferError, SignalingError
from stream.rtc import h264_profiles, sections
from stream.rtc.h264_profiles import H264Format
from stream.rtc.sdp_bounds import AS_MADE, check_fragment, check_offer, is_usable
from stream.rtc.sections import Section

Purpose = Literal["publish", "view"]
Codec = Literal["H264", "VP8"]
VIDEO_CODECS: tuple[Codec, ...] = ("H264", "VP8")

_ALLOWED = {"publish": ("sendonly", "sendrecv"), "view": ("recvonly", "sendrecv")}
_MISMATCH = {
    "publish": "this address takes a stream in, but the offer sends no video",
    "view": "this address sends a stream out, but the offer receives no video",
}
_TURN = {
    "publish": "offer the video as sendonly (a=sendonly); to watch the stream, POST to its WHEP address",
    "view": "offer the video as recvonly (a=recvonly); to publish, POST to the stream's WHIP address",
}
UNREADABLE = (ValueError, IndexError, KeyError, AttributeError, AssertionError, TypeError, StopIteration)
_BUNDLE = re.compile(r"(?m)^a=group:BUNDLE[^\n]*\n")
_ENCRYPTED = re.compile(
    r"(?m)^a=extmap:\S+ urn:ietf:params:rtp-hdrext:encrypt [^\n]*\n"
)  # RFC 6904, optional
SOUND_CODECS = ("opus", "pcmu", "pcma", "g722")  # that aiortc reads
NO_CODECS = (
    "rtx",
    "red",
    "ulpfec",
    "flexfec-03",
    "cn",
    "telephone-event",
)  # not codecs themselves but additions to one
NAMES = {"H265": "H.265 (HEVC)", "H266": "H.266 (VVC)", "AV1X": "AV1"}
NEEDED = "offer one video track, H.264 or VP8"
TRICKLED = "send the lines a=candidate:… as the browser or encoder gave them"
USE = "set the encoder to H.264 (any profile up to High) or VP8"
_MEDIA_LINE = "m={} 9 UDP/TLS/RTP/SAVPF 96"


@dataclass(frozen=True, slots=True)
class Offer:
    """A checked offer.

    Attributes:
        sdp: the accepted part of the offer: one video and one audio section. It has no candidates, so that
            the answer waits for none. An H.264 format that aiortc does not know is shown as one it knows.
        candidates: the offer's candidates to which checks may be sent (see `sdp_bounds.is_usable`).
        mid: name of the m-section to which candidates belong. It is the first accepted one, since all
            sections are bundled.
        ufrag: the ICE user name fragment. A different one later means an ICE restart.
        audio: whether audio is accepted.
        codecs: the offered codecs among `VIDEO_CODECS`, in the offer's order.
        sections: all sections of the offer.
        taken: indices of the accepted sections.
        stands: the H.264 format that is shown to aiortc as another one, if any.
    """

    sdp: str
    candidates: tuple[RTCIceCandidate, ...]
    mid: str
    ufrag: str
    audio: bool
    codecs: tuple[Codec, ...]
    sections: tuple[Section, ...] = ()
    taken: tuple[int, ...] = ()
    stands: H264Format | None = None

    def complete(self, answer: str) -> str:
        """Complete aiortc's answer to the whole offer.

        Sections that are not accepted are denied. H.264 is answered as it was offered. Sections are bundled
        in the answer only if they are in the offer.

        Args:
            answer: SDP of the answer to the accepted sections.
        """
        if self.stands is not None:
            answer = h264_profiles.answered(answer, self.stands)
        answer = sections.with_denied(answer, self.sections, self.taken)
        return answer if _BUNDLE.search(self.sdp) else _BUNDLE.sub("", answer)

    @property
    def codec(self) -> Codec:
        """The video codec to send with. H.264 is preferred, since it is cheaper to encode."""
        return "H264" if "H264" in self.codecs else "VP8"


@dataclass(frozen=True, slots=True)
class Fragment:
    """A trickled fragment (RFC 8840): candidates and the user name fragment they belong to."""

    candidates: tuple[RTCIceCandidate, ...]
    ufrag: str | None


def parse_offer(text: str, purpose: Purpose) -> Offer:
    """Read and check an offer.

    Args:
        text: the request's body.
        purpose: "publish" requires video that the client sends, "view" video that it receives.

    Raises:
        SignalingError: the text is no SDP, or section names, ICE or DTLS parameters are missing.
        OfferError: the offer has no video in the right direction, or no codec in common.
    """
    text = _ENCRYPTED.sub("", text.removeprefix("\ufeff"))  # a byte order mark, as some editors write it
    description = _parse(text)
    head, offered = sections.split(text)
    heard = [number for number, one in enumerate(description.media) if one.kind == "audio" and _is_heard(one)]
    taken = _taken(offered, purpose, heard)
    media = [description.media[number] for number in taken]
    for one in media:
        sections.check_complete(one)
    sections.check_bundle(description, offered, media)
    video = next(number for number in taken if offered[number].kind == "video")
    stands = h264_profiles.stand_in(offered[video].text, sending=purpose == "view")
    codecs = _codecs(description.media[video], offered[video].text, purpose)
    kept = [
        replace(section, text=h264_profiles.shown(section.text, stands))
        if number == video and stands is not None
        else section
        for number, section in enumerate(offered)
        if number in taken
    ]
    first = media[0]
    return Offer(
        sdp=sections.joined(head, kept),
        candidates=tuple(
            candidate for one in media for candidate in one.ice_candidates if is_usable(candidate)
        ),
        mid=first.rtp.muxId,
        ufrag=str(first.ice.usernameFragment) if first.ice else "",
        audio=any(one.kind == "audio" and _has_opus(one) for one in media),
        codecs=codecs,
        sections=tuple(offered),
        taken=taken,
        stands=stands,
    )


def _taken(offered: list[Section], purpose: Purpose, heard: list[int]) -> tuple[int, ...]:
    """Choose the accepted sections: the first video in the right direction and the first audio.

    Args:
        offered: all sections.
        purpose: decides on the direction.
        heard: indices of the audio sections with a codec in common.

    Returns:
        The indices of the sections, ascending.

    Raises:
        OfferError: there is no such video.
    """
    open_ones = [(number, section) for number, section in enumerate(offered) if not section.refused]
    video = [(number, section) for number, section in open_ones if section.kind == "video"]
    if not video:
        kinds = {section.kind for _, section in open_ones}
        what = {"application": "a data channel", "audio": "sound"}
        held = " and ".join(sorted(what.get(kind, repr(kind[:20])) for kind in kinds))
        only = f": it holds {held} only" if kinds else ": all its sections are rejected (port 0)"
        raise OfferError(f"the offer has no video section{only}", NEEDED)
    fit = [number for number, section in video if section.direction in _ALLOWED[purpose]]
    if not fit:
        raise OfferError(
            f"{_MISMATCH[purpose]}: its video section is {video[0][1].direction}", _TURN[purpose]
        )
    audio = [number for number, _ in open_ones if number in heard]
    return tuple(sorted([fit[0], *audio[:1]]))


def _parse(text: str) -> SessionDescription:
    if not text.strip():
        raise SignalingError("the offer is empty", "send the SDP offer as the body")
    if not text.lstrip().startswith("v=0"):
        json = text.lstrip().startswith("{")
        hint = "send the SDP itself as the body, not JSON" if json else "send the SDP offer alone as the body"
        raise SignalingError("malformed SDP: it does not begin with v=0", hint)
    check_offer(text)
    try:
        description = SessionDescription.parse(text)
    except UNREADABLE as exc:
        raise SignalingError(f"malformed SDP: {_unreadable(text, exc)}", AS_MADE) from exc
    if not description.media:
        raise SignalingError("the offer has no m-section, so it offers neither picture nor sound", NEEDED)
    return description


def _unreadable(text: str, error: Exception) -> str:
    """Describe why an offer could not be parsed, by its first line that cannot be read on its own."""
    head = ""
    for line in text.split("\n"):
        line = line.strip()
        if line.startswith("m="):
            head = _MEDIA_LINE.format("audio" if line.startswith("m=audio") else "video")
            alone = line
        elif (named := re.match(r"a=(?:fmtp|rtcp-fb):(\d+|\*)", line)) is not None:
            payload = "96" if named[1] == "*" else named[1]
            alone = f"{head}\r\na=rtpmap:{payload} H264/90000\r\n{line}"
        else:
            alone = f"{head}\r\n{line}" if head else line
        try:
            SessionDescription.parse(f"v=0\r\n{alone}\r\n")
        except UNREADABLE:
            return f"the line {line[:100]!r} could not be read"
    if isinstance(error, StopIteration):
        return "an a=fmtp line names a payload type without an a=rtpmap line in its section"
    return "a part of the offer could not be read"


def _codecs(media: MediaDescription, text: str, purpose: Purpose) -> tuple[Codec, ...]:
    """The codecs of a video section that can be accepted, in its order.

    Raises:
        OfferError: there is none.
    """
    h264 = h264_profiles.formats(text)
    able = any(one.native or one.serves(sending=purpose == "view") for one in h264)
    offered = dict.fromkeys(codec.name.upper() for codec in media.rtp.codecs)
    found = [name for name in VIDEO_CODECS if name == "VP8" or able]
    found = sorted((name for name in found if name in offered), key=list(offered).index)
    if found:
        return tuple(found)
    names = [one.name for one in h264]
    for codec in media.rtp.codecs:
        name = NAMES.get(codec.name.upper(), codec.name[:30])
        if codec.name.upper() != "H264" and codec.name.lower() not in NO_CODECS and name not in names:
            names.append(name)
    raise OfferError(
        f"no video codec in common: offered {', '.join(names[:8]) or 'none'}; taken are H.264 and VP8", USE
    )


def _is_heard(media: MediaDescription) -> bool:
    """Whether a sound section has a codec in common. If not, the picture is taken alone."""
    return any(codec.name.lower() in SOUND_CODECS for codec in media.rtp.codecs)


def _has_opus(media: MediaDescription) -> bool:
    return any(codec.name.lower() == "opus" for codec in media.rtp.codecs)


def parse_fragment(text: str, mid: str) -> Fragment:
    """Read a trickled fragment.

    Args:
        text: the body of a PATCH, `application/trickle-ice-sdpfrag`.
        mid: name of the m-section that its candidates are given to.

    Raises:
        SignalingError: a line cannot be read.
    """
    check_fragment(text)
    candidates: list[RTCIceCandidate] = []
    ufrag: str | None = None
    for line in text.splitlines():
        name, _, value = line.strip().partition(":")
        if name == "a=ice-ufrag":
            ufrag = value
        elif name == "a=candidate":
            try:
                candidate = candidate_from_sdp(value)
            except UNREADABLE as exc:
                raise SignalingError(
                    f"the candidate {line.strip()[:100]!r} could not be read", TRICKLED
                ) from exc
            candidate.sdpMid = mid
            if is_usable(candidate):
                candidates.append(candidate)
        elif name and not re.match(r"[a-z]=", name):
            raise SignalingError(
                f"the line {line.strip()[:100]!r} of the fragment is no line of SDP", TRICKLED
            )
    return Fragment(candidates=tuple(candidates), ufrag=ufrag)


def with_start_bitrate(answer: str, bitrate_bps: int, least_bps: int = 0) -> str:
    """Add `x-google-start-bitrate` to each video codec of an answer.

    Chromium then starts near that rate instead of 300 kb/s and is sharp at once.

    Args:
        answer: SDP of the answer to a publisher.
        bitrate_bps: start bit rate, bits per second.
        least_bps: if not 0, rate that Chromium keeps at least, bits per second (`x-google-min-bitrate`).
    """
    head, *sections = re.split(r"(?m)^(?=m=)", answer)
    start = f"x-google-start-bitrate={max(bitrate_bps // 1000, 1)}"
    start += f";x-google-min-bitrate={least_bps // 1000}" if least_bps else ""
    out = [head]
    for section in sections:
        if not section.startswith("m=video"):
            out.append(section)
            continue
        for payload in re.findall(r"(?m)^a=rtpmap:(\d+) (?:H264|VP8)/", section):
            fmtp = re.compile(rf"(?m)^(a=fmtp:{payload} [^\r\n]*)")
            if fmtp.search(section):
                section = fmtp.sub(rf"\1;{start}", section)
            else:
                section = re.sub(
                    rf"(?m)^(a=rtpmap:{payload} [^\r\n]*\r?\n)", rf"\1a=fmtp:{payload} {start}\r\n", section
                )
        out.append(section)
    return "".join(out)
