"""The cover network on disk: `model.json` with checksums, `cover.onnx` to run, `state.pt` to train on."""

from __future__ import annotations

from pathlib import Path

from correspondence.weight_files import WEIGHTS, read_card

SHIPPED = "cover"  # folder below `weights/`
MANIFEST = "dfb31ad80d1cab0bea18a56b81968abc35f9dbcc3b46c432c4942b0a8b5669a2"  # sha256 of its model.json
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
