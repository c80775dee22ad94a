from __future__ import annotations

import cv2
import numpy as np

from benchmarks.matching.methods import Dis, Method
from benchmarks.replacement import Score, blend, fair, reconstruct
from correspondence import Image
from tests.reference.helpers import translated

DIS: Method = Dis("DIS", cv2.DISOPTICAL_FLOW_PRESET_FAST)


def test_a_bank_gives_back_a_view_that_was_seen(astronaut: Image) -> None:
    near = cv2.resize(astronaut, (128, 128), interpolation=cv2.INTER_AREA)
    far = np.ascontiguousarray(near[::-1])  # upside down: no flow leads there
    frames = [near, far, translated(far, 1, 0), near.copy(), far.copy()]
    scores = [Score(), Score()]
    for bank, score in zip((False, True), scores, strict=True):
        reconstruct(frames, [None] * len(frames), DIS, 25.0, bank, score)
    assert scores[0].replaced == 3  # each time it turns
    assert scores[1].replaced == 1
    assert np.mean(scores[1].psnr) > np.mean(scores[0].psnr) + 5
    assert scores[1].row()["replaced / 100"] == 25


def test_each_pixel_comes_from_the_warp_that_explains_it(astronaut: Image) -> None:
    frame = np.ascontiguousarray(astronaut[:128, :128])
    left, right = frame.copy(), frame.copy()
    left[:, 64:] = 0
    right[:, :64] = 0
    mixed = blend([left, right], frame).astype(int)
    assert np.abs(mixed - frame)[:, :56].max() <= 2
    assert np.abs(mixed - frame)[:, 72:].max() <= 2


def test_a_bank_may_not_replace_more_often() -> None:
    def row(name: str, limit: float, replaced: float) -> dict[str, object]:
        return {"size": 256, "row": name, "limit dB": limit, "replaced / 100": replaced}

    rows = [
        row("DIS, replacement", 30, 5),
        row("DIS, bank", 30, 3),
        row("DIS, bank", 31, 5),
        row("DIS, bank", 32, 7),
    ]
    assert [r["limit dB"] for r in fair(rows, 256)] == [30, 31]
