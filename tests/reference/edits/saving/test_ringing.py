"""The fringe beside a strong change is left out; what only looks like one stays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Bool, Float
from reference.edits.saving.ringing import without_blocks, without_fringe

CORE = (-80.0, -60.0, -60.0)  # change of a dark stroke, levels


def distances(side: int = 80, half_width: int = 4) -> Float:
    """Distance from a vertical stroke, pixels; 0 in it."""
    across = np.abs(np.arange(side) - side // 2) - half_width
    return np.broadcast_to(np.maximum(across, 0).astype(np.float32), (side, side)).copy()


def stroke(fringe: tuple[float, float, float], width: int) -> tuple[Bool, Float, Bool]:
    """Where something was found, the change, and the stroke itself."""
    away = distances()
    core, found = away == 0, away <= width
    change = np.zeros((*away.shape, 3), np.float32)
    change[found] = fringe
    change[core] = CORE
    return found, change, core


@pytest.mark.parametrize("fringe", [(9.0, 12.0, 14.0), (-10.0, 14.0, 3.0), (4.0, -4.0, 9.0)])
def test_a_fringe_of_another_colour_is_left_out(fringe: tuple[float, float, float]) -> None:
    found, change, core = stroke(fringe, 6)
    assert np.array_equal(without_fringe(found, change), core)


def test_ringing_of_changing_sign_is_left_out() -> None:
    found, change, core = stroke((0.0, 0.0, 0.0), 5)
    rings = 12 * np.cos(np.pi * distances())[..., None] * (found & ~core)[..., None]
    left = without_fringe(found, change + rings.astype(np.float32))
    assert (left & ~core).mean() < 0.3 * (found & ~core).mean()
    assert left[core].all()


def test_the_rim_of_a_soft_brush_stays() -> None:
    away = distances()
    opacity = np.exp(-0.5 * (away / 4) ** 2)
    change = (opacity[..., None] * np.array(CORE)).astype(np.float32)
    found = np.abs(change).max(axis=2) > 3
    assert np.array_equal(without_fringe(found, change), found)


def test_a_blush_beside_a_stroke_stays() -> None:
    found, change, core = stroke((5.0, -4.0, -2.0), 20)
    assert np.array_equal(without_fringe(found, change), found)
    assert not core.all()


def test_what_a_mole_changes_little_stays() -> None:
    """A dark mole over a dark mouth."""
    rows, columns = np.mgrid[:80, :80]
    found = (rows - 40) ** 2 + (columns - 40) ** 2 <= 100
    change = np.where(found[..., None], np.array(CORE, np.float32), np.float32(0))
    change[38:43, 34:47] = (3.0, -5.0, 8.0)
    assert np.array_equal(without_fringe(found, change), found)


def test_a_large_pixel_has_a_wide_fringe() -> None:
    found, change, core = stroke((9.0, 12.0, 14.0), 12)
    assert np.array_equal(without_fringe(found, change), found)
    assert np.array_equal(without_fringe(found, change, pixel=2.0), core)


@pytest.mark.parametrize(("gap", "left"), [(3, False), (9, True)])
def test_a_spot_of_another_colour_in_the_next_block_is_left_out(gap: int, left: bool) -> None:
    """WebP mixes the chroma of a stroke into the whole block, and not everywhere alike."""
    _, change, core = stroke((0.0, 0.0, 0.0), 0)
    away = distances()
    spot = (away > gap) & (away <= gap + 7)
    spot[:30], spot[44:], spot[:, :40] = False, False, False
    change[spot] = (-6.0, 4.0, 4.0)
    assert np.array_equal(without_fringe(core | spot, change), core | (spot & left))


def test_a_faint_edit_alone_has_no_fringe() -> None:
    away = distances()
    change = np.zeros((*away.shape, 3), np.float32)
    change[away <= 6] = (2.0, -1.0, 1.0)
    change[away == 0] = (12.0, -9.0, -6.0)
    found: Bool = cv2.dilate((away <= 6).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert np.array_equal(without_fringe(found, change), found)


def test_a_faint_place_loses_the_corners_of_blocks() -> None:
    rows, columns = np.mgrid[:160, :160]
    disc = (rows - 80) ** 2 + (columns - 80) ** 2 <= 40**2
    found = disc.copy()
    found[76:84, 116:132] = True  # a block that sticks out
    found[44:52, 76:84] = False  # and one that is missing
    change = np.where(found[..., None], np.float32(4), np.float32(0)).repeat(3, axis=2)

    def off(area: Bool) -> int:
        """Number of pixels that are wrong by more than 2 px."""
        near, far = (cv2.dilate(x.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0 for x in (disc, area))
        return int((area & ~near).sum() + (disc & ~far).sum())

    assert off(without_blocks(found, change)) < 0.4 * off(found)
    assert np.array_equal(without_blocks(found, 20 * change), found)


def test_a_faint_thin_stroke_stays() -> None:
    found = np.zeros((120, 120), np.bool_)
    found[20:100, 58:63] = True
    change = np.where(found[..., None], np.float32(6), np.float32(0)).repeat(3, axis=2)
    assert np.array_equal(without_blocks(found, change), found)
