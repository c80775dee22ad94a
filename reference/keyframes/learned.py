"""Keyframes of a look of the whole picture: carried where the match is very sure, else painted as learned.

Such a look needs no keyframe to be complete, because its colours stand in where no place is known. Lines and
brush strokes are lost there. A fill that has learned the look from the user's edited picture paints them into
keyframes of the views that come. It learns beside the frame's path.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from correspondence import Image
from correspondence.certainty.uncertainty import confidence_of
from reference.compose.blend_weights import centres
from reference.compose.person import person_share
from reference.compose.sampling import coarse_values
from reference.edits.edit import Edit
from reference.edits.mask import smoothstep
from reference.keyframes.drawn import Drawn, LaterFill
from reference.keyframes.sights import CELL_PX, EditStyle, Sight

RADIUS = 0.006  # largest error with which lines are carried, share of the frame's shorter side
LEAST = 0.02  # a pixel that is painted less than this is not painted


class LearnedFill(LaterFill, Protocol):
    """A fill that learns one look of the whole picture, and paints with it."""

    @property
    def ready(self) -> bool:
        """Whether it has learned enough to paint, and paints nothing at the moment."""
        ...


@runtime_checkable
class LookLearner(Protocol):
    """A fill that can learn looks of the whole picture."""

    def learn(self, edit: Edit, wanted: Callable[[], bool]) -> LearnedFill:
        """Starts to learn a look beside the frame's path and returns at once.

        Args:
            edit: an edit with a `stand_in`.
            wanted: called repeatedly from another thread; False stops it.
        """
        ...


def is_learnable(edit: Edit) -> bool:
    """Whether an edit is a look of the whole picture, of which a network can learn what colours lack."""
    return edit.stand_in is not None and not edit.is_tone


def drawn_in_look(frame: Image, own: Sight, style: EditStyle) -> Drawn:
    """Draws a look of the whole picture on a frame: colours everywhere, lines where the match is very sure.

    Args:
        frame: uint8 (H, W, 3).
        own: the frame's sight of the user's own keyframe.
        style: how the edits are worn.

    Returns:
        The drawn look. Its hole is all that is not very sure.
    """
    height, width = size = own.match.frame_size
    whole, cells = (0, 0, width, height), (max(1, height // CELL_PX), max(1, width // CELL_PX))
    config = replace(style.composite, radius=RADIUS)
    compositor = copy(own.worn.compositor)
    compositor.config = config
    edited = compositor.compose(frame, own.match, 1 / max(own.edit.strength, 1e-3)).image
    values = coarse_values(own.match, whole, cells, doubted=True)
    sure = confidence_of(values[..., 2], RADIUS * min(size))
    trust = smoothstep(sure, config.trust_low, config.trust_high)
    if own.edit.known is not None:
        at = (values[..., :2] + centres(whole, cells)).astype(np.float32)
        trust = trust * cv2.remap(own.edit.known, at, None, cv2.INTER_LINEAR)
    hole = cv2.resize(1 - trust, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    hole[hole < LEAST] = 0
    return Drawn(edited, np.clip(hole, 0, 1), float(trust.mean()), frame)


def look_on(own: Edit, frame: Image, edited: Image) -> Edit:
    """The edit of a keyframe of a look of the whole picture, with the colours of the user's own.

    Args:
        own: the user's edit, or its half on the person.
        frame: the keyframe, uint8 (H, W, 3).
        edited: its edited picture, uint8 (H, W, 3).
    """
    known = None if own.known is None else person_share(frame)
    made = replace(own, reference=frame, edited=edited, exact=False, skin=None, known=known)
    for name in ("tone", "stand_in"):
        made.__dict__[name] = getattr(own, name)
    return made
