"""Edits on a reference: finding what changed, and composing the change on live frames."""

import reference.presets as presets
from reference.compose.composite import CompositeConfig, Composition, Compositor
from reference.edits.align import Alignment, Placement, align_edited, flatten
from reference.edits.edit import MODES, Edit, Mode
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
from reference.keyframes.keyframe import next_id
from reference.keyframes.keyframe_info import KeyframeInfo
from reference.keyframes.policy import Action, Decision
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
    "align_edited",
    "among",
    "flatten",
    "next_id",
    "presets",
    "reference_score",
]
