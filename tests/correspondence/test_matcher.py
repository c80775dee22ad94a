"""Loading a matcher by kind."""

from __future__ import annotations

import builtins
import logging
import os
from typing import Any

import pytest

from correspondence import Matcher, WeightsError
from correspondence import matcher as module


def test_the_classical_matcher_needs_no_weights() -> None:
    assert Matcher.load("classical").kind == "classical"


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="one of auto, classical, compact, dinov2, got 'best'"):
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
    with pytest.raises(WeightsError, match="train them"):
        Matcher.load("compact")


def test_auto_falls_back_without_a_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refusing(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "correspondence.runtime":
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
