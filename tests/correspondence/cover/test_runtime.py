"""The shipped finder on the demo's face, and how a matcher takes what it says."""

from __future__ import annotations

import logging
import sys

import cv2
import numpy as np
import pytest

from correspondence import Landmarks, Matcher
from correspondence.cover import runtime
from correspondence.cover.crop import SIDE, carried, face_area, face_crop
from correspondence.cover.runtime import CoverFinder, shipped_finder
from correspondence.cover.weights import MANIFEST, SHIPPED, graph_file
from correspondence.types import Float, Hidden, Image
from correspondence.weight_files import WEIGHTS, digest
from tests.correspondence.cover.material import MOUTH, blob_over


@pytest.fixture(scope="module")
def finder() -> CoverFinder:
    return CoverFinder.load()


def test_the_shipped_weights_are_whole_and_small() -> None:
    assert digest(WEIGHTS / SHIPPED / "model.json") == MANIFEST
    assert graph_file().is_file()
    assert sum(p.stat().st_size for p in (WEIGHTS / SHIPPED).iterdir()) < 1.6e6


@pytest.mark.parametrize("light", [1.0, 0.5])
def test_an_uncovered_face_is_seen(
    finder: CoverFinder, astronaut: Image, face: Landmarks, light: float
) -> None:
    frame = (astronaut * light).astype(np.uint8)
    hidden = finder(frame, face, face_crop(astronaut, face))
    if hidden is not None:
        on = face_area(carried(face.points, hidden.matrix)) > 0
        assert (hidden.share[on] > 0.5).mean() < 0.01


def test_a_hand_over_the_mouth_is_found_and_little_else(
    finder: CoverFinder, astronaut: Image, face: Landmarks
) -> None:
    wide = face.box[2] - face.box[0]
    frame, alpha = blob_over(astronaut, face.points[MOUTH, :2], 0.3 * wide)
    hidden = finder(frame, face, face_crop(astronaut, face))
    assert hidden is not None
    truth = cv2.warpAffine(alpha, hidden.matrix, (SIDE, SIDE))
    on = face_area(carried(face.points, hidden.matrix)) > 0
    assert (hidden.share[on & (truth > 0.9)] > 0.5).mean() > 0.85
    assert (hidden.share[on & (truth < 0.1)] > 0.5).mean() < 0.08


