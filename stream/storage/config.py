"""Where and how long sessions are stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """Settings of the store.

    Attributes:
        folder: holds everything that is stored; made if missing.
        keep_days: a session that was unused for longer is deleted, days.
        max_mib: largest size of all pictures, MiB. Sessions that were unused longest are deleted first.

    Raises:
        ValueError: a value is out of range.
    """

    folder: Path
    keep_days: float = 30.0
    max_mib: int = 4096

    def __post_init__(self) -> None:
        if not 0.01 <= self.keep_days <= 3650:
            raise ValueError(f"keep_days must lie in [0.01, 3650], got {self.keep_days}")
        if not 16 <= self.max_mib <= 10_000_000:
            raise ValueError(f"max_mib must lie in [16, 10000000], got {self.max_mib}")
