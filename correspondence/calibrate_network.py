"""Fits a network's `Calibration` on the held-out sources: known fields and withheld landmarks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from correspondence.checkpoints import Calibration
from correspondence.data import Clip
from correspondence.grid import Float
from correspondence.network import CELL, Network
from correspondence.pairs import PairConfig, Pairs
from correspondence.windows import Sample

LEVELS = np.arange(0.1, 0.95, 0.1)  # nominal coverages that are compared
SLOPES = np.arange(0.6, 1.65, 0.1)
HIDDEN = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
OFFSETS = np.arange(-2.0, 2.01, 0.05)
CELLS_PER_PAIR = 1500
FACE, NEAR, REST = range(3)


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """Cells with known errors.

    Attributes:
        raw: float32 (N,), the network's log_b.
        hidden: float32 (N,), softplus(-visibility).
        error: float32 (N, 2), absolute, pixels.
        place: int (N,), FACE, NEAR or REST.
        covered: bool (N,), not seen in the reference; such cells have no error.
    """

    raw: Float
    hidden: Float
    error: Float
    place: npt.NDArray[np.intp]
    covered: npt.NDArray[np.bool_]


def coverage_error(log_b: Float, error: Float) -> float:
    """Mean distance of the empirical from the nominal coverage of a Laplace law, levels 0.1 to 0.9.

    Args:
        log_b: float32 (N,).
        error: float32 (N, 2), absolute, pixels.
    """
    if not len(log_b):
        return 0.0
    relative = error / np.exp(log_b)[:, None]
    bounds = -np.log1p(-LEVELS)
    return float(
        np.mean([abs(float((relative <= b).mean()) - p) for b, p in zip(bounds, LEVELS, strict=True)])
    )


def sparsification_error(doubt: Float, error: Float, steps: int = 50) -> float:
    """AUSE: mean gap between errors left when the most doubted go first and when the largest go first.

    Args:
        doubt: float32 (N,), any monotone measure.
        error: float32 (N,), at least 0.
        steps: points of the curves.

    Returns:
        The gap relative to the mean error; 0 is perfect.
    """
    curves = []
    for order in (np.argsort(-doubt), np.argsort(-error)):
        left = np.cumsum(error[order][::-1])[::-1] / np.arange(len(error), 0, -1)
        curves.append(left[(np.linspace(0, 0.98, steps) * len(error)).astype(int)])
    return float((curves[0] - curves[1]).mean() / max(float(error.mean()), 1e-6))


def separation(score: Float, positive: npt.NDArray[np.bool_]) -> float:
    """AUROC: the probability that a positive scores above a negative."""
    rank = np.empty(len(score))
    rank[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    n, m = int(positive.sum()), int((~positive).sum())
    return float((rank[positive].sum() - n * (n + 1) / 2) / max(n * m, 1))


def log_b_of(errors: Errors, calibration: Calibration) -> Float:
    """The calibrated log_b of each cell."""
    offsets = np.array([calibration.face, calibration.near, calibration.rest], np.float32)
    log_b = calibration.slope * errors.raw + calibration.hidden * errors.hidden + offsets[errors.place]
    return np.asarray(log_b, np.float32)


def collect(network: Network, clips: list[Clip], count: int, seed: int = 0) -> Errors:
    """Errors of a network on pairs it was not trained on, half of them made up, half with landmarks withheld.

    Args:
        network: trained, on any device.
        clips: of the held-out sources.
        count: pairs.
        seed: of the pairs and of the cells drawn from them.
    """
    parts = [
        *_made_up(network, Pairs(clips, PairConfig(synthetic=1.0, past=0.3), seed, count // 2), seed),
        *_withheld(
            network, Pairs(clips, PairConfig(synthetic=0.0, withheld=1.0, faceless=0.0), seed, count // 2)
        ),
    ]
    joined = [np.concatenate([getattr(p, name) for p in parts]) for name in Errors.__slots__]
    return Errors(*joined)


def _said(network: Network, sample: Sample) -> tuple[Float, Float, Float]:
    """Field (2, h, w), raw log_b and softplus(-visibility) (h, w) of a sample's first direction."""
    device = next(network.parameters()).device
    images = torch.from_numpy(sample["images"]).to(device).float() / 255
    given = [torch.from_numpy(sample[key][:1]).to(device) for key in ("candidates", "validity")]
    with torch.no_grad():
        output = network(images[:1], network.prepare(images[1:]), *given)
    field, log_b, visibility = (v[0].cpu().numpy() for v in (output.field, output.log_b, output.visibility))
    return field, log_b[0], np.logaddexp(0, -visibility[0]).astype(np.float32)


