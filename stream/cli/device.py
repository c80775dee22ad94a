"""Checks, before any work, that the requested device exists."""

from __future__ import annotations

import importlib.util


def check_device(device: str) -> None:
    """Check that a requested CUDA device exists.

    Args:
        device: "cpu", or "cuda" with or without a number. Other names are not checked.

    Raises:
        ValueError: torch is missing, or it finds no such CUDA device.
    """
    if not device.startswith("cuda"):
        return
    if importlib.util.find_spec("torch") is None:
        raise ValueError(
            f"--device {device} needs torch: python -m pip install 'livery[gpu]', or --device cpu"
        )
    import torch

    if not torch.cuda.is_available():
        raise ValueError(
            f"--device {device}: torch finds no CUDA device here; see whether nvidia-smi does, or work "
            "with --device cpu"
        )
