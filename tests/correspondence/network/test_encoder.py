"""Encoders: ours, and a small random transformer of the hub's layout in DINOv2's place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from correspondence import WeightsError
from correspondence.network.encoder import (
    DINOV2,
    CompactEncoder,
    DinoEncoder,
    EncoderConfig,
    build_encoder,
    load_vit,
    normalise,
    positions,
)
from correspondence.network.model import SIZES
from tests.correspondence.material import SMALL_VIT, write_small_vit

REGISTERS = "vit_small_patch14_reg4_dinov2.lvd142m"
TINY = SIZES["tiny"].encoder


def test_exposure_and_white_balance_go() -> None:
    image = torch.rand(1, 3, 64, 64)
    tinted = image * torch.tensor([0.9, 0.9, 0.9]).view(1, 3, 1, 1) + torch.tensor([0.02, 0.1, 0.0]).view(
        1, 3, 1, 1
    )
    assert torch.allclose(normalise(image), normalise(tinted), atol=0.02)


def test_positions_tell_cells_apart() -> None:
    code = positions(16, 16, 160)[0]
    apart = torch.cdist(code, code) + torch.eye(256) * 9
    assert code.shape == (256, 160)
    assert apart.min() > 0.05


def test_features_have_their_sizes() -> None:
    features = CompactEncoder(EncoderConfig()).forward(torch.rand(2, 3, 96, 128))
    assert features.quarter.shape == (2, 48, 24, 32)
    assert features.eighth.shape == (2, 64, 12, 16)
    assert features.tokens.shape == (2, 6 * 8, 160)
    assert features.descriptor.shape == (2, 16, 24, 32)


@pytest.mark.parametrize("model", [DINOV2, REGISTERS])
def test_a_transformer_replaces_the_tokens_only(model: str, tmp_path: Path) -> None:
    vit = load_vit(model, write_small_vit(tmp_path / "vit.safetensors", model), **SMALL_VIT)
    encoder = DinoEncoder(TINY, vit)
    assert encoder.prefix == (5 if "reg4" in model else 1)
    image = torch.rand(1, 3, 96, 128)  # 98 x 126 for patches of 14
    features = encoder.train()(image)
    assert features.tokens.shape == (1, 6 * 8, TINY.tokens)
    features.tokens.sum().backward()
    assert encoder.project.weight.grad is not None
    assert all(p.grad is None and not p.requires_grad for p in encoder.vit.parameters())
    assert not encoder.vit.training


def test_the_weights_come_from_the_file(tmp_path: Path) -> None:
    file = write_small_vit(tmp_path / "vit.safetensors", DINOV2)
    one, two = (load_vit(DINOV2, file, **SMALL_VIT).state_dict() for _ in range(2))
    assert torch.equal(one["blocks.0.mlp.fc1.weight"], two["blocks.0.mlp.fc1.weight"])


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no encoder weights at .*nowhere"):
        load_vit(DINOV2, tmp_path / "nowhere.safetensors")
    file = write_small_vit(tmp_path / "vit.safetensors", DINOV2)
    with pytest.raises(WeightsError, match="--encoder-weights"):
        load_vit(DINOV2, file, embed_dim=96, depth=1, num_heads=2)


def test_kinds_and_widths_are_checked() -> None:
    with pytest.raises(ValueError, match="'vgg'"):
        build_encoder("vgg", TINY)
    with pytest.raises(ValueError, match=r"multiple of 4 .*got 30"):
        EncoderConfig(tokens=30)
