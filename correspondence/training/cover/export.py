"""Exports trained weights as a model folder: an ONNX graph with its sigmoid, and the training's state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from correspondence.cover.crop import SIDE
from correspondence.cover.network import CoverNetwork, CoverSizes
from correspondence.cover.weights import GRAPH, STATE
from correspondence.errors import WeightsError
from correspondence.network.export import halve, halved_state, write_graph
from correspondence.training.cover.quantise import quantise
from correspondence.types import Float
from correspondence.weight_files import digest


class _Probability(nn.Module):
    def __init__(self, network: CoverNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        return torch.sigmoid(self.network(crops))


def export_cover(
    network: CoverNetwork,
    folder: Path,
    facts: dict[str, Any] | None = None,
    inputs: Sequence[Float] | None = None,
) -> None:
    """Write a model folder: weights in half precision, and a graph that computes with them in 8 bits.

    Args:
        network: the trained network.
        folder: the folder; made if missing.
        facts: further entries of `model.json`, such as the training and the held-out table.
        inputs: inputs from which the ranges of the 8-bit values are taken, see `quantise.inputs_of`. None
            leaves the graph in single precision.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = halved_state(network.state_dict())
    limits = (facts or {}).get("licences")
    torch.save({"state": state, "widths": network.sizes.widths, "licences": limits}, folder / STATE)
    fixed = CoverNetwork(network.sizes)
    fixed.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    example = (torch.zeros(1, 6, SIDE, SIDE),)
    write_graph(_Probability(fixed.eval()).eval(), example, ("crops",), ("hidden",), folder / GRAPH)
    if inputs is None:
        halve(folder / GRAPH)
    else:
        quantise(folder / GRAPH, inputs)
    files = {name: digest(folder / name) for name in (GRAPH, STATE)}
    (folder / "model.json").write_text(
        json.dumps({"kind": "cover", "files": files, **(facts or {})}, indent=1)
    )


def export_file(path: Path, folder: Path, inputs: Sequence[Float] | None = None) -> None:
    """Export a `best.pt` as a model folder.

    Args:
        path: the file.
        folder: the folder; made if missing.
        inputs: see `export_cover`.

    Raises:
        WeightsError: there is no such file, or it holds another network.
    """
    network, saved = read_saved(path)
    facts = {"steps": saved["step"], "seconds": round(saved["seconds"]), "held_out": saved["rows"]}
    if saved.get("licences") is not None:
        facts["licences"] = list(saved["licences"])
    export_cover(network, folder, facts, inputs)


def read_saved(path: Path) -> tuple[CoverNetwork, dict[str, Any]]:
    """Read a `best.pt`, or a model folder's `state.pt`: the network, and all that stands beside it.

    Raises:
        WeightsError: there is no such file, or it holds another network.
    """
    if not path.is_file():
        raise WeightsError(f"no weights at {path}: give a best.pt of `livery train cover`")
    saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    network = CoverNetwork(CoverSizes(widths=tuple(saved["widths"])))
    try:
        network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in saved["state"].items()}
        )
    except RuntimeError as failure:
        raise WeightsError(f"{path} does not fit the network: {failure}") from failure
    return network, saved
