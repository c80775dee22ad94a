"""Whether the device that was asked for is there, found out before any work."""

from __future__ import annotations

import importlib.util


def check_device(device: str) -> None:
    """See that a CUDA device is there where one is asked for.

    Args:
        device: "cpu", or "cuda" with or without a number; others are left to who uses them.

    Raises:
        ValueError: no torch, or it finds no CUDA device.
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
