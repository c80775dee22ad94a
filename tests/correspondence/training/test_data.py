"""The cache must give back what went in, and never mix the held-out sources with the rest."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from correspondence import Float, Image
from correspondence.training import data, licences
from tests.correspondence.material import checker


def test_landmarks_survive_the_cache(tmp_path: Path, rng: np.random.Generator) -> None:
    points = rng.uniform(-20, 280, (7, 478, 3)).astype(np.float32)
    coded = data.encode_points([*points[:3], None, *points[4:]])
    data.write_points(tmp_path / "landmarks.xz", coded)
    again = data.decode_points(data.read_points(tmp_path / "landmarks.xz"))
    assert np.isnan(again[3]).all()
    kept = [0, 1, 2, 4, 5, 6]
    assert np.abs(again[kept] - points[kept]).max() <= 0.5 / data.STEPS + 1e-5


def test_the_hold_out_is_fixed_and_about_a_tenth() -> None:
    sizes = {f"source{i}": 10 + 7 * (i % 13) for i in range(60)}
    held = data.hold_out(sizes)
    assert held == data.hold_out(dict(reversed(sizes.items())))
    assert 0.07 < sum(sizes[g] for g in held) / sum(sizes.values()) < 0.13
    assert held != data.hold_out(sizes, seed=1)


def test_one_huge_source_stays_in_training() -> None:
    assert "huge" not in data.hold_out({"huge": 1000, **{f"s{i}": 10 for i in range(30)}})


def test_a_picture_is_fitted_to_the_grid_from_its_middle() -> None:
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 20:60] = 200
    assert data.fit(picture).min() == 200


def test_prepare_and_load(tmp_path: Path) -> None:
    portraits, cache = tmp_path / "portraits", tmp_path / "cache"
    _write_portraits(portraits)
    data.prepare(portraits, cache, _detect)
    train, held = (data.load(cache, part) for part in ("train", "calibration"))
    names = {c.name for c in train}
    assert names.isdisjoint(c.name for c in held)
    assert {c.group for c in train}.isdisjoint(c.group for c in held)
    assert len(train) + len(held) == 14
    clip = next(c for c in train + held if c.name == "train/001.mp4")
    assert clip.frames.shape == (5, 256, 256, 3)
    assert list(clip.faces) == [0, 1, 3, 4]
    assert clip.points[1, 5, 0] == pytest.approx(clip.frames[1].mean(), abs=0.1)
    half = next(
        c for c in data.load(cache, "train", 2) + data.load(cache, "calibration", 2) if c.name == clip.name
    )
    assert np.array_equal(half.frames, clip.frames[::2])


def test_only_permitted_material_is_prepared(tmp_path: Path) -> None:
    portraits, cache = tmp_path / "portraits", tmp_path / "cache"
    _write_portraits(portraits)
    data.prepare(portraits, cache, _detect, allowed=licences.parse("mit,cc-by"))
    kept = data.load(cache) + data.load(cache, "calibration")
    assert {c.name for c in kept} == {f"train/{number:03d}.mp4" for number in range(1, 7)}
    assert len(list((cache / "clips").iterdir())) == 6, "nothing else is copied"
    with pytest.raises(ValueError, match=r"nothing is under apache-2\.0.*CC BY 4\.0, CC BY-NC, none stated"):
        data.prepare(portraits, tmp_path / "other", _detect, allowed=licences.parse("apache-2.0"))
    assert not (tmp_path / "other").exists(), "refused before the work"


def test_only_permitted_material_of_a_cache_is_trained_on(tmp_path: Path) -> None:
    portraits, cache = tmp_path / "portraits", tmp_path / "cache"
    _write_portraits(portraits)
    data.prepare(portraits, cache, _detect)
    allowed = licences.parse("CC BY-NC")
    kept = data.load(cache, allowed=allowed) + data.load(cache, "calibration", allowed=allowed)
    assert {c.name for c in kept} == {f"stills/{number:03d}.jpg" for number in range(1, 5)}
    clip = data.load(cache, allowed=licences.parse("cc-by"))[0]
    whole = next(c for c in data.load(cache) + data.load(cache, "calibration") if c.name == clip.name)
    assert np.array_equal(clip.points, whole.points, equal_nan=True), "each keeps its own landmarks"


@pytest.mark.parametrize(
    ("wanted", "stated", "permitted"),
    [
        ("cc-by", "CC BY 4.0", True), ("cc-by", "CC BY-NC 4.0", False), ("cc-by-4.0", "CC BY 3.0", False),
        ("mit", "MIT", True), ("apache-2.0", "Apache-2.0", True), ("gpl", "GPL-3.0", True),
        ("mit", "none stated", False), ("mit", "", False), ("cc-by", "non-commercial research", False),
    ],
)  # fmt: skip
def test_a_licence_is_permitted_by_its_own_name_alone(wanted: str, stated: str, permitted: bool) -> None:
    assert licences.permits(licences.parse(wanted), stated) == permitted


@pytest.mark.parametrize("wrong", ["", " , ", "none", "mit,none stated"])
def test_a_list_that_permits_the_unlicensed_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"name at least one licence|is no licence"):
        licences.parse(wrong)


def test_loading_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no training cache in .*--prepare"):
        data.load(tmp_path)
    with pytest.raises(ValueError, match="'val'"):
        data.load(tmp_path, "val")
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    with pytest.raises(ValueError, match=r"bad\.mp4"):
        list(data.read_video(tmp_path / "bad.mp4"))


def _detect(frames: Iterable[Image]) -> Iterator[Float | None]:
    """Stands for FaceMesh: every third frame shows no face; the points carry the frame's mean."""
    for number, frame in enumerate(frames):
        yield None if number == 2 else np.full((478, 3), frame.mean(), np.float32)


def _write_portraits(folder: Path) -> None:
    for name in ("train", "stills"):
        (folder / name).mkdir(parents=True)
    rows = []
    for clip in range(1, 11):
        writer = cv2.VideoWriter(
            str(folder / f"train/{clip:03d}.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (256, 256)
        )
        for number in range(5):
            writer.write(np.full((256, 256, 3), 40 + 12 * number + clip, np.uint8))
        writer.release()
        said = "CC BY 4.0" if clip <= 6 else "none stated"
        rows.append({"file": f"train/{clip:03d}.mp4", "source_repo": f"source{clip}", "licence": said})
    for still in range(1, 5):
        cv2.imwrite(str(folder / f"stills/{still:03d}.jpg"), checker(200 + 30 * still))
        rows.append(
            {"file": f"stills/{still:03d}.jpg", "source_repo": f"photos{still % 2}", "licence": "CC BY-NC"}
        )
    with (folder / "MANIFEST.csv").open("w", newline="") as file:
        writer_csv = csv.DictWriter(file, ["file", "source_repo", "licence"])
        writer_csv.writeheader()
        writer_csv.writerows(rows)
