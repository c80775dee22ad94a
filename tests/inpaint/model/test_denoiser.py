"""The denoiser's inputs: modes, arrangements, quadrants, identity tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from inpaint.model.denoiser import LARGE, SMALL, Denoiser, DenoiserConfig
from inpaint.model.quadrants import Arrangement
from tests.inpaint.tiny import TINY_DENOISER, tiny_denoiser


def inputs(model: Denoiser, count: int = 2) -> tuple[Tensor, ...]:
    rows, columns = model.config.layout
    torch.manual_seed(3)
    grid = [torch.randn(count, 8, rows * 8, columns * 8) for _ in range(3)]
    shown, person = torch.randn(count, 2, 8, 8, 8), torch.rand(count, 2, 1, 8, 8)
    with torch.no_grad():
        tokens = model.identity(shown, person, torch.full((count,), 3))
    prior = torch.cat([torch.randn_like(grid[0]), torch.rand_like(grid[0][:, :1])], dim=1)
    return grid[0], torch.full((count,), 0.5), grid[1], grid[2], tokens, prior


@pytest.mark.parametrize("warp", [False, True])
@pytest.mark.parametrize("arrangement", ["two_references", "one_reference", "side_by_side"])
def test_every_arrangement_runs(arrangement: Arrangement, warp: bool) -> None:
    model = tiny_denoiser(replace(TINY_DENOISER, arrangement=arrangement, warp=warp))
    assert model.config.in_channels == (33 if warp else 24)
    given = inputs(model)
    with torch.no_grad():
        assert model(*given).shape == given[0].shape


def test_an_untrained_network_hands_its_prior_through() -> None:
    model = Denoiser(TINY_DENOISER)
    noisy, _, references, conditions, tokens, prior = inputs(model)
    with torch.no_grad():
        v = model(noisy, torch.ones(2), references, conditions, tokens, prior)
    torch.testing.assert_close(-v, prior[:, :-1])  # x_0 = -v at t = 1


def test_pure_mode_sees_no_composite_but_starts_from_it() -> None:
    model = tiny_denoiser(replace(TINY_DENOISER, warp=False))
    noisy, _, references, conditions, tokens, prior = inputs(model)
    moved = prior.clone()
    moved[:, :-1] += 1
    first = torch.ones(2)
    with torch.no_grad():
        before, after = (model(noisy, first, references, conditions, tokens, p) for p in (prior, moved))
    torch.testing.assert_close(before - after, torch.ones_like(before), atol=1e-4, rtol=1e-4)


def test_quadrants_can_be_told_apart() -> None:
    """The same content in all four quadrants comes out differently: the embedding is there."""
    model = tiny_denoiser()
    conv = model.unet.conv_in
    same = torch.randn(1, model.config.in_channels, 8, 8).repeat(1, 1, 2, 2)
    with torch.no_grad():
        out = conv(same) - conv.conv(same)
    quadrants = [out[..., y : y + 8, x : x + 8] for y in (0, 8) for x in (0, 8)]
    for quadrant, expected in zip(quadrants, conv.embedding.flatten(2).unbind(-1), strict=True):
        torch.testing.assert_close(quadrant, expected[..., None, None].expand_as(quadrant), atol=1e-5, rtol=0)


def test_identity_tokens_look_at_the_person() -> None:
    model = tiny_denoiser()
    torch.manual_seed(2)
    references, gap = torch.randn(1, 2, 8, 8, 8), torch.tensor([5])
    person = torch.zeros(1, 2, 1, 8, 8)
    person[..., :4] = 1
    changed = references.clone()
    changed[..., 5:] += 3  # background only, a patch away from the person
    with torch.no_grad():
        before, after = model.identity(references, person, gap), model.identity(changed, person, gap)
    foreground, background = (before - after).abs()[0, :-2].max(), (before - after).abs()[0, -2].max()
    assert before.shape == (1, 4, 16)
    assert background > 8 * foreground


def test_tokens_know_the_interval_and_can_be_dropped() -> None:
    model = tiny_denoiser()
    references, person = torch.randn(1, 2, 8, 8, 8).repeat(3, 1, 1, 1, 1), torch.ones(3, 2, 1, 8, 8)
    drop = torch.tensor([False, False, True])
    with torch.no_grad():
        tokens = model.identity(references, person, torch.tensor([1, 100, 1]), drop)
    assert not torch.equal(tokens[0, -1], tokens[1, -1])
    torch.testing.assert_close(tokens[0, :-1], tokens[1, :-1])
    torch.testing.assert_close(tokens[2], model.identity.empty[0])


def test_pose_encoder_reaches_the_latents_size() -> None:
    model = tiny_denoiser()
    assert model.pose(torch.rand(1, 3, 64, 48)).shape == (1, 8, 8, 6)
    with pytest.raises(ValueError, match="multiples of 8"):
        model.pose(torch.rand(1, 3, 60, 64))


def test_configs_are_checked() -> None:
    assert SMALL.in_channels == 33
    assert LARGE.widths[-1] == 256
    with pytest.raises(ValueError, match="multiple of groups"):
        DenoiserConfig(widths=(40, 80))
    with pytest.raises(ValueError, match="prior_std"):
        DenoiserConfig(prior_std=(0.0, 1.0))
    with pytest.raises(ValueError, match="arrangement"):
        DenoiserConfig(arrangement="diagonal")  # type: ignore[arg-type]
