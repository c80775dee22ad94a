"""Edits on a reference: what changed, and how the change goes onto live frames.

A reference is edited once, in any tool. The edit is then worn by each frame of a stream:

    edited = align_edited(reference, picture).image  # `picture` may be cropped, scaled or saved as JPEG
    propagator = Propagator(Edit(reference, edited))
    for number, frame in enumerate(frames):  # RGB uint8 (H, W, 3)
        result = propagator.step(frame, now_s=number / 25)
        show(result.image)  # equal to the frame wherever nothing was edited
    propagator.close()

`presets` draws ready edits. `Look` builds an edit up from layers: presets, paint and pictures. `Workshop`
makes several edits ready to be worn in turn (`Outfit`). `Between` leads from one edit to another.
`Propagator` makes further keyframes as the head turns, and reports them as events.

The sub-packages hold the parts: `edits` finds what changed, `compose` blends it, `keyframes` keeps
references, `propagate` runs one step of a stream, `face` rates frames, `painters` draws presets, `looks`
holds layers.
"""

import reference.presets as presets
from correspondence import __version__
from reference.compose.composite import CompositeConfig, Composition, Compositor
from reference.edits.align import Alignment, align_edited, flatten
from reference.edits.edit import MODES, Edit, Mode
from reference.edits.placing import Placement
from reference.errors import EditError, StageError
from reference.events import (
    CameraFound,
    CameraLost,
    EditChanged,
    Event,
    FaceFound,
    FaceLost,
    KeyframeMade,
    KeyframeRefused,
    ReferenceSwitched,
)
from reference.face.quality import ReferenceScore, among, reference_score
from reference.keyframes.drawn import FillHint, KeyframeFill
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.keyframe import KeyframeInfo, next_id
from reference.keyframes.policy import Action, Decision
from reference.looks.carry import Carried, carry
from reference.looks.file import look_file, read_look_file
from reference.looks.look import Look
from reference.propagate.between import Between
from reference.propagate.outfit import Outfit, UserKeyframe, Workshop
from reference.propagate.propagator import Propagator, PropagatorConfig
from reference.propagate.result import Result

__all__ = [
    "MODES",
    "Action",
    "Alignment",
    "Between",
    "CameraFound",
    "CameraLost",
    "Carried",
    "CompositeConfig",
    "Composition",
    "Compositor",
    "Decision",
    "Edit",
    "EditChanged",
    "EditError",
    "Event",
    "FaceFound",
    "FaceLost",
    "FillHint",
    "KeeperConfig",
    "KeyframeFill",
    "KeyframeInfo",
    "KeyframeMade",
    "KeyframeRefused",
    "Look",
    "Mode",
    "Outfit",
    "Placement",
    "Propagator",
    "PropagatorConfig",
    "ReferenceScore",
    "ReferenceSwitched",
    "Result",
    "StageError",
    "UserKeyframe",
    "Workshop",
    "__version__",
    "align_edited",
    "among",
    "carry",
    "flatten",
    "look_file",
    "next_id",
    "presets",
    "read_look_file",
    "reference_score",
]
