"""Kills a process that writes sessions, again and again, and looks what is on the disk then.

`python -m tests.stream.storage.killer FOLDER ROUNDS SEED` exits with 0 where nothing was lost that the
process had acknowledged, and nothing was damaged.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from stream.storage.config import StorageConfig
from stream.storage.keys import Keys
from stream.storage.storage import Storage
from tests.stream.storage.material import edited, look, noise, snapshot

SESSIONS = ("one", "two")
LONGEST_S = 0.1  # some writes


def write_without_end(folder: Path, keys: Keys, first: int, acknowledged: int) -> None:
    """Write state after state of two sessions; each number goes into the pipe once it is on the disk."""
    storage = Storage(StorageConfig(folder=folder))
    storage.live.update(SESSIONS)
    number = first
    while True:
        for session in SESSIONS:
            kept = snapshot(look(1, f"state {number}", edited(number)), look(2, "other", edited(number + 1)))
            storage.write(session, keys, kept)
        os.write(acknowledged, number.to_bytes(8, "big"))
        number += 1


def one_round(folder: Path, keys: Keys, first: int, states: int, life_s: float) -> int:
    """Run the writer until it has acknowledged some states and for a time more, and kill it.

    Returns:
        The last acknowledged number, 0 for none.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            write_without_end(folder, keys, first, writing)
        finally:
            os._exit(1)
    os.close(writing)
    data = b""
    while len(data) < 8 * states:
        part = os.read(reading, 65536)
        assert part, "the writer ended by itself"
        data += part
    time.sleep(life_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the writer ended by itself"
    while part := os.read(reading, 65536):
        data += part
    os.close(reading)
    return int.from_bytes(data[-8:], "big") if len(data) >= 8 else 0


def check(folder: Path, keys: Keys, acknowledged: int) -> int:
    """See that both sessions are whole and no older than what was acknowledged; returns the newest number."""
    storage = Storage(StorageConfig(folder=folder))
    newest = acknowledged
    for session in SESSIONS if acknowledged > 0 else ():
        stored = storage.read(session)
        assert stored is not None, f"{session} is lost"
        assert stored.keys == keys
        assert stored.problems == (), stored.problems
        number = int(stored.snapshot.looks[0].name.split()[1])
        assert number >= acknowledged, f"{session} is at {number}, {acknowledged} was acknowledged"
        image = stored.snapshot.looks[0].pictures.edits[0].image
        assert np.array_equal(image, noise(number + 1000))
        newest = max(newest, number)
    assert not storage.lost
    storage.close()
    return newest


def main(folder: Path, rounds: int, seed: int) -> None:
    """The loop."""
    chance = random.Random(seed)
    keys, _ = Keys.issue()
    newest = acknowledged = 0
    for _ in range(rounds):
        acknowledged = max(
            acknowledged,
            one_round(folder, keys, newest + 1, chance.choice((0, 0, 1, 2)), chance.uniform(0, LONGEST_S)),
        )
        newest = check(folder, keys, acknowledged)
    print(f"{rounds} kills, {acknowledged} states acknowledged, the newest is {newest}")
    assert acknowledged > 0, "nothing was ever acknowledged"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
