"""Sessions go from one store to another: given up by one, or left behind by a server that has died."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reference.keyframes import keyframe
from stream.storage.config import StorageConfig
from stream.storage.errors import DamagedError, StorageError
from stream.storage.keys import Keys
from stream.storage.pictures import ROW_COPY
from stream.storage.storage import DATABASE, FOLDER, Storage, discard, session_folders
from tests.stream.storage.material import edited, look, snapshot


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[Storage, Storage]]:
    both = tuple(Storage(StorageConfig(folder=tmp_path / name, max_mib=16)) for name in ("here", "there"))
    yield both[0], both[1]
    for storage in both:
        storage.close()


def keep(storage: Storage, session: str) -> str:
    """A session with two looks. Returns its owner's token."""
    keys, token = Keys.issue()
    storage.write(session, keys, snapshot(look(3, "One", edited(1)), look(7, "Two", edited(2)), active=7))
    return token


def test_what_is_given_up_comes_back_whole_elsewhere(stores: tuple[Storage, Storage]) -> None:
    here, there = stores
    token = keep(here, "moved")
    keep(here, "stays")
    folder = here.give("moved")
    assert (here.stored, here.keys("moved")) == (["stays"], None)
    there.adopt(folder)
    assert not folder.exists()
    stored = there.read("moved")
    assert stored is not None
    assert stored.problems == ()
    assert stored.keys.allows(token, "own")
    assert [each.name for each in stored.snapshot.looks] == ["One", "Two"]
    assert stored.snapshot.active == 7
    assert np.array_equal(stored.snapshot.looks[1].pictures.edits[0].edit.edited, edited(2).edit.edited)
    with pytest.raises(DamagedError, match="not stored"):
        here.give("moved")
    assert here.read("moved") is None
    assert [path.name for path in session_folders(here.config.folder)] == ["stays"]


def test_what_a_dead_server_left_is_adopted_while_its_database_says_otherwise(tmp_path: Path) -> None:
    dead = Storage(StorageConfig(folder=tmp_path / "dead"))
    keep(dead, "left")
    there = Storage(StorageConfig(folder=tmp_path / "there"))
    (folder,) = session_folders(tmp_path / "dead")  # the dead one's lock does not matter
    there.adopt(folder)
    assert there.read("left") is not None
    dead.close()
    discard(tmp_path / "dead")
    assert not (tmp_path / "dead").exists()
    there.close()
    again = Storage(StorageConfig(folder=tmp_path / "there"))
    assert again.stored == ["left"]
    again.close()


def test_ids_of_an_adopted_session_are_not_given_again(
    stores: tuple[Storage, Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process may have begun later, so that its ids are higher than those given here."""
    here, there = stores
    keep(here, "moved")
    folder = here.give("moved")
    monkeypatch.setattr(keyframe, "_ids", itertools.count(1))
    first = int(time.time() * 10)  # no process that began before now has given this one
    there.adopt(folder)
    assert keyframe.next_id() >= first


@pytest.mark.parametrize("damage", ["missing", "other", "broken"])
def test_a_damaged_one_stays_where_it_is(stores: tuple[Storage, Storage], damage: str) -> None:
    here, there = stores
    keep(here, "bad")
    folder = here.give("bad")
    row = folder / ROW_COPY
    if damage == "missing":
        row.unlink()
    elif damage == "other":
        folder = folder.rename(folder.with_name("another"))
    else:
        row.write_text(row.read_text(encoding="utf-8").replace("lipstick", "x")[:-9], encoding="utf-8")
    with pytest.raises(DamagedError):
        there.adopt(folder)
    assert folder.is_dir()
    assert there.stored == []
    discard(here.config.folder)
    assert folder.is_dir(), "a store that still holds something is not deleted"


def test_one_that_cannot_be_moved_is_in_neither_index(stores: tuple[Storage, Storage]) -> None:
    here, there = stores
    keep(here, "moved")
    folder = here.give("moved")
    (there.config.folder / FOLDER / "moved").mkdir()
    (there.config.folder / FOLDER / "moved" / "in the way").touch()
    with pytest.raises((OSError, StorageError)):
        there.adopt(folder)
    assert there.stored == []
    assert there.read("moved") is None
    assert folder.is_dir()


def test_a_store_with_other_peoples_files_is_not_deleted(tmp_path: Path) -> None:
    storage = Storage(StorageConfig(folder=tmp_path / "old"))
    storage.close()
    (tmp_path / "old" / "letter").touch()
    discard(tmp_path / "old")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["letter"]
    discard(tmp_path / "never was")
    assert not (tmp_path / DATABASE).exists()