def _places(validity: Float) -> npt.NDArray[np.intp]:
    """FACE, NEAR or REST of each cell, from the landmark candidate's validity."""
    return np.where(validity > 0.35, FACE, np.where(validity > 0.05, NEAR, REST))


def _made_up(network: Network, pairs: Pairs, seed: int) -> Iterator[Errors]:
    rng = np.random.default_rng(seed)
    for number in range(len(pairs)):
        sample = pairs[number]
        field, raw, hidden = _said(network, sample)
        known = (sample["known"][0, 0] > 0) & (sample["visible"][0, 0] >= 0)
        chosen = np.flatnonzero(known)
        chosen = rng.choice(chosen, min(CELLS_PER_PAIR, len(chosen)), replace=False)
        error = np.abs(field - sample["truth"][0]).reshape(2, -1).T
        yield Errors(
            raw.ravel()[chosen],
            hidden.ravel()[chosen],
            error[chosen],
            _places(sample["validity"][0, 0]).ravel()[chosen],
            sample["visible"][0, 0].ravel()[chosen] == 0,
        )


def _withheld(network: Network, pairs: Pairs) -> Iterator[Errors]:
    """Landmarks where FaceMesh found them; half of those were kept from the network."""
    for number in range(len(pairs)):
        sample = pairs[number]
        field, raw, hidden = _said(network, sample)
        there, here = sample["points"][0, 1], sample["points"][0, 0]
        cell = np.clip(np.rint((here + 0.5) / CELL - 0.5).astype(int), 0, field.shape[1] - 1)
        x, y = cell[:, 0], cell[:, 1]
        kept = sample["trusted"][0] > 0
        error = np.abs(field[:, y, x].T - (there - here))[kept]
        yield Errors(
            raw[y, x][kept],
            hidden[y, x][kept],
            error.astype(np.float32),
            np.full(int(kept.sum()), FACE, np.intp),
            np.zeros(int(kept.sum()), bool),
        )


def fit(errors: Errors) -> Calibration:
    """Slope and weight of the visibility head by what ranks best, then each place's offset."""
    seen = ~errors.covered
    length = np.linalg.norm(errors.error, axis=1)
    best, lowest = Calibration(), np.inf
    for hidden in HIDDEN:
        tried = Calibration(hidden=hidden)
        log_b = log_b_of(errors, tried)
        cost = sparsification_error(log_b[seen], length[seen]) + 2 * (1 - separation(log_b, errors.covered))
        if cost < lowest:
            best, lowest = tried, cost
    choices = [_with_offsets(errors, replace(best, slope=round(float(slope), 2))) for slope in SLOPES]
    return min(choices, key=lambda c: _likelihood(errors, c))


def _with_offsets(errors: Errors, start: Calibration) -> Calibration:
    """Each place's offset by the least coverage error."""
    log_b = log_b_of(errors, start)
    offsets = []
    for place in (FACE, NEAR, REST):
        mine = (errors.place == place) & ~errors.covered
        costs = [coverage_error(log_b[mine] + offset, errors.error[mine]) for offset in OFFSETS]
        offsets.append(round(float(OFFSETS[int(np.argmin(costs))]), 2))
    return replace(start, face=offsets[FACE], near=offsets[NEAR], rest=offsets[REST])


def _likelihood(errors: Errors, calibration: Calibration) -> float:
    seen = ~errors.covered
    log_b = log_b_of(errors, calibration)[seen]
    return float((errors.error[seen].mean(axis=1) / np.exp(log_b) + log_b).mean())


def figures(errors: Errors, calibration: Calibration) -> dict[str, float]:
    """Coverage error, AUSE and occlusion AUROC of a calibrated network; its mean error in pixels."""
    seen = ~errors.covered
    log_b = log_b_of(errors, calibration)
    length = np.linalg.norm(errors.error, axis=1)
    return {
        "coverage_error": coverage_error(log_b[seen], errors.error[seen]),
        "ause": sparsification_error(log_b[seen], length[seen]),
        "occlusion_auroc": separation(log_b, errors.covered),
        "mean_error_px": float(length[seen].mean()),
    }
