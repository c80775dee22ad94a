"""How and where sessions are recorded."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stream.media.probe import MediaError


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordConfig:
    """Settings of the recordings.

    Attributes:
        folder: holds a folder for each recording.
        piece_s: length of the source pieces that are edited anew, seconds.
        max_pieces: most source pieces that may wait; above it the refined recording pauses.
        matcher: matcher of the refined recording, see `Matcher.load`.
        max_mib: largest size of all recordings together, MiB. A recording ends when it is reached.
        mark: text that is written into edited pictures. None for none.
        always: whether each session is recorded from its first frame. False: only when its page asks.

    Raises:
        ValueError: `piece_s`, `max_pieces` or `max_mib` is out of range.
    """

    folder: Path
    piece_s: float = 2.0
    max_pieces: int = 900
    matcher: str = "auto"
    max_mib: int = 20_000
    always: bool = True
    mark: str | None = None

    def __post_init__(self) -> None:
        if self.piece_s <= 0 or self.max_pieces < 1:
            raise ValueError(f"piece_s must be positive and max_pieces 1 or more, got {self}")
        if not 1 <= self.max_mib <= 100_000_000:
            raise ValueError(f"max_mib must lie in [1, 100000000], got {self.max_mib}")

    def require(self) -> None:
        """Make the folder and check that files can be written to it.

        Raises:
            MediaError: they cannot.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as exc:
            raise MediaError(
                f"nothing can be recorded in {self.folder} ({exc.strerror}): "
                "name a folder that this user may write to"
            ) from exc


def size_in(folder: Path) -> int:
    """Sum the sizes of all files below a folder, bytes. Files that vanish meanwhile are not counted."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
