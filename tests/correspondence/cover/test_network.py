from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from correspondence.cover.network import CoverNetwork, CoverSizes
from correspondence.cover.runtime import CoverFinder
from correspondence.cover.weights import GRAPH, graph_file
from correspondence.errors import WeightsError
from correspondence.training.cover.export import export_cover, export_file
from correspondence.training.cover.train import to_input

TINY = CoverSizes(widths=(4, 4, 8, 8))


@pytest.fixture
def network() -> CoverNetwork:
    torch.manual_seed(3)
    return CoverNetwork(TINY).eval()


def test_one_logit_a_pixel_and_both_pictures_count(network: CoverNetwork) -> None:
    crops = torch.rand(2, 6, 64, 64) * 2 - 1
    with torch.no_grad():
        logits = network(crops)
        assert logits.shape == (2, 1, 64, 64)
        for first in (0, 3):
            other = crops.clone()
            other[:, first : first + 3] = torch.rand(2, 3, 64, 64)
            assert (network(other) - logits).abs().max() > 1e-3


def test_the_shipped_size_is_what_the_card_says() -> None:
    count = sum(p.numel() for p in CoverNetwork().parameters())
    assert 200_000 < count < 600_000


def test_bad_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="four numbers"):
        CoverSizes(widths=(4, 8))


def test_the_exported_graph_says_what_torch_says(network: CoverNetwork, tmp_path: Path) -> None:
    """Within what half precision costs; with and without a reference."""
    export_cover(network, tmp_path / "model")
    finder = CoverFinder.load(tmp_path / "model")
    rng = np.random.default_rng(0)
    frame, reference = rng.integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    for other in (reference, None):
        given = np.full_like(frame, 127) if other is None else other
        with torch.no_grad():
            truth = torch.sigmoid(network(to_input(frame[None], given[None])))[0, 0].numpy()
        np.testing.assert_allclose(finder.probability(frame, other), truth, atol=0.01)


def test_the_graph_in_8_bits_says_nearly_what_torch_says(network: CoverNetwork, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (4, 2, 128, 128, 3), dtype=np.uint8)
    inputs = [to_input(frame[None], reference[None]).numpy() for frame, reference in pictures]
    export_cover(network, tmp_path / "model", inputs=inputs)
    assert b"QuantizeLinear" in (tmp_path / "model" / GRAPH).read_bytes()
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["cover.onnx", "model.json", "state.pt"]
    finder = CoverFinder.load(tmp_path / "model")
    for crops, (frame, reference) in zip(inputs, pictures, strict=True):
        with torch.no_grad():
            truth = torch.sigmoid(network(torch.from_numpy(crops)))[0, 0].numpy()
        said = finder.probability(frame, reference)
        assert np.abs(said - truth).mean() < 0.1 * truth.std()
    with pytest.raises(ValueError, match="there are none"):
        export_cover(network, tmp_path / "other", inputs=[])


def test_damaged_weights_are_refused(network: CoverNetwork, tmp_path: Path) -> None:
    export_cover(network, tmp_path / "model")
    path = tmp_path / "model" / GRAPH
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="sha256"):
        graph_file(tmp_path / "model")


def test_a_missing_best_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"best\.pt"):
        export_file(tmp_path / "none.pt", tmp_path / "model")
