"""`livery bench moments --parts glasses`: round glasses drawn on the reference, their rims as a head turns.

The glasses are two circles on a plane through the bridge of the nose, with a bar and arms to the temples. A
head carries that plane in perspective (`heads`). In "made" frames the reference's own face is turned by known
angles, and the landmarks are given. In "clip" frames the head's motion is fitted to the frame's landmarks,
with the depths that FaceMesh guesses from the reference. In "clip, bundle" frames the head's depths and its
motion come from all frames of the clip at once (`bundle`). Both have the landmarks' error: "two truths" tells
how far they are apart, and nothing smaller can be told from either. The rim of an output is where its change
is strongest along the true rim's normal. By the turn in degrees:

- rim: RMS distance of the rim from its true place, % of a lens's width, apart from bar and hinges;
- missing: share of the rim that is not found within `REACH` of a lens's width.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.common import print_table
from benchmarks.matching.tally import Sums, over_clips
from benchmarks.moment_parts.bundle import bundled
from benchmarks.moment_parts.clips import Strip, sheet, spread, strips
from benchmarks.moment_parts.heads import Eye, Pose, drawn, fitted, moved, yaw_about_neck
from benchmarks.moment_parts.rows import Field, Row, landmarks_of
from correspondence import Float, Image, Landmarks, detect_landmarks
from reference import Mode
from reference.face.parts import face_size

STRIDE = 6  # every n-th frame of a clip
TURNS = (0, 8, 16, 24, 32, 40, 45, 30, 12, -8, -16, -24, -32, -40, -45)  # degrees, of made frames
BINS = (0, 15, 30, 45, 60)  # degrees; frames beyond are not judged
MADE_STEP_S = 0.2  # time between two made frames, seconds
BRIDGE, CORNERS, TEMPLES = (168, 6), (33, 263), (127, 356)  # landmarks
ABOVE, BELOW = (105, 334), (117, 346)
LENS = 0.36  # radius of a lens, distances of the eyes' corners' middles
COLOUR = (190, 25, 45)
THICK = 0.03  # of the rims, face sizes
LEFT_OUT = 30  # degrees of the rim on each side of bar and hinge
REACH = 0.2  # of the search along the rim's normal, lens widths
FAINT = 40  # largest change of a rim that counts as missing, levels
SHOWN = 8

TWO_TRUTHS = "two truths"  # name of the row that tells how far they are apart

Key = tuple[str, str, str]  # row, kind of frames, clip
_Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Glasses:
    """Round glasses on a reference's face, in space.

    Attributes:
        eye: the reference's camera.
        points: the reference's landmarks in space, float64 (478, 3).
        middles: middles of the two lenses, float64 (2, 3).
        across, down: directions of the plane, float64 (3,) each, of length 1.
        radius: of a lens, pixels.
    """

    eye: Eye
    points: _Doubles
    middles: _Doubles
    across: _Doubles
    down: _Doubles
    radius: float

    @classmethod
    def on(cls, landmarks: Landmarks) -> Glasses:
        """Place glasses on a face. Their plane leans as the line from brows to cheekbones does."""
        eye = Eye.of(landmarks)
        points = eye.lifted(landmarks)
        eyes = np.stack([points[[33, 133]].mean(axis=0), points[[362, 263]].mean(axis=0)])
        return cls(eye, points, *_plane(points), LENS * float(np.linalg.norm(eyes[1] - eyes[0])))

    def rim(self, lens: int, angles: _Doubles) -> _Doubles:
        """Points of a lens's rim at angles from `across` towards `down`, radians: (N, 3)."""
        flat = np.outer(np.cos(angles), self.across) + np.outer(np.sin(angles), self.down)
        return self.middles[lens] + self.radius * flat

    def draw(self, image: Image, size: float, pose: Pose | None = None) -> Image:
        """Draw the glasses on a picture.

        Args:
            image: uint8 (H, W, 3).
            size: size of the reference's face, pixels.
            pose: motion of the head to the picture; None for the reference.
        """
        layer = np.zeros(image.shape[:2], np.uint8)
        width = max(2, round(THICK * size))
        whole = np.linspace(0, 2 * np.pi, 181)
        lines = [self.rim(lens, whole) for lens in (0, 1)]
        lines.append(np.stack([self.rim(0, np.zeros(1))[0], self.rim(1, np.full(1, np.pi))[0]]))
        for lens, angle in ((0, np.pi), (1, 0.0)):
            hinge = self.rim(lens, np.full(1, angle))[0]
            lines.append(np.stack([hinge, self.points[TEMPLES[lens]]]))
        for line in lines:
            placed = line if pose is None else pose.moved(line)
            at = np.rint(self.eye.seen(placed) * 16).astype(np.int32)
            cv2.polylines(layer, [at], False, 255, width, cv2.LINE_AA, 4)
        share = layer[..., None].astype(np.float32) / 255
        painted = image * (1 - share) + np.array(COLOUR, np.float32) * share
        return np.clip(np.rint(painted), 0, 255).astype(np.uint8)


