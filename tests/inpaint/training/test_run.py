"""Training, tiny: losses fall, seeds decide, the commands run end to end."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from correspondence.training import data
from correspondence.training.data import Clip
from inpaint.model import checkpoints
from inpaint.model.denoiser import Denoiser
from inpaint.training import autoencoder as train_autoencoder
from inpaint.training import denoiser as train_denoiser
from inpaint.training import run as training
from inpaint.training.data import build_material
from inpaint.training.losses import gradient_l1, ms_ssim, psnr, ssim
from inpaint.training.quad_batches import BatchConfig
from inpaint.training.quad_pool import PoolConfig, build_pool
from tests.inpaint.tiny import SIDE, TINY_AUTOENCODER, TINY_DENOISER, tiny_autoencoder, tiny_clips


def quick(steps: int, seed: int = 0) -> training.RunConfig:
    return training.RunConfig(
        steps=steps, batch=4, learning_rate=2e-3, warm_up=2, ema=0.9, seed=seed, every=steps
    )


def test_measures_of_known_pictures() -> None:
    a = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert float(ssim(a, a)) == pytest.approx(1)
    assert float(ms_ssim(a, a)) == pytest.approx(1)
    assert float(ssim(a, 1 - a)) < 0
    assert psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)) == pytest.approx(20, abs=1e-3)
    ramp = torch.arange(4.0).repeat(4, 1).reshape(1, 1, 4, 4)
    assert float(gradient_l1(ramp, torch.zeros_like(ramp))) == pytest.approx(1)


def test_ssim_agrees_with_scikit_image() -> None:
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    a = rng.random((40, 40))
    b = np.clip(a + 0.2 * rng.standard_normal((40, 40)), 0, 1)
    expected = structural_similarity(
        a, b, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    found = ssim(torch.from_numpy(a)[None, None], torch.from_numpy(b)[None, None])
    assert float(found) == pytest.approx(expected, abs=2e-3)


def test_crops_are_windows_of_the_pictures() -> None:
    rows = torch.arange(64, dtype=torch.uint8).repeat(64, 1)
    pictures = torch.stack([rows.T, rows, rows], dim=-1)[None].repeat(3, 1, 1, 1)  # red: y, green: x
    cut = train_autoencoder._cropped(pictures, 16, torch.Generator().manual_seed(0))
    assert cut.shape == (3, 16, 16, 3)
    assert torch.equal(cut[0, :, 0, 0] - cut[0, 0, 0, 0], torch.arange(16, dtype=torch.uint8))
    with pytest.raises(ValueError, match="crop must be a multiple of 8"):
        train_autoencoder.batch(pictures, 2, torch.Generator(), crop=72)


def test_the_autoencoder_learns_one_batch() -> None:
    frames = torch.from_numpy(np.concatenate([c.frames for c in tiny_clips()]))
    model, curve, about = train_autoencoder.train(frames, frames[:4], TINY_AUTOENCODER, quick(60))
    assert curve.rows[-1]["loss"] < 0.6 * curve.rows[0]["loss"]
    assert curve.rows[-1]["psnr"] > curve.rows[0]["psnr"] + 3
    assert about["steps"] == 60
    latents = model.encode(frames.permute(0, 3, 1, 2).float() / 255)
    assert 0.5 < float(latents.std()) < 1.5


def denoise(seed: int, steps: int = 40) -> tuple[nn.Module, training.Curve]:
    material = build_material(tiny_clips(), side=SIDE, variants=1)
    pool = build_pool(material, tiny_autoencoder(), 8, training.seeded(0, "cpu"))
    model, curve, _ = train_denoiser.train(
        material, pool, TINY_DENOISER, quick(steps, seed), BatchConfig(), crop=32
    )
    return model, curve


@pytest.mark.slow
def test_the_denoiser_learns() -> None:
    material = build_material(tiny_clips()[:1], side=SIDE, variants=0)
    autoencoder = tiny_autoencoder()
    pool = build_pool(material, autoencoder, 8, training.seeded(0, "cpu"), PoolConfig(edited=0))
    network = replace(TINY_DENOISER, prior_std=pool.prior_std())
    measure = train_denoiser.measure_on(material, pool, autoencoder, "two_references", count=4)
    batches = BatchConfig(warp_share=0.5, scaled_share=0, drop_share=0)
    config = replace(quick(150), every=5)
    _, curve, _ = train_denoiser.train(material, pool, network, config, batches, measure)
    first, last = curve.rows[0], curve.rows[-1]
    losses = [row["loss"] for row in curve.rows]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10]), "single steps differ by as much as their noise"
    assert last["filled"] > first["filled"]
    assert {"pure", "landmarks", "warped", "composite", "filled", "guess"} <= set(last)
    assert last["composite"] == first["composite"]
    assert all(np.isfinite(value) for value in last.values())


def test_the_seed_decides_everything() -> None:
    (one, _), (same, _), (other, _) = denoise(0, 3), denoise(0, 3), denoise(1, 3)
    first, second, third = (list(m.state_dict().values()) for m in (one, same, other))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, third, strict=True))


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    def explode(module: nn.Module, step: int) -> torch.Tensor:
        total: torch.Tensor = sum((p.sum() for p in module.parameters()), torch.zeros(()))
        return total * (torch.inf if step else 1.0)

    with pytest.raises(RuntimeError, match="learning-rate"):
        training.optimise(nn.Linear(2, 2), explode, quick(2))


def test_learning_rate_warms_up_and_falls() -> None:
    config = training.RunConfig(steps=100, warm_up=10, learning_rate=1.0)
    rates = [training.learning_rate(s, s / 100, config) for s in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) > 0.95
    assert rates[-1] < 0.03
    assert all(a >= b for a, b in pairwise(rates[12:]))


def test_stratified_times_cover_the_interval() -> None:
    times = train_denoiser.stratified_times(8, torch.Generator().manual_seed(0), torch.zeros(1))
    first = times == 1
    assert int(first.sum()) in (4, 5)  # half of 8 at the sampler's first step
    assert (times[~first].sort().values.diff() - 1 / 8 / 0.5).abs().max() < 1e-5


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training cache's place; its clips are made up here."""

    def load(
        path: Path,
        part: str = "train",
        stride: int = 1,
        limit: int | None = None,
        allowed: frozenset[str] | None = None,
    ) -> list[Clip]:
        assert path == tmp_path
        return tiny_clips()[:1] if part == "train" else tiny_clips()[1:]

    monkeypatch.setattr(data, "load", load)
    return tmp_path


