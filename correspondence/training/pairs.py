"""Training pairs: two views with candidates in both directions. A pair's number determines the pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from correspondence.face import topology
from correspondence.geometry.flow import dis_flow
from correspondence.geometry.grid import Float, compose
from correspondence.network.propose import Past, propose, shrink
from correspondence.training import synthetic
from correspondence.training.data import GRID, Clip
from correspondence.training.pair_views import (
    about_middle,
    affine_field,
    mesh_field,
    to_gray,
    unlikeness,
    view_of,
)
from correspondence.training.synthetic import PairTruth
from correspondence.training.windows import Sample, cut, flip, guess_withheld, mistake
from correspondence.types import Image

PARTS = (topology.LIPS, topology.RIGHT_EYE, topology.LEFT_EYE)
NO_TRUTH = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairConfig:
    """Composition of the pairs. Shares are in [0, 1]."""

    synthetic: float = 0.5  # share of pairs with a known field
    longest_gap: int = 150  # frames between the two views of a real pair
    hard: float = 0.2  # share of real pairs chosen for their unlike faces
    zoomed: float = 0.6  # share of views cut out larger or smaller than the material
    past: float = 0.5  # share of pairs with a last frame
    withheld: float = 0.25  # share with half of the frame's landmarks guessed from the other half
    mistaken: float = 0.7  # share of synthetic pairs whose landmarks have errors like FaceMesh's
    faceless: float = 0.06  # share of pairs without landmarks
    occluded: float = 0.7  # share of synthetic frames with something pasted on; a third of it for real ones

    side: int = GRID  # side of the window that is cut out of a pair, pixels; smaller ones train faster

    def __post_init__(self) -> None:
        if self.side % 16 or not 64 <= self.side <= GRID:
            raise ValueError(f"side must be a multiple of 16 from 64 to {GRID}, got {self.side}")
        for name in ("synthetic", "hard", "zoomed", "past", "withheld", "mistaken", "faceless", "occluded"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share and must lie in [0, 1], got {getattr(self, name)}")
        if self.longest_gap < 1:
            raise ValueError(f"longest_gap must be at least 1 frame, got {self.longest_gap}")


@dataclass(frozen=True, slots=True, eq=False)
class PairSide:
    """One side of a pair.

    Attributes:
        image: uint8 (N, N, 3).
        points: landmarks, float32 (478, 3). None if they are withheld.
        past: the last frame and its rough field, if given.
        cover: what was pasted over the picture, float32 (N, N) in [0, 1].
    """

    image: Image
    points: Float | None
    past: Past | None = None
    cover: Float | None = None  # what was pasted over it, (N, N) in [0, 1]


class Pairs:
    """A torch map-style dataset of pairs. The same seed gives the same pairs.

    Each sample contains both directions, frame 0 to reference 1 and back:
    images uint8 (2, 3, N, N); candidates float32 (2, 5, 2, N/4, N/4) and validity (2, 3, N/4, N/4) as
    `propose.Proposal`'s; truth (2, 2, N/4, N/4) with known (2, 1, N/4, N/4); visible (2, 1, N/4, N/4) with -1
    for not known; points (2, 478, 2) with trusted (2, 478); parts (2, 1, N/4, N/4), 1 on lips and eyes.
    """

    def __init__(
        self, clips: list[Clip], config: PairConfig, seed: int, length: int, stride: int = 1
    ) -> None:
        self.moving = [c for c in clips if len(c.faces) >= 2]
        self.clips = [c for c in clips if len(c.faces) >= 1]
        if not self.moving:
            raise ValueError(
                f"training needs a clip with two frames that show a face, got none in {len(clips)}"
            )
        self.config, self.seed, self.length, self.stride = config, seed, length, stride
        weight = np.array([len(c.faces) ** 0.5 for c in self.moving])
        self._share = weight / weight.sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        """Make sample number `index`; see the class."""
        rng = np.random.default_rng((self.seed, index))
        invented = rng.random() < self.config.synthetic
        first, second, still, truth = self._synthetic(rng) if invented else self._real(rng)
        first, second = self._light(rng, first, second, invented)
        there, back = still
        kept = rng.random() >= self.config.faceless
        sides = []
        for frame, reference, unmoved, known in (
            (first, second, there, truth),
            (second, first, back, _turned(truth)),
        ):
            known = _hide(known, frame, reference)
            sides.append(self._direction(rng, frame, reference, unmoved, known, kept))
        out = {key: np.stack([side[key] for side in sides]) for key in sides[0]}
        out = flip(out) if rng.random() < 0.5 else out
        return out if self.config.side == GRID else cut(rng, out, self.config.side)

    def _real(
        self, rng: np.random.Generator
    ) -> tuple[PairSide, PairSide, tuple[Float, Float], PairTruth | None]:
        clip = self.moving[int(rng.choice(len(self.moving), p=self._share))]
        a = int(rng.choice(clip.faces))
        gap = np.exp(rng.uniform(0, np.log(max(self.config.longest_gap / self.stride, 1.5))))
        b = int(clip.faces[np.argmin(np.abs(clip.faces - (a + gap * rng.choice((-1, 1)))))])
        if rng.random() < self.config.hard or a == b:
            others = rng.choice(clip.faces, 8)
            unlike = [unlikeness(clip.points[a], clip.points[o]) for o in others]
            b = int(others[int(np.argmax(unlike))])
        turn = self._view(rng)
        jitter = self._jitter(rng) if rng.random() < 0.3 else np.eye(3)
        to_a, to_b = turn, jitter @ turn
        views = []
        for number, matrix in ((a, to_a), (b, to_b)):
            image, points = view_of(clip, number, matrix)
            views.append(PairSide(image, points))
        if rng.random() < self.config.past:
            views[0] = self._remember(rng, clip, a, to_a, views[0], views[1])
        if rng.random() < self.config.occluded / 3:
            views[0] = self._cover(rng, views[0])
        ways = (to_b @ np.linalg.inv(to_a), to_a @ np.linalg.inv(to_b))
        return views[0], views[1], (affine_field(ways[0]), affine_field(ways[1])), None

    def _remember(
        self,
        rng: np.random.Generator,
        clip: Clip,
        number: int,
        matrix: Any,
        view: PairSide,
        reference: PairSide,
    ) -> PairSide:
        """Return the view with a last frame, whose field is as rough as live ones can be."""
        before = number + int(rng.choice((-2, -1, 1, 2)))
        if not 0 <= before < len(clip.frames) or not np.isfinite(clip.points[before, 0, 0]):
            return view
        image, points = view_of(clip, before, matrix)
        assert reference.points is not None
        by_mesh = mesh_field(points, reference.points)[0]
        by_flow = dis_flow(to_gray(image), to_gray(reference.image), fine=False)
        part = np.float32(rng.choice((0.0, 0.5, 1.0)))
        return PairSide(
            view.image, view.points, Past(to_gray(image), part * by_mesh + (1 - part) * by_flow), view.cover
        )

    def _synthetic(
        self, rng: np.random.Generator
    ) -> tuple[PairSide, PairSide, tuple[Float, Float], PairTruth | None]:
        clip = self.clips[int(rng.integers(len(self.clips)))]
        number = int(rng.choice(clip.faces))
        image, points = view_of(clip, number, self._view(rng))
        assert points is not None
        field = synthetic.random_field(rng, GRID)
        seen = np.ones((GRID, GRID), np.float32)
        kind = rng.random()
        if kind < 0.5:
            moved = synthetic.follow_points(field, points[:, :2])
            depth = points[:, 2]
        else:
            field *= np.float32(rng.uniform(0, 1))
            target = synthetic.turn_head(rng, points) if kind < 0.75 else self._other_face(rng, clip, points)
            driven, trust, inside = mesh_field(target, points)
            hidden = (inside & (trust <= 0)).astype(np.float32)
            seen = np.asarray(1 - synthetic.sample(hidden, field), np.float32)
            moved = synthetic.follow_points(field, target[:, :2])
            depth = target[:, 2]
            field = compose(field, driven)
        reference = PairSide(image, points)
        hidden_there = None
        if rng.random() < 0.25:
            reference = self._cover(rng, reference)
            hidden_there = reference.cover
        frame_image = np.asarray(synthetic.sample(image, field), np.uint8)
        seen = seen * synthetic.in_picture(field)
        if hidden_there is not None:
            seen = seen * (synthetic.sample(hidden_there, field) < 0.5)
        frame = PairSide(frame_image, np.column_stack([moved, depth]).astype(np.float32))
        if rng.random() < self.config.past:
            step = synthetic.random_field(rng, GRID) * np.float32(0.3)
            rough = compose(step, field) + synthetic.smooth_noise(rng, GRID, 8, rng.uniform(0, 1.5))
            past = Past(
                to_gray(np.asarray(synthetic.sample(frame_image, step), np.uint8)), rough.astype(np.float32)
            )
            frame = PairSide(frame.image, frame.points, past)
        if rng.random() < self.config.occluded:
            frame = self._cover(rng, frame)
        known = np.ones_like(seen)
        still = np.zeros((GRID, GRID, 2), np.float32)
        return frame, reference, (still, still), PairTruth(field, known, np.asarray(seen > 0.5, np.float32))

    def _other_face(self, rng: np.random.Generator, clip: Clip, points: Float) -> Float:
        """Return landmarks of another frame of the clip, moved to where `points` are.

        A photo takes any clip.
        """
        source = clip if len(clip.faces) > 1 else self.moving[int(rng.integers(len(self.moving)))]
        a, b = (source.points[int(k)] for k in rng.choice(source.faces, 2))
        scale = np.ptp(points[:, 0]) / max(np.ptp(a[:, 0]), 1.0)
        return np.asarray(points + (b - a - 0.7 * (b - a).mean(axis=0)) * scale, np.float32)

    def _cover(self, rng: np.random.Generator, view: PairSide) -> PairSide:
        other = self.clips[int(rng.integers(len(self.clips)))]
        texture = other.frames[int(rng.integers(len(other.frames)))]
        assert view.points is not None
        low, high = view.points[:468, :2].min(axis=0), view.points[:468, :2].max(axis=0)
        image, cover = synthetic.occlude(rng, view.image, texture, (low[0], low[1], high[0], high[1]))
        return PairSide(image, view.points, view.past, cover)

    def _light(
        self, rng: np.random.Generator, first: PairSide, second: PairSide, strong: bool
    ) -> tuple[PairSide, PairSide]:
        images = synthetic.shift_hue(rng, [first.image, second.image])
        if rng.random() < (0.6 if strong else 0.2):
            images[0] = synthetic.relight(rng, images[0])
        images = [synthetic.spoil(rng, i) if rng.random() < 0.4 else i for i in images]
        noise = [rng.normal(0, 0.25, (478, 3)).astype(np.float32) * rng.uniform(0, 1) for _ in range(2)]
        return tuple(  # type: ignore[return-value]
            PairSide(image, None if v.points is None else v.points + n * strong, v.past, v.cover)
            for v, image, n in zip((first, second), images, noise, strict=True)
        )

    def _direction(
        self,
        rng: np.random.Generator,
        frame: PairSide,
        reference: PairSide,
        still: Float,
        truth: PairTruth,
        kept: bool,
    ) -> Sample:
        assert frame.points is not None
        assert reference.points is not None
        given = frame.points
        if truth.known.any() and rng.random() < self.config.mistaken:
            given = mistake(rng, given)
        if rng.random() < self.config.withheld:
            given = guess_withheld(given, reference.points, rng.random(478) < 0.5)
        by_mesh, trust, _ = mesh_field(given, reference.points)
        proposal = propose(
            to_gray(frame.image),
            to_gray(reference.image),
            still,
            (by_mesh, trust) if kept else None,
            frame.past,
        )
        place = np.clip(np.rint(frame.points[:, :2]), 0, GRID - 1).astype(int)
        inside = (frame.points[:, :2] > 1).all(axis=1) & (frame.points[:, :2] < GRID - 2).all(axis=1)
        there = (reference.points[:, :2] > 1).all(axis=1) & (reference.points[:, :2] < GRID - 2).all(axis=1)
        trusted = (trust[place[:, 1], place[:, 0]] > 0.05) & inside & there
        for cover, points in ((frame.cover, frame.points), (reference.cover, reference.points)):
            if cover is not None:
                spot = np.clip(np.rint(points[:, :2]), 0, GRID - 1).astype(int)
                trusted &= cover[spot[:, 1], spot[:, 0]] < 0.3
        parts = np.zeros((GRID, GRID), np.uint8)
        for ring in PARTS:
            hull = cv2.convexHull(np.rint(frame.points[list(ring), :2] * 16).astype(np.int32))
            cv2.fillConvexPoly(parts, hull, 255, 8, 4)
        parts = cv2.dilate(parts, np.ones((5, 5), np.uint8))
        return {
            "images": np.ascontiguousarray(frame.image.transpose(2, 0, 1)),
            "candidates": proposal.candidates,
            "validity": proposal.validity,
            "truth": np.ascontiguousarray(shrink(truth.field).transpose(2, 0, 1)),
            "known": np.asarray(shrink(truth.known) > 0.99, np.float32)[None],
            "visible": np.where(
                shrink(np.asarray(truth.visible < 0, np.float32)) > 0,
                np.float32(NO_TRUTH),
                np.asarray(shrink(truth.visible) > 0.5, np.float32),
            )[None],
            "points": np.stack([frame.points[:, :2], reference.points[:, :2]]),
            "trusted": trusted.astype(np.float32),
            "parts": shrink(parts.astype(np.float32) / 255)[None],
        }

    def _view(self, rng: np.random.Generator) -> Any:
        if rng.random() >= self.config.zoomed:
            return np.eye(3)
        turn, zoom = np.deg2rad(rng.uniform(-6, 6)), np.exp(rng.uniform(-0.1, 0.3))
        return about_middle(turn, zoom, rng.uniform(-14, 14, 2))

    def _jitter(self, rng: np.random.Generator) -> Any:
        return about_middle(0.0, np.exp(rng.uniform(-0.08, 0.08)), rng.uniform(-10, 10, 2))


def _turned(truth: PairTruth | None) -> PairTruth | None:
    """Compute the truth of the other direction."""
    if truth is None:
        return None
    back, held = synthetic.invert_field(truth.field)
    seen = np.asarray(synthetic.sample(truth.visible, back) > 0.5, np.float32)
    return PairTruth(back, held, np.where(held > 0, seen, np.float32(NO_TRUTH)))


def _hide(truth: PairTruth | None, frame: PairSide, reference: PairSide) -> PairTruth:
    """Mark what lies under pasted things as invisible. For a real pair nothing else is known."""
    if truth is None:
        nothing = np.zeros((GRID, GRID), np.float32)
        truth = PairTruth(np.zeros((GRID, GRID, 2), np.float32), nothing, np.full_like(nothing, NO_TRUTH))
    visible = truth.visible
    if frame.cover is not None:
        visible = np.where(frame.cover > 0.5, np.float32(0), visible)
    if reference.cover is not None and truth.known.any():
        there = synthetic.sample(reference.cover, truth.field)
        visible = np.where((there > 0.5) & (visible >= 0), np.float32(0), visible)
    return PairTruth(truth.field, truth.known, np.asarray(visible, np.float32))
