"""The network's result for one frame, on the grid of the frame's region, and the evidence of its errors."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from typing import Any, Protocol

import cv2
import numpy as np

from correspondence.certainty.doubt import DIRECT, GUIDED, features
from correspondence.face.mesh import LandmarkField, landmark_field
from correspondence.face_crop import FaceCrop
from correspondence.geometry.flow import appearance
from correspondence.geometry.grid import Float
from correspondence.geometry.region import GRID, Region, shrink
from correspondence.matchers.bias import Seen, added, correction
from correspondence.matchers.choice import CHOICE, gather, parts_of
from correspondence.matchers.classical import ClassicalReference, gray_of, still_field
from correspondence.matchers.coarse import CoarseField
from correspondence.network.propose import CELL, Past, Proposal, open_cells, propose, start
from correspondence.types import Image, Landmarks

Tables = tuple[Any, ...]  # arrays or tensors that a runner keeps of a reference
CELLS = GRID // CELL
LEAST_SHARE = 1e-3  # a candidate with a smaller weight everywhere is left out


@dataclass(frozen=True, slots=True, eq=False)
class NetworkAnswer:
    """The network's output for one frame, on n x n cells (n = CELLS). Lengths are in cells of the 256 grid.

    Attributes:
        field: the field, float32 (2, n, n).
        log_b: natural log of the Laplace scale, not calibrated, float32 (1, n, n).
        log_sigma: natural log of the photometric scale (StreamEdit Eq. 2) for colours in [0, 1], float32
            (1, n, n).
        visibility: logit of visibility in the reference, float32 (1, n, n).
        gain: natural log of the light's gain, float32 (3, n / 2, n / 2).
        weights: weights of `model.BLENDED`, float32 (6, n, n).
    """

    field: Float
    log_b: Float
    log_sigma: Float
    visibility: Float
    gain: Float
    weights: Float


class Runner(Protocol):
    """Runs one network. It is thread-safe."""

    def prepare(self, image: Image) -> Tables:
        """Compute the tables of a reference's region, uint8 (256, 256, 3)."""
        ...

    def encode(self, image: Image) -> Any:
        """Encode a frame's region, uint8 (256, 256, 3), for `step`. This needs no candidates."""
        ...

    def step(self, seen: Any, tables: Tables, proposal: Proposal) -> NetworkAnswer:
        """Match an encoded frame with a prepared reference."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class NetworkReference:
    """A reference prepared for the network.

    Attributes:
        base: the reference prepared for the classical matcher, with picture, landmarks and region.
        gray: luma of its region, uint8 (256, 256).
        tables: tables of the runner.
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
        """The landmarks of the picture; None without a face."""
        return self.base.landmarks

    @property
    def face_crop(self) -> FaceCrop | None:
        """The upright crop of its face; None without a face."""
        return self.base.face_crop

    @property
    def nbytes(self) -> int:
        """Memory that this object holds, bytes."""
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
    """Run the network on a frame's region.

    Args:
        runner: runs the network.
        inner: the frame's region, uint8 (256, 256, 3).
        region: place of the region in the frame.
        landmarks: landmarks of the frame; None for no face.
        prepared: the prepared reference.
        frame_size: (H, W) of the frame.
        outer: returns the coarse field. It is called as late as possible.
        past: what the last frame left; None for none.
        pool: runs parts of the work in parallel; None runs them one after another with the same results.

    Returns:
        The network's output; the field on the region's grid, float32 (256, 256, 2), cells; the features for
        a judge, each float32 (64, 64), see `doubt.features`.

    Raises:
        FloatingPointError: the network's output is not finite.
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
    check_finite(said)
    field = reblend(said, proposal)
    look, parts = shown.result()
    if face is not None:
        guided = cv2.resize(proposal.fields[GUIDED], parts.shape, interpolation=cv2.INTER_AREA)
        field = added(field, correction(field, Seen(guided, face, parts, look, base.look)))
    steps = said.field - proposal.candidates
    away = np.sqrt((steps * steps).sum(axis=1))  # of the field from each candidate
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
    """Compute a frame's `appearance` and its `parts_of` on the choice grid."""
    n = GRID // CHOICE
    look = appearance(shrink(inner, n, n))
    return look, np.zeros((n, n), np.float32) if landmarks is None else parts_of(landmarks, region, n)


def check_finite(said: NetworkAnswer) -> None:
    """Refuse an output with NaN or infinity, which the next frames would take over as their past.

    Raises:
        FloatingPointError: it holds some; the message names the map.
    """
    for each in fields(said):
        values = getattr(said, each.name)
        if not np.isfinite(values).all():
            count = int(np.count_nonzero(~np.isfinite(values)))
            raise FloatingPointError(
                f"the network's {each.name} has {count} of {values.size} values that are NaN or infinite"
            )


def enlarge(values: Float) -> Float:
    """Enlarge maps on n x n cells to the grid of 256, bilinearly: (n, n[, C]) to (256, 256[, C])."""
    return np.asarray(cv2.resize(values, (GRID, GRID), interpolation=cv2.INTER_LINEAR), np.float32)


def reblend(said: NetworkAnswer, proposal: Proposal) -> Float:
    """Blend the candidates again at full size with the network's weights, float32 (256, 256, 2), cells.

    The network blends means over 4 x 4 cells. Its weights and its own addition are smooth, but candidates
    such as the landmark field can be sharp, for example at the border of a lip.
    """
    shares = said.weights[1:]
    own = said.field - (shares[:, None] * proposal.candidates).sum(axis=0)
    field = enlarge(np.ascontiguousarray(own.transpose(1, 2, 0)))
    for share, candidate in zip(shares, proposal.fields, strict=True):
        if share.max() > LEAST_SHARE:
            field = cv2.accumulateProduct(enlarge(cv2.merge([share, share])), candidate, field)
    return field
