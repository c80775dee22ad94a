"""Pools of quads and batches drawn from them: what is in which picture, and what the denoiser is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator

from inpaint.classical.landmark_warp import LEAST_UNSURE
from inpaint.mask import draw_occluder
from inpaint.model.prior import doubt
from inpaint.training.data import Material, build_material, to_unit
from inpaint.training.quad_batches import BatchConfig, cropped, draw_batch
from inpaint.training.quad_pool import Pool, PoolConfig, build_pool
from tests.inpaint.tiny import SIDE, tiny_autoencoder, tiny_clips

PLAIN = BatchConfig(warp_share=1.0, scaled_share=0, drop_share=0)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def made(count: int, config: PoolConfig, seed: int = 0) -> tuple[Material, Pool]:
    material = build_material(tiny_clips(), side=SIDE, variants=1)
    return material, build_pool(material, tiny_autoencoder(), count, seeded(seed), config, threads=2)


def test_views_are_the_frames_and_composites_come_near_them() -> None:
    material, pool = made(12, PoolConfig(filling=0, edited=0))
    with torch.no_grad():
        truth = tiny_autoencoder().encode(to_unit(material.frames[pool.numbers[0]]))
        mirrored = tiny_autoencoder().encode(to_unit(material.frames[pool.numbers[0]]).flip(-1))
    expected = mirrored if pool.flipped[0] else truth
    torch.testing.assert_close(pool.latents[0].float(), expected, atol=2e-3, rtol=2e-3)
    error = (pool.warps[:, :2] - pool.latents[:, 1:3]).float().abs().mean()
    copied = (pool.latents[:, [0, 3]] - pool.latents[:, 1:3]).float().abs().mean()
    assert error < 0.8 * copied
    by_landmarks = (pool.warps[:, 2:] - pool.latents[:, 1:3]).float().abs().mean()
    assert by_landmarks < copied
    assert float(pool.unsure[:, 2:].min()) >= LEAST_UNSURE - 1e-3
    assert 0 <= float(pool.unsure.min()) <= float(pool.unsure.max()) <= 1
    sure, lost = pool.prior_std()
    assert 0.05 <= sure <= lost


def test_fills_show_one_view_with_a_hole() -> None:
    _, pool = made(10, PoolConfig(filling=1.0, alone=0.5, edited=0))
    assert pool.filling.all()
    assert torch.equal(pool.latents[:, 1], pool.latents[:, 2])
    assert torch.equal(pool.latents[:, 3], pool.warps[:, 1])  # the carried reference, in d and behind c
    assert all(torch.equal(pool.unsure[:, 0], pool.unsure[:, k]) for k in (1, 2, 3))
    assert torch.equal(pool.warps[:, :2], pool.warps[:, 2:])  # a fill's guesses, whatever the mode
    known = pool.unsure[:, :1] == 0
    far = (pool.warps[:, :1] - pool.latents[:, 1:2]).abs().amax(dim=2, keepdim=True)
    assert float(far[~known].float().mean()) > 2 * float(far[known].float().mean())
    alone = pool.numbers[:, 0] == pool.numbers[:, 1]
    assert (pool.unsure[alone].amax(dim=(1, 2, 3, 4)) > 0.9).all()
    continued, carried = (pool.warps[~alone, k] for k in (0, 1))
    guesses = doubt(continued, carried, torch.ones_like(pool.unsure[~alone, 0]))
    assert (pool.unsure[~alone, 0] <= guesses + 1e-3).all()
    assert 0 < int(alone.sum()) < 10
    assert torch.equal(pool.latents[alone, 0], pool.warps[alone, 0])  # its own rough fill for a reference


def test_a_grid_of_one_reference_sees_composites_of_one() -> None:
    _, both = made(8, PoolConfig(filling=0, edited=0))
    material, single = made(8, PoolConfig(filling=0, edited=0, single=True))
    assert torch.equal(both.numbers, single.numbers)
    assert torch.equal(both.latents, single.latents)
    assert not torch.equal(both.warps, single.warps)
    flat = replace(material, frames=material.frames.clone())
    flat.frames[single.numbers[:, 3]] = 0  # the last views must not matter
    generator = seeded(0)
    again = build_pool(
        flat, tiny_autoencoder(), 8, generator, PoolConfig(filling=0, edited=0, single=True), threads=2
    )
    firsts = ~torch.isin(single.numbers[:, :3], single.numbers[:, 3]).any(dim=1)
    assert firsts.any()
    assert torch.equal(again.warps[firsts][:, 2:], single.warps[firsts][:, 2:])


def test_a_pool_repeats_with_its_seed() -> None:
    (_, one), (_, same), (_, other) = (made(6, PoolConfig(), seed) for seed in (3, 3, 4))
    assert torch.equal(one.latents, same.latents)
    assert torch.equal(one.unsure, same.unsure)
    assert not torch.equal(one.numbers, other.numbers)
    with pytest.raises(ValueError, match="shares"):
        PoolConfig(edited=1.5)
    with pytest.raises(ValueError, match="one quad or more"):
        build_pool(build_material(tiny_clips(), side=SIDE), tiny_autoencoder(), 0, seeded())


def test_a_batch_hides_composites_in_pure_mode_and_never_those_of_fills() -> None:
    material, pool = made(16, PoolConfig(filling=0.5))
    chosen = torch.arange(16)
    pure = draw_batch(pool, material, 16, seeded(), replace(PLAIN, warp_share=0.0), chosen=chosen)
    shown = draw_batch(pool, material, 16, seeded(), PLAIN, chosen=chosen)
    assert pure.quads.warps is not None
    assert shown.quads.warps is not None
    between = ~pool.filling
    assert between.any()
    assert pool.filling.any()
    for k in (0, 1):
        assert torch.equal(shown.quads.warps[k].latents, pool.warps[:, k].float())
        assert torch.equal(pure.quads.warps[k].latents[pool.filling], pool.warps[pool.filling, k].float())
        assert torch.equal(pure.quads.warps[k].latents[between], pool.warps[between, 2 + k].float())
        assert torch.equal(pure.quads.warps[k].uncertainty[between], pool.unsure[between, 2 + k].float())
    assert (pure.quads.gap[pool.filling] == 0).all()
    assert (pure.quads.gap[between] == (pool.numbers[between, 3] - pool.numbers[between, 0]).abs()).all()
    assert pure.weight.shape == (16, 4, 1, 8, 8)
    with pytest.raises(ValueError, match="shares"):
        BatchConfig(drop_share=1.5)


def test_a_crop_is_one_window_of_everything() -> None:
    material, pool = made(4, PoolConfig(edited=0))
    batch = draw_batch(pool, material, 4, seeded(), PLAIN, chosen=torch.arange(4))
    small = cropped(batch, 4, seeded(1))
    assert small.latents.shape[-2:] == small.weight.shape[-2:] == small.quads.person.shape[-2:] == (4, 4)
    assert small.quads.drawings.shape[-2:] == (32, 32)
    assert small.quads.warps is not None
    places = [
        (y, x)
        for y in range(5)
        for x in range(5)
        if torch.equal(batch.latents[..., y : y + 4, x : x + 4], small.latents)
    ]
    assert len(places) == 1
    y, x = places[0]
    assert batch.quads.warps is not None
    window = batch.quads.warps[1].uncertainty[..., y : y + 4, x : x + 4]
    assert torch.equal(small.quads.warps[1].uncertainty, window)
    drawn = batch.quads.drawings[..., 8 * y : 8 * y + 32, 8 * x : 8 * x + 32]
    assert torch.equal(small.quads.drawings, drawn)
    for side in (5, 10):
        with pytest.raises(ValueError, match="even side of at most 8"):
            cropped(batch, side, seeded())


def test_occluders_cover_five_to_twenty_percent() -> None:
    rng = np.random.default_rng(0)
    masks = [draw_occluder((200, 200), (60, 60, 140, 140), rng) for _ in range(30)]
    shares = [float(m.mean()) for m in masks]
    assert min(shares) > 0.03  # the rim of an ellipse near the border is cut
    assert max(shares) < 0.21
    assert set(np.unique(masks)) == {0.0, 1.0}
