"""Measures of the cover network: a table over held-out covers and unseen people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from correspondence.training.cover.data import Faces
from correspondence.training.cover.occluders import Cover, Covered
from correspondence.training.cover.pairs import CoverPair, CoverPairConfig, CoverPairs
from correspondence.types import Float

SURELY, HARDLY = 0.9, 0.1  # pixels are judged if their hidden share is above or below these
Bytes = npt.NDArray[np.uint8]
Predict = Callable[[Bytes, Bytes], Float]


@dataclass(frozen=True, slots=True, eq=False)
class CoverCase:
    """Pairs of one kind.

    Attributes:
        name: name of the kind.
        frames, references: uint8 (N, SIDE, SIDE, 3).
        hidden, face: uint8 (N, SIDE, SIDE).
    """

    name: str
    frames: Bytes
    references: Bytes
    hidden: Bytes
    face: Bytes


def cases(faces: Faces, covers: Sequence[Cover], pictures: Sequence[Covered], count: int) -> list[CoverCase]:
    """Make the held-out cases: each kind of cover on unseen faces, real covers, and uncovered faces.

    Args:
        faces: faces of unseen people.
        covers, pictures: covers and real covered faces. Only held-out ones are used.
        count: number of pairs of each kind.
    """
    held = [c for c in covers if c.held]
    plain = CoverPairConfig(
        make_up=0, glasses=0, tongue=0, side_light=0, put_on=0, behind=0, real=0, peeking=0, apart=0
    )
    made = CoverPairs(faces, held, [], plain, seed=1)
    out = [
        _case(f"{kind}, cut out" if kind != "drawn" else kind, [made.pair(i, kind) for i in range(count)])
        for kind in (*sorted({c.kind for c in held}), "drawn")
    ]
    real = [p for p in pictures if p.held]
    if real:
        rng = np.random.default_rng(1)
        out.append(_case("real", [made.real(rng, p) for p in real for _ in range(4)]))
    bare = {
        "uncovered": plain,
        "uncovered, make-up": replace(plain, make_up=1),
        "uncovered, glasses": replace(plain, glasses=1),
        "uncovered, side light": replace(plain, side_light=1),
        "uncovered, tongue": replace(plain, tongue=1),
        "uncovered, turned": replace(plain, apart=1),
    }
    for name, config in bare.items():
        made = CoverPairs(faces, held, [], config, seed=2)
        out.append(_case(name, [made.pair(i, "none") for i in range(count)]))
    return out


def _case(name: str, pairs: list[CoverPair]) -> CoverCase:
    frames, references = (
        np.stack([getattr(p, n) for p in pairs]).clip(0, 255).astype(np.uint8) for n in ("frame", "reference")
    )
    hidden = np.stack([np.rint(255 * p.hidden) for p in pairs]).astype(np.uint8)
    return CoverCase(name, frames, references, hidden, np.stack([p.face for p in pairs]).astype(np.uint8))


def table(cases: Sequence[CoverCase], predict: Predict) -> dict[str, dict[str, float]]:
    """Measure the network on each case, inside the face's outline.

    Args:
        cases: the cases, by name.
        predict: returns probabilities, float32 (N, SIDE, SIDE), for frames and references, uint8 (N, SIDE,
            SIDE, 3).

    Returns:
        By case: leak, the share of hidden pixels that count as face; lost, the share of visible pixels that
        count as hidden; auroc, if there are pixels of both kinds.
    """
    out = {}
    for case in cases:
        probability = predict(case.frames, case.references)
        on = case.face == 1
        covered = probability[on & (case.hidden > 255 * SURELY)]
        free = probability[on & (case.hidden < 255 * HARDLY)]
        row = {"lost": float((free >= 0.5).mean())}
        if covered.size:
            row |= {"leak": float((covered < 0.5).mean()), "auroc": auroc(covered, free)}
        out[case.name] = row
    return out


def auroc(above: Float, below: Float) -> float:
    """Probability that a value of `above` exceeds one of `below`.

    Ties count half. Computed from 1000 bins.
    """
    edges = np.linspace(0, 1, 1001)
    a, b = (np.histogram(v, edges)[0] / max(v.size, 1) for v in (above, below))
    return float((a * (np.cumsum(b) - 0.5 * b)).sum())


def score(rows: dict[str, dict[str, float]]) -> float:
    """Return one number to choose weights by; lower is better.

    It is the mean of leak + lost over the covered cases, plus five times the mean of lost over the uncovered
    ones.
    """
    covered = [r["leak"] + r["lost"] for r in rows.values() if "leak" in r]
    bare = [r["lost"] for r in rows.values() if "leak" not in r]
    return float(np.mean(covered) + 5 * np.mean(bare))
