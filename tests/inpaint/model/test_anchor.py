"""The anchor bank: off changes nothing, use adds the recorded rows, wrong levels are errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from inpaint.model.anchor import AnchorBank
from inpaint.model.denoiser import Denoiser
from tests.inpaint.tiny import tiny_denoiser


def call(model: Denoiser, grid: Tensor, t: float = 0.5) -> Tensor:
    tokens = model.identity.empty.expand(len(grid), -1, -1)
    prior = torch.cat([grid, torch.ones_like(grid[:, :1])], dim=1)
    out: Tensor = model(grid, torch.full((len(grid),), t), grid, grid, tokens, prior)
    return out


def grids(seed: int, count: int = 1) -> Tensor:
    return torch.randn(count, 8, 16, 16, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_recording_changes_nothing_and_use_does() -> None:
    model = tiny_denoiser()
    bank = AnchorBank(model)
    bank.shape, bank.level = (16, 16), 0.5
    plain = call(model, grids(0, 2))
    with bank.attached("record"):
        torch.testing.assert_close(call(model, grids(0, 2)), plain, atol=1e-5, rtol=1e-5)
    held = bank.nbytes
    assert held > 0
    with bank.attached("use"):
        assert not torch.allclose(call(model, grids(0, 2)), plain, atol=1e-5)
    assert bank.nbytes == held
    torch.testing.assert_close(call(model, grids(0, 2)), plain)
    bank.clear()
    assert bank.nbytes == 0


@torch.no_grad()
def test_the_anchor_reaches_other_grids() -> None:
    model = tiny_denoiser()
    outputs = []
    for seed in (1, 2):
        bank = AnchorBank(model)
        bank.shape, bank.level = (16, 16), 0.5
        with bank.attached("record"):
            call(model, grids(seed))
        with bank.attached("use"):
            outputs.append(call(model, grids(9)))
    assert not torch.equal(outputs[0], outputs[1])


@torch.no_grad()
def test_levels_and_shapes_are_checked() -> None:
    model = tiny_denoiser()
    bank = AnchorBank(model)
    bank.shape = (16, 16)
    with bank.attached("use"), pytest.raises(ValueError, match="no anchor recorded"):
        call(model, grids(0))
    bank.shape = (16, 32)
    with bank.attached("record"), pytest.raises(ValueError, match="set `shape`"):
        call(model, grids(0))
    with pytest.raises(ValueError, match="quadrant"):
        AnchorBank(model, (2, 0))


def test_recorded_rows_are_the_quadrants() -> None:
    bank = AnchorBank(tiny_denoiser(), (1, 0))
    bank.shape, bank.mode = (4, 4), "record"
    rows = torch.arange(16.0).reshape(1, 16, 1)
    bank.exchange("layer", rows, rows)
    bank.mode = "use"
    key, _ = bank.exchange("layer", torch.zeros(2, 16, 1), torch.zeros(2, 16, 1))
    assert key.shape == (2, 20, 1)
    assert key[1, 16:, 0].tolist() == [8, 9, 12, 13]
