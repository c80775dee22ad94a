"""Every place that takes what others made, with inputs to begin from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz import packets, requests, texts
from tests.fuzz.mutate import Cases, lines_of, mutated


@dataclass(frozen=True, slots=True)
class Target:
    """One of them.

    Attributes:
        run: takes a case; whatever it raises is a crash.
        cases: reads the corpus and returns what makes a case.
        close: ends what the target holds.
        slow_s: a case that takes more processor time is a hang.
    """

    run: Callable[[bytes], None]
    cases: Callable[[], Cases]
    close: Callable[[], None] = lambda: None
    slow_s: float = 1.0


TARGETS = {
    "offer": Target(texts.run_offer, lambda: lines_of(texts.offers())),
    "fragment": Target(texts.run_fragment, lambda: lines_of(texts.fragments())),
    "stun": Target(packets.run_stun, lambda: packets.sized(mutated(packets.stun_corpus(), 1500))),
    "rtp": Target(packets.run_rtp, lambda: mutated(packets.rtp_corpus(), 1500)),
    "rtcp": Target(packets.run_rtcp, lambda: mutated(packets.rtcp_corpus(), 1500)),
    "frame": Target(packets.run_frames, lambda: mutated(packets.frames_corpus(), 20_000)),
    "control": Target(texts.run_control, lambda: mutated(texts.CONTROL, 16_000)),
    "request": Target(requests.run_request, lambda: mutated(requests.corpus(), 60_000), requests.close),
    "upload": Target(texts.run_picture, lambda: mutated(texts.pictures(), 60_000)),
    "look file": Target(texts.run_look_file, lambda: mutated(texts.look_files(), 60_000)),
    "recording": Target(texts.run_journal, lambda: mutated(texts.journals(), 20_000), texts.close),
    "clip": Target(texts.run_clip, lambda: mutated(texts.clips(), 60_000), texts.close, 3.0),
}
