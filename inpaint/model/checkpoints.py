"""Weight files of the diffusion model: safetensors with their configuration, checked on loading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from correspondence import WeightsError
from correspondence.weight_files import digest
from inpaint.model.autoencoder import Autoencoder, AutoencoderConfig
from inpaint.model.denoiser import Denoiser, DenoiserConfig
from inpaint.weights import AUTOENCODER as AUTOENCODER
from inpaint.weights import DENOISER as DENOISER
from inpaint.weights import HOW_TO_TRAIN as HOW_TO_TRAIN
from inpaint.weights import SHIPPED_DIR as SHIPPED_DIR
from inpaint.weights import SHIPPED_SHA256 as SHIPPED_SHA256

FORMAT = "livery-inpaint-1"


def save(path: Path, module: Autoencoder | Denoiser, about: Mapping[str, Any], *, half: bool = True) -> None:
    """Write weights with their configuration and a description of the training run.

    Args:
        path: file to write. Its folder is made if missing.
        module: the network to save.
        about: figures and settings of the run, as JSON values.
        half: whether to store float16. An autoencoder's normalisation stays float32.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: value.detach()
        .cpu()
        .to(torch.float16 if half and not name.startswith("latent_") else torch.float32)
        for name, value in module.state_dict().items()
    }
    kind = "autoencoder" if isinstance(module, Autoencoder) else "denoiser"
    metadata = {
        "format": FORMAT,
        "kind": kind,
        "config": json.dumps(asdict(module.config)),
        "about": json.dumps(dict(about)),
    }
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata)


def read_about(path: Path) -> dict[str, Any]:
    """Read the description of the training run from a weight file.

    Raises:
        WeightsError: the file is missing, damaged or of another format.
    """
    return dict(json.loads(_metadata(path)["about"]))


def load_autoencoder(path: Path) -> Autoencoder:
    """Load an autoencoder in evaluation mode, float32, on the CPU.

    Raises:
        WeightsError: the file is missing, damaged, changed since it was shipped, or of another kind.
    """
    config = _config(path, "autoencoder")
    module = Autoencoder(AutoencoderConfig(**config))
    _fill(module, path)
    return module


def load_denoiser(path: Path) -> Denoiser:
    """Load a denoiser in evaluation mode, float32, on the CPU.

    Raises:
        WeightsError: the file is missing, damaged, changed since it was shipped, or of another kind.
    """
    config = _config(path, "denoiser")
    config |= {name: tuple(config[name]) for name in ("widths", "prior_std") if name in config}
    module = Denoiser(DenoiserConfig(**config))
    _fill(module, path)
    return module


def _metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise WeightsError(f"no diffusion weights at {path}: {HOW_TO_TRAIN}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except SafetensorError as exc:
        raise WeightsError(f"{path} is damaged or no safetensors file ({exc}): {HOW_TO_TRAIN}") from exc
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} has format {metadata.get('format')!r}, expected {FORMAT!r}: {HOW_TO_TRAIN}"
        )
    return metadata


def _config(path: Path, kind: str) -> dict[str, Any]:
    metadata = _metadata(path)
    if metadata["kind"] != kind:
        raise WeightsError(f"{path} holds a {metadata['kind']}, expected a {kind}")
    if path.parent == SHIPPED_DIR:
        found = digest(path)
        expected = SHIPPED_SHA256.get(path.name)
        if found != expected:
            raise WeightsError(f"{path.name} has sha256 {found}, expected {expected}: install it again")
    return dict(json.loads(metadata["config"]))


def _fill(module: nn.Module, path: Path) -> None:
    try:
        module.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    except RuntimeError as exc:
        raise WeightsError(f"{path} does not fit its own configuration ({exc}): {HOW_TO_TRAIN}") from exc
    module.eval().requires_grad_(False)
