"""The benchmark's rows: what sets StreamEdit's manner and the ablations apart from the network whole."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.matching.fixed_edits import edited_window, lipstick
from benchmarks.matching.measures import KnownPair, TrackedClip, _cycle, measure_truth, measure_windows
from benchmarks.matching.methods import STREAM_EDIT, ablations, factories, find, match_window, models
from benchmarks.matching.tally import Sums
from benchmarks.matching.truth import truth_pair
from correspondence import Image, Landmarks, detect_landmarks

Scene = tuple[Image, Landmarks, Image, Landmarks]


@pytest.fixture(scope="module")
def scene() -> Scene:
    """The demo's face, and a frame in which it has moved 6 pixels to the left."""
    from skimage import data

    image = np.ascontiguousarray(data.astronaut()[0:320, 60:380])
    frame = np.ascontiguousarray(data.astronaut()[0:320, 66:386])
    found = detect_landmarks(image)
    assert found is not None
    return image, found, frame, Landmarks(found.points - np.array([6, 0, 0], np.float32), found.image_size)


def test_every_row_has_a_name_of_its_own() -> None:
    rows = factories()
    assert list(rows)[:3] == ["copy", "landmark-only", "DIS ultrafast"]
    assert STREAM_EDIT in rows
    assert all(rows[name]().name == name for name in ("copy", "classical", STREAM_EDIT, "ours xs2"))
    with pytest.raises(ValueError, match=r"'CoDeF'.*choose from copy"):
        find("CoDeF")


def test_streamedit_has_our_field_and_another_doubt(scene: Scene) -> None:
    image, there, frame, here = scene
    ours, theirs = find("ours xs2"), find(STREAM_EDIT)
    matches = [m.match(frame, m.prepare(image, there), here, None) for m in (ours, theirs)]
    np.testing.assert_allclose(matches[0].field, matches[1].field, atol=1e-4)
    assert np.median(matches[0].field[60:-60, 60:-60, 0]) == pytest.approx(6, abs=0.5)
    assert np.abs(matches[0].log_b - matches[1].log_b).mean() > 0.3
    assert (ours.mode, theirs.mode) == ("auto", "replace")
    drawn = np.random.default_rng(0).laplace(0, 4.0, (4000, 2))
    assert theirs.scale_offset(np.abs(drawn), np.zeros(4000)) == pytest.approx(np.log(4), abs=0.1)
    assert ours.scale_offset(np.abs(drawn), np.zeros(4000)) == 0


def test_ablations_take_one_thing_away_each(scene: Scene) -> None:
    image, there, frame, here = scene
    rows = {row.name: row for row in ablations(*models()[0])}
    fields = {n: r.match(frame, r.prepare(image, there), here, None) for n, r in rows.items()}
    whole = fields.pop("ours xs2")
    assert len(fields) == 3
    assert fields["ours xs2, no landmarks"].landmarks is None
    for name, match in fields.items():
        change = np.abs(match.field - whole.field).mean() + np.abs(match.log_b - whole.log_b).mean()
        assert change > 0.01, name
        assert np.median(match.field[60:-60, 60:-60, 0]) == pytest.approx(6, abs=0.5)
    np.testing.assert_allclose(fields["ours xs2, its own log_b"].field, whole.field, atol=1e-4)


def test_the_way_there_and_back_closes_for_the_truth() -> None:
    field = np.full((40, 40, 2), (3.0, -2.0), np.float32)
    assert _cycle(field, -field).max() < 1e-4
    assert _cycle(field, 0 * field).mean() == pytest.approx(np.hypot(3, 2))


def test_known_truth_is_judged_in_every_column(scene: Scene) -> None:
    image, there, _, _ = scene
    pair = truth_pair(image, image[::-1], np.random.default_rng(2))
    sums = Sums()
    measure_truth(find("classical"), [KnownPair(pair, there, None, there, -pair.field)], sums)
    assert {"EPE", "EPE lm", "out%", "AUSE", "AUSE cyc", "AUROC", "AUROC cyc", "cov", "covered 0.5"} <= set(
        sums.values
    )
    assert 0 <= sums.mean("cov") < 0.6
    assert 0.4 < sums.mean("AUROC") <= 1


def test_windows_are_judged_apart_and_told_to_a_matcher_that_uses_them(scene: Scene) -> None:
    image, there, frame, here = scene
    clip, sums = TrackedClip("demo", [image, frame], [there, here]), Sums()
    measure_windows(find("copy"), clip, 1, sums)
    still = {name: sums.mean(f"PSNR {name}") for name in ("lipstick", "tiger", "mark")}
    sums = Sums()
    measure_windows(find("classical"), clip, 1, sums)
    for name, before in still.items():
        assert sums.mean(f"PSNR {name}") > before + 3, "the field undoes the motion within the window"
    window = edited_window(frame, lipstick(frame, here))
    assert window is not None
    classical = find("classical")
    state = classical.prepare(image, there)
    told = match_window(classical, frame, state, here, window)
    whole = classical.match(frame, state, here, None)
    assert not np.array_equal(told.field, whole.field)
    x0, y0, x1, y1 = window
    np.testing.assert_allclose(told.field[y0:y1, x0:x1], whole.field[y0:y1, x0:x1], atol=1.5)
