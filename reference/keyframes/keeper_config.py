"""How references are kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from reference.keyframes.bank import BankConfig
from reference.keyframes.policy import PolicyConfig
from reference.keyframes.refusal import RefusalConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperConfig:
    """How references are kept; `__post_init__` checks the ranges."""

    policy: PolicyConfig = field(default_factory=PolicyConfig)
    bank: BankConfig = field(default_factory=BankConfig)
    refusal: RefusalConfig = field(default_factory=RefusalConfig)
    make: bool = True  # False: only keyframes that the user edited serve
    background: bool = True  # False: jobs run inside `step`: reproducible, for files and tests
    radius: float = 0.04  # error up to which a place counts as covered, share of the face
    threshold: float = 0.5  # at this probability of a smaller error
    fade_frames: int = 5  # frames that show both references of a switch
    ask_every_s: float = 0.1  # how often the bank is asked for a better keyframe
    home_s: float = 2.0  # after this long on a made keyframe, the user's own is preferred where ...
    home_coverage: float = 0.9  # ... it is expected to cover this much, and covers `policy.recover`
    stale_s: float = 1.0  # a job whose frame is older than this when it starts is dropped
    max_match_s: float = 0.06  # where a match takes longer on average, nothing new is made
    pair_match_s: float = 0.0  # beside a made keyframe the user's own is matched too, and gives what it is
    # sure of, where a match takes no longer than this on average; 0: never
    max_sources: int = 4  # earlier keyframes that a new one is drawn from
    passed_views: int = 2  # poorly covered views on the way to a new keyframe that join the bank with it; as
    # many as the middle of a quadrant grid, which fills their holes; 0: none
    passed_wait_s: float = 10.0  # they are drawn once the new keyframe's hole is filled, or after this long

    def __post_init__(self) -> None:
        for name in ("threshold", "home_coverage"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("radius", "stale_s", "max_match_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.fade_frames < 0 or self.max_sources < 1 or min(self.ask_every_s, self.home_s) < 0:
            raise ValueError("fade_frames, ask_every_s and home_s must be >= 0, max_sources >= 1")
        for name in ("pair_match_s", "passed_views", "passed_wait_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
