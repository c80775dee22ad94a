"""What is kept comes back, what is damaged costs itself only, what is forgotten is gone."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reference.looks.layers import PaintLayer, PresetLayer
from stream.errors import StartError
from stream.storage import database
from stream.storage.config import StorageConfig
from stream.storage.errors import StorageError
from stream.storage.keys import SHARED, Keys
from stream.storage.storage import DATABASE, FOLDER, Storage
from tests.stream.storage.material import edited, look, noise, snapshot

DAY_S = 86_400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def opened(folder: Path, **more: float) -> Storage:
    return Storage(StorageConfig(folder=folder, **more))  # type: ignore[arg-type]


@pytest.fixture
def storage(folder: Path) -> Iterator[Storage]:
    storage = opened(folder)
    yield storage
    storage.close()


def keep(storage: Storage, session: str, *seeds: int) -> Keys:
    """A session with a look for each seed."""
    keys, _ = Keys.issue()
    storage.write(session, keys, snapshot(*(look(n, f"Look {n}", edited(n)) for n in seeds)))
    return keys


def test_everything_of_a_session_comes_back(folder: Path) -> None:
    storage = opened(folder)
    keys, token = Keys.issue()
    red = PresetLayer(name="lipstick", colour="#c0183a", strength=0.8, shown=False)
    paint = PaintLayer(rgba=np.dstack([noise(5), noise(6)[..., 0]]))
    first, second = look(3, "Évening", edited(1, paint, red), edited(2)), look(5, "Plain")
    storage.write("one", keys, snapshot(first, second, active=5))
    storage.close()
    again = opened(folder)
    stored = again.read("one")
    again.close()
    assert stored is not None
    assert stored.problems == ()
    assert stored.keys.allows(token, "own")
    kept = stored.snapshot
    assert [(each.id, each.name, each.mode, each.strength) for each in kept.looks] == [
        (3, "Évening", "delta", 0.7), (5, "Plain", "delta", 0.7),
    ]  # fmt: skip
    assert (kept.active, kept.overlay, kept.enabled) == (5, "confidence", True)
    before, after = first.pictures.edits, kept.looks[0].pictures.edits
    top = after[0].preset
    assert top is not None
    assert (top.name, top.colour, top.strength, top.shown, top.id) == (
        "lipstick", "#c0183a", 0.8, False, red.id,
    )  # fmt: skip
    assert [layer.kind for layer in after[0].layers] == ["picture", "paint", "preset"]
    for was, now in zip(before[0].layers, after[0].layers, strict=True):
        assert (was.id, was.version) == (now.id, now.version)
        if was.pixels is not None:
            assert now.pixels is not None
            assert np.array_equal(was.pixels, now.pixels)
    for old, new in zip(before, after, strict=True):
        assert (old.version, old.note) == (new.version, new.note)
        assert np.array_equal(old.image, new.image)
        assert old.was is not None
        assert new.was is not None
        assert np.array_equal(old.was.edited, new.was.edited)
        assert np.array_equal(old.reference.image, new.reference.image)
        assert old.reference.landmarks is not None
        assert new.reference.landmarks is not None
        assert np.array_equal(old.reference.landmarks.points, new.reference.landmarks.points)
        assert new.reference.taken_s == pytest.approx(old.reference.taken_s, abs=1e-3)
    assert kept.looks[0].pictures.reference is after[0].reference, "shared as before"


def test_nothing_on_the_disk_gives_a_token_and_nobody_else_may_read_it(folder: Path) -> None:
    storage = opened(folder)
    keys, token = Keys.issue()
    storage.write("one", keys, snapshot(look(1, "Look 1", edited(1))))
    secrets = [token, *(keys.token(token, right) for right in SHARED)]
    storage.close()
    paths = list(folder.rglob("*"))
    assert len(paths) >= 6
    for path in [folder, *paths]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
        if path.is_file():
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], path


def test_each_right_has_a_token_that_can_be_made_void() -> None:
    keys, token = Keys.issue()
    view = keys.token(token, "view")
    assert [keys.right(each) for each in (token, view, "wrong", "")] == ["own", "view", None, None]
    assert keys.allows(token, "edit")
    assert not keys.allows(view, "edit")
    assert not keys.allows(keys.token(token, "publish"), "view")
    renewed = keys.renewed(token, "view")
    assert renewed.right(view) is None
    assert renewed.right(renewed.token(token, "view")) == "view"
    assert renewed.token(token, "edit") == keys.token(token, "edit")
    assert Keys.from_json(json.loads(json.dumps(keys.to_json()))) == keys


def test_pictures_of_older_states_go(storage: Storage, folder: Path) -> None:
    keys = keep(storage, "one", 1)
    before = set((folder / FOLDER / "one").glob("*.png"))
    storage.write("one", keys, snapshot(look(1, "Look 1", edited(2))))
    after = set((folder / FOLDER / "one").glob("*.png"))
    assert len(before) == len(after) == 3
    assert not before & after


def test_a_damaged_picture_costs_its_keyframe_only(folder: Path) -> None:
    storage = opened(folder)
    first, second = edited(1), edited(2)
    keys, _ = Keys.issue()
    storage.write("one", keys, snapshot(look(1, "Both", first, second), look(2, "Other", edited(3))))
    name = storage._names["one"]["edit", second.version]
    path = folder / FOLDER / "one" / f"{name}.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    storage.close()
    again = opened(folder)
    stored = again.read("one")
    again.close()
    assert stored is not None
    assert [len(each.pictures.edits) for each in stored.snapshot.looks] == [1, 1]
    assert np.array_equal(stored.snapshot.looks[0].pictures.edits[0].image, first.image)
    assert stored.problems == ("the look “Both”, keyframe 2: its picture is damaged",)


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b""])
def test_a_damaged_database_costs_nothing_that_has_a_copy(folder: Path, damage: bytes) -> None:
    storage = opened(folder)
    one, two = keep(storage, "one", 1), keep(storage, "two", 2)
    storage.close()
    path = folder / DATABASE
    content = path.read_bytes()
    path.write_bytes(damage + content[len(damage) :] if damage else content[: len(content) // 2])
    (folder / FOLDER / "two" / "row.json").write_text("{}")
    again = opened(folder)
    try:
        assert again.keys("one") == one
        stored = again.read("one")
        assert stored is not None
        assert stored.problems == ()
        assert again.keys("two") is None
        assert "two" in again.lost, "so that its owner can be told"
        assert two
        assert len(list(folder.glob(f"{DATABASE}.damaged-*"))) == 1
    finally:
        again.close()


def test_a_changed_row_is_found_out_and_its_copy_used(folder: Path) -> None:
    storage = opened(folder)
    keep(storage, "one", 1)
    keep(storage, "two", 2)
    storage.close()
    with sqlite3.connect(folder / DATABASE) as db:
        db.execute("UPDATE session SET record = replace(record, 'Look 1', 'Look X') WHERE id = 'one'")
        db.execute("UPDATE session SET keys = '{}' WHERE id = 'two'")
    db.close()
    again = opened(folder)
    try:
        first, second = again.read("one"), again.read("two")
        assert first is not None
        assert second is not None
        assert first.snapshot.looks[0].name == "Look 1"
    finally:
        again.close()


def test_a_newer_database_is_refused_and_left_alone(folder: Path) -> None:
    opened(folder).close()
    with sqlite3.connect(folder / DATABASE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StartError, match=r"newer Livery.*--data"):
        opened(folder)
    assert not list(folder.glob("*.damaged-*"))


def test_an_older_database_is_brought_up_to_date(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = opened(folder)
    keys = keep(storage, "one", 1)
    storage.close()
    more = "ALTER TABLE lost ADD COLUMN why TEXT; CREATE INDEX used ON session (used_s);"
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, more))
    again = opened(folder)
    assert again.keys("one") == keys
    again.close()
    with sqlite3.connect(folder / DATABASE) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(database.MIGRATIONS),)
        assert db.execute("SELECT why FROM lost").fetchall() == []
    db.close()


def test_a_folder_in_use_or_without_leave_is_named(
    storage: Storage, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StartError, match=r"used by another Livery server.*--no-store"):
        opened(folder)

    def refuse(path: Path, *more: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StartError, match=r"elsewhere \(Read-only file system\).*--data.*--no-store"):
        opened(tmp_path / "elsewhere")


@pytest.mark.parametrize("part", ["picture", "row"])
def test_a_full_disk_keeps_the_old_state(folder: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    storage = opened(folder)
    keys = keep(storage, "one", 1)

    def full(*arguments: object, **more: object) -> None:
        if part == "picture":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        if part == "picture":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(storage._database, "write", full)
        with pytest.raises(StorageError, match="the disk is full: free some space"):
            storage._guarded(storage.write, "one", keys, snapshot(look(1, "New", edited(9))))
    assert not list(folder.rglob("*.part"))
    storage.close()
    again = opened(folder)
    stored = again.read("one")
    assert stored is not None
    assert stored.snapshot.looks[0].name == "Look 1"
    again._guarded(again.write, "one", keys, snapshot(look(1, "New", edited(9))))
    again.close()


def test_a_full_store_gives_up_what_was_unused_longest(folder: Path) -> None:
    storage = opened(folder, max_mib=16)
    keys, _ = Keys.issue()

    def write(session: str, seed: int) -> None:
        storage.write(session, keys, snapshot(look(1, "Large", edited(seed, size=(900, 900)))))

    write("oldest", 1)  # 7.3 MB each
    assert not storage.nearly_full
    write("old", 2)
    assert storage.nearly_full
    storage.touch("oldest")
    write("new", 3)
    assert storage.keys("old") is None, "the one unused longest went"
    assert not (folder / FOLDER / "old").exists()
    assert storage.keys("oldest") is not None
    storage.live = {"oldest", "new"}
    with pytest.raises(StorageError, match=r"full \(16 MiB, all of it in use\).*--data-mib"):
        write("more", 4)
    assert storage.keys("more") is None
    storage.close()


def test_what_is_unused_for_long_is_deleted(folder: Path) -> None:
    storage = opened(folder, keep_days=2)
    keep(storage, "old", 1)
    keep(storage, "new", 2)
    storage._database.touch("old", storage._rows["old"].used_s - 2.1 * DAY_S)
    storage.close()
    again = opened(folder, keep_days=2)
    try:
        assert again.keys("old") is None
        assert again.keys("new") is not None
        assert not (folder / FOLDER / "old").exists()
    finally:
        again.close()


def test_forgotten_means_gone(folder: Path) -> None:
    storage = opened(folder)
    keep(storage, "gone", 1)
    keep(storage, "stays", 2)
    text = (folder / FOLDER / "gone" / "row.json").read_text()
    landmarks = json.loads(text)["row"]["record"]["references"].popitem()[1]["landmarks"]
    storage.forget("gone")
    for path in folder.rglob("*"):
        assert "gone" not in path.name
        if path.is_file():
            assert landmarks[:200].encode() not in path.read_bytes(), path
    storage.close()


def test_what_belongs_to_nobody_is_cleared_away_but_not_what_is_not_ours(folder: Path) -> None:
    storage = opened(folder)
    keep(storage, "one", 1)
    storage.close()
    stray = folder / FOLDER / "stray"
    stray.mkdir()
    (stray / "row.json").write_text("{}")
    (stray / "diary.txt").write_text("mine")
    (folder / FOLDER / "one" / ".abc.png.part").write_bytes(b"half")
    again = opened(folder)
    again.close()
    assert [path.name for path in stray.iterdir()] == ["diary.txt"]
    assert np.array_equal(noise(1), noise(1))