Truth = tuple[Glasses, Sequence[Pose | None]]  # the glasses on the reference, the head's motion to each frame


@dataclass(frozen=True, slots=True, eq=False)
class Reshaped(Glasses):
    """The same glasses of the same reference, on a head of another shape.

    Attributes:
        flat: the glasses as they were drawn.
    """

    flat: Glasses

    @classmethod
    def of(cls, flat: Glasses, points: _Doubles) -> Reshaped:
        """Place drawn glasses on the plane that their reference's landmarks in space, (478, 3), make."""
        middles, across, down = _plane(points)
        return cls(flat.eye, points, middles, across, down, flat.radius, flat)

    def rim(self, lens: int, angles: _Doubles) -> _Doubles:
        """See `Glasses.rim`: the points of the plane that the reference shows where the rim was drawn."""
        away = (self.eye.seen(self.flat.rim(lens, angles)) - self.eye.middle) / self.eye.distance
        normal = np.cross(self.across, self.down)
        along = away @ normal[:2]
        level = float(self.middles[0] @ normal)
        depth = (level - self.eye.distance * along) / (along + normal[2])
        return np.column_stack([away * (self.eye.distance + depth)[:, None], depth])


def rim_errors(made: Image, live: Image, glasses: Glasses, pose: Pose) -> _Doubles:
    """Distances of the painted rims from their true places along the true rims' normals.

    Args:
        made: the frame with the edit, uint8 (H, W, 3).
        live: the frame.
        glasses: the glasses on the reference.
        pose: the head's motion to the frame.

    Returns:
        float64 (N,), lens widths; NaN where no rim is found.
    """
    change = cv2.absdiff(made, live).max(axis=2).astype(np.float32)
    angles = judged_angles()
    errors = []
    for lens in (0, 1):
        seen, normal = placed_rim(glasses, pose, lens, angles)
        width = lens_width(glasses, pose, lens)
        steps = np.arange(-REACH * width, REACH * width + 0.25, 0.25)
        at = (seen[:, None] + steps[None, :, None] * normal[:, None]).astype(np.float32)
        found = cv2.remap(change, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        best = found.max(axis=1, keepdims=True)
        weight = np.where(found > 0.5 * best, found, 0).astype(np.float64)
        place = (weight * steps).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-6)
        errors.append(np.where(best[:, 0] >= FAINT, place / width, np.nan))
    return np.concatenate(errors)


def judged_angles() -> _Doubles:
    """The places on a rim that are judged, radians, apart from bar and hinge."""
    angles = np.radians(np.arange(0, 360, 4.0))
    return angles[np.abs(np.sin(angles)) > np.sin(np.radians(LEFT_OUT))]


def placed_rim(glasses: Glasses, pose: Pose, lens: int, angles: _Doubles) -> tuple[_Doubles, _Doubles]:
    """Where a rim is seen in a frame, and its normals there, (N, 2) each."""
    seen, ahead = (glasses.eye.seen(pose.moved(glasses.rim(lens, angles + e))) for e in (0, 1e-3))
    along = (ahead - seen) / np.linalg.norm(ahead - seen, axis=1, keepdims=True)
    return seen, np.column_stack([along[:, 1], -along[:, 0]])


def lens_width(glasses: Glasses, pose: Pose, lens: int) -> float:
    """Width of a lens in a frame, pixels."""
    depth = pose.moved(glasses.middles[lens : lens + 1])[0, 2]
    return float(2 * glasses.radius * pose.scale * glasses.eye.distance / (glasses.eye.distance + depth))


def measure(args: argparse.Namespace, rows: Sequence[Row]) -> dict[str, Any]:
    """Measure all clips, write the sheets, print the table and return it with each clip's own figures."""
    sums: dict[Key, Sums] = {}
    for clip in strips(args, None, STRIDE):
        first = detect_landmarks(clip.frames[0])
        if first is None:
            print(f"{clip.name}: no face in its first frame", flush=True)
            continue
        glasses = Glasses.on(first)
        edited = glasses.draw(clip.frames[0], face_size(first))
        turns = [yaw_about_neck(glasses.points, face_size(first), yaw) for yaw in TURNS]
        faces = [moved(first, glasses.eye, turn) for turn in turns]
        pictures = [drawn(clip.frames[0], first, face) for face in faces[1:]]
        made = Strip(clip.name, [clip.frames[0], *pictures], MADE_STEP_S)
        known = [face.points for face in faces]
        wear(made, "made", edited, {"made": (glasses, turns)}, rows, sums, args.out, known)
        wear(clip, "clip", edited, truths(clip, first, glasses, sums), rows, sums, args.out)
        print(f"{clip.name}: glasses done", flush=True)
    return report(sums)


