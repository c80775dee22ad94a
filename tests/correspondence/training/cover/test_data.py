from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from correspondence import Landmarks
from correspondence.training.cover import data, occluders
from correspondence.training.cover.signing import hand_masks, hands_of
from correspondence.types import Float, Image
from tests.correspondence.cover.material import write_occluders


def hand_at(x: float, y: float, size: float) -> Float:
    """Landmarks of a spread hand, fingers up."""
    out = [(0.0, 0.0)]
    for finger, turn in enumerate((-0.9, -0.35, 0.0, 0.3, 0.6)):
        for joint in range(4):
            reach = (0.45 if finger else 0.35) + 0.2 * joint
            out.append((reach * np.sin(turn), -reach * np.cos(turn)))
    return (np.array(out) * size + (x, y)).astype(np.float32)


def test_what_is_held_out_is_marked_and_its_video_left_out(
    tmp_path: Path, astronaut: Image, face: Landmarks
) -> None:
    write_occluders(tmp_path / "o", astronaut)
    covers = {c.name: c for c in occluders.read_covers(tmp_path / "o")}
    assert set(covers) == {"hand_a", "hand_b", *(f"object_{i}" for i in range(6))}  # not hand_c
    assert {n for n, c in covers.items() if c.held} == {"hand_b", "object_4"}
    pictures = {p.name: p for p in occluders.read_pictures(tmp_path / "o", lambda image: face.points)}
    assert {n: p.held for n, p in pictures.items()} == {"cover_a": True, "cover_b": False}
    assert 0.05 < pictures["cover_a"].mask.mean() < 0.7


def test_a_cache_comes_back_as_it_was_made(tmp_path: Path, astronaut: Image, face: Landmarks) -> None:
    write_occluders(tmp_path / "o", astronaut)
    portraits = tmp_path / "p"
    for part in ("train", "val", "stills"):
        (portraits / part).mkdir(parents=True)
    bgr = cv2.cvtColor(astronaut, cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(portraits / "stills" / "a.jpg"), bgr)
    cv2.imwrite(str(portraits / "stills" / "b.jpg"), bgr)
    mouth = face.points[[13] * 21, :2]
    hands = iter([list[Float](), [mouth]])  # before the second face
    data.prepare(
        portraits, tmp_path / "o", tmp_path / "c", lambda image: next(hands), lambda image: face.points
    )
    faces = data.load_faces(tmp_path / "c" / "faces.npz")
    assert faces.names == ("stills/a.jpg", "stills/b.jpg")
    assert faces.clip.tolist() == [0]
    assert faces.images.shape == (1, occluders.POOL_SIDE, occluders.POOL_SIDE, 3)
    assert len(data.load_covers(tmp_path / "c" / "covers.npz")) == 8
    loaded = {p.name: p for p in data.load_pictures(tmp_path / "c" / "pictures.npz")}
    made = {p.name: p for p in occluders.read_pictures(tmp_path / "o", lambda image: face.points)}
    np.testing.assert_allclose(loaded["cover_a"].mask, made["cover_a"].mask, atol=0.01)
    np.testing.assert_allclose(loaded["cover_a"].points, made["cover_a"].points)


def test_only_permitted_material_reaches_the_cache(tmp_path: Path, astronaut: Image, face: Landmarks) -> None:
    write_occluders(tmp_path / "o", astronaut)
    portraits, cache = tmp_path / "p", tmp_path / "c"
    for part in ("train", "val", "stills"):
        (portraits / part).mkdir(parents=True)
    for name in ("a", "b"):
        cv2.imwrite(str(portraits / "stills" / f"{name}.jpg"), cv2.cvtColor(astronaut, cv2.COLOR_RGB2BGR))
    manifest = portraits / "MANIFEST.csv"
    manifest.write_text("file,licence\nstills/a.jpg,CC BY 4.0\nstills/b.jpg,CC BY-NC\n", encoding="utf-8")
    free = frozenset({"mit", "cc-by"})

    def prepare(out: Path, allowed: frozenset[str] | None) -> None:
        data.prepare(
            portraits, tmp_path / "o", out, lambda image: [], lambda image: face.points, None, allowed
        )

    with pytest.raises(ValueError, match="nothing is under cc-by, mit"):
        prepare(cache, free)  # nothing unseen
    clip = portraits / "val" / "v.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 25, (512, 512))
    writer.write(cv2.cvtColor(astronaut, cv2.COLOR_RGB2BGR))
    writer.release()
    with manifest.open("a", encoding="utf-8") as file:
        file.write("val/v.mp4,MIT\n")
    prepare(cache, free)
    assert data.load_faces(cache / "faces.npz").names == ("stills/a.jpg",)
    covers = {c.name: c.held for c in data.load_covers(cache / "covers.npz")}
    assert covers == {"object_0": False, "object_2": False, "object_4": True}  # held out as without a limit
    assert data.load_pictures(cache / "pictures.npz") == []
    data.check_licences(cache, free)
    data.check_licences(cache, None)
    data.check_licences(cache, frozenset({"mit", "cc-by", "apache-2.0"}))
    with pytest.raises(ValueError, match="holds material under cc-by, mit; make another with --prepare"):
        data.check_licences(cache, frozenset({"mit"}))
    prepare(cache, None)
    with pytest.raises(ValueError, match="holds material under any licence"):
        data.check_licences(cache, free)


def test_missing_folders_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"MANIFEST\.csv"):
        data.prepare(tmp_path, tmp_path, tmp_path / "c", lambda image: [], lambda image: None)
    with pytest.raises(ValueError, match="--hands"):
        hands_of(tmp_path / "none.task")
    for load in (data.load_faces, data.load_covers, data.load_pictures):
        with pytest.raises(ValueError, match="--prepare"):
            load(tmp_path / "none.npz")


def test_a_hand_is_found_along_its_bones() -> None:
    """A drawn hand, its landmarks along its fingers; the arm below it stays uncertain."""
    rng = np.random.default_rng(0)
    hand = hand_at(100, 130, 60)
    picture = np.full((200, 200, 3), (60, 90, 70), np.uint8)
    truth = np.zeros((200, 200), np.uint8)
    for finger in range(5):
        line = np.rint(hand[[0, *range(1 + 4 * finger, 5 + 4 * finger)]]).astype(np.int32)
        cv2.polylines(truth, [line], False, 1, 13)
    picture[truth > 0] = (205, 150, 120)
    picture = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    mask, unsure = hand_masks(picture, [hand])
    sure = unsure == 0
    assert (mask[sure & (truth > 0)] > 0).mean() > 0.97
    assert (mask[sure & (truth == 0)] > 0).mean() < 0.02
    assert unsure[185, 100] == 1
    assert not hand_masks(picture, [])[0].any()


def test_a_frame_among_frames_with_hands_does_not_count_as_uncovered(
    tmp_path: Path, astronaut: Image, face: Landmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("correspondence.training.data.read_video", lambda path: iter([astronaut] * 60))
    hands: list[list[Float]] = [[] for _ in range(20)]
    hands[8] = [hand_at(200, 150, 60)]  # in the ninth frame looked at
    seen = iter(hands)
    found = occluders.read_signing(
        [tmp_path / "clip.mp4"], lambda image: face.points, lambda image: next(seen)
    )
    numbers = [int(p.name.rpartition("-")[2]) // occluders.SIGNING_EVERY for p in found]
    assert numbers == [0, 1, 2, 3, 8, 13, 14, 15, 16, 17, 18, 19]
    assert [bool(p.mask.any()) for p in found] == [n == 8 for n in numbers]
