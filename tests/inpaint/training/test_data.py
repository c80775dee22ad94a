"""Quads of frames, training material, edits: what lies where."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator

from inpaint.model.conditions import NO_SCALING, draw_conditions
from inpaint.training import augment
from inpaint.training.data import build_material, resized_points, sample_quads
from tests.inpaint.tiny import SIDE, tiny_clips


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_quads_stay_in_their_clip_and_order() -> None:
    spans = torch.tensor([[0, 4], [4, 300], [300, 1000]])
    quads = sample_quads(spans, 4000, seeded())
    for start, end in spans.tolist():
        inside = ((quads >= start) & (quads < end)).all(dim=1)
        some = ((quads >= start) & (quads < end)).any(dim=1)
        assert torch.equal(inside, some)
        assert inside.sum() > 0.7 * 4000 * (end - start) / 1000 - 20
    steps = quads.diff(dim=1)
    assert ((steps >= 0).all(dim=1) | (steps <= 0).all(dim=1)).all()
    assert 0.4 < float((steps < 0).any(dim=1).float().mean()) < 0.6


def test_gaps_are_log_uniform_and_half_of_them_even() -> None:
    quads = sample_quads(torch.tensor([[0, 100_000]]), 6000, seeded(), even_share=0.5)
    steps = quads.diff(dim=1).abs()
    assert steps.min() >= 1
    assert steps.max() <= 45
    even = (steps == steps[:, :1]).all(dim=1).float().mean()
    assert 0.49 < float(even) < 0.55  # chance adds a few of the uneven ones
    share = (steps[:, 0] <= 6).float().mean()  # ln 7 / ln 46
    assert float(share) == pytest.approx(np.log(7) / np.log(46), abs=0.03)


def test_a_short_clip_still_gives_quads() -> None:
    quads = sample_quads(torch.tensor([[10, 12]]), 50, seeded())
    assert set(quads.flatten().tolist()) <= {10, 11}


def test_material_holds_frames_and_drawings() -> None:
    clips = tiny_clips()
    material = build_material(clips, side=SIDE, variants=1, scaling=NO_SCALING)
    assert material.spans.tolist() == [[0, 12], [12, 28]]
    assert material.frames.shape == (28, 3, SIDE, SIDE)
    assert material.drawings.shape == (2, 28, 3, SIDE, SIDE)
    np.testing.assert_array_equal(material.frames[13].permute(1, 2, 0).numpy(), clips[1].frames[1])
    expected = draw_conditions(clips[1].points[1], (SIDE, SIDE))
    np.testing.assert_array_equal(material.drawings[0, 13].permute(1, 2, 0).numpy(), expected)
    assert material.weight.shape == material.person.shape == (28, 1, 8, 8)
    assert material.weight.max() > 1.4
    with pytest.raises(ValueError, match="multiple of 8"):
        build_material(clips, side=60)
    with pytest.raises(ValueError, match="at least one clip"):
        build_material([], side=64)


def test_frames_and_points_are_resized_alike() -> None:
    clips = tiny_clips()[:1]
    small = build_material(clips, side=32, variants=0)
    assert small.frames.shape == (12, 3, 32, 32)
    points = resized_points(clips[0].points, 0.5)
    np.testing.assert_allclose(small.points.numpy(), points)
    np.testing.assert_allclose(
        resized_points(np.array([[[0.5, 1.5, 9.0]]], np.float32), 2.0), [[[1.5, 3.5, 18.0]]]
    )


def test_one_edit_for_all_views() -> None:
    views = torch.rand(1, 1, 3, 16, 16, generator=seeded()).repeat(1, 4, 1, 1, 1)
    drawings = torch.zeros_like(views)
    edited = [augment.random_edit(views, drawings, 1.0, seeded(s)) for s in range(12)]
    assert sum(not torch.equal(e, views) for e in edited) >= 3
    for e in edited:
        assert torch.equal(e[:, 0], e[:, 3])
        assert 0 <= float(e.min()) <= float(e.max()) <= 1
    assert torch.equal(augment.random_edit(views, drawings, 0.0, seeded()), views)