def truths(clip: Strip, first: Landmarks, glasses: Glasses, sums: dict[Key, Sums]) -> dict[str, Truth]:
    """Fit the head's motion to the landmarks of each frame in two ways, and add how far they are apart."""
    seen = landmarks_of(clip.frames, clip.step_s)
    alone = [None if s is None else fitted(glasses.points, glasses.eye.lifted(s), BRIDGE) for s in seen]
    shape, together = bundled(first, glasses.eye, seen)
    other = Reshaped.of(glasses, shape)
    into = sums.setdefault((TWO_TRUTHS, "clip", clip.name), Sums())
    for a, b in list(zip(alone, together, strict=True))[1:]:
        if a is not None and b is not None and (place := bin_of(a)) is not None:
            into.add(f"square {bin_name(place)}", float((apart(glasses, a, other, b) ** 2).mean()))
    return {"clip": (glasses, alone), "clip, bundle": (other, together)}


def apart(glasses: Glasses, pose: Pose, other: Glasses, motion: Pose) -> _Doubles:
    """Distances of two truths' rims along the first one's normals, lens widths."""
    found = []
    for lens in (0, 1):
        seen, normal = placed_rim(glasses, pose, lens, judged_angles())
        there, _ = placed_rim(other, motion, lens, judged_angles())
        found.append(((there - seen) * normal).sum(axis=1) / lens_width(glasses, pose, lens))
    return np.concatenate(found)


def wear(
    clip: Strip, name: str, edited: Image, true: dict[str, Truth],
    rows: Sequence[Row], sums: dict[Key, Sums], out: str, known: Sequence[Float] | None = None,
) -> None:  # fmt: skip
    """Score the glasses on the frames of a clip with all rows, by each truth, and write its sheet."""
    numbers = spread(len(clip.frames), SHOWN)
    lines = []
    for row in rows:
        mode: Mode = "replace" if isinstance(row, Field) else "auto"  # a field alone carries the paint
        images = row.wear(clip.frames, edited, clip.step_s, mode, known)
        for kind, (glasses, poses) in true.items():
            into = sums.setdefault((row.name, kind, clip.name), Sums())
            for image, frame, pose in list(zip(images, clip.frames, poses, strict=True))[1:]:
                if pose is not None:
                    score(into, image, frame, glasses, pose)
        lines.append((row.name, [images[n] for n in numbers]))
    sheet(out, f"{clip.name}-{name}", lines)


def bin_of(pose: Pose) -> int | None:
    """Number of the bin of a motion's yaw; None beyond the last."""
    place = int(np.searchsorted(BINS, abs(pose.yaw_deg), side="left")) - 1
    return max(place, 0) if place < len(BINS) - 1 else None


def score(into: Sums, made: Image, live: Image, glasses: Glasses, pose: Pose) -> None:
    """Add the figures of one frame to the bin of its yaw."""
    low = bin_of(pose)
    if low is None:
        return
    errors = rim_errors(made, live, glasses, pose)
    missing = np.isnan(errors)
    into.add(f"missing % {bin_name(low)}", 100 * float(missing.mean()))
    if not missing.all():
        into.add(f"square {bin_name(low)}", float((errors[~missing] ** 2).mean()))


def bin_name(number: int) -> str:
    """Name of a bin of yaw."""
    return f"{BINS[number]}-{BINS[number + 1]}°"


def report(sums: dict[Key, Sums]) -> dict[str, Any]:
    """Print the means over all frames, and return them with each clip's own."""
    clips = [figures(key, held) for key, held in sums.items()]
    table = [figures(key, held) for key, held in over_clips(sums).items()]
    headers = [name for name in table[0] if name != "clip"] if table else []
    if table:
        print_table(headers, [[row[name] for name in headers] for row in table])
    return {"glasses": table, "clips": clips}


def figures(key: Key, held: Sums) -> dict[str, Any]:
    """Return a row of the table."""
    row: dict[str, Any] = dict(zip(("row", "frames", "clip"), key, strict=True))
    names = [bin_name(i) for i in range(len(BINS) - 1)]
    row |= {f"rim % {name}": 100 * float(np.sqrt(held.mean(f"square {name}"))) for name in names}
    return row | {f"missing % {name}": held.mean(f"missing % {name}") for name in names}


def _plane(points: _Doubles) -> tuple[_Doubles, _Doubles, _Doubles]:
    """Middles of the lenses (2, 3), and the directions across and down, on the plane of glasses on a head."""
    across = _unit(points[CORNERS[1]] - points[CORNERS[0]])
    fall = points[list(BELOW)].mean(axis=0) - points[list(ABOVE)].mean(axis=0)
    down = _unit(fall - across * (fall @ across))
    eyes = np.stack([points[[33, 133]].mean(axis=0), points[[362, 263]].mean(axis=0)])
    bridge = points[list(BRIDGE)].mean(axis=0)
    away = eyes - bridge
    return bridge + np.outer(away @ across, across) + np.outer(away @ down, down), across, down


def _unit(vector: _Doubles) -> _Doubles:
    return np.asarray(vector / np.linalg.norm(vector), np.float64)
