"""`livery bench moments --parts looks`: a carried look of the whole picture, beside one made on every frame.

A filter makes the look of a clip's first frame, which is carried over the others. The same filter on each
frame is the truth. "Moving camera" is a window of each frame that travels over the clip, so that its borders
show what the first frame did not. Figures of a frame:

- bare: share of the pixels which the look changes that come out nearer to the live picture than to the truth;
- patches: the part of it that forms patches of at least `PATCH` pixels across, which a viewer sees as holes;
- dB: PSNR against the truth on these pixels;
- detail: gradient energy over the truth's;
- unknown: dB and detail where optical flow to the first frame does not return to within a pixel.

The row "perfect match" is the floor: the filter on the same frame half a pixel further and under a camera's
noise, read back by the exact shift. What is bare there, no match of two pictures can avoid.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from benchmarks.common import print_table
from benchmarks.fills.measures import cycle_error
from benchmarks.matching.fixed_edits import CEILING_DB
from benchmarks.matching.metrics import psnr
from benchmarks.matching.tally import Sums
from benchmarks.moment_parts.clips import Strip, sheet, spread, strips
from benchmarks.moment_parts.filters import LOOKS, Filter
from benchmarks.moment_parts.rows import Row
from correspondence import Bool, Float, Image
from reference import Edit, Mode

CHANGED = 16  # a pixel whose truth differs from the frame by as many levels is one that the look changes
PATCH = 7  # least width of a patch, pixels
WINDOW = 0.8  # side of the travelling window, frame sides
STRIDE = 12  # every n-th frame of a clip
SHOWN = 6  # pictures in a row of a sheet
CAMERAS = ("still", "moving")
FLOOR, SHIFT, NOISE = (
    "perfect match",
    0.5,
    1.0,
)  # of its row: name, shift in x and y in pixels, noise in levels
COLUMNS = ("bare %", "worst %", "patches %", "dB", "detail", "unknown dB", "unknown detail")
Key = tuple[str, str, str, str]  # row, camera, look, clip


@dataclass(frozen=True, slots=True, eq=False)
class TrueLook:
    """A frame's true look.

    Attributes:
        live: the frame, uint8 (H, W, 3).
        truth: the look made on it, uint8 (H, W, 3).
        unknown: what the clip's first frame does not show, bool (H, W).
    """

    live: Image
    truth: Image
    unknown: Bool

    @property
    def changed(self) -> Bool:
        """The pixels that the look changes, bool (H, W)."""
        return np.asarray(cv2.absdiff(self.live, self.truth).max(axis=2) >= CHANGED, np.bool_)


class ColoursAlone:
    """The look's colour model on every pixel: what stands in where nothing is known."""

    name = "colours alone"

    def wear(
        self, frames: Sequence[Image], edited: Image, step_s: float, mode: Mode = "auto",
        known: Sequence[Float] | None = None,
    ) -> list[Image]:  # fmt: skip
        """See `rows.Row`. Frames stay live if colours explain too little of the look."""
        model = Edit(frames[0], edited).stand_in
        return list(frames) if model is None else [model.apply(frame) for frame in frames]


def measure(args: argparse.Namespace, rows: Sequence[Row]) -> dict[str, Any]:
    """Measure all clips, write the sheets, print the table and return it with each clip's own figures."""
    sums: dict[Key, Sums] = {}
    rows = [*rows, ColoursAlone()]
    for clip in strips(args, None, STRIDE):
        for camera in CAMERAS:
            frames = clip.frames if camera == "still" else travelling(clip.frames)
            unknown = [cycle_error(frame, frames[0]) > 1 for frame in frames]
            for look, make in LOOKS.items():
                wear(Strip(clip.name, frames, clip.step_s), camera, look, make, unknown, rows, sums, args.out)
        print(f"{clip.name}: looks done", flush=True)
    return report(sums)


def travelling(frames: Sequence[Image]) -> list[Image]:
    """Cut a window out of each frame. It starts in the middle and travels towards the borders and back."""
    height, width = frames[0].shape[:2]
    high, wide = round(WINDOW * height), round(WINDOW * width)
    cut = []
    for i, frame in enumerate(frames):
        time = i / max(1, len(frames) - 1)
        x = round((width - wide) / 2 * (1 + np.sin(np.pi * time)))
        y = round((height - high) / 2 * (1 + np.sin(2 * np.pi * time)))
        cut.append(np.ascontiguousarray(frame[y : y + high, x : x + wide]))
    return cut


