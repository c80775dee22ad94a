"""All rows wear an edit, another checkout's code among them, and a wrong choice is refused."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest

import reference
from benchmarks.common import ROOT
from benchmarks.moment_parts.rows import rows_of
from benchmarks.moments import configure
from correspondence import Image, Landmarks, Matcher
from reference import Edit, PropagatorConfig, presets
from reference.propagate.propagator import Tracker
from stream.offline.files import REFERENCES


def options(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    configure(parser)
    return parser.parse_args(argv)


def test_each_row_wears_the_edit(astronaut: Image, face: Landmarks) -> None:
    args = options("--matcher", "classical", "--one-reference", "--beside", sys.executable, str(ROOT))
    frames, edited = [astronaut] * 2, presets.apply("tiger", astronaut, face)
    painted = np.abs(edited.astype(int) - astronaut).max(axis=2) > 30
    made = {row.name: row.wear(frames, edited, 0.04) for row in rows_of(args)}
    assert len(made) == 5
    for images in made.values():
        assert [image.shape for image in images] == [astronaut.shape] * 2
        assert np.abs(images[1].astype(int) - edited)[painted].mean() < 12
        assert np.abs(images[1].astype(int) - astronaut)[painted].mean() > 30
    own, other = (list(made.values())[i] for i in (0, 2))
    np.testing.assert_array_equal(own[1], other[1])


def test_the_users_own_keyframe_is_matched_beside_a_made_one(
    astronaut: Image, face: Landmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a session with time to spare and in file mode, so that the figures tell what users see."""
    configs: list[PropagatorConfig] = []

    class Noting(reference.Propagator):
        def __init__(self, edit: Edit, matcher: Matcher, tracker: Tracker, config: PropagatorConfig) -> None:
            super().__init__(edit, matcher, tracker, config)
            configs.append(config)

    monkeypatch.setattr(reference, "Propagator", Noting)
    args = options("--matcher", "classical")
    rows_of(args)[0].wear([astronaut], presets.apply("lipstick", astronaut, face), 0.04)
    keeping = configs[0].references
    assert keeping is not None
    assert keeping.make
    assert keeping.pair_match_s == REFERENCES.pair_match_s > 1


def test_a_folder_without_a_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder with a checkout"):
        rows_of(options("--beside", sys.executable, str(tmp_path)))


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("--parts", "looks,hats")
    assert "there is no part 'hats'; there are cover, looks" in capsys.readouterr().err