@pytest.mark.parametrize(("radius", "closed"), [(2, True), (9, False)])
def test_a_speck_of_face_inside_a_cover_belongs_to_it(
    finder: CoverFinder,
    astronaut: Image,
    face: Landmarks,
    monkeypatch: pytest.MonkeyPatch,
    radius: int,
    closed: bool,
) -> None:
    """A knuckle that the network takes for face, and an opening through which the face is seen."""
    said = np.full((SIDE, SIDE), 0.9, np.float32)
    middle = (SIDE // 2, SIDE // 2)
    cv2.circle(said, middle, radius, 0.01, -1)
    monkeypatch.setattr(finder, "probability", lambda frame, reference: said)
    hidden = finder(astronaut, face, face_crop(astronaut, face))
    assert hidden is not None
    assert (hidden.share[middle] > 0.9) == closed


class Counted:
    """Counts the runs of a finder's network."""

    def __init__(self, finder: CoverFinder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs = 0
        self._probability = finder.probability
        monkeypatch.setattr(finder, "probability", self)

    def __call__(self, frame: Image, reference: Image | None) -> Float:
        self.runs += 1
        return self._probability(frame, reference)


def test_a_face_that_looks_the_same_is_searched_in_every_fourth_frame(
    finder: CoverFinder, astronaut: Image, face: Landmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(finder, monkeypatch)
    noise = np.random.default_rng(1)
    matcher = Matcher(Matcher.load("classical", cover=False).backend, finder)
    prepared = matcher.prepare(astronaut, face)
    match = None
    for _ in range(8):
        frame = np.clip(astronaut + noise.normal(0, 4, astronaut.shape), 0, 255).astype(np.uint8)
        match = matcher.match(frame, prepared, match, face)
        assert match.hidden is None
    assert counted.runs == 2


def test_what_comes_before_the_face_is_searched_at_once_and_as_long_as_it_stays(
    finder: CoverFinder, astronaut: Image, face: Landmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = face.box[2] - face.box[0]
    covered, _ = blob_over(astronaut, face.points[MOUTH, :2], 0.3 * wide)
    reference = face_crop(astronaut, face)
    counted = Counted(finder, monkeypatch)
    _, glance = finder.watch(astronaut, face, reference, None)
    for runs in (2, 3):
        hidden, glance = finder.watch(covered, face, reference, glance)
        assert counted.runs == runs
        assert hidden is not None
    assert glance is None


@pytest.mark.parametrize("size", [0.03, 0.06, 0.12])
def test_a_small_thing_in_a_corner_of_the_face_is_no_still_face(
    finder: CoverFinder, astronaut: Image, face: Landmarks, monkeypatch: pytest.MonkeyPatch, size: float
) -> None:
    counted = Counted(finder, monkeypatch)
    wide = face.box[2] - face.box[0]
    _, glance = finder.watch(astronaut, face, None, None)
    touched = astronaut.copy()
    x, y = np.rint(face.points[205, :2]).astype(int).tolist()  # a cheek
    cv2.circle(touched, (x, y), max(2, round(size * wide)), (20, 20, 25), -1)
    finder.watch(touched, face, None, glance)
    assert counted.runs == 2


def test_a_match_doubts_what_is_hidden(astronaut: Image, face: Landmarks) -> None:
    wide = face.box[2] - face.box[0]
    frame, alpha = blob_over(astronaut, face.points[MOUTH, :2], 0.3 * wide)
    matcher = Matcher.load("classical")
    prepared = matcher.prepare(astronaut, face)
    match = matcher.match(frame, prepared, landmarks=face)
    assert match.hidden is not None
    inner = cv2.erode((alpha > 0.9).astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    assert np.median(match.log_b[inner]) > np.log(wide) - 0.5
    plain = Matcher.load("classical", cover=False).match(frame, prepared, landmarks=face)
    assert plain.hidden is None
    away = alpha == 0
    away &= cv2.dilate((match.log_b != plain.log_b).astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    assert away.mean() > 0.8
    assert matcher.match(frame, prepared, landmarks=None).hidden is None


def test_without_onnx_runtime_a_matcher_works_and_says_so_once(
    astronaut: Image, face: Landmarks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    shipped_finder.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, runtime.__name__):
            matchers = [Matcher.load("classical") for _ in range(2)]
        told = [r.getMessage() for r in caplog.records if r.name == runtime.__name__]
        assert len(told) == 1
        assert "pip install 'livery[cpu]'" in told[0]
        prepared = matchers[0].prepare(astronaut, face)
        assert matchers[0].match(astronaut, prepared, landmarks=face).hidden is None
    finally:
        shipped_finder.cache_clear()


def test_hidden_is_read_where_it_lies() -> None:
    """A crop turned by 90 degrees and scaled by 2: a corner of it is where the matrix puts it."""
    share = np.zeros((64, 64), np.float32)
    share[:8, 40:] = 1
    matrix = np.array([[0.0, -0.5, 60.0], [0.5, 0.0, -5.0]])
    hidden = Hidden(share, matrix, 3.0)
    read = hidden.on((10, 0, 90, 120), (120, 80))
    x, y = np.meshgrid(np.arange(10, 90), np.arange(120))
    column, row = -0.5 * y + 60, 0.5 * x - 5
    inside = (column > 40) & (column < 62) & (row > 1) & (row < 6)
    outside = (column < 38) | (row > 9)
    assert read[inside].min() == 1
    assert read[outside].max() == 0
    doubted = hidden.doubted(np.full((120, 80), -1, np.float32), (10, 0, 90, 120))
    assert np.allclose(doubted[inside], 3)
    assert np.allclose(doubted[outside], -1)
    sure = hidden.doubted(np.full((120, 80), 5, np.float32), (10, 0, 90, 120))
    assert np.allclose(sure, 5)  # never less doubt


def test_a_coarse_reading_averages() -> None:
    share = (np.indices((128, 128)).sum(axis=0) % 2).astype(np.float32)
    hidden = Hidden(share, np.array([[1.0, 0, 0], [0, 1.0, 0]]), 3.0)
    read = hidden.on((0, 0, 128, 128), (16, 16))
    assert np.abs(read[1:-1, 1:-1] - 0.5).max() < 0.1
