"""Folders of weights on disk: a `model.json` with checksums, and the files that it names."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from correspondence.errors import WeightsError

WEIGHTS = Path(__file__).parent / "weights"  # those that ship with the package


def digest(path: Path) -> str:
    """Compute the sha256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_card(folder: Path, manifest: str | None, files: tuple[str, ...]) -> dict[str, Any]:
    """Read a folder's `model.json` and check the files that it names.

    Args:
        folder: folder with `model.json` and its files.
        manifest: sha256 that `model.json` must have; None accepts any.
        files: which of them must be there and whole.

    Raises:
        WeightsError: something is missing or differs from its checksum.
    """
    card = folder / "model.json"
    if not card.is_file():
        raise WeightsError(
            f"no model in {folder}: model.json is missing; export one with `livery train matcher`"
        )
    if manifest is not None and digest(card) != manifest:
        raise WeightsError(
            f"{card} has sha256 {digest(card)[:12]}..., expected {manifest[:12]}...: reinstall the package"
        )
    said: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))
    for name in files:
        path, expected = folder / name, said["files"].get(name)
        if expected is None or not path.is_file():
            raise WeightsError(f"{path} is missing: install the package again, or export the model again")
        if digest(path) != expected:
            raise WeightsError(
                f"{path} has sha256 {digest(path)[:12]}..., expected {expected[:12]}...: damaged or another "
                "version; reinstall the package, or export the model again"
            )
    return said
