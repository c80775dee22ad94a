from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.endurance import best_rows, dotted, endure, rows_of, summary, times
from benchmarks.matching.measures import withheld_points
from benchmarks.streams.carriers import ByPolicy, ByWindow, Rolling
from benchmarks.streams.dots import Dots, choose_dots, colour_differences, measure
from benchmarks.streams.passes import CLIP_FPS, Passes, carry
from correspondence import Image, Landmarks, Matcher, detect_landmarks
from tests.reference.helpers import translated


@pytest.fixture(scope="module")
def face(astronaut: Image) -> Landmarks:
    landmarks = detect_landmarks(astronaut)
    assert landmarks is not None
    return landmarks


@pytest.fixture(scope="module")
def dots(face: Landmarks) -> Dots:
    return choose_dots(face, withheld_points())


@pytest.fixture(scope="module")
def passes(astronaut: Image, tmp_path_factory: pytest.TempPathFactory) -> Passes:
    path = Path(tmp_path_factory.mktemp("clip")) / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), CLIP_FPS, (512, 512))
    for k in range(7):
        writer.write(translated(astronaut, 2 * k, k)[..., ::-1])
    writer.release()
    return Passes(path, seed=4)


def test_dots_lie_apart_on_withheld_points_only(dots: Dots, face: Landmarks) -> None:
    held = withheld_points()
    assert 10 <= len(dots.points) <= 40
    assert held[list(dots.points)].all()
    assert dots.visible(face).all()


def test_the_error_is_how_far_and_how_unlike_a_dot_lands(
    astronaut: Image, face: Landmarks, dots: Dots
) -> None:
    live = astronaut.astype(np.float32)
    truth = dots.paint(live, face)
    there = np.clip(np.rint(truth), 0, 255).astype(np.uint8)
    met = measure(there, astronaut, truth, face, dots)
    assert np.nanmax(met.error) < 0.1
    assert np.nanmax(met.colour) < 1
    beside = carry(face, np.array([[1, 0, 1.5], [0, 1, 2.0]]))
    moved = np.clip(np.rint(dots.paint(live, beside)), 0, 255).astype(np.uint8)
    assert np.nanmedian(measure(moved, astronaut, truth, face, dots).error) == pytest.approx(2.5, abs=0.3)
    faint = cv2.addWeighted(astronaut, 0.5, there, 0.5, 0)
    assert np.nanmedian(measure(faint, astronaut, truth, face, dots).colour) > 5
    assert np.isnan(measure(astronaut, astronaut, truth, face, dots).error).all()


def test_colours_differ_as_the_standard_says() -> None:
    same = np.array([[120.0, 30, 60], [np.nan, 0, 0]])
    other = np.array([[120.0, 30, 60], [10, 10, 10]])
    found = colour_differences(same, other)
    assert found[0] == 0
    assert np.isnan(found[1])
    assert colour_differences(np.array([[255.0, 255, 255]]), np.zeros((1, 3)))[0] == pytest.approx(100, abs=1)


def test_each_pass_has_its_own_camera_and_the_landmarks_follow_it(passes: Passes) -> None:
    last = len(passes.clean) - 1
    order = [passes.at(n / CLIP_FPS).source for n in range(2 * last + 2)]
    assert order == [*range(last), *range(last, 0, -1), 0, 1]
    assert passes.camera(0).zoom != passes.camera(1).zoom
    first, again = passes.at(0.08), passes.at(0.08)
    np.testing.assert_array_equal(first.frame, again.frame)
    found = detect_landmarks(first.frame)
    assert found is not None
    assert np.abs(found.points[:468, :2] - first.truth.points[:468, :2]).mean() < 2
    held = withheld_points()
    np.testing.assert_array_equal(first.given.points[~held], first.truth.points[~held])
    assert np.abs(first.given.points[held] - first.truth.points[held]).max() > 0.1


def test_streamedits_rule_looks_at_the_end_of_a_window_only() -> None:
    rule = ByWindow(threshold=0.05, window_s=1.0)
    said = [rule(0.5, 0.06, n / 10) for n in range(31)]
    assert [n for n, replace in enumerate(said) if replace] == [10, 20, 30]
    assert not any(ByWindow(0.05, 1.0)(0.0, 0.04, n / 10) for n in range(31))
    policy = ByPolicy()
    assert sum(policy(0.3, 0.0, n / 10) for n in range(31)) >= 2


def test_every_row_sees_the_same_frames_and_is_scored_by_minute(passes: Passes) -> None:
    matcher = Matcher.load("classical")
    dots, edit = dotted(passes)
    first = passes.landmarks[0]
    alone = rows_of(edit, passes, matcher)["no replacement"]()
    rolling = Rolling(edit, first, matcher, ByWindow(0.0, 0.2), own_way=False)
    kept = endure(passes, {"no replacement": alone, "StreamEdit's rule, 0": rolling}, dots, 0.02, 5)
    rows = [summary(name, minutes) for name, minutes in kept.items()]
    assert [len(r["minutes"]) for r in rows] == [1, 1]
    assert rolling.counts.keyframes >= 3
    assert rows[0]["mean"]["keyframes"] == 0
    assert rows[0]["mean"]["shown %"] > 90
    assert rows[0]["mean"]["error px"] < 2
    assert rows[0]["mean"]["capped px"] < rows[1]["mean"]["capped px"]  # copies of copies
    assert best_rows([*rows, {**rows[1], "mean": {**rows[1]["mean"], "capped px": 99.0}}]) == rows


def test_neighbours_are_shown_for_the_warp_error() -> None:
    shown = list(times(0.1, 5.0))
    assert [t for t, neighbour in shown if neighbour] == [pytest.approx(n + 1 / CLIP_FPS) for n in (0, 2, 4)]
    assert len(shown) == 30 + 3
