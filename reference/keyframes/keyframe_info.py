"""The description of a keyframe that the page shows."""

from __future__ import annotations

from dataclasses import dataclass

from correspondence import Image, Landmarks


@dataclass(frozen=True, slots=True, eq=False)
class KeyframeInfo:
    """A keyframe as the page's film strip shows it.

    Attributes:
        image, edited: the reference and its edited picture, uint8 (H, W, 3).
        pinned: whether the user edited it.
        made_s: time of its frame, seconds.
        used: number of frames it served, see `Bank.served`.
        active: whether it serves now.
        id: identifies the keyframe for as long as it is kept.
        version: changes with `edited`.
        turn_deg: yaw and pitch of its head relative to the first keyframe's, degrees; None without a face.
        covered: mean share of the edit that it covered in the views where it was tried, [0, 1]; None if it
            was not tried yet.
        landmarks: landmarks of `image`; None without a face.
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
