"""When a live stream makes new references: where its processor has time for them."""

from __future__ import annotations

from reference import KeeperConfig

SPARE_S = 0.012  # two matches of this length leave time to encode at 30 frames a second
LOOK_S = 0.03  # a look of the whole picture is matched over the whole frame, and with one keyframe


def live_references(make: bool) -> KeeperConfig:
    """The settings of a live stream's references.

    A made keyframe alone shows small make-up a little worse than the user's own, so the two are matched side
    by side. Where a frame leaves no time for that, no keyframe is made, and a change of keyframes is brief.

    Args:
        make: whether references are made at all.
    """
    return KeeperConfig(
        make=make, pair_match_s=SPARE_S, max_match_s=SPARE_S, look_match_s=LOOK_S, hurried_match_s=SPARE_S
    )
