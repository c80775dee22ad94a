"""Two val clips side by side: both people wear the lipstick, and who leaves wears it again on return."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks, Matcher
from correspondence.face.landmarks import detect_faces
from correspondence.training.data import read_video
from reference import Edit, KeeperConfig, Propagator, PropagatorConfig, presets
from tests.reference.propagate.test_others import BLUE, RED, stray, tint

FRAMES, FPS = 90, 25
AWAY = {"right": range(25, 60), "left": range(60, 80)}  # frames in which each is missing
RIM = 25  # levels; fainter changes beside the lips come of a fast head whose landmarks lag
SETTLED = 8  # frames after a return until the edit has faded in


def clip(portraits: Path, name: str) -> list[Image]:
    frames = islice(read_video(portraits / "val" / f"{name}.mp4"), FRAMES)
    return [cv2.resize(frame, (512, 512), interpolation=cv2.INTER_AREA) for frame in frames]


def faces_of(frame: Image) -> tuple[Landmarks | None, Landmarks | None]:
    """The left and the right face."""
    found = detect_faces(frame)
    sides = ([f for f in found if (f.box[0] + f.box[2] < 1024) == left] for left in (True, False))
    left, right = (next(iter(side), None) for side in sides)
    return left, right


@pytest.mark.slow
@pytest.mark.portraits
@pytest.mark.parametrize("names", [("lp_d6", "smirk_s"), ("liax_7", "lp_d13")])
@pytest.mark.parametrize("own", [False, True], ids=["one edited", "each edited"])
def test_both_wear_lipstick_and_neither_the_others(
    portraits: Path, names: tuple[str, str], own: bool
) -> None:
    left, right = (clip(portraits, name) for name in names)
    reference = np.hstack([left[0], right[0]])
    faces = faces_of(reference)
    assert faces[0] is not None
    assert faces[1] is not None
    edited = presets.apply("lipstick", reference, faces[0], RED, 1.0)
    if own:
        edited = presets.apply("lipstick", edited, faces[1], BLUE, 1.0)
    matcher = Matcher.load("classical")
    alone, both = (
        Propagator(
            Edit(reference, edited),
            matcher,
            config=PropagatorConfig(faces=count, references=KeeperConfig(background=False)),
        )
        for count in (1, 2)
    )
    checked = 0
    for i in range(min(FRAMES, len(left), len(right))):
        halves = [left[i], right[i]]
        for side, name in enumerate(("left", "right")):
            if i in AWAY[name]:
                halves[side] = np.full_like(halves[side], 90)
        frame = np.hstack(halves)
        result = both.step(frame, i / FPS)
        if not own:  # the person whose face was edited wears it as they do alone
            np.testing.assert_array_equal(result.image[:, :512], alone.step(frame, i / FPS).image[:, :512])
        if i % 4:
            continue
        there = faces_of(frame)
        seen = tuple(face for face in there if face is not None)
        assert stray(result.image, frame, seen, RIM) == 0  # nowhere else, not even where somebody was
        for side, name in enumerate(("left", "right")):
            face = there[side]
            back = i - AWAY[name].stop
            if face is None or 0 <= back < SETTLED:
                continue
            change = tint(result.image, frame, face)
            blue = own and side == 1
            worn = change[2] - change[0] if blue else change[0] - change[2]
            assert worn > 15, f"frame {i}, {name}: {worn:.0f} levels"
            checked += 1
    alone.close()
    both.close()
    assert checked > 20
