"""The ONNX graphs against the networks they were made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from correspondence import WeightsError
from inpaint import load
from inpaint.model import checkpoints, onnx
from inpaint.model.anchor import AnchorBank
from tests.inpaint.tiny import tiny_autoencoder, tiny_denoiser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("graphs")
    checkpoints.save(made / checkpoints.AUTOENCODER, tiny_autoencoder(), {}, half=False)
    checkpoints.save(made / checkpoints.DENOISER, tiny_denoiser(), {}, half=False)
    onnx.export(tiny_autoencoder(), tiny_denoiser(), made)
    return made


@pytest.mark.parametrize("batch", [1, 3])
@torch.no_grad()
def test_graphs_and_networks_agree(folder: Path, batch: int) -> None:
    denoiser, autoencoder = tiny_denoiser(), tiny_autoencoder()
    inputs = onnx.example_inputs(denoiser, batch)
    expected = denoiser(*inputs)
    found = onnx.OnnxDenoiser(denoiser, folder)(*inputs)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    latents = torch.randn(batch, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    decoded = onnx.OnnxAutoencoder(autoencoder, folder).decode(latents)
    torch.testing.assert_close(decoded, autoencoder.decode(latents), atol=1e-4, rtol=1e-3)


def test_a_fill_through_the_graphs_is_the_same_fill(folder: Path, tmp_path: Path) -> None:
    for name in (checkpoints.AUTOENCODER, checkpoints.DENOISER):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    image = np.random.default_rng(2).integers(0, 255, (64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.float32)
    mask[20:40, 20:44] = 1
    by_graph, by_torch = load(folder), load(tmp_path)
    assert isinstance(by_graph.model.denoiser, onnx.OnnxDenoiser)
    assert not isinstance(by_torch.model.denoiser, onnx.OnnxDenoiser)
    assert np.abs(by_graph(image, mask).astype(int) - by_torch(image, mask)).max() <= 1


def test_graphs_of_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tiny_denoiser()
    with torch.no_grad():
        next(other.parameters()).add_(1)
    with pytest.raises(WeightsError, match="another denoiser"):
        onnx.OnnxDenoiser(other, folder)
    with pytest.raises(WeightsError, match="livery train graphs"):
        onnx.OnnxAutoencoder(tiny_autoencoder(), tmp_path)


def test_an_anchor_needs_torch(folder: Path) -> None:
    bank = AnchorBank(onnx.OnnxDenoiser(tiny_denoiser(), folder))
    with pytest.raises(ValueError, match="not as ONNX graph"), bank.attached("record"):
        pass
