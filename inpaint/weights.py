"""Location of the diffusion model's weights, and errors if they are missing. It does not import torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from correspondence import WeightsError

SHIPPED_DIR = Path(__file__).parent / "weights"
AUTOENCODER, DENOISER = "autoencoder.safetensors", "denoiser.safetensors"
SHIPPED_SHA256: Mapping[str, str] = {
    AUTOENCODER: "48754c0795bc4992d27473c9fb0e7319999f01aa56787dd82e22c114c613bf70",
    DENOISER: "b4d5780e1668e7e49b63e5012b0e60d0f2c20cc0430638f6766b1a9a2ef015fc",
}  # checksums of the files in SHIPPED_DIR, by file name
NEEDED = ("torch", "diffusers")  # packages that the weights need
STEPS = 1  # default number of sampler steps
NO_WEIGHTS, SHIPPED, HUB = "none", "shipped", "hub:"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
HOW_TO_TRAIN = (
    "train them with `livery train autoencoder --cache CACHE --out DIR` and `livery train denoiser "
    f"--cache CACHE --autoencoder DIR/{AUTOENCODER} --out DIR`, then point to DIR"
)


def require(folder: Path) -> Path:
    """Find the folder of weights and check that its files exist. Their content is checked on loading.

    Args:
        folder: a folder of weights, or of a model in diffusers' layout. "hub:OWNER/NAME" names such a model
            by its id; it is taken from the hub's cache on this machine, or else from the hub. "shipped"
            names the shipped weights.

    Returns:
        A folder on this machine.

    Raises:
        WeightsError: a file is missing (the message says how to train it), the hub does not provide the
            model, or this installation cannot run the shipped weights.
    """
    if str(folder) == SHIPPED:
        if lacking := missing():
            raise WeightsError(f"the shipped diffusion weights cannot run here: {lacking}")
        return SHIPPED_DIR
    if str(folder).startswith(HUB):
        return _from_hub(str(folder).removeprefix(HUB))
    if is_diffusers(folder):
        return folder
    for name in (AUTOENCODER, DENOISER):
        if not (folder / name).is_file():
            raise WeightsError(f"no diffusion weights at {folder / name}: {HOW_TO_TRAIN}")
    return folder


def _from_hub(name: str) -> Path:
    if not HUB_ID.fullmatch(name):
        raise WeightsError(f"a model of the hub is named {HUB}OWNER/NAME, got {HUB}{name}")
    from huggingface_hub import snapshot_download

    wanted = [f"{part}/{file}" for part in ("unet", "vae") for file in ("config.json", "*.safetensors")]
    try:
        found = snapshot_download(name, allow_patterns=wanted)
    except (OSError, ValueError) as exc:
        raise WeightsError(
            f"{name} cannot be had from the hub ({exc}): check its name and the network, or give a folder"
        ) from exc
    if not is_diffusers(Path(found)):
        raise WeightsError(f"{name} has no `unet` and `vae` as diffusers saves an inpainting model")
    return Path(found)


def is_diffusers(folder: Path) -> bool:
    """Whether a folder has diffusers' layout of an inpainting model, with `unet` and `vae`."""
    return all((folder / part / "config.json").is_file() for part in ("unet", "vae"))


def chosen(given: Path | None) -> Path | None:
    """Choose the weights to work with.

    Args:
        given: a folder or hub id, see `require`. "none" chooses no weights. None chooses the shipped
            weights if this installation can run them (`missing`).

    Returns:
        The folder of the weights; None for no weights, so that the classical methods are used.

    Raises:
        WeightsError: see `require`.
    """
    if given is not None:
        return None if str(given) == NO_WEIGHTS else require(given)
    return None if missing() else SHIPPED_DIR


def missing() -> str:
    """Tell which packages the shipped weights need and how to install them; "" if none is missing."""
    lacking = [name for name in NEEDED if find_spec(name) is None]
    if lacking:
        return f"{' and '.join(lacking)} must be installed for it: python -m pip install 'livery[fill]'"
    return ""
