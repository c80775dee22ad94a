"""How a keyframe is shown."""

from __future__ import annotations

from dataclasses import dataclass

from correspondence import Image, Landmarks


@dataclass(frozen=True, slots=True, eq=False)
class KeyframeInfo:
    """A keyframe as the page's film strip shows it.

    Attributes:
        image, edited: uint8 (H, W, 3).
        pinned: edited by the user.
        made_s: time of its frame; used: how much it served; active: it serves now.
        id: names it for as long as it is kept; version: changes with `edited`.
        turn_deg: yaw and pitch of its head against the first keyframe's, degrees; None without a face.
        covered: mean share of the edit that it covered where it was tried, [0, 1]; None before that.
        landmarks: of `image`.
    """

    image: Image
    edited: Image
    pinned: bool
    made_s: float
    used: int
    active: bool
    id: int
    version: int
    turn_deg: tuple[float, float] | None
    covered: float | None
    landmarks: Landmarks | None
