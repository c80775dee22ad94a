"""Selects m-sections of an offer and denies the others in the answer (RFC 9429, 5.3.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
