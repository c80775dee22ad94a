"""Export of trained weights to a model folder: ONNX graphs, and half-precision weights for torch."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from correspondence.certainty.doubt import own_word
from correspondence.certainty.fit_judge import side_by_side
from correspondence.certainty.uncertainty import Judge
from correspondence.geometry.region import GRID
from correspondence.network.checkpoints import FILES, GRAPHS
from correspondence.network.encoder import Features
from correspondence.network.model import CELL, PROPOSED, Network, ReferenceFeatures
from correspondence.weight_files import digest

OPSET = 17
OUTPUTS = ("field", "log_b", "log_sigma", "visibility", "gain", "weights")
SMALLEST_HALVED = 512  # values; smaller tables stay in single precision


class PrepareGraph(nn.Module):
    """The part that runs once for a reference: image (1, 3, N, N) to the tables of `ReferenceFeatures`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return tuple(self.network.prepare(image))


class EncodeGraph(nn.Module):
    """The part for a frame that needs no candidates: image (1, 3, N, N) to `encoder.Features`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return tuple(self.network.encode(image))


class FrameGraph(nn.Module):
    """The remaining part for a frame: four features, six tables, candidates and validity to `OUTPUTS`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        features, reference = Features(*given[:4]), ReferenceFeatures(*given[4:10])
        output = self.network.matcher(features, reference, given[10], given[11])
        return tuple(getattr(output, name) for name in OUTPUTS)


def example_inputs(network: Network, batch: int = 1, side: int = GRID) -> tuple[Tensor, ...]:
    """Make a random image, the tables of a random reference, candidates and validity."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, batch, 3, side, side, generator=generator)
    cells = side // CELL
    candidates = 3 * torch.randn(batch, len(PROPOSED), 2, cells, cells, generator=generator)
    validity = torch.rand(batch, 3, cells, cells, generator=generator)
    with torch.no_grad():
        return (images[0], *network.prepare(images[1]), candidates, validity)


def fix_size(network: Network, side: int = GRID) -> Network:
    """Copy a network and fix its DINOv2 transformer, if it has one, to one picture size."""
    fixed = copy.deepcopy(network).eval()
    vit: Any = getattr(fixed.encoder, "vit", None)
    if vit is not None:
        patch = int(vit.patch_embed.patch_size[0])
        size = max(1, round(side / patch)) * patch
        vit.set_input_size(img_size=(size, size))
        vit.dynamic_img_size = False
        vit.patch_embed.flatten = True  # as timm sets it where sizes are fixed
    return fixed


def write_graph(
    graph: nn.Module, inputs: tuple[Tensor, ...], names: tuple[str, ...], outputs: tuple[str, ...], path: Path
) -> None:
    """Export one graph with static shapes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about each shape that it fixes, which is intended
        torch.onnx.export(
            graph,
            inputs,
            str(path),
            input_names=list(names),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=False,
        )


def halve(path: Path) -> None:
    """Store a graph's larger weight tables in half precision. The graph casts them back on loading."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    casts = []
    for table in list(model.graph.initializer):
        values = numpy_helper.to_array(table)
        if values.dtype != np.float32 or values.size < SMALLEST_HALVED:
            continue
        name = table.name
        table.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))


def halved_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert weights to half precision, as they are stored on disk."""
    return {k: v.half() if v.is_floating_point() else v for k, v in state.items() if ".vit." not in k}


def export_model(
    network: Network,
    folder: Path,
    *,
    size: str,
    kind: str = "compact",
    encoder_model: str = "",
    judge: Judge | None = None,
    facts: dict[str, Any] | None = None,
) -> None:
    """Write a model folder. Both runtimes get the same half-precision weights.

    Args:
        network: the trained network.
        folder: where the model is written; made if missing.
        size: its key in `model.SIZES`.
        kind: "compact" or "dinov2".
        encoder_model: timm's name of a dinov2 encoder.
        judge: the judge of its errors; None uses the network's own log_b unchanged.
        facts: further entries of `model.json` (training, figures).
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = halved_state(network.state_dict())
    torch.save(
        {"state": state, "size": size, "encoder": kind, "encoder_model": encoder_model}, folder / "state.pt"
    )
    fixed = fix_size(network)
    fixed.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    inputs = example_inputs(fixed)
    write_graph(
        PrepareGraph(fixed), inputs[:1], ("image",), ReferenceFeatures._fields, folder / "prepare.onnx"
    )
    seen = tuple(f"seen_{name}" for name in Features._fields)
    write_graph(EncodeGraph(fixed), inputs[:1], ("image",), seen, folder / "encode.onnx")
    with torch.no_grad():
        features = tuple(fixed.encode(inputs[0]))
    names = (*seen, *ReferenceFeatures._fields, "candidates", "validity")
    write_graph(FrameGraph(fixed), (*features, *inputs[1:]), names, OUTPUTS, folder / "frame.onnx")
    for name in GRAPHS:
        halve(folder / name)
    card = {
        "kind": kind,
        "size": size,
        "encoder_model": encoder_model,
        "judge": (judge or own_word()).stored(),
        "files": {name: digest(folder / name) for name in FILES},
        **(facts or {}),
    }
    (folder / "model.json").write_text(side_by_side(card))
