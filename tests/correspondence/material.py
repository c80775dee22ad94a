"""What the network's tests share: made-up clips, tiny networks, a small vision transformer."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from correspondence import Float, Image, detect_landmarks
from correspondence.network.encoder import build_encoder
from correspondence.network.model import SIZES, Network
from correspondence.training import synthetic
from correspondence.training.data import GRID, Clip, fit

torch.set_num_threads(1)  # tiny networks: threads that wait for each other cost more than they bring


@lru_cache(maxsize=1)
def demo_clip() -> Clip:
    """Six frames of the demo's face under known smooth motion, with its landmarks moved along."""
    from skimage import data

    image = fit(np.ascontiguousarray(data.astronaut()[0:300, 80:380]))
    found = detect_landmarks(image)
    assert found is not None
    rng = np.random.default_rng(5)
    frames, points = [image], [found.points]
    for _ in range(5):
        field = synthetic.random_field(rng, GRID) * np.float32(0.5)
        frames.append(np.asarray(synthetic.sample(image, field), np.uint8))
        moved = synthetic.follow_points(field, found.points[:, :2])
        points.append(np.column_stack([moved, found.points[:, 2]]).astype(np.float32))
    return Clip("demo", "demo", np.stack(frames), np.stack(points))


def tiny_network(seed: int = 0, wild: bool = True) -> Network:
    """A few thousand weights; `wild` gives the layers that start at zero something to say."""
    torch.manual_seed(seed)
    network = Network(SIZES["tiny"], build_encoder("compact", SIZES["tiny"].encoder)).eval()
    if wild:
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.dim() > 1 and not parameter.any():
                    parameter.normal_(std=0.05)
    return network


SMALL_VIT: dict[str, Any] = {"embed_dim": 48, "depth": 1, "num_heads": 2}


def write_small_vit(path: Path, model: str) -> Path:
    """A random transformer of the hub's layout, at the hub's picture size of 518, on disk."""
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(1)
    vit = timm.create_model(model, pretrained=False, num_classes=0, **SMALL_VIT)
    save_file({k: v.contiguous() for k, v in vit.state_dict().items()}, str(path))
    return path


def checker(side: int = GRID, step: int = 16) -> Image:
    """A smooth coloured pattern that tells every place apart."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    waves = [
        np.sin(x / step + k) + np.cos(y / (step + 3 * k)) + np.sin((x + y) / (step * 2.5)) for k in range(3)
    ]
    return np.clip(127 + 40 * np.stack(waves, axis=2), 0, 255).astype(np.uint8)


def moved(image: Image, field: Float) -> Image:
    """The frame whose field to `image` is `field`."""
    at = np.stack(np.meshgrid(np.arange(image.shape[1]), np.arange(image.shape[0])), axis=2).astype(
        np.float32
    )
    return np.asarray(cv2.remap(image, at + field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
