"""Where the diffusion model's weights lie, and what to do where they do not; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from correspondence.errors import WeightsError

SHIPPED_DIR = Path(__file__).parent / "weights"
AUTOENCODER, DENOISER = "autoencoder.safetensors", "denoiser.safetensors"
SHIPPED_SHA256: Mapping[str, str] = {}  # file name to checksum, of the files in SHIPPED_DIR
HOW_TO_TRAIN = (
    "train them with `livery train autoencoder --cache CACHE --out DIR` and `livery train denoiser "
    f"--cache CACHE --autoencoder DIR/{AUTOENCODER} --out DIR`, then point to DIR"
)


def require(folder: Path) -> Path:
    """The folder, if it holds both weight files; what is in them is checked when they are loaded.

    Raises:
        WeightsError: one is missing; says how to train it.
    """
    if is_diffusers(folder):
        return folder
    for name in (AUTOENCODER, DENOISER):
        if not (folder / name).is_file():
            raise WeightsError(f"no diffusion weights at {folder / name}: {HOW_TO_TRAIN}")
    return folder


def is_diffusers(folder: Path) -> bool:
    """Whether a folder is laid out as diffusers saves an inpainting model: `unet` and `vae` in it."""
    return all((folder / part / "config.json").is_file() for part in ("unet", "vae"))


def shipped() -> Path | None:
    """The folder of the shipped weights; None while this version ships none."""
    return SHIPPED_DIR if {AUTOENCODER, DENOISER} <= set(SHIPPED_SHA256) else None
