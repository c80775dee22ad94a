"""H.264 in offers: all profiles that FFmpeg decodes, both packetization modes (RFC 6184, section 8).

aiortc accepts Baseline and Constrained Baseline in packetization mode 1 only. But its depacketizer takes both
modes and its decoder takes all profiles. So one payload type of another kind is shown to aiortc as
Constrained Baseline and is answered as it was offered. Profile and mode must be the same in offer and answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiortc.sdp import H264Profile, parse_h264_profile_level_id

PROFILES = {  # profile_idc: name, for those that are decoded; ITU-T H.264, annex A
    66: "Baseline",
    77: "Main",
    100: "High",
    110: "High 10",
    122: "High 4:2:2",
    244: "High 4:4:4 Predictive",
    44: "CAVLC 4:4:4 Intra",
}
SENT = (66, 77, 100)  # profiles whose decoders can read the Constrained Baseline that this server sends
DEFAULT = "42000A"  # default of an offer that names no profile: Baseline, level 1 (RFC 6184, section 8.1)
SHOWN = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
NATIVE = (H264Profile.PROFILE_BASELINE, H264Profile.PROFILE_CONSTRAINED_BASELINE)


@dataclass(frozen=True, slots=True)
class H264Format:
    """One payload type of H.264 in an offer.

    Attributes:
        payload: number of the payload type.
        parameters: the offered text after a=fmtp:N. None if there is no such line.
    """

    payload: str
    parameters: str | None

    def _value(self, name: str, default: str) -> str:
        found = re.search(rf"(?:^|[;\s]){name}\s*=\s*([^;\s]+)", self.parameters or "", re.IGNORECASE)
        return found[1] if found else default

    @property
    def profile(self) -> str:
        """The profile-level-id: six hexadecimal digits if the offer is valid."""
        return self._value("profile-level-id", DEFAULT)

    @property
    def mode(self) -> str:
        """The packetization-mode."""
        return self._value("packetization-mode", "0")

    @property
    def idc(self) -> int | None:
        """The profile_idc. None if the profile is no number."""
        valid = re.fullmatch("[0-9a-fA-F]{6}", self.profile)
        return int(self.profile[:2], 16) if valid else None

    @property
    def native(self) -> bool:
        """Whether aiortc accepts this format as it is."""
        try:
            profile, _ = parse_h264_profile_level_id(self.profile)
        except ValueError:
            return False
        return self.parameters is not None and self.mode == "1" and profile in NATIVE

    @property
    def name(self) -> str:
        """The format in words, for messages."""
        what = PROFILES.get(self.idc or -1, "profile")
        return f"H.264 {what} (profile-level-id {self.profile[:12]}, packetization-mode {self.mode[:4]})"

    def serves(self, sending: bool) -> bool:
        """Whether this server can receive the format, or send it if `sending`."""
        if sending:  # large pictures need the fragments of mode 1
            return self.mode == "1" and self.idc in SENT
        return self.mode in ("0", "1") and self.idc in PROFILES


def formats(section: str) -> list[H264Format]:
    """Return the H.264 payload types of an m-section, in its order of preference."""
    found = []
    first_line = section.splitlines()[0]
    for payload in first_line.split()[3:]:
        if re.search(rf"(?mi)^a=rtpmap:{re.escape(payload)}\s+H264/90000", section):
            line = re.search(rf"(?m)^a=fmtp:{re.escape(payload)}[ \t]+([^\r\n]*)", section)
            found.append(H264Format(payload, line[1].strip() if line else None))
    return found


def stand_in(section: str, sending: bool) -> H264Format | None:
    """Choose the payload type to show to aiortc as another one.

    Returns:
        The format. None if aiortc accepts one as it is, or if no format can be used.
    """
    offered = formats(section)
    if any(one.native for one in offered):
        return None
    able = [one for one in offered if one.serves(sending)]
    return max(able, key=lambda one: one.mode == "1", default=None)


def shown(section: str, stands: H264Format) -> str:
    """Rewrite an m-section for aiortc, with `stands` shown as Constrained Baseline."""
    line = rf"(?m)^a=fmtp:{stands.payload}[ \t][^\r\n]*"
    if stands.parameters is not None:
        return re.sub(line, f"a=fmtp:{stands.payload} {SHOWN}", section)
    mapped = rf"(?m)^(a=rtpmap:{stands.payload} [^\r\n]*)"
    return re.sub(mapped, rf"\1\r\na=fmtp:{stands.payload} {SHOWN}", section)


def answered(answer: str, stands: H264Format) -> str:
    """Rewrite aiortc's answer with the profile and the mode that were offered."""
    line = rf"(?m)^a=fmtp:{stands.payload}[ \t][^\r\n]*(\r?\n)"
    if stands.parameters is None:
        return re.sub(line, "", answer)
    asymmetric = ["level-asymmetry-allowed=1"] if "level-asymmetry-allowed=1" in stands.parameters else []
    said = [*asymmetric, f"packetization-mode={stands.mode}", f"profile-level-id={stands.profile}"]
    return re.sub(line, rf"a=fmtp:{stands.payload} {';'.join(said)}\1", answer)
