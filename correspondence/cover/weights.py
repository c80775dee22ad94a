"""The cover's weights on disk: `model.json` with checksums, `cover.onnx` to run, `state.pt` to train on."""

from __future__ import annotations

from pathlib import Path

from correspondence.network.checkpoints import WEIGHTS, read_card

SHIPPED = "cover"  # folder below `weights/`
MANIFEST = "4ea2db90492deba8f28eacca965f97dd897553c896de3d729c52e13a66fb4f86"  # sha256 of its model.json
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
