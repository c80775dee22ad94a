"""Tiny networks and made-up clips for the diffusion tests."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from correspondence import Float
from correspondence.training.data import Clip
from inpaint.model import face_parts as parts
from inpaint.model.autoencoder import Autoencoder, AutoencoderConfig
from inpaint.model.denoiser import Denoiser, DenoiserConfig
from inpaint.model.diffusion import QuadrantModel

SIDE = 64
TINY_AUTOENCODER = AutoencoderConfig(
    latent_channels=8,
    width_quarter=16,
    width_eighth=32,
    width_half=8,
    blocks_quarter_encoder=1,
    blocks_quarter_decoder=1,
    blocks_eighth=1,
)
TINY_DENOISER = DenoiserConfig(
    widths=(16, 32), heads=2, token_width=16, queries=2, groups=8, latent_size=SIDE // 8
)


def tiny_autoencoder() -> Autoencoder:
    """Random weights, always the same."""
    torch.manual_seed(0)
    return Autoencoder(TINY_AUTOENCODER).eval()


def tiny_denoiser(config: DenoiserConfig = TINY_DENOISER) -> Denoiser:
    """Random weights, always the same."""
    torch.manual_seed(1)
    denoiser = Denoiser(config)
    torch.nn.init.normal_(denoiser.unet.conv_out.weight, std=0.1)  # starts at 0, and would hide all else
    return denoiser.eval()


def tiny_model() -> QuadrantModel:
    """Both together."""
    return QuadrantModel(tiny_autoencoder(), tiny_denoiser())


def face(centre: tuple[float, float], size: float) -> Float:
    """478 points of a made-up, symmetric face with every part in its place, (478, 3)."""
    points = np.zeros((478, 3), np.float32)
    points[:, :2] = np.random.default_rng(0).uniform(-0.4, 0.4, (478, 2))
    places = [  # ring, centre and radii in face sizes
        (parts.OVAL, (0.0, 0.0), (0.75, 1.0)),
        (parts.NOSE, (0.0, 0.1), (0.12, 0.25)),
        (parts.RIGHT_BROW, (-0.35, -0.45), (0.2, 0.04)),
        (parts.LEFT_BROW, (0.35, -0.45), (0.2, 0.04)),
        (parts.RIGHT_EYE, (-0.35, -0.25), (0.16, 0.08)),
        (parts.LEFT_EYE, (0.35, -0.25), (0.16, 0.08)),
        (parts.LIPS_OUTER, (0.0, 0.55), (0.3, 0.14)),
        (parts.LIPS_INNER, (0.0, 0.55), (0.2, 0.05)),
        (parts.RIGHT_IRIS, (-0.35, -0.25), (0.06, 0.06)),
        (parts.LEFT_IRIS, (0.35, -0.25), (0.06, 0.06)),
    ]
    for ring, (x, y), (rx, ry) in places:
        angle = np.linspace(0, 2 * np.pi, len(ring), endpoint=False)
        points[ring, 0], points[ring, 1] = x + rx * np.cos(angle), y + ry * np.sin(angle)
    points[parts.IRIS_CENTRES[0], :2], points[parts.IRIS_CENTRES[1], :2] = (-0.35, -0.25), (0.35, -0.25)
    points[parts.FOREHEAD, :2], points[parts.CHIN, :2] = (0, -1), (0, 1)
    points[:, :2] = points[:, :2] * size + np.array(centre, np.float32)
    return points


def tiny_clips() -> list[Clip]:
    """Two clips of a flat face moving over a gradient, 64 x 64."""
    return [moving_face(f"train/{k}.mp4", 12 + 4 * k, k) for k in range(2)]


def moving_face(name: str, count: int, seed: int) -> Clip:
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    background = np.stack([80 + x, 100 + y // 2, 90 + 40 * seed + 0 * x], axis=-1).astype(np.uint8)
    frames, points = [], []
    for number in range(count):
        mine = face((26.0 + number * 0.8, 30.0), 18.0)
        frame = background.copy()
        for ring, colour in (
            (parts.OVAL, (220, 170, 150)),
            (parts.LIPS_OUTER, (180, 60, 70)),
            (parts.RIGHT_EYE, (30, 30, 60)),
        ):
            cv2.fillPoly(frame, [np.rint(mine[ring, :2]).astype(np.int32)], colour)
        frames.append(frame)
        points.append(mine)
    return Clip(name, f"group{seed}", np.stack(frames), np.stack(points))
