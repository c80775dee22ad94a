"""The methods of making frames between two references that `livery bench fill` compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.matching.methods import Dis, LandmarkOnly, Method, OfMatcher
from correspondence import Float, Image, Landmarks, Match, Matcher, confidence, warp_image
from inpaint.classical.between import RADIUS, Ends, carried, interpolate, mixed
from inpaint.fills.jobs import Filler, GapJob
from stream.offline.smooth import on_the_way

if TYPE_CHECKING:
    from inpaint.model.diffusion import QuadrantModel

SIDE = 256


@dataclass(frozen=True, eq=False)
class ClipGap:
    """Frames first to last of a clip. Both ends are given as references.

    Attributes:
        frames: frames of the clip, uint8 (256, 256, 3).
        landmarks: landmarks of each frame.
        first, last: numbers of the references.
        wanted: numbers of the frames to make.
    """

    frames: Sequence[Image]
    landmarks: Sequence[Landmarks | None]
    first: int
    last: int
    wanted: Sequence[int]

    def share(self, n: int) -> float:
        """Position of frame n between the ends, [0, 1]."""
        return (n - self.first) / (self.last - self.first)


Make = Callable[[ClipGap], dict[int, Image]]


@dataclass(frozen=True, eq=False)
class Row:
    """One method of making frames between two references.

    Attributes:
        name: name in the table.
        sees: what it knows of the frame it makes: "nothing", "landmarks" or "frame".
        make: makes the wanted frames of a gap.
        ours: whether Livery may use it. The others are what it has to beat.
    """

    name: str
    sees: str
    make: Make
    ours: bool = False


def copy_nearest(gap: ClipGap) -> dict[int, Image]:
    """Copy the nearer reference."""
    return {n: gap.frames[gap.first if gap.share(n) <= 0.5 else gap.last] for n in gap.wanted}


def blend(gap: ClipGap) -> dict[int, Image]:
    """Mix both references by their distance in time."""
    a, d = gap.frames[gap.first].astype(np.float32), gap.frames[gap.last].astype(np.float32)
    return {n: np.rint(a + gap.share(n) * (d - a)).astype(np.uint8) for n in gap.wanted}


def warped(method: Method, *, trust: bool) -> Make:
    """Warp both references to the frame by a method's field and mix them.

    Args:
        method: finds the fields.
        trust: mix by confidence and nearness; else by nearness alone.
    """

    def make(gap: ClipGap) -> dict[int, Image]:
        ends = (gap.first, gap.last)
        states = [method.prepare(gap.frames[end], gap.landmarks[end]) for end in ends]
        made = {}
        for n in gap.wanted:
            frame, seen = gap.frames[n], gap.landmarks[n]
            matches = [method.match(frame, state, seen, None) for state in states]
            pictures = [warp_image(gap.frames[end], m.field) for end, m in zip(ends, matches, strict=True)]
            trusts = [_trust(m) if trust else np.ones(frame.shape[:2], np.float32) for m in matches]
            made[n] = mixed((pictures[0], trusts[0]), (pictures[1], trusts[1]), gap.share(n))[0]
        return made

    return make


def _trust(match: Match) -> Float:
    return confidence(match, RADIUS * SIDE)


def interpolated_by_dis(gap: ClipGap) -> dict[int, Image]:
    """Interpolate by DIS flow between the two references, half from each side. No other frame is seen."""
    a, d = gap.frames[gap.first], gap.frames[gap.last]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    one, two = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (a, d))
    forth, back = flow.calc(one, two, None), flow.calc(two, one, None)
    sure = np.ones(one.shape, np.float32)
    ends = Ends(a, d, forth, back, sure, sure)
    return {n: interpolate(ends, gap.share(n))[0] for n in gap.wanted}


def interpolated(matcher: Matcher) -> Make:
    """Interpolate as Livery does without weights (`inpaint.classical.between`)."""

    def make(gap: ClipGap) -> dict[int, Image]:
        a, d = gap.first, gap.last
        ends = Ends.of(gap.frames[a], gap.frames[d], gap.landmarks[a], gap.landmarks[d], matcher)
        return {n: interpolate(ends, gap.share(n))[0] for n in gap.wanted}

    return make


def classical_rows(matcher: Matcher) -> list[Row]:
    """Return the rows that need no diffusion weights."""
    ours = OfMatcher(matcher.kind, matcher)
    return [
        Row("copy", "nothing", copy_nearest),
        Row("blend", "nothing", blend),
        Row("DIS between references", "nothing", interpolated_by_dis),
        Row("landmark warp", "landmarks", warped(LandmarkOnly(), trust=False)),
        Row(
            "DIS to the frame",
            "frame",
            warped(Dis("DIS medium", cv2.DISOPTICAL_FLOW_PRESET_MEDIUM), trust=False),
        ),
        Row(f"{matcher.kind}, interpolated", "nothing", interpolated(matcher), ours=True),
        Row(f"{matcher.kind}, warped", "frame", warped(ours, trust=True), ours=True),
    ]


def diffusion_rows(matcher: Matcher, weights: Path, device: str, steps: int) -> list[Row]:
    """Return the rows of one weights folder: the quadrant grid's arrangements, and the autoencoder alone."""
    from inpaint import load
    from inpaint.model.propagation import plan_naive, plan_thirds

    model = load(weights, device=device).model
    arrangement = model.denoiser.config.arrangement
    if arrangement != "two_references":
        name = "one reference" if arrangement == "one_reference" else "side by side"
        return [Row(f"grid, {name}", "landmarks", generated(model, plan_thirds, steps))]
    rows = [
        Row("autoencoder alone", "the truth", reconstructed(model)),
        Row("grid, recursion", "landmarks", generated(model, plan_thirds, steps), ours=True),
        Row("grid, naive", "landmarks", generated(model, plan_naive, steps)),
    ]
    if model.denoiser.config.warp:
        rows.append(Row("grid, warp mode", "frame", generated(model, plan_thirds, steps, matcher), ours=True))
        filler = Filler(weights, device, steps)
        rows.append(Row("interpolated, unsure places by the grid", "nothing", smoothed(filler), ours=True))
    return rows


