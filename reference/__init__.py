"""Edits on a reference: what changed, and how it goes onto live frames."""

import reference.presets as presets
from correspondence.types import Box
from reference.align import Alignment, align_edited, flatten
from reference.composite import CompositeConfig, Composition, Compositor
from reference.edits import MODES, Edit, Mode
from reference.errors import EditError, StageError
from reference.propagator import (
    EditChanged,
    Event,
    FaceFound,
    FaceLost,
    Propagator,
    PropagatorConfig,
    Result,
    Settings,
)
from reference.quality import ReferenceScore, reference_score

__all__ = [
    "MODES",
    "Alignment",
    "Box",
    "CompositeConfig",
    "Composition",
    "Compositor",
    "Edit",
    "EditChanged",
    "EditError",
    "Event",
    "FaceFound",
    "FaceLost",
    "Mode",
    "Propagator",
    "PropagatorConfig",
    "ReferenceScore",
    "Result",
    "Settings",
    "StageError",
    "align_edited",
    "flatten",
    "presets",
    "reference_score",
]
