"""The documentation's pictures: drawn from results and from a made pair, and where asked."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from benchmarks import figures
from benchmarks.matching.measures import LEVELS
from benchmarks.matching.methods import Copy
from benchmarks.matching.truth import truth_pair
from correspondence import Image


def test_calibration_shows_the_rows_it_is_asked_for(tmp_path: Path) -> None:
    row = {
        "AUROC": 0.9,
        "AUSE": 0.1,
        "AUROC cyc": 0.8,
        "AUSE cyc": 0.2,
        "covered": list(LEVELS),
    }
    pictures = []
    for name in ("thorough", "another"):
        figures.draw_calibration([row | {"method": name}], tmp_path / f"{name}.png")
        pictures.append(np.asarray(cv2.imread(str(tmp_path / f"{name}.png")), np.uint8))
    assert pictures[0].shape == pictures[1].shape
    assert (pictures[0] != pictures[1]).any(), "a row that is none of ROWS is left out"


def test_fields_have_a_column_for_each_method(tmp_path: Path, astronaut: Image) -> None:
    pair = truth_pair(astronaut, astronaut[::-1].copy(), np.random.default_rng(0))
    widths = []
    for count in (1, 2):
        figures.draw_fields(pair, [Copy()] * count, tmp_path / "fields.png")
        widths.append(np.asarray(cv2.imread(str(tmp_path / "fields.png"))).shape[1])
    assert widths[1] == 1.5 * widths[0]
