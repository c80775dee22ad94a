"""Edits on a reference: what changed, and how it goes onto live frames."""

import reference.presets as presets
from correspondence.types import Box
from reference.align import Alignment, Placement, align_edited, flatten
from reference.bank import next_id
from reference.between import Between
from reference.composite import CompositeConfig, Composition, Compositor
from reference.edits import MODES, Edit, Mode
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
from reference.keeper_config import KeeperConfig
from reference.keyframe_info import KeyframeInfo
from reference.keyframes import Fill, FillHint
from reference.outfit import Outfit, Own
from reference.policy import Action, Decision
from reference.propagator import Propagator, PropagatorConfig
from reference.quality import ReferenceScore, reference_score
from reference.result import Result, Settings

__all__ = [
    "MODES",
    "Action",
    "Alignment",
    "Between",
    "Box",
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
    "Fill",
    "FillHint",
    "KeeperConfig",
    "KeyframeInfo",
    "KeyframeMade",
    "KeyframeRefused",
    "Mode",
    "Outfit",
    "Own",
    "Placement",
    "Propagator",
    "PropagatorConfig",
    "ReferenceScore",
    "ReferenceSwitched",
    "Result",
    "Settings",
    "StageError",
    "align_edited",
    "flatten",
    "next_id",
    "presets",
    "reference_score",
]
