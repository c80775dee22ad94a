"""The ways of finding a field that the quality benchmark sets side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np

from correspondence import Landmarks, Match, Matcher, Prepared
from correspondence.classical import (
    ClassicalReference,
    assemble,
    gray_of,
    prepare,
    still_field,
)
from correspondence.coarse import coarse_field
from correspondence.mesh import landmark_field
from correspondence.region import GRID, choose_region
from correspondence.types import Image

NO_SCALE = 0.0  # log_b of a method that does not doubt itself: one pixel everywhere


class Method(Protocol):
    """A way from a frame and a reference to a match."""

    @property
    def name(self) -> str:
        """Its row in the table."""
        ...

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> Any:
        """What is done once a reference."""
        ...

    def match(self, frame: Image, state: Any, landmarks: Landmarks | None, previous: Match | None) -> Match:
        """What is done once a frame."""
        ...


@dataclass(frozen=True)
class Copy:
    """The reference as it is: the field is 0."""

    name: str = "copy"

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> tuple[int, int]:
        """The size."""
        return reference.shape[0], reference.shape[1]

    def match(
        self, frame: Image, state: tuple[int, int], landmarks: Landmarks | None, previous: Match | None
    ) -> Match:
        """No motion."""
        size = frame.shape[:2]
        return Match.from_field(
            np.zeros((*size, 2), np.float32), np.full(size, NO_SCALE, np.float32), landmarks, state
        )


@dataclass(frozen=True)
class LandmarkOnly:
    """The landmark field alone (StreamEdit's F_Lwarp), the picture standing still beyond its reach."""

    name: str = "landmark-only"

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> ClassicalReference:
        """Landmarks and mesh of the reference."""
        return prepare(reference, landmarks)

    def match(
        self, frame: Image, state: ClassicalReference, landmarks: Landmarks | None, previous: Match | None
    ) -> Match:
        """Mesh triangles, extended beyond the face."""
        size = (frame.shape[0], frame.shape[1])
        region = choose_region(landmarks, size, None)
        if landmarks is None or state.face is None:
            values = still_field(region, state, size, GRID)
            validity = np.zeros((GRID, GRID), np.float32)
        else:
            face = landmark_field(landmarks, state.face, region)
            values, validity = face.field, face.validity
        scale = (1 - validity) * 2  # the mesh's own doubt, in natural log of cells
        outer = coarse_field(frame, state.coarse).patch
        return assemble(np.dstack([values, scale]).astype(np.float32), region, outer, state, landmarks, size)


@dataclass(frozen=True)
class Dis:
    """OpenCV's DIS flow between the full-size pictures; doubt is the forward-backward cycle."""

    name: str
    preset: int
    _flow: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_flow", cv2.DISOpticalFlow.create(self.preset))

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> Image:
        """The reference's luma."""
        return gray_of(reference)

    def match(self, frame: Image, state: Image, landmarks: Landmarks | None, previous: Match | None) -> Match:
        """Flow both ways."""
        gray = gray_of(frame)
        forward, backward = self._flow.calc(gray, state, None), self._flow.calc(state, gray, None)
        y, x = np.mgrid[: gray.shape[0], : gray.shape[1]].astype(np.float32)
        back = cv2.remap(
            backward,
            x + forward[..., 0],
            y + forward[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        cycle = np.linalg.norm(forward + back, axis=-1)
        return Match.from_field(forward, np.log(0.1 + 0.5 * cycle).astype(np.float32), landmarks)


@dataclass(frozen=True)
class OfMatcher:
    """A matcher of the package."""

    name: str
    matcher: Matcher

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> Prepared:
        """The matcher's slow part."""
        return self.matcher.prepare(reference, landmarks)

    def match(
        self, frame: Image, state: Prepared, landmarks: Landmarks | None, previous: Match | None
    ) -> Match:
        """The matcher's fast part."""
        return self.matcher.match(frame, state, previous, landmarks)


def baselines() -> list[Method]:
    """The rows without weights, cheapest first."""
    return [
        Copy(),
        LandmarkOnly(),
        Dis("DIS ultrafast", cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST),
        Dis("DIS medium", cv2.DISOPTICAL_FLOW_PRESET_MEDIUM),
        OfMatcher("classical", Matcher.load("classical")),
    ]
