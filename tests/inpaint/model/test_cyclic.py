"""Cyclic overlap: who meets whom, what stays, what moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from inpaint.fills.gaps import GapConfig, fill_gap
from inpaint.model import cyclic
from inpaint.model.cyclic import CyclicConfig, pairs, smooth_border
from inpaint.model.denoiser import Denoiser
from inpaint.model.diffusion import QuadrantModel
from inpaint.model.propagation import plan_thirds
from inpaint.model.sampler import signal
from tests.inpaint.tiny import SIDE, TINY_DENOISER, tiny_autoencoder, tiny_model


def test_neighbours_move_on_by_one_frame() -> None:
    assert pairs(5, 0) == [(0, 1), (2, 3), (4, 4)]
    assert pairs(5, 1) == [(0, 0), (1, 2), (3, 4)]
    assert pairs(4, 1) == [(0, 0), (1, 2), (3, 3)]
    for count in range(1, 8):
        for step in range(2):
            met = pairs(count, step)
            assert sorted({k for pair in met for k in pair}) == list(range(count))
            assert sum(1 if b == c else 2 for b, c in met) == count


def some_latents(numbers: range) -> dict[int, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {n: torch.randn(1, 8, SIDE // 8, SIDE // 8, generator=generator) for n in numbers}


def test_the_border_stays_and_its_neighbours_change() -> None:
    model, latents = tiny_model(), some_latents(range(10, 19))
    config = CyclicConfig(reach=2, steps=3)
    made = smooth_border(model, latents, 14, lambda n: model.draw(None), config)
    assert sorted(made) == [12, 13, 15, 16]
    assert all(bool(torch.isfinite(v).all()) and v.shape == latents[14].shape for v in made.values())
    assert all(bool((made[n] != latents[n]).any()) for n in made)
    again = smooth_border(model, latents, 14, lambda n: model.draw(None), config)
    assert all(torch.equal(made[n], again[n]) for n in made)


def test_a_perfect_denoiser_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, latents = tiny_model(), some_latents(range(9))
    truth = torch.cat([latents[n] for n in range(2, 7)])

    def predicted(_model: object, x: Tensor, *rest: object) -> Tensor:
        alpha, sigma = signal(float(rest[-1]))  # type: ignore[arg-type]
        noise = (x - alpha * truth) / sigma
        return alpha * noise - sigma * truth

    monkeypatch.setattr(cyclic, "_predicted", predicted)
    made = smooth_border(model, latents, 4, lambda n: model.draw(None), CyclicConfig(reach=2))
    for n, value in made.items():
        torch.testing.assert_close(value, latents[n], atol=1e-4, rtol=1e-4)


def test_what_a_border_needs() -> None:
    model = tiny_model()
    with pytest.raises(ValueError, match=r"frames \[0, 8\] are needed"):
        smooth_border(model, some_latents(range(1, 8)), 4, lambda n: model.draw(None))
    other = QuadrantModel(tiny_autoencoder(), Denoiser(replace(TINY_DENOISER, arrangement="one_reference")))
    with pytest.raises(ValueError, match="both references"):
        smooth_border(other, some_latents(range(9)), 4, lambda n: other.draw(None))
    with pytest.raises(ValueError, match="start lie in"):
        CyclicConfig(start=1.0)


def test_a_gap_of_two_segments_is_smoothed_at_its_border() -> None:
    model = tiny_model()
    rng = np.random.default_rng(0)
    references = {n: rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8) for n in (0, 5, 10)}
    points = dict.fromkeys(range(11))
    plan = [*plan_thirds(0, 5), *plan_thirds(5, 10)]
    plain = fill_gap(model, references, points, plan=plan, config=GapConfig(steps=1))
    cyclic_config = GapConfig(steps=1, cyclic=CyclicConfig(reach=2, steps=1))
    smoothed = fill_gap(model, references, points, plan=plan, config=cyclic_config)
    assert sorted(smoothed) == list(range(11))
    np.testing.assert_array_equal(smoothed[5], references[5])
    assert [n for n in range(11) if (plain[n] != smoothed[n]).any()] == [3, 4, 6, 7]
