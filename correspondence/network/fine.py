"""What the network says of one frame, brought to the grid of its region, and the evidence of its errors."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from correspondence.certainty.doubt import DIRECT, GUIDED, features
from correspondence.face.mesh import LandmarkField, landmark_field
from correspondence.geometry.flow import appearance
from correspondence.geometry.grid import Float
from correspondence.geometry.region import GRID, Region, shrink
from correspondence.matchers.choice import CHOICE, EVIDENCE, gather, parts_of
from correspondence.matchers.classical import ClassicalReference, gray_of, still_field
from correspondence.matchers.coarse import CoarseField
from correspondence.network.propose import CELL, Past, Proposal, open_cells, propose, start
from correspondence.types import Image, Landmarks

Tables = tuple[Any, ...]  # what a runner keeps of a reference: its own arrays or tensors
CELLS = GRID // CELL
LEAST_SHARE = 1e-3  # a candidate that weighs less everywhere is left out


@dataclass(frozen=True, slots=True, eq=False)
class NetworkAnswer:
    """What the network said of one frame, on CELLS x CELLS cells, in cells of the grid of 256.

    Attributes:
        field: float32 (2, n, n).
        log_b: float32 (1, n, n), not calibrated.
        log_sigma: float32 (1, n, n), ln of the photometric scale (StreamEdit Eq. 2), colours in [0, 1].
        visibility: float32 (1, n, n), logit.
        gain: float32 (3, n / 2, n / 2), ln of the light's gain.
        weights: float32 (6, n, n), of `network.BLENDED`.
    """

    field: Float
    log_b: Float
    log_sigma: Float
    visibility: Float
    gain: Float
    weights: Float


class Runner(Protocol):
    """Runs one network; thread-safe."""

    def prepare(self, image: Image) -> Tables:
        """Tables of a reference's region, uint8 (256, 256, 3)."""
        ...

    def encode(self, image: Image) -> Any:
        """A frame's region, uint8 (256, 256, 3), in the form `step` takes; needs no candidates yet."""
        ...

    def step(self, seen: Any, tables: Tables, proposal: Proposal) -> NetworkAnswer:
        """One encoded frame against a prepared reference."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class NetworkReference:
    """A reference made ready for the network.

    Attributes:
        base: its picture, landmarks and region.
        gray: uint8 (256, 256), its region.
        tables: what the runner keeps.
    """

    base: ClassicalReference
    gray: Any
    tables: Tables

    @property
    def image(self) -> Image:
        """The picture."""
        return self.base.image

    @property
    def landmarks(self) -> Landmarks | None:
        """Its landmarks."""
        return self.base.landmarks

    @property
    def face_crop(self) -> Image | None:
        """Its face, upright."""
        return self.base.face_crop

    @property
    def nbytes(self) -> int:
        """Memory it holds, bytes."""
        return self.base.nbytes + self.gray.nbytes + int(sum(t.nbytes for t in self.tables))


def fine_field(
    runner: Runner,
    inner: Image,
    region: Region,
    landmarks: Landmarks | None,
    prepared: NetworkReference,
    frame_size: tuple[int, int],
    outer: Callable[[], CoarseField],
    past: Past | None = None,
    pool: Executor | None = None,
) -> tuple[NetworkAnswer, Float, list[Float]]:
    """What the network says, the field on the region's grid, and what a judge weighs of its errors.

    Args:
        runner: of the network.
        inner: uint8 (256, 256, 3), the frame's region.
        region: which it is.
        landmarks: of the frame; None for no face.
        prepared: the reference.
        frame_size: (H, W) of the frame.
        outer: gives the coarse field, asked late.
        past: of the last frame, None for none.
        pool: runs parts of the work at the same time; None runs one after the other. Results do not differ.

    Returns:
        The network's words; float32 (256, 256, 2), cells; features, each float32 (64, 64), see `doubt`.
    """
    base, gray = prepared.base, gray_of(inner)
    seen = start(pool, runner.encode, inner)
    shown = start(pool, _shown, inner, landmarks if base.face is not None else None, region)
    face: LandmarkField | None = None
    if landmarks is not None and base.face is not None:
        face = landmark_field(landmarks, base.face, region)
    proposal = propose(
        gray,
        prepared.gray,
        still_field(region, base, frame_size, GRID),
        None if face is None else (face.field, face.validity),
        past,
        pool,
        lambda: outer().on(region, base.region, GRID),
    )
    said = runner.step(seen.result(), prepared.tables, proposal)
    field = reblend(said, proposal)
    steps = said.field - proposal.candidates
    away = np.sqrt((steps * steps).sum(axis=1))  # of the field from each candidate
    look, parts = shown.result()
    evidence = gather(
        field,
        look,
        base.look,
        face,
        cycle=open_cells(proposal),
        mixed=(said.weights[1:] * away).sum(axis=0),
        parts=parts,
        off_scene=away[DIRECT],
        off_guided=away[GUIDED],
    )
    return said, field, features(evidence, said.log_b[0], said.visibility[0], proposal.validity[0])


def _shown(inner: Image, landmarks: Landmarks | None, region: Region) -> tuple[Image, Float]:
    """A frame's `appearance` on the grid of choice, and `parts_of` it on the evidence's."""
    n = GRID // EVIDENCE
    look = appearance(shrink(inner, GRID // CHOICE, GRID // CHOICE))
    return look, np.zeros((n, n), np.float32) if landmarks is None else parts_of(landmarks, region, n)


def enlarge(values: Float) -> Float:
    """Maps on n x n cells brought to the grid of 256, bilinear: (n, n[, C]) to (256, 256[, C])."""
    return np.asarray(cv2.resize(values, (GRID, GRID), interpolation=cv2.INTER_LINEAR), np.float32)


def reblend(said: NetworkAnswer, proposal: Proposal) -> Float:
    """The network's field with the candidates in it at their full size, float32 (256, 256, 2), cells.

    The network blends means over 4 x 4 cells; its weights and what it adds are smooth, but a lip's border in
    the landmark field is not.
    """
    shares = said.weights[1:]
    added = said.field - (shares[:, None] * proposal.candidates).sum(axis=0)
    field = enlarge(np.ascontiguousarray(added.transpose(1, 2, 0)))
    for share, candidate in zip(shares, proposal.fields, strict=True):
        if share.max() > LEAST_SHARE:
            field = cv2.accumulateProduct(enlarge(cv2.merge([share, share])), candidate, field)
    return field
