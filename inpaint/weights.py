"""Where the diffusion model's weights lie, and what to do where they do not; imports no torch."""

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
}  # file name to checksum, of the files in SHIPPED_DIR
NEEDED = ("torch", "diffusers")  # packages
STEPS = 1  # of the sampler, unless another number is asked for
NO_WEIGHTS, SHIPPED, HUB = "none", "shipped", "hub:"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
HOW_TO_TRAIN = (
    "train them with `livery train autoencoder --cache CACHE --out DIR` and `livery train denoiser "
    f"--cache CACHE --autoencoder DIR/{AUTOENCODER} --out DIR`, then point to DIR"
)


def require(folder: Path) -> Path:
    """The folder, if it holds both weight files; what is in them is checked when they are loaded.

    Args:
        folder: of weights or of a model in diffusers' layout; "hub:OWNER/NAME": such a model by its id, from
            the hub's cache on this machine or, where it is not there, from the hub; "shipped": the shipped
            weights.

    Returns:
        A folder on this machine.

    Raises:
        WeightsError: a file is missing, with how to train it; the hub does not give the model; or this
            installation cannot run the shipped weights.
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
    """Whether a folder is laid out as diffusers saves an inpainting model: `unet` and `vae` in it."""
    return all((folder / part / "config.json").is_file() for part in ("unet", "vae"))


def chosen(given: Path | None) -> Path | None:
    """The weights to work with; None: none, so that the classical methods serve.

    Args:
        given: a folder or hub id, see `require`; "none": no weights; None: the shipped ones, where this
            installation can run them (`missing`).

    Raises:
        WeightsError: as `require`.
    """
    if given is not None:
        return None if str(given) == NO_WEIGHTS else require(given)
    return None if missing() else SHIPPED_DIR


def missing() -> str:
    """What the shipped weights need and this installation lacks, and the way out; "" where nothing is."""
    lacking = [name for name in NEEDED if find_spec(name) is None]
    if lacking:
        return f"{' and '.join(lacking)} must be installed for it: python -m pip install 'livery[fill]'"
    return ""