def wear(
    clip: Strip, camera: str, look: str, make: Filter, unknown: Sequence[Bool], rows: Sequence[Row],
    sums: dict[Key, Sums], out: str,
) -> None:  # fmt: skip
    """Score one look on one clip with all rows, and write its sheet."""
    truths = [make(frame) for frame in clip.frames]
    wanted = [TrueLook(*each) for each in zip(clip.frames, truths, unknown, strict=True)]
    numbers = spread(len(truths), SHOWN)
    lines = [(f"{look}, truth", [truths[n] for n in numbers])]
    worn = {row.name: row.wear(clip.frames, truths[0], clip.step_s) for row in rows}
    worn[FLOOR] = [read_back(frame, make) for frame in clip.frames]
    for name, made in worn.items():
        into = sums.setdefault((name, camera, look, clip.name), Sums())
        for image, each in zip(made[1:], wanted[1:], strict=True):
            score(into, image, each)
        lines.append((name, [made[n] for n in numbers]))
    sheet(out, f"{clip.name}-{camera}-{look.replace(' ', '-')}", lines)


def read_back(frame: Image, make: Filter) -> Image:
    """Make the look on a shifted, noisy frame and read it at the shifted places: uint8 (H, W, 3)."""
    size = (frame.shape[1], frame.shape[0])
    rng = np.random.default_rng(0)

    def moved(image: Image, by: float) -> cv2.typing.MatLike:
        matrix = np.array([[1, 0, by], [0, 1, by]])
        return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)

    other = moved(frame, SHIFT) + rng.normal(0, NOISE, frame.shape)
    return np.asarray(moved(make(np.clip(np.rint(other), 0, 255).astype(np.uint8)), -SHIFT), np.uint8)


def score(into: Sums, made: Image, wanted: TrueLook) -> None:
    """Add the figures of one frame, if the look changes enough of it."""
    changed = wanted.changed
    if np.count_nonzero(changed) < 100:
        return
    towards_live, towards_truth = (distance(made, other) for other in (wanted.live, wanted.truth))
    bare = changed & (towards_live < towards_truth)
    whole = cv2.morphologyEx(bare.astype(np.uint8), cv2.MORPH_OPEN, np.ones((PATCH, PATCH), np.uint8)) > 0
    into.add("bare %", 100 * float(bare[changed].mean()))
    into.add("patches %", 100 * float(whole[changed].mean()))
    into.add("dB", min(psnr(made, wanted.truth, changed), CEILING_DB))
    energies = [gradients(image) for image in (made, wanted.truth)]
    into.add("detail", float(energies[0].sum() / energies[1].sum()))
    lost = changed & wanted.unknown
    if np.count_nonzero(lost) >= 100:
        into.add("unknown dB", min(psnr(made, wanted.truth, lost), CEILING_DB))
        into.add("unknown detail", float(energies[0][lost].sum() / max(float(energies[1][lost].sum()), 1.0)))


def distance(a: Image, b: Image) -> cv2.typing.MatLike:
    """Squared distance of the colours of each pixel, float32 (H, W), levels squared."""
    return np.asarray(((a.astype(np.float32) - b) ** 2).sum(axis=2), np.float32)


def gradients(image: Image) -> cv2.typing.MatLike:
    """Squared Sobel gradient of the luma of each pixel, float32 (H, W)."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gx, gy = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
    return np.asarray(gx * gx + gy * gy, np.float32)


def report(sums: dict[Key, Sums]) -> dict[str, Any]:
    """Print the means over clips, and return them with each clip's own. The worst frame is of all clips."""
    clips = [figures(key, [held]) for key, held in sums.items()]
    groups: dict[Key, list[Sums]] = {}
    for (row, camera, look, _), held in sums.items():
        groups.setdefault((row, camera, look, "all"), []).append(held)
    table = [figures(key, held) for key, held in groups.items()]
    headers = ["row", "camera", "look", *COLUMNS]
    print_table(headers, [[row[name] for name in headers] for row in table])
    return {"looks": table, "clips": clips}


def figures(key: Key, held: Sequence[Sums]) -> dict[str, Any]:
    """Return the row of a table: means over clips of their means over frames, and the worst frame."""
    row: dict[str, Any] = dict(zip(("row", "camera", "look", "clip"), key, strict=True))
    for name in COLUMNS:
        means = [m for sums in held if np.isfinite(m := sums.mean(name))]
        row[name] = float(np.mean(means)) if means else float("nan")
    row["worst %"] = max((max(sums.values.get("bare %", [np.nan])) for sums in held), default=float("nan"))
    return row
