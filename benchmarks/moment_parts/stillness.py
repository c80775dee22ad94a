"""`livery bench moments --parts stillness`: dots painted on a still head, their jitter, and their lag.

The dots lie on landmarks of a clip's first frame. "Bright" is a clip as it is, "dark" the same with 30 %
of its light and a sensor's noise, the reference too. Still: the clip's stillest `STILL` frames. Held: one of
these frames, shown again and again with fresh noise. Moving: the same, shifted along a known path of about
1 Hz. A dot's place is the centroid of the output's change.

- jitter: RMS of the high-pass motion of a dot (`metrics.jitter`), median of the dots, pixels; the head's own
  motion is in it;
- held: the same where nothing but the noise changes;
- lag: frames by which the dots trail the known path; "path" is their RMS distance from it after that, pixels;
- missing: share of the visible dots that are not found in all frames, %.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.common import print_table
from benchmarks.matching import metrics
from benchmarks.matching.measures import TrackedClip, stillest_span
from benchmarks.matching.tally import Sums, over_clips
from benchmarks.moment_parts.clips import Strip, sheet, spread, strips
from benchmarks.moment_parts.rows import Row, landmarks_of
from benchmarks.streams.dots import Dots, choose_dots
from correspondence import Image, Landmarks

STILL = 12  # frames of a still head
WARM_UP = 8  # frames before them, which the trackers see too
PATH = 40  # frames of a moving head
REACH = 0.03  # of the path to each side, shares of the frame's side
LIGHTS = {"bright": (1.0, 0.0), "dark": (0.3, 6.0)}  # share of the light, and deviation of the noise, levels
HELD_NOISE = 2.0  # least deviation of the noise where one frame is shown again, levels
WINDOW = 0.05  # reach in which a dot is searched, face sizes
FAINT = 0.25  # share of a window's largest change below which a pixel does not count
LEAST = 12.0  # largest change in a window below which its dot is missing, levels
LAGS = np.arange(-1.0, 3.01, 0.02)  # frames
SHOWN = 6
COLUMNS = ("jitter px", "held px", "lag frames", "path px", "missing %")
Key = tuple[str, str, str]  # row, light, clip
_Doubles = npt.NDArray[np.float64]


def measure(args: argparse.Namespace, rows: Sequence[Row]) -> dict[str, Any]:
    """Measure all clips, write the sheets, print the table and return it with each clip's own figures."""
    sums: dict[Key, Sums] = {}
    for clip in strips(args, None, 1):
        found = landmarks_of(clip.frames, clip.step_s)
        span = stillest_span(TrackedClip(clip.name, clip.frames, found), min(STILL, len(found) - 1))
        first = found[0]
        if span is None or first is None:
            print(f"{clip.name}: no face in its first frame, or no still head", flush=True)
            continue
        before = range(max(1, span.start - WARM_UP), span.start)
        frames = [clip.frames[i] for i in (0, *before, *span)]
        starts = found[span.start]
        middle = found[span.start + len(span) // 2]
        assert starts is not None
        assert middle is not None
        dots, held_dots = dots_of(first), dots_of(middle)
        away = path(PATH, 1 / clip.step_s) * REACH * args.size
        one = clip.frames[span.start + len(span) // 2]
        visible = dots.visible(starts)
        for light in LIGHTS:
            still = Strip(clip.name, lit(frames, light), clip.step_s)
            held = Strip(clip.name, lit([one] * (WARM_UP + STILL), light, HELD_NOISE), clip.step_s)
            moved = Strip(clip.name, lit(shifted(one, away), light, HELD_NOISE), clip.step_s)
            lines = []
            for row in rows:
                into = sums.setdefault((row.name, light, clip.name), Sums())
                made = wear(still, dots, row)
                places = [places_of(dots, found[i])[visible] for i in span]
                score_still(into, "jitter px", made[-len(span) :], still.frames[-len(span) :], places, dots)
                same = wear(held, held_dots, row)
                places = [places_of(held_dots, middle)] * STILL
                score_still(into, "held px", same[-STILL:], held.frames[-STILL:], places, held_dots)
                score_path(into, wear(moved, held_dots, row), moved.frames, held_dots, away)
                lines.append((row.name, [made[n] for n in spread(len(made), SHOWN)]))
            sheet(args.out, f"{clip.name}-{light}", lines)
        print(f"{clip.name}: stillness done", flush=True)
    return report(sums)


def dots_of(landmarks: Landmarks) -> Dots:
    """Choose dots on a face's skin, all opaque."""
    dots = choose_dots(landmarks, np.ones(478, np.bool_))
    return Dots(dots.points, tuple(i % 2 for i in range(len(dots.points))), landmarks, dots.face_px)


def wear(clip: Strip, dots: Dots, row: Row) -> list[Image]:
    """Paint the dots on a clip's first frame and carry them over the others."""
    painted = dots.paint(clip.frames[0].astype(np.float32), dots.reference)
    return row.wear(clip.frames, np.clip(np.rint(painted), 0, 255).astype(np.uint8), clip.step_s)


def places_of(dots: Dots, landmarks: Landmarks | None) -> _Doubles:
    """Places of the dots on a frame's landmarks, float64 (N, 2), pixels."""
    assert landmarks is not None
    return landmarks.points[list(dots.points), :2].astype(np.float64)


def lit(frames: Sequence[Image], light: str, least_noise: float = 0.0) -> list[Image]:
    """Return frames in a light of `LIGHTS`, with noise that is the same in each run."""
    share, noise = LIGHTS[light]
    rng = np.random.default_rng(0)
    made = (share * frame + rng.normal(0, max(noise, least_noise), frame.shape) for frame in frames)
    return [np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in made]


def path(count: int, fps: float) -> _Doubles:
    """A smooth path from rest at (0, 0), float64 (count, 2), at most 1 to each side."""
    time = np.arange(count) / fps
    ease = np.minimum(1, time / 0.4)
    return np.column_stack([ease * np.sin(2 * np.pi * time), 0.6 * ease * np.sin(2 * np.pi * 0.7 * time)])


def shifted(image: Image, away: _Doubles) -> list[Image]:
    """Shift a picture to each place of a path, pixels. The borders are continued by reflection."""
    size = (image.shape[1], image.shape[0])
    made = []
    for x, y in away:
        matrix = np.array([[1, 0, x], [0, 1, y]])
        made.append(
            cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        )
    return [np.asarray(each, np.uint8) for each in made]


def centroids(made: Image, live: Image, places: _Doubles, reach: float) -> _Doubles:
    """Places of dots near the expected ones, float64 (N, 2); NaN for a missing one.

    Args:
        made: the frame with the dots, uint8 (H, W, 3).
        live: the frame.
        places: where the dots are expected, (N, 2), pixels.
        reach: of the search, pixels.
    """
    change = cv2.absdiff(made, live).astype(np.float64).max(axis=2)
    side = round(reach)
    padded = np.pad(change, side + 1)
    y, x = np.mgrid[-side : side + 1, -side : side + 1]
    found = np.full(places.shape, np.nan)
    for i, place in enumerate(places):
        column, row = (round(float(v)) for v in np.clip(place, 0, (made.shape[1] - 1, made.shape[0] - 1)))
        window = padded[row + 1 : row + 2 * side + 2, column + 1 : column + 2 * side + 2]
        if window.max() >= LEAST:
            weight = np.where(window > FAINT * window.max(), window, 0)
            found[i] = (column, row) + np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    return found


def score_still(
    into: Sums,
    figure: str,
    made: Sequence[Image],
    live: Sequence[Image],
    places: Sequence[_Doubles],
    dots: Dots,
) -> None:
    """Add the jitter of the dots of a still head, and how many of them are missing.

    Args:
        into: receives the figures.
        figure: name of the jitter.
        made, live: each frame with the dots, and without.
        places: where each frame is expected to show each dot, (N, 2), pixels.
        dots: the dots.
    """
    triples = zip(made, live, places, strict=True)
    found = np.stack([centroids(image, frame, at, WINDOW * dots.face_px) for image, frame, at in triples])
    whole = np.isfinite(found).all(axis=(0, 2))
    into.add("missing %", 100 * float(1 - whole.mean()))
    each = [metrics.jitter(found[:, [i]]) for i in np.flatnonzero(whole)]
    into.add(figure, float(np.median(each)) if each else np.nan)


def score_path(into: Sums, made: Sequence[Image], live: Sequence[Image], dots: Dots, away: _Doubles) -> None:
    """Add the lag behind a known path, and the distance from it, of the dots found in all frames."""
    start, reach = places_of(dots, dots.reference), WINDOW * dots.face_px
    found = np.stack([centroids(m, f, start + at, reach) for m, f, at in zip(made, live, away, strict=True)])
    moved = found - found[:1]
    moved = moved[:, np.isfinite(moved).all(axis=(0, 2))]
    if not moved.size:
        return
    times = np.arange(len(away), dtype=np.float64)
    errors = []
    for lag in LAGS:
        late = np.column_stack([np.interp(times - lag, times, away[:, k]) for k in (0, 1)])
        errors.append(float(((moved - late[:, None])[3:-3] ** 2).sum(axis=-1).mean()))
    best = int(np.argmin(errors))
    into.add("lag frames", float(LAGS[best]))
    into.add("path px", float(np.sqrt(errors[best])))


def report(sums: dict[Key, Sums]) -> dict[str, Any]:
    """Print the means over clips, and return them with each clip's own."""
    clips = [figures(key, held) for key, held in sums.items()]
    table = [figures(key, held) for key, held in over_clips(sums).items()]
    headers = ["row", "light", *COLUMNS]
    print_table(headers, [[row[name] for name in headers] for row in table])
    return {"stillness": table, "clips": clips}


def figures(key: Key, held: Sums) -> dict[str, Any]:
    """Return a row of the table."""
    row: dict[str, Any] = dict(zip(("row", "light", "clip"), key, strict=True))
    return row | {name: held.mean(name) for name in COLUMNS}
