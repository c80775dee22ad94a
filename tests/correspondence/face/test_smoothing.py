"""The One-Euro filter: still at rest, without lag in motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from correspondence import Float
from correspondence.face.boxes import run_mesh
from correspondence.face.mediapipe_graphs import FaceMesh
from correspondence.face.smoothing import OneEuro, SmoothingConfig
from tests.correspondence.faces import CLIPS, clip_frames

FPS = 25.0
FACE = 200.0  # pixels


def filtered(points: Float, scale: float) -> Float:
    one_euro = OneEuro()
    return np.stack([one_euro(p, scale, index / FPS) for index, p in enumerate(points)])


def jitter(points: Float) -> Float:
    """Second difference over time: what is left of a smooth motion is noise; (T - 2, N)."""
    return np.linalg.norm(points[2:, :, :2] - 2 * points[1:-1, :, :2] + points[:-2, :, :2], axis=2)


def lag_frames(raw: Float, smooth: Float, least: float) -> float:
    """By how many frames `smooth` trails `raw` where points move faster than `least` pixels a frame."""
    speed = np.zeros_like(raw)
    speed[1:-1] = (raw[2:] - raw[:-2]) / 2
    fast = np.linalg.norm(speed, axis=2) > least
    fast[:5] = False
    return float(-((smooth - raw) * speed).sum(axis=2)[fast].sum() / (speed**2).sum(axis=2)[fast].sum())


def test_noise_at_rest_is_damped(rng: np.random.Generator) -> None:
    raw = (300 + rng.normal(0, 0.3, (200, 478, 3))).astype(np.float32)
    smooth = filtered(raw, FACE)
    assert smooth[50:].std(axis=0).mean() < 0.5 * raw[50:].std(axis=0).mean()


@pytest.mark.parametrize(("noise", "left"), [(0.1, 0.14), (0.4, 0.2)])
def test_no_more_of_strong_noise_is_left_than_of_faint(
    noise: float, left: float, rng: np.random.Generator
) -> None:
    """Speed that noise alone makes opens the filter no more: 0.16 and 0.29 were left."""
    raw = (300 + rng.normal(0, noise, (200, 478, 3))).astype(np.float32)
    assert jitter(filtered(raw, FACE)[50:]).mean() < left * jitter(raw[50:]).mean()


def test_noise_does_not_delay_a_motion(rng: np.random.Generator) -> None:
    """A head that sways by 15 px a second, in the dark: less than half a frame late."""
    path = 15 * np.sin(2 * np.pi * np.arange(150) / FPS).astype(np.float32)
    raw = np.zeros((150, 478, 3), np.float32) + path[:, None, None]
    noisy = raw + rng.normal(0, 0.4, raw.shape).astype(np.float32)
    assert 0 <= lag_frames(raw[..., :2], filtered(noisy, FACE)[..., :2], 2.0) < 0.45


def test_fast_motion_is_followed_within_a_fifth_of_a_frame() -> None:
    """A head swinging by half its size twice a second."""
    path = 100 * np.sin(2 * np.pi * 2 * np.arange(100) / FPS)
    raw = np.zeros((100, 478, 3), np.float32) + path[:, None, None].astype(np.float32)
    assert 0 <= lag_frames(raw[..., :2], filtered(raw, FACE)[..., :2], 4.0) < 0.2


def test_the_lag_in_length_never_exceeds_its_bound() -> None:
    """A ramp at any speed: at most 1 / (2 pi beta) of the face, see SmoothingConfig."""
    bound = FACE / (2 * np.pi * SmoothingConfig().beta)
    for speed in (0.2, 2.0, 20.0):
        raw = np.zeros((150, 1, 3), np.float32)
        raw[:, 0, 0] = speed * np.arange(150)
        behind = raw[-1, 0, 0] - filtered(raw, FACE)[-1, 0, 0]
        assert 0 <= behind < 1.1 * bound


def test_time_that_stands_still_forgets_the_past() -> None:
    one_euro = OneEuro()
    points = np.zeros((1, 3), np.float32)
    one_euro(points, FACE, 1.0)
    assert (one_euro(points + 50, FACE, 1.0) == 50).all()


@pytest.mark.parametrize(
    "wrong", [{"min_cutoff_hz": 0.0}, {"beta": -1.0}, {"speed_cutoff_hz": 0.0}, {"noise": -0.1}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cut-offs must be positive"):
        SmoothingConfig(**wrong)


@pytest.mark.portraits
def test_on_clips_jitter_falls_and_motion_keeps_its_time(portraits: Path) -> None:
    """FaceMesh on real clips: jitter at rest at most 0.65 of the raw one, lag at most 0.2 frames."""
    rest_raw = rest_smooth = 0.0
    still_frames, lags = 0, []
    for name in CLIPS:
        mesh = FaceMesh(static=False, faces=1)
        raw = np.stack(
            [run_mesh(mesh, frame, None)[0].points[:468] for frame in clip_frames(portraits, name, 100)]
        )
        mesh.close()
        face = float(np.ptp(raw[:, :, :2], axis=1).max(axis=1).mean())
        smooth = filtered(raw, face)
        drift = np.linalg.norm((raw[4:] - raw[:-4])[..., :2] / 4, axis=2).mean(axis=1)
        still = np.zeros(len(raw) - 2, bool)
        still[1:-1] = drift < 0.002 * face
        still[:8] = False
        rest_raw += float((jitter(raw)[still] ** 2).sum()) / face**2
        rest_smooth += float((jitter(smooth)[still] ** 2).sum()) / face**2
        still_frames += int(still.sum())
        if (np.abs(np.diff(raw[..., :2], axis=0)).max(axis=2) > 0.02 * face).any():
            lags.append(lag_frames(raw[..., :2], smooth[..., :2], 0.02 * face))
    assert still_frames >= 50
    assert np.sqrt(rest_smooth / rest_raw) < 0.65
    assert len(lags) >= 5
    assert np.mean(lags) < 0.2
