"""A crowd that opens sessions, and links in the data folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream.looks.look import Look
from stream.storage.config import StorageConfig
from stream.storage.disk import write_file
from stream.storage.keys import Keys
from stream.storage.storage import FOLDER, Storage
from tests.stream.storage.material import edited, look, snapshot


def test_a_crowd_of_empty_sessions_drives_nobodys_work_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each session that was opened used to be kept for days, however many there were."""
    monkeypatch.setattr("stream.storage.storage.MOST_SESSIONS", 4)
    storage = Storage(StorageConfig(folder=tmp_path))
    storage.write("work", Keys.issue()[0], snapshot(look(1, "Look 1", edited(1))))
    storage.live.add("used")
    for session in ("used", *(f"empty-{number}" for number in range(6))):
        storage.write(session, Keys.issue()[0], snapshot(Look(1, "Look 1")))
    assert storage.stored == ["work", "used", "empty-4", "empty-5"]
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == set(storage.stored)
    storage.close()


@pytest.mark.skipif(os.name != "posix", reason="links need no leave there")
def test_links_in_the_store_lead_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.png").write_bytes(b"mine")
    Storage(StorageConfig(folder=folder)).close()
    (folder / FOLDER / "abcdef").symlink_to(elsewhere)
    Storage(StorageConfig(folder=folder)).close()  # what belongs to no session is cleared away
    assert (elsewhere / "mine.png").read_bytes() == b"mine"
    (folder / ".a.json.part").symlink_to(elsewhere / "mine.png")
    write_file(folder / "a.json", b"ours")
    assert (folder / "a.json").read_bytes() == b"ours"
    assert (elsewhere / "mine.png").read_bytes() == b"mine"
