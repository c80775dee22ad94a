"""Fits a `Judge` to known errors. It needs only torch and numpy."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from correspondence.certainty.uncertainty import Judge
from correspondence.geometry.grid import Float
from correspondence.types import Bool

KNOTS = 16
HIDDEN, BATCH, RATE = 24, 8192, 1e-2  # hidden units, samples in a step, learning rate of Adam


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Features and errors at S cells that were drawn from many pairs.

    Attributes:
        features: features of each sample, float32 (S, F).
        errors: absolute errors of both components, float32 (S, 2), cells. Covered cells have large errors.
        weight: weight of each sample, float32 (S,).
        covered: True where the cell is not seen in the reference, bool (S,).
    """

    features: Float
    errors: Float
    weight: Float
    covered: Bool


def joined(parts: list[Samples]) -> Samples:
    """Concatenate samples."""
    return Samples(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.errors for part in parts]),
        np.concatenate([part.weight for part in parts]),
        np.concatenate([part.covered for part in parts]),
    )


def fit(samples: Samples, steps: int = 1500, seed: int = 0) -> Judge:
    """Fit a judge: a perceptron by maximum likelihood of Laplace errors (Adam), then a monotone curve.

    Args:
        samples: samples with the features that the judge will weigh.
        steps: number of steps of Adam, each on BATCH samples.
        seed: seed of the initial weights and of the batches.
    """
    generator = torch.Generator().manual_seed(seed)
    mean, spread = samples.features.mean(axis=0), samples.features.std(axis=0) + 1e-6
    features = torch.from_numpy((samples.features - mean) / spread)
    errors, share = torch.from_numpy(samples.errors.mean(axis=1)), samples.weight / samples.weight.sum()
    upto = torch.from_numpy(np.cumsum(share.astype(np.float64)))
    inputs = features.shape[1]
    hidden = torch.randn(HIDDEN, inputs, generator=generator) * np.sqrt(2 / inputs)
    weights = [hidden, torch.zeros(HIDDEN), torch.zeros(HIDDEN), errors.mean().log()[None]]
    for part in weights:
        part.requires_grad_()
    optimizer = torch.optim.Adam(weights, RATE, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        drawn = torch.rand(BATCH, generator=generator, dtype=torch.float64)
        batch = torch.searchsorted(upto, drawn).clamp(max=len(errors) - 1)
        units = torch.relu(features[batch] @ weights[0].T + weights[1])
        score = (units @ weights[2] + weights[3]).clamp(-5, 6)
        loss = (score + errors[batch] * torch.exp(-score)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    first, offset, last, level = (part.detach().numpy() for part in weights)
    hidden_rows = np.column_stack([first / spread, offset - (first / spread) @ mean]).astype(np.float32)
    open_ended = np.array([-1e9, 1e9], np.float32)
    raw = Judge(hidden_rows, np.append(last, level).astype(np.float32), open_ended, open_ended)
    return replace(raw, **_curve(raw.score(list(samples.features.T)), samples.errors, share))


def _curve(score: Float, errors: Float, share: Float) -> dict[str, Float]:
    """Fit the rising curve from scores to the natural log of the scale of their errors."""
    order = np.argsort(score)
    edges = np.searchsorted(np.cumsum(share[order]), np.linspace(0, 1, KNOTS + 1)[1:-1])
    scores, values = [], []
    for part in np.split(order, edges):
        scores.append(float(np.average(score[part], weights=share[part])))
        values.append(_scale(errors[part], share[part]))
    rising = np.log(np.maximum.accumulate(values))
    return {"scores": np.array(scores, np.float32), "log_b": rising.astype(np.float32)}


def _scale(errors: Float, share: Float) -> float:
    """Estimate the Laplace scale from the radii that cover 10 % to 90 % of the errors."""
    flat, weight = errors.ravel(), np.repeat(share, 2)
    order = np.argsort(flat)
    reached = np.cumsum(weight[order]) / weight.sum()
    nominal = np.linspace(0.1, 0.9, 9)
    radii = flat[order][np.searchsorted(reached, nominal)]
    return float(np.exp(np.mean(np.log(np.maximum(radii, 1e-3) / -np.log1p(-nominal)))))


def coverage_error(log_b: Float, errors: Float) -> float:
    """Mean absolute difference of empirical and nominal coverage of Laplace intervals at 10 % to 90 %.

    Args:
        log_b: log_b of each sample, float32 (S,).
        errors: absolute errors of both components, float32 (S, 2).
    """
    nominal = np.linspace(0.1, 0.9, 9)
    ratio = errors / np.exp(log_b)[:, None]
    reached = np.array([(ratio <= -np.log1p(-p)).mean() for p in nominal])
    return float(np.abs(reached - nominal).mean())


def scales(samples: Samples, judge: Judge) -> Float:
    """Compute log_b of each sample with a judge: float32 (S,)."""
    return judge(list(np.ascontiguousarray(samples.features.T)))


def side_by_side(record: Mapping[str, Any]) -> str:
    """Format a record as JSON with the numbers of a list on one line, as judges are stored."""
    return re.sub(r",\s+(?=-?\d)", ", ", json.dumps(record, indent=1)) + "\n"
