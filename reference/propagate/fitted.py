"""An edit fitted to another person: laid onto a frame of theirs by the meshes of both faces.

The frame then serves as that person's own reference. Matches with it are far surer than matches of one person
with a picture of another.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from correspondence import Image, Landmarks, Match, Matcher
from correspondence.geometry.grid import pixel_grid
from reference.edits.edit import Edit
from reference.face.view import view_change
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.sights import EditStyle, ReadyKeyframe, sight_of

DEGREES = 60.0  # turn of the head that a change of lips or eyes by 1 is as bad as, degrees
MOST_TURN_DEG = 45.0  # a head that is turned further than this from the reference's is not fitted


def misfit(ready: ReadyKeyframe, landmarks: Landmarks) -> float | None:
    """Tells how badly a face suits an edit, by how far its view differs from the reference's, in degrees.

    Args:
        ready: the edit.
        landmarks: landmarks of the face in a frame.

    Returns:
        0 for the same view; None if the face is turned too far or reaches out of the frame.
    """
    reference = ready.keyframe.prepared.landmarks
    h, w = landmarks.image_size
    points = landmarks.points[:468, :2]
    if reference is None or (points < 0).any() or (points > (w - 1, h - 1)).any():
        return None
    change = view_change(reference, landmarks)
    if change.turn_deg > MOST_TURN_DEG:
        return None
    return change.turn_deg + DEGREES * (abs(change.lips) + abs(change.eyes))


def fitted(
    ready: ReadyKeyframe, frame: Image, landmarks: Landmarks, matcher: Matcher, style: EditStyle
) -> ReadyKeyframe:
    """Fits an edit to a person. Slow.

    On the face the meshes say where the edit lies. Elsewhere the match does, as far as it is sure.

    Args:
        ready: the edit, of a strength above 0.
        frame: a frame that shows the person, uint8 (H, W, 3); it becomes the reference.
        landmarks: landmarks of the person's face.
        matcher: matches the frame with the edit's reference.
        style: how the edit is worn.

    Returns:
        The frame with the edit as a keyframe, ready to serve.
    """
    keeper = KeeperConfig()
    sight = sight_of(
        frame, landmarks, ready.keyframe, matcher, style, radius=keeper.radius, threshold=keeper.threshold
    )
    field = sight.places - pixel_grid(*sight.match.frame_size)
    log_b = np.where(sight.shown > 0, np.float32(0), sight.match.log_b)
    match = Match.from_field(field, log_b, landmarks, sight.match.reference_size)
    match = replace(match, hidden=sight.match.hidden)
    edited = ready.compositor.compose(frame, match, 1 / ready.edit.strength).image
    prepared = matcher.prepare(frame, landmarks=landmarks)
    stickers = tuple(each.again(prepared.image, landmarks) for each in ready.edit.stickers)
    edit = Edit(prepared.image, edited, ready.edit.mode, ready.edit.strength, stickers=stickers)
    return style.fresh(Keyframe(prepared.image, edited, prepared, edit=edit))
