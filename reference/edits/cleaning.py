"""Keeps the part of a change that stands out from what saving changed, and adds it to the reference.

Also finds what an editor filled in at the edges.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from correspondence import Bool, Float, Image
from reference.edits.placing import Transform
from reference.edits.saving.codec import Coding
from reference.edits.saving.faint import averaged, unit_of, without_specks
from reference.edits.saving.noise import stands_out
from reference.edits.saving.ringing import without_fringe
from reference.edits.saving.transfer import SLIGHT

TOLD_LEVELS = 1.0  # tone from which the user is told that it was removed, levels
MEANT_LEVELS = 2.0  # tone from which it counts as an edit if nothing else changed, levels
NOTHING = (
    "No edit was found: the edited picture differs from its reference by no more than saving changes. "
    "Save it as PNG, or make the edit stronger."
)
FAINT_PX = 3.0  # standard deviation of the average by which an edit is faint, pixels of the saved picture
FAINT_LEVELS = (5.0, 10.0)  # an edit is faint up to the first and not at all from the second, levels
FILLED = 0.06  # depth of what is filled in at an edge, share of the shorter side
FILLED_LEVELS = 4.0, 12.0  # least change of it, within these levels ...
ABOVE = 3.0  # ... so many times the change that most pixels have
EDGE_PX, EDGE_SHARE = 2, 0.2  # lines along an edge that a shift filled in, and the share of each that differs
RIM_PX = 5  # margin of it, where resampling mixed it with the picture, pixels


def cleaned(
    reference: Image,
    change: Float,
    meant: Float,
    tone: Float,
    known: Bool,
    coding: Coding,
    rung: Callable[[Bool], tuple[Bool, Float]],
    doubt: Float | None = None,
    pixel: float = 1.0,
) -> tuple[Image, str | None]:
    """Adds the part of a change that stands out to the reference. Returns it and a note on a removed tone.

    `change` shows whether a place was edited, and `meant` the edit itself, without a tone. What saving
    changed is left out where it is asked whether a place was edited, and of a faint edit, which is mostly
    saved as its place would be without it. `rung` leaves out where an edit only rings, and corrects its
    colours. `doubt` is what resampling may have made, levels, float32 (H, W). `pixel` is the side of a pixel
    of the saved picture, in pixels of the reference.
    """
    levels = float(np.median(np.abs(tone[known]).max(axis=1))) if known.any() else 0.0
    rest = change - tone - coding.change
    found, correction = rung(stands_out(reference, rest, known, doubt, coding, broad=True))
    found = without_fringe(found, rest, pixel)
    found = without_specks(found, rest, unit_of(found.shape))
    note = None
    if found.any():
        size = np.abs(averaged(rest, found, FAINT_PX * pixel)).max(axis=2)
        faint = np.clip((FAINT_LEVELS[1] - size) / (FAINT_LEVELS[1] - FAINT_LEVELS[0]), 0, 1)
        change = meant - faint[..., None] * coding.change + correction
        if levels >= TOLD_LEVELS:
            about = f"about {levels:.0f} level{'s' * (round(levels) != 1)}"
            note = (
                f"A slight tone all over the edited picture ({about} of 255) was left out as an effect of "
                f"saving. Beside an edit, a tone counts only above {SLIGHT:g} levels."
            )
    elif levels >= MEANT_LEVELS:
        found = known
    else:
        note = NOTHING
    grown = cv2.dilate(found.astype(np.uint8), np.ones((3, 3), np.uint8)) * known
    return added(reference, change * grown[..., None]), note


def carried(values: Float, transform: Transform, size: tuple[int, int]) -> Float:
    """Resamples values from the edited picture's grid to the reference's of `size` (H, W); 0 outside."""
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    if scale > 1.2:  # the edited picture is finer: low-pass before it is read coarsely
        values = cv2.GaussianBlur(values, (0, 0), 0.45 * float(np.sqrt(scale**2 - 1)))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    carried: Float = cv2.warpAffine(values, transform, (size[1], size[0]), flags=flags)
    return carried


def added(reference: Image, change: Float) -> Image:
    """Adds a change, levels, float32 (H, W, 3), to a picture, RGB uint8 (H, W, 3); values are cut off."""
    return np.clip(np.rint(reference + change), 0, 255).astype(np.uint8)


def filled_rim(change: Float, inside: Bool) -> Bool:
    """Finds what an editor filled in along the edges when it turned a picture, bool (H, W).

    It is changed, touches an edge of the picture and stays within `FILLED` of the shorter side of it.
    """
    h, w = inside.shape
    size = np.abs(change).max(axis=2)
    usual = float(np.median(size[inside])) if inside.any() else 0.0
    changed = (size > np.clip(ABOVE * usual, *FILLED_LEVELS)) & inside
    groups, labels = cv2.connectedComponents(changed.astype(np.uint8), connectivity=8)
    rows, columns = np.mgrid[:h, :w]
    depth = np.minimum(np.minimum(columns, w - 1 - columns), np.minimum(rows, h - 1 - rows))
    deepest, shallowest = np.zeros(groups), np.full(groups, h + w)
    np.maximum.at(deepest, labels[changed], depth[changed])
    np.minimum.at(shallowest, labels[changed], depth[changed])
    filled = (shallowest <= 3) & (deepest <= FILLED * min(h, w))
    filled[0] = False
    return np.asarray(
        cv2.dilate(filled[labels].astype(np.uint8), np.ones((2 * RIM_PX + 1,) * 2, np.uint8)) > 0, np.bool_
    )


def filled_edge(change: Float, edited: Image, shown: tuple[slice, slice]) -> Bool:
    """Finds what an editor filled in along an edge when it shifted a picture, bool (H, W).

    It is at most `EDGE_PX` lines deep. It repeats the line behind it, or that line is far less changed.

    Args:
        change: edited - seen, levels, float32 (H, W, 3).
        edited: RGB uint8 (H, W, 3).
        shown: the rows and columns that show the reference.
    """
    filled = np.zeros(change.shape[:2], np.bool_)
    changed = np.abs(change[shown]).max(axis=2) > 0
    for turns in range(4):  # each edge in turn is the upper one
        lines, own = np.rot90(changed, turns), np.rot90(edited[shown], turns)[: EDGE_PX + 2]
        shares = lines[: EDGE_PX + 1].mean(axis=1)
        depth = int((np.cumprod(shares >= EDGE_SHARE)).sum())
        if not (0 < depth <= EDGE_PX and shares[depth] < shares[:depth].min() / 4):
            depth = int(np.cumprod((own[1:] == own[:-1]).all(axis=(1, 2))).sum())
        if 0 < depth <= EDGE_PX:
            np.rot90(filled[shown], turns)[:depth] = True
    return filled
