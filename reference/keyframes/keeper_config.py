"""Settings of the reference keeper."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from reference.keyframes.bank import BankConfig
from reference.keyframes.policy import PolicyConfig
from reference.keyframes.refusal import RefusalConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperConfig:
    """Settings of `ReferenceKeeper`: when keyframes are made, tried, switched and dropped.

    Raises:
        ValueError: a value is out of its range.
    """

    policy: PolicyConfig = field(default_factory=PolicyConfig)
    bank: BankConfig = field(default_factory=BankConfig)
    refusal: RefusalConfig = field(default_factory=RefusalConfig)
    make: bool = True  # False: only keyframes that the user edited serve
    background: bool = True  # False: jobs run inside `step`, which is reproducible (for files and tests)
    radius: float = 0.04  # error up to which a place counts as covered, share of the face size
    threshold: float = 0.5  # a place is covered if the error is below `radius` with this probability
    fade_frames: int = 5  # frames of the cross-fade between the two references of a switch
    hurried_frames: int = 2  # the same where there is little time: ...
    hurried_match_s: float = inf  # ... if a match takes longer than this on average; inf: always enough time
    ask_every_s: float = 0.1  # time between two searches of the bank for a better keyframe
    home_s: float = 2.0  # after this time on a made keyframe the user's own is tried again if it ...
    home_coverage: float = 0.9  # ... is predicted to cover this much; it must then cover `policy.recover`
    stale_s: float = 1.0  # a job whose frame is older than this when it starts is dropped
    max_match_s: float = 0.06  # no new keyframe is made if a match takes longer than this on average
    look_match_s: float = 0.06  # the same for a look of the whole picture that a fill has learned
    pair_match_s: float = 0.0  # if a match takes less than this on average, the user's own keyframe is
    # matched beside a made one and gives the pixels it is sure of; 0: never
    lids_s: float = 1.0  # eyes that are shut for longer look down: then a keyframe may show them so
    max_sources: int = 4  # largest number of earlier keyframes that a new one is drawn from
    passed_views: int = 2  # poorly covered views before a new keyframe that join the bank after it; 0: none.
    # The default is the number of frames in the middle of a quadrant grid, which fills their holes
    passed_wait_s: float = 10.0  # they are drawn once the new keyframe's hole is filled, or after this time

    def __post_init__(self) -> None:
        for name in ("threshold", "home_coverage"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("radius", "stale_s", "max_match_s", "look_match_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if (
            min(self.fade_frames, self.hurried_frames, self.ask_every_s, self.home_s) < 0
            or self.max_sources < 1
        ):
            raise ValueError(
                "fade_frames, hurried_frames, ask_every_s and home_s must be >= 0, max_sources >= 1"
            )
        for name in ("pair_match_s", "lids_s", "passed_views", "passed_wait_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
