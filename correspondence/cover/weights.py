"""The cover network on disk: `model.json` with checksums, `cover.onnx` to run, `state.pt` to train on."""

from __future__ import annotations

from pathlib import Path

from correspondence.weight_files import WEIGHTS, read_card

SHIPPED = "cover"  # folder below `weights/`
MANIFEST = "463049ed9ca7498f7bab9fe43981018aa9831b5d8845b30d14bf3dd78f9e7da4"  # sha256 of its model.json
GRAPH = "cover.onnx"
STATE = "state.pt"


def graph_file(folder: Path | None = None) -> Path:
    """Return the ONNX file of a model folder, after a check.

    Args:
        folder: folder with `model.json` and the files that it names. None for the shipped one.

    Raises:
        WeightsError: a file is missing or differs from its checksum.
    """
    shipped = WEIGHTS / SHIPPED
    read_card(folder or shipped, MANIFEST if folder is None else None, (GRAPH,))
    return (folder or shipped) / GRAPH
