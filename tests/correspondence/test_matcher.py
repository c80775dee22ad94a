"""Loading a matcher by kind."""

from __future__ import annotations

import builtins
import logging
import os
import threading
from typing import Any

import numpy as np
import pytest

from correspondence import Image, Match, Matcher, WeightsError, detect_landmarks
from correspondence import matcher as module
from correspondence.matchers.classical import ClassicalMatcher
from correspondence.matchers.thorough import ThoroughMatcher


def test_the_classical_matcher_needs_no_weights() -> None:
    assert Matcher.load("classical").kind == "classical"


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="one of auto, classical, thorough, compact, dinov2, got 'best'"):
        Matcher.load("best")


def test_auto_falls_back_where_the_network_does_not_load(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(kind: str, device: str, weights: object) -> Any:
        raise WeightsError("no weights here: train them")

    monkeypatch.setattr(module, "_network", missing)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    with caplog.at_level(logging.INFO, logger="correspondence.matcher"):
        assert Matcher.load().kind == "classical"
    assert "no weights here: train them" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="correspondence.matcher"):
        thorough = Matcher.load("thorough").backend
    assert isinstance(thorough, ThoroughMatcher)
    assert thorough.base.kind == "classical"
    assert "no weights here: train them" in caplog.text
    with pytest.raises(WeightsError, match="train them"):
        Matcher.load("compact")


def test_auto_falls_back_without_a_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refusing(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "correspondence.network.runtime":
            raise ImportError("No module named 'onnxruntime'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refusing)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert Matcher.load("auto").kind == "classical"


def test_auto_leaves_small_machines_their_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[str] = []

    def network(kind: str, device: str, weights: object) -> Any:
        kinds.append(device)
        return type("Network", (), {"kind": kind})()

    monkeypatch.setattr(module, "_network", network)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert Matcher.load().kind == "classical"
    assert Matcher.load(device="cuda").kind == "compact"
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert Matcher.load().kind == "compact"
    assert kinds == ["cuda", "cpu"]


@pytest.mark.parametrize("kind", ["classical", "thorough", "compact"])
def test_a_match_begun_before_the_landmarks_are_known_is_the_same(kind: str, astronaut: Image) -> None:
    matcher = Matcher.load(kind)
    prepared = matcher.prepare(astronaut)
    frame = np.ascontiguousarray(np.roll(astronaut, 5, axis=1))
    begun = matcher.begin(frame, prepared)
    landmarks = detect_landmarks(frame)
    apart = matcher.match(frame, prepared, None, landmarks, begun)
    at_once = matcher.match(frame, prepared, None, landmarks)
    np.testing.assert_array_equal(apart.field, at_once.field)
    np.testing.assert_array_equal(apart.log_b, at_once.log_b)


def test_a_match_begun_for_another_frame_is_refused(astronaut: Image) -> None:
    matcher = Matcher.load("classical")
    prepared, other = matcher.prepare(astronaut), matcher.prepare(astronaut)
    begun = matcher.begin(astronaut, prepared)
    with pytest.raises(ValueError, match="begun for another frame or keyframe"):
        matcher.match(astronaut.copy(), prepared, begun=begun)
    with pytest.raises(ValueError, match="begun for another frame or keyframe"):
        matcher.match(astronaut, other, begun=begun)
    with pytest.raises(ValueError, match="frame must be uint8"):
        matcher.begin(astronaut.astype(np.float32), prepared)


def test_what_hides_a_face_is_looked_for_during_the_match(astronaut: Image) -> None:
    """Each side waits for the other to begin, so neither could come after the other."""
    looking, matching = threading.Event(), threading.Event()

    class Cover:
        def watch(self, *args: Any) -> tuple[None, None]:
            looking.set()
            assert matching.wait(20)
            return None, None

    class Backend(ClassicalMatcher):
        def match(self, *args: Any, **more: Any) -> Match:
            matching.set()
            assert looking.wait(20)
            return super().match(*args, **more)

    matcher = Matcher(Backend(), Cover())  # type: ignore[arg-type]
    face = detect_landmarks(astronaut)
    assert matcher.match(astronaut, matcher.prepare(astronaut, face), None, face).hidden is None
