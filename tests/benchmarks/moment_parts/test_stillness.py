"""Added jitter, added delay and lost dots raise the figure that is meant for each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.matching.metrics import FloatAny
from benchmarks.matching.tally import Sums
from benchmarks.moment_parts import stillness as part
from benchmarks.moment_parts.clips import Strip
from benchmarks.moment_parts.rows import Livery
from benchmarks.moment_parts.stillness import (
    dots_of,
    lit,
    path,
    places_of,
    score_path,
    score_still,
    shifted,
    wear,
)
from correspondence import Float, Image, Landmarks
from reference import Mode
from tests.stream.clips import Clip, make_clip


class Following:
    """Carries the dots along known shifts, `late` frames behind."""

    name = "following"

    def __init__(self, away: FloatAny, late: int = 0) -> None:
        self._away, self._late = np.asarray(away, np.float64), late

    def wear(
        self, frames: Sequence[Image], edited: Image, step_s: float, mode: Mode = "auto",
        known: Sequence[Float] | None = None,
    ) -> list[Image]:  # fmt: skip
        changed = np.abs(edited.astype(int) - frames[0]).max(axis=2) > 2
        paint = np.where(changed[..., None], edited, 0).astype(np.uint8)
        made = []
        for i, frame in enumerate(frames):
            at = self._away[[max(0, i - self._late)]]
            layer, share = shifted(paint, at)[0], shifted(np.uint8(255) * changed, at)[0]
            made.append(np.where(share[..., None] > 127, layer, frame))
        return made


def still_figures(astronaut: Image, face: Landmarks, away: FloatAny, light: str = "bright") -> Sums:
    dots, frames = dots_of(face), lit([astronaut] * len(away), light)
    made = wear(Strip("a", frames, 0.04), dots, Following(away))
    sums = Sums()
    score_still(sums, "jitter px", made, frames, [places_of(dots, face)] * len(away), dots)
    return sums


def test_added_jitter_is_measured(astronaut: Image, face: Landmarks) -> None:
    still = np.zeros((8, 2))
    assert still_figures(astronaut, face, still).mean("jitter px") == pytest.approx(0, abs=1e-6)
    trembling = still.copy()
    trembling[::2, 0] = 1
    assert still_figures(astronaut, face, trembling).mean("jitter px") == pytest.approx(1, abs=0.15)
    assert still_figures(astronaut, face, trembling, "dark").mean("jitter px") == pytest.approx(1, abs=0.25)


def test_dots_that_go_are_missing(astronaut: Image, face: Landmarks) -> None:
    dots = dots_of(face)
    made = wear(Strip("a", [astronaut] * 3, 0.04), dots, Following(np.zeros((3, 2))))
    made[1] = astronaut
    sums = Sums()
    score_still(sums, "jitter px", made, [astronaut] * 3, [places_of(dots, face)] * 3, dots)
    assert sums.mean("missing %") == 100
    assert np.isnan(sums.mean("jitter px"))


@pytest.mark.parametrize("late", [0, 1])
def test_a_delay_is_measured(astronaut: Image, face: Landmarks, late: int) -> None:
    away = 12 * path(24, 25.0)
    dots, frames = dots_of(face), shifted(astronaut, away)
    sums = Sums()
    score_path(sums, wear(Strip("a", frames, 0.04), dots, Following(away, late)), frames, dots, away)
    assert sums.mean("lag frames") == pytest.approx(late, abs=0.1)
    assert sums.mean("path px") < 0.6


def test_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "val").mkdir()
    make_clip(tmp_path / "val" / "demo.mp4", Clip(frames=8, size=(256, 256)))
    make_clip(tmp_path / "val" / "wall.mp4", Clip(frames=3, size=(256, 256), blank=True))
    monkeypatch.setenv("LIVERY_PORTRAITS", str(tmp_path))
    monkeypatch.setenv("LIVERY_RESULTS", str(tmp_path / "made"))
    for name, value in (("STILL", 5), ("WARM_UP", 2), ("PATH", 10)):
        monkeypatch.setattr(part, name, value)
    args = argparse.Namespace(clips=None, frames=None, stride=None, size=256, out="tried")
    held = part.measure(args, [Livery("livery (default)", "classical")])
    assert [(row["row"], row["light"]) for row in held["stillness"]] == [
        ("livery (default)", "bright"), ("livery (default)", "dark"),
    ]  # fmt: skip
    for row in held["stillness"]:
        assert 0 <= row["held px"] < 1.5
        assert -1 <= row["lag frames"] <= 1
        assert row["missing %"] < 50
    assert len(list((tmp_path / "made" / "tried-sheets").glob("demo-*.jpg"))) == 2
