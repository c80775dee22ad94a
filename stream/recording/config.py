"""How and where sessions are recorded."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stream.media.probe import MediaError


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordConfig:
    """How sessions are recorded; `__post_init__` checks the ranges.

    Attributes:
        folder: where each recording gets a folder.
        piece_s: length of the pieces that are made anew.
        max_pieces: source pieces that may wait to be made anew; then the refined recording pauses.
        matcher: of the refined recording.
        max_mib: bound of all recordings in the folder, MiB; a recording ends when it is reached.
        always: record each session from its first frame; otherwise when its page asks.
    """

    folder: Path
    piece_s: float = 2.0
    max_pieces: int = 900
    matcher: str = "auto"
    max_mib: int = 20_000
    always: bool = True

    def __post_init__(self) -> None:
        if self.piece_s <= 0 or self.max_pieces < 1:
            raise ValueError(f"piece_s must be positive and max_pieces 1 or more, got {self}")
        if not 1 <= self.max_mib <= 100_000_000:
            raise ValueError(f"max_mib must lie in [1, 100000000], got {self.max_mib}")

    def require(self) -> None:
        """Make the folder and see whether files can be written in it.

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
    """Bytes of all files below a folder; files that go meanwhile are not counted."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
