"""How well the cover's network tells what hides a face: its table over held-out covers and unseen people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from correspondence.training.cover.data import Faces
from correspondence.training.cover.occluders import Cover, Covered
from correspondence.training.cover.pairs import CoverPair, CoverPairConfig, CoverPairs
from correspondence.types import Float

SURELY, HARDLY = 0.9, 0.1  # of a pixel hidden, above and below which it is judged
Bytes = npt.NDArray[np.uint8]
Predict = Callable[[Bytes, Bytes], Float]


@dataclass(frozen=True, slots=True, eq=False)
class CoverCase:
    """CoverPairs of one kind: uint8 (N, SIDE, SIDE, 3) twice, hidden and face uint8 (N, SIDE, SIDE)."""

    name: str
    frames: Bytes
    references: Bytes
    hidden: Bytes
    face: Bytes


def cases(faces: Faces, covers: Sequence[Cover], pictures: Sequence[Covered], count: int) -> list[CoverCase]:
    """The held-out cases: each kind of cover on unseen faces, real ones, and uncovered faces.

    Args:
        faces: unseen people.
        covers, pictures: those held out are taken.
        count: pairs of each kind.
    """
    held = [c for c in covers if c.held]
    plain = CoverPairConfig(make_up=0, glasses=0, tongue=0, side_light=0, put_on=0, behind=0, real=0)
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
    """What the network says about each case, inside the face's outline.

    Args:
        cases: see there.
        predict: probabilities float32 (N, SIDE, SIDE) from frames and references uint8 (N, SIDE, SIDE, 3).

    Returns:
        By case: leak, the share of what is hidden that counts as face; lost, the share of what is seen that
        counts as hidden; auroc of both kinds of pixel, where there are both.
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
    """The chance that a value of `above` exceeds one of `below`, ties counted half, from 1000 bins."""
    edges = np.linspace(0, 1, 1001)
    a, b = (np.histogram(v, edges)[0] / max(v.size, 1) for v in (above, below))
    return float((a * (np.cumsum(b) - 0.5 * b)).sum())


def score(rows: dict[str, dict[str, float]]) -> float:
    """One number to choose weights by, less is better: mean leak and lost of the covered cases, and what
    uncovered ones lose, counted five times."""
    covered = [r["leak"] + r["lost"] for r in rows.values() if "leak" in r]
    bare = [r["lost"] for r in rows.values() if "leak" not in r]
    return float(np.mean(covered) + 5 * np.mean(bare))
