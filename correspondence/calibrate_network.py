"""Fits a network's `Calibration` on the held-out sources: known fields and withheld landmarks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from correspondence.data import Clip
from correspondence.doubt import FACE, Calibration, evidence, final_log_b, places
from correspondence.grid import Float
from correspondence.network import CELL, Network
from correspondence.pairs import PairConfig, Pairs
from correspondence.windows import Sample

LEVELS = np.arange(0.1, 0.95, 0.1)  # nominal coverages that are compared
CELLS_PER_PAIR = 1500
COVERED_CELLS = 8.0  # error that a cell not seen in the reference counts as at least
NEWTON_STEPS = 25
RIDGE = 1e-3  # of the cells' number, towards the network's own word alone


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """Cells with known errors.

    Attributes:
        seen: float32 (5, N), from `doubt.evidence`.
        error: float32 (N, 2), absolute, cells.
        place: int (N,), from `doubt.places`.
        covered: bool (N,), not seen in the reference.
    """

    seen: Float
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
    joined = [
        np.concatenate([getattr(p, name) for p in parts], axis=-1) for name in ("seen", "place", "covered")
    ]
    return Errors(joined[0], np.concatenate([p.error for p in parts]), joined[1], joined[2])


def _said(network: Network, sample: Sample) -> tuple[Float, Float]:
    """Field (2, h, w) and evidence (5, h, w) of a sample's first direction."""
    device = next(network.parameters()).device
    images = torch.from_numpy(sample["images"]).to(device).float() / 255
    candidates, validity = sample["candidates"][0], sample["validity"][0]
    given = [torch.from_numpy(v[None]).to(device) for v in (candidates, validity)]
    with torch.no_grad():
        output = network(images[:1], network.prepare(images[1:]), *given)
    field, log_b, visibility = (v[0].cpu().numpy() for v in (output.field, output.log_b, output.visibility))
    return field, evidence(log_b[0], visibility[0], field, candidates, validity)


def _made_up(network: Network, pairs: Pairs, seed: int) -> Iterator[Errors]:
    rng = np.random.default_rng(seed)
    for number in range(len(pairs)):
        sample = pairs[number]
        field, seen = _said(network, sample)
        known = (sample["known"][0, 0] > 0) & (sample["visible"][0, 0] >= 0)
        chosen = np.flatnonzero(known)
        chosen = rng.choice(chosen, min(CELLS_PER_PAIR, len(chosen)), replace=False)
        error = np.abs(field - sample["truth"][0]).reshape(2, -1).T
        place = places(sample["validity"][0, 0]).ravel()
        covered = sample["visible"][0, 0].ravel() == 0
        yield Errors(seen.reshape(len(seen), -1)[:, chosen], error[chosen], place[chosen], covered[chosen])


def _withheld(network: Network, pairs: Pairs) -> Iterator[Errors]:
    """Landmarks where FaceMesh found them; half of those were kept from the network."""
    for number in range(len(pairs)):
        sample = pairs[number]
        field, seen = _said(network, sample)
        here, there = sample["points"][0]
        cell = np.clip(np.rint((here + 0.5) / CELL - 0.5).astype(int), 0, field.shape[1] - 1)
        x, y = cell[sample["trusted"][0] > 0].T
        error = np.abs(field[:, y, x].T - (there - here)[sample["trusted"][0] > 0]).astype(np.float32)
        yield Errors(seen[:, y, x], error, np.full(len(x), FACE, np.intp), np.zeros(len(x), bool))


def fit(errors: Errors) -> Calibration:
    """Weights of the evidence and offsets of the places by maximum likelihood.

    The negative log-likelihood of a Laplace law whose log-scale is linear in the evidence is convex: Newton's
    method finds its minimum. Cells that are not in the reference count with an error of at least
    COVERED_CELLS, so that they are doubted too. Offsets by least coverage error instead followed the many
    small errors and were too sure of harder pictures than the held-out ones.
    """
    error = np.where(errors.covered[:, None], np.maximum(errors.error, COVERED_CELLS), errors.error)
    size = error.mean(axis=1).astype(np.float64)
    known = np.eye(3)[errors.place].T  # one offset a place
    rows = np.concatenate([errors.seen, known]).astype(np.float64)
    start = np.zeros(len(rows))
    start[0] = 1.0
    weights = start.copy()
    for _ in range(NEWTON_STEPS):
        ratio = size * np.exp(-np.clip(weights @ rows, -8, 8))
        pull = RIDGE * len(size) * (weights - start)
        slope = rows @ (1 - ratio) + pull
        bend = (rows * ratio) @ rows.T + RIDGE * len(size) * np.eye(len(rows))
        step = np.linalg.solve(bend, slope)
        weights = weights - step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-9))
    return Calibration(*[round(float(w), 3) for w in weights])


def figures(errors: Errors, calibration: Calibration) -> dict[str, float]:
    """Coverage error, AUSE and occlusion AUROC of a calibrated network; its mean error in pixels."""
    seen = ~errors.covered
    log_b = final_log_b(errors.seen, errors.place, calibration)
    length = np.linalg.norm(errors.error, axis=1)
    return {
        "coverage_error": coverage_error(log_b[seen], errors.error[seen]),
        "ause": sparsification_error(log_b[seen], length[seen]),
        "occlusion_auroc": separation(log_b, errors.covered),
        "mean_error_px": float(length[seen].mean()),
    }