def smoothed(filler: Filler) -> Make:
    """Make frames as `livery smooth` does, from the ends and landmarks interpolated between them."""

    def make(gap: ClipGap) -> dict[int, Image]:
        a, d = gap.first, gap.last
        ends = (gap.landmarks[a], gap.landmarks[d])
        between = {n: on_the_way(ends, n, a, d) for n in range(a, d + 1)}
        return filler.gap(GapJob(references={n: gap.frames[n] for n in (a, d)}, landmarks=between))

    return make


def reconstructed(model: QuadrantModel) -> Make:
    """Pass the true frames through the autoencoder: what a perfect denoiser would give."""

    def make(gap: ClipGap) -> dict[int, Image]:
        return {n: model.decode(model.encode([_fit(gap.frames[n], model)]))[0] for n in gap.wanted}

    return make


def generated(
    model: QuadrantModel,
    order: Callable[[int, int], object],
    steps: int,
    matcher: Matcher | None = None,
) -> Make:
    """Make frames with the quadrant grid along a plan. A matcher selects warp mode."""
    from inpaint.fills.gaps import GapConfig, fill_gap
    from inpaint.training.data import resized_points

    def make(gap: ClipGap) -> dict[int, Image]:
        ends = {n: _fit(gap.frames[n], model) for n in (gap.first, gap.last)}
        scale = model.side / SIDE
        points = {
            n: None if (m := gap.landmarks[n]) is None else resized_points(m.points, scale)
            for n in range(gap.first, gap.last + 1)
        }
        bases = None if matcher is None else _bases(gap, matcher, model)
        made = fill_gap(
            model,
            ends,
            points,
            plan=order(gap.first, gap.last),  # type: ignore[arg-type]
            warped=None if bases is None else bases.__getitem__,
            config=GapConfig(steps=steps),
        )
        return {n: _back(made[n]) for n in gap.wanted}

    return make


def _bases(gap: ClipGap, matcher: Matcher, model: QuadrantModel) -> dict[int, tuple[Image, Float]]:
    ends = [(gap.frames[n], matcher.prepare(gap.frames[n], gap.landmarks[n])) for n in (gap.first, gap.last)]
    side = (model.side, model.side)
    made = {}
    for n in range(gap.first + 1, gap.last):
        picture, unsure = carried(gap.frames[n], gap.landmarks[n], ends, gap.share(n), matcher)
        made[n] = _fit(picture, model), np.asarray(cv2.resize(unsure, side), np.float32)
    return made


def _fit(picture: Image, model: QuadrantModel) -> Image:
    if model.side == SIDE:
        return picture
    return np.asarray(cv2.resize(picture, (model.side, model.side), interpolation=cv2.INTER_AREA), np.uint8)


def _back(picture: Image) -> Image:
    if picture.shape[0] == SIDE:
        return picture
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)
