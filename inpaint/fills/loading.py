"""Loading of the diffusion fill from its weights. Importing this module does not need torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inpaint.weights import SHIPPED_DIR, require

if TYPE_CHECKING:
    from inpaint.fills.masked import DiffusionFill, FillConfig


def load(
    weights: Path | None = None, *, device: str = "cpu", config: FillConfig | None = None
) -> DiffusionFill:
    """Load the diffusion fill. Its `model` also generates gaps (`inpaint.fills.gaps.fill_gap`).

    On the CPU the ONNX graphs of `livery train graphs` are used if they lie beside the weights.

    Args:
        weights: folder with `autoencoder.safetensors` and `denoiser.safetensors`; None for the shipped ones.
        device: "cpu" or a CUDA device.
        config: settings of the fill; None for the defaults.

    Returns:
        The fill, ready to call.

    Raises:
        WeightsError: the weights are missing, damaged or changed. The message says how to train them.
    """
    folder = require(weights or SHIPPED_DIR)

    from inpaint.fills.masked import DiffusionFill
    from inpaint.model import checkpoints
    from inpaint.model.diffusion import QuadrantModel

    autoencoder = checkpoints.load_autoencoder(folder / checkpoints.AUTOENCODER)
    denoiser = checkpoints.load_denoiser(folder / checkpoints.DENOISER)
    if device == "cpu" and (folder / "onnx.json").is_file():
        from inpaint.model.onnx import OnnxAutoencoder, OnnxDenoiser

        model = QuadrantModel(OnnxAutoencoder(autoencoder, folder), OnnxDenoiser(denoiser, folder), device)
        return DiffusionFill(model, config)
    return DiffusionFill(QuadrantModel(autoencoder, denoiser, device), config)
