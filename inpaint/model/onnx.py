"""Denoiser and decoder as ONNX graphs for the CPU, and networks that run these graphs.

The graphs denoiser.onnx and decoder.onnx are written beside the weights they were made from. Parts that run
once for each grid (encoder, drawings, identity tokens) stay in torch. A test checks that both forms agree.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from correspondence import WeightsError
from inpaint.model.autoencoder import Autoencoder
from inpaint.model.denoiser import Denoiser

DENOISER, DECODER = "denoiser.onnx", "decoder.onnx"
ABOUT = "onnx.json"
OPSET = 17
INPUTS = ("noisy", "time", "references", "conditions", "tokens", "prior")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery train graphs`."""
    parser.add_argument("--weights", type=Path, required=True, help="folder of the diffusion model's weights")


def run(args: argparse.Namespace) -> int:
    """Run `livery train graphs`: write the graphs beside the weights.

    Raises:
        WeightsError: there are no weights in the folder.
    """
    from inpaint.model import checkpoints
    from inpaint.weights import require

    folder = require(args.weights)
    autoencoder = checkpoints.load_autoencoder(folder / checkpoints.AUTOENCODER)
    export(autoencoder, checkpoints.load_denoiser(folder / checkpoints.DENOISER), folder)
    print(f"written: {folder / DENOISER}, {folder / DECODER}")
    return 0


class _Graph(nn.Module):
    """The denoiser with its inputs in a fixed order."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, *inputs: Tensor) -> Tensor:
        """Predict v of a grid from the inputs in `INPUTS`."""
        out: Tensor = self.denoiser(*inputs)
        return out


class _Decoder(nn.Module):
    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, latents: Tensor) -> Tensor:
        """Decode latents to pictures."""
        return self.autoencoder.decode(latents)


def example_inputs(denoiser: Denoiser, batch: int = 1) -> tuple[Tensor, ...]:
    """Make random inputs of a grid's size, in the order of `INPUTS`."""
    config = denoiser.config
    rows, columns = config.layout
    h, w = rows * config.latent_size, columns * config.latent_size
    c = config.latent_channels
    generator = torch.Generator().manual_seed(0)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    grids = [some(batch, c, h, w) for _ in range(3)]
    time = torch.rand(batch, generator=generator)
    tokens = some(batch, config.queries + 2, config.token_width)
    unsure = torch.rand(batch, 1, h, w, generator=generator)
    return grids[0], time, grids[1], grids[2], tokens, torch.cat([some(batch, c, h, w), unsure], dim=1)


def export(autoencoder: Autoencoder, denoiser: Denoiser, folder: Path) -> None:
    """Write both graphs in float32, for any batch size and a fixed size of the grid.

    Args:
        autoencoder, denoiser: the networks, float32 on the CPU.
        folder: where the graphs are written; made if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inputs = example_inputs(denoiser)
    _write(_Graph(denoiser).eval(), inputs, INPUTS, "v", folder / DENOISER)
    side = denoiser.config.latent_size
    latents = torch.zeros(1, denoiser.config.latent_channels, side, side)
    _write(_Decoder(autoencoder).eval(), (latents,), ("latents",), "image", folder / DECODER)
    about = {"denoiser": state_digest(denoiser), "autoencoder": state_digest(autoencoder)}
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n")


def state_digest(module: nn.Module) -> str:
    """Compute the sha256 of a network's values, to detect graphs that were made from other weights."""
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        total.update(name.encode())
        total.update(value.detach().cpu().float().numpy().tobytes())
    return total.hexdigest()


def _write(
    graph: nn.Module, inputs: tuple[Tensor, ...], names: tuple[str, ...], out: str, path: Path
) -> None:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer remarks on shapes that are fixed here
        torch.onnx.export(
            graph,
            inputs,
            str(path),
            input_names=list(names),
            output_names=[out],
            dynamic_axes={name: {0: "batch"} for name in (*names, out)},
            opset_version=OPSET,
            dynamo=False,
        )


class OnnxDenoiser(nn.Module):
    """A denoiser whose steps run in ONNX Runtime. Drawings and tokens are encoded by torch.

    Args:
        denoiser: the same network in torch.
        folder: folder of the graphs that `export` made from it.
        threads: number of threads of ONNX Runtime.

    Raises:
        WeightsError: there are no graphs, or they were made from another network.
    """

    def __init__(self, denoiser: Denoiser, folder: Path, threads: int = 1) -> None:
        super().__init__()
        _check(folder, "denoiser", denoiser)
        self.config = denoiser.config
        self.pose, self.identity = denoiser.pose, denoiser.identity
        self._session = _session(folder / DENOISER, threads)

    def forward(
        self,
        noisy: Tensor,
        t: Tensor,
        references: Tensor,
        conditions: Tensor,
        tokens: Tensor,
        prior: Tensor,
    ) -> Tensor:
        """Predict v of Z_t; see `Denoiser.forward`."""
        given = (noisy, t, references, conditions, tokens, prior)
        feed = {name: _array(value) for name, value in zip(INPUTS, given, strict=True)}
        return torch.from_numpy(self._session.run(None, feed)[0])


class OnnxAutoencoder(nn.Module):
    """An autoencoder that decodes in ONNX Runtime and encodes in torch.

    Args:
        autoencoder: the same network in torch.
        folder, threads: see `OnnxDenoiser`.

    Raises:
        WeightsError: there are no graphs, or they were made from another network.
    """

    def __init__(self, autoencoder: Autoencoder, folder: Path, threads: int = 1) -> None:
        super().__init__()
        _check(folder, "autoencoder", autoencoder)
        self.config = autoencoder.config
        self._torch = autoencoder
        self._session = _session(folder / DECODER, threads)

    def encode(self, images: Tensor) -> Tensor:
        """See `Autoencoder.encode`."""
        return self._torch.encode(images)

    def decode(self, latents: Tensor) -> Tensor:
        """See `Autoencoder.decode`."""
        return torch.from_numpy(self._session.run(None, {"latents": _array(latents)})[0])


def _array(value: Tensor) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(value.detach().float().numpy())


def _check(folder: Path, name: str, module: nn.Module) -> None:
    path = folder / ABOUT
    if not path.is_file():
        raise WeightsError(
            f"no ONNX graphs in {folder}: write them with `livery train graphs --weights {folder}`"
        )
    if json.loads(path.read_text(encoding="utf-8")).get(name) != state_digest(module):
        raise WeightsError(
            f"the graphs in {folder} were made from another {name}: write them again with "
            f"`livery train graphs --weights {folder}`"
        )


def _session(path: Path, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # a busy live path suffers from it
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