def arguments(configure: Callable[[argparse.ArgumentParser], None], *given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    configure(parser)
    return parser.parse_args(list(given))


def test_both_commands_one_after_the_other(folder: Path) -> None:
    common = [
        "--cache",
        str(folder),
        "--steps",
        "2",
        "--batch",
        "2",
        "--side",
        "64",
        "--device",
        "cpu",
        "--every",
        "1",
    ]
    out = folder / "out"
    first = arguments(train_autoencoder.configure, *common, "--out", str(out), "--width", "16")
    assert train_autoencoder.run(first) == 0
    weights = out / checkpoints.AUTOENCODER
    assert checkpoints.read_about(weights)["held_out"] is True
    second = arguments(
        train_denoiser.configure,
        *common,
        "--out",
        str(out),
        "--autoencoder",
        str(weights),
        "--arrangement",
        "one_reference",
        "--quads",
        "6",
        "--crop",
        "32",
    )
    assert train_denoiser.run(second) == 0
    denoiser = checkpoints.load_denoiser(out / checkpoints.DENOISER)
    assert denoiser.config.arrangement == "one_reference"
    assert denoiser.config.latent_size == 8
    about = checkpoints.read_about(out / checkpoints.DENOISER)
    assert about["steps"] == 2
    assert json.dumps(about)
    lines = (out / "denoiser.csv").read_text().splitlines()
    assert lines[0] == "step,seconds,loss,pure,landmarks,warped,composite,filled,guess"
    assert len(lines) == 3
    assert cv2.imread(str(out / "denoiser.png")) is not None


def test_a_run_goes_on_from_another() -> None:
    model, _ = denoise(0, 3)
    material = build_material(tiny_clips(), side=SIDE, variants=0)
    pool = build_pool(material, tiny_autoencoder(), 4, training.seeded(0, "cpu"))
    frozen = replace(quick(1), learning_rate=0.0, weight_decay=0.0)
    network = replace(TINY_DENOISER, prior_std=(0.2, 0.9))
    assert isinstance(model, Denoiser)
    on, _, _ = train_denoiser.train(material, pool, network, frozen, BatchConfig(), start=model)
    assert on.config.prior_std == (0.2, 0.9)
    for before, after in zip(model.state_dict().values(), on.state_dict().values(), strict=True):
        torch.testing.assert_close(before, after)
    other = replace(TINY_DENOISER, widths=(16, 16))
    with pytest.raises(ValueError, match="denoiser to start from is"):
        train_denoiser.train(material, pool, other, frozen, BatchConfig(), start=model)
