"""The table of steps by the area of the edit."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common import ROOT
from benchmarks.matching.areas import SHARES, Stepper, compare, measure, painted, widescreen
from correspondence import Image, detect_landmarks


@pytest.mark.parametrize("share", SHARES)
def test_the_paint_covers_its_share_of_the_picture(astronaut: Image, share: float) -> None:
    frame = widescreen(astronaut, (480, 854))
    face = detect_landmarks(frame)
    assert face is not None
    changed = (painted(frame, face, share) != frame).any(axis=2).mean()
    assert changed == pytest.approx(share, rel=0.3)


def test_two_checkouts_take_turns(astronaut: Image) -> None:
    frames = [widescreen(np.roll(astronaut, k, axis=1), (240, 426)) for k in range(3)]
    face = detect_landmarks(frames[0])
    assert face is not None
    rows = measure(frames, painted(frames[0], face, 0.05), 3, [(sys.executable, ROOT)] * 2)
    assert len(rows) == 2
    assert all(0 < row["step"] <= row["p95"] for row in rows)
    assert all(row["cpu"] > 0 for row in rows)


def test_a_comparison_tells_both_and_their_ratio(astronaut: Image) -> None:
    frames = [widescreen(np.roll(astronaut, k, axis=1), (240, 426)) for k in range(2)]
    face = detect_landmarks(frames[0])
    assert face is not None
    row = compare(frames, painted(frames[0], face, 0.05), 2, (sys.executable, str(ROOT)))
    assert row["step ratio"] == pytest.approx(row["step"] / row["step before"])
    assert row["cpu ratio"] == pytest.approx(row["cpu"] / row["cpu before"])


def test_a_checkout_that_fails_says_why(tmp_path: Path) -> None:
    stepper = Stepper(sys.executable, tmp_path, (tmp_path / "none.npy", tmp_path / "none.npy"))
    with pytest.raises(RuntimeError, match="has no package correspondence"):
        stepper.step(0)
    stepper.close()
