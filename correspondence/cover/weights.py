"""The cover's weights on disk: `model.json` with checksums, `cover.onnx` to run, `state.pt` to train on."""

from __future__ import annotations

from pathlib import Path

from correspondence.weight_files import WEIGHTS, read_card

SHIPPED = "cover"  # folder below `weights/`
MANIFEST = "efe52a8ee68fe214fcb7a9846098311f27879c74e3449a7151bbb9d1814996d3"  # sha256 of its model.json
GRAPH = "cover.onnx"
STATE = "state.pt"


def graph_file(folder: Path | None = None) -> Path:
    """The checked ONNX file of a model folder.

    Args:
        folder: of `model.json` and its files; None for the shipped one.

    Raises:
        WeightsError: something is missing or differs from its checksum.
    """
    shipped = WEIGHTS / SHIPPED
    read_card(folder or shipped, MANIFEST if folder is None else None, (GRAPH,))
    return (folder or shipped) / GRAPH
