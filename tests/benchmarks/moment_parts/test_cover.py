from __future__ import annotations

import numpy as np
import pytest

from benchmarks.matching.tally import Sums
from benchmarks.moment_parts.cover import EDITED, score, wear
from benchmarks.moment_parts.crossings import Crossing, Scene, occluders_dir
from correspondence import Matcher, detect_landmarks
from correspondence.training.cover.occluders import Cover
from correspondence.types import Image


def test_a_cover_comes_in_and_goes_out(astronaut: Image) -> None:
    landmarks = detect_landmarks(astronaut)
    assert landmarks is not None
    picture = np.full((80, 80, 4), 255, np.uint8)
    cover = Cover("board", "object", picture, True)
    way = Crossing.of(cover, astronaut, landmarks, np.random.default_rng(1))
    x, y = (int(v) for v in landmarks.points[:468, :2].mean(axis=0))
    shares = []
    for time in (0.0, 0.5, 1.0):
        frame, alpha = way.over(astronaut, landmarks, time, 0.05)
        shares.append(float(alpha[y - 5 : y + 5, x - 5 : x + 5].mean()))
        far = alpha == 0
        assert (frame.astype(int) - astronaut)[far].max() <= 0  # its shadow only darkens
    assert shares[0] == shares[2] == 0
    assert shares[1] > 0.9


def test_leak_and_lost_are_counted_apart() -> None:
    clean = np.full((60, 60, 3), 100, np.uint8)
    truth = clean.copy()
    truth[:, :40] += EDITED + 4
    alpha = np.zeros((60, 60), np.float32)
    alpha[:, :20] = 1
    covered = clean.copy()
    covered[:, :20] = 30
    scene = Scene("a", "hand", [clean] * 2, [clean, covered], [alpha * 0, alpha], [None, None])
    made = covered.copy()
    made[:30, :20] += 50  # half of what is under the hand leaks
    made[:15, 20:40] += 20  # a quarter of what is beside it is there; five pixels around count as well
    sums = Sums()
    score(sums, scene, 1, truth, made)
    assert sums.mean("leak") == 0.5
    assert sums.mean("lost") == pytest.approx((45 - 2) / 60, abs=0.03)


def test_both_behaviours_are_worn_and_scored(astronaut: Image) -> None:
    """A gray board over half of the face: with the cover's network less of it is painted."""
    landmarks = detect_landmarks(astronaut)
    assert landmarks is not None
    alpha = np.zeros(astronaut.shape[:2], np.float32)
    x, y = (int(v) for v in landmarks.points[1, :2])
    alpha[y : y + 120, x - 20 : x + 120] = 1
    covered = np.where(alpha[..., None] > 0, np.uint8(70), astronaut)
    frames = [astronaut] * 2
    scene = Scene("a", "object", frames, [astronaut, covered], [alpha * 0, alpha], [landmarks] * 2)
    matchers = {"cover off": Matcher.load("classical", cover=False), "cover on": Matcher.load("classical")}
    sums: dict[tuple[str, str, str], Sums] = {}
    rows = wear(scene, matchers, False, sums)
    assert [len(row) for row in rows] == [2, 2, 2]
    off, on = (sums[name, "object", "tiger"] for name in matchers)
    assert on.mean("leak") < 0.5 * off.mean("leak")
    assert on.mean("references") == 1


def test_a_missing_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVERY_OCCLUDERS", "/nowhere")
    with pytest.raises(FileNotFoundError, match="LIVERY_OCCLUDERS"):
        occluders_dir()
