"""The order in which frames between two references are generated: Algorithm 1 of Qffusion, or naive.

A plan is a list of levels. The quads of a level need only frames of earlier levels, so a level can run as one
batch. This module works with frame numbers only; frames can be latents or pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Quad:
    """Four frame numbers of one grid: references `a`, `d`, generated `b`, `c` (b = c for one frame)."""

    a: int
    b: int
    c: int
    d: int

    def __post_init__(self) -> None:
        if not self.a < self.b <= self.c < self.d:
            raise ValueError(f"a quad needs a < b <= c < d, got {(self.a, self.b, self.c, self.d)}")


Plan = list[list[Quad]]
Generate = Callable[[Sequence[Quad], Sequence[tuple[T, T]]], Sequence[tuple[T, T]]]


def thirds(i: int, j: int) -> Quad:
    """Make the quad that splits the span (i, j) into thirds. It is symmetric in time.

    The paper does not specify its rounding, and its floor would give b = a for a span of 2. Here both steps
    are the nearest integer to a third, at least 1. A span of 2 has one frame inside, and then b = c.

    Raises:
        ValueError: the span is below 2 and has no frame inside.
    """
    if j - i < 2:
        raise ValueError(f"no frame lies between {i} and {j}")
    step = max(1, (2 * (j - i) + 3) // 6)
    return Quad(i, i + step, j - step, j)


def plan_thirds(i: int, j: int) -> Plan:
    """Plan Algorithm 1 of Qffusion on integer end points: recursive thirds until no span contains a frame.

    As printed, the algorithm divides its interval without end. Here the recursion runs on the end points
    (i, j) and stops at j - i <= 1. Each frame strictly between i and j appears in exactly one quad.

    Args:
        i: number of the first reference.
        j: number of the second reference, i < j.

    Returns:
        Levels of quads, breadth first; an empty list if j - i <= 1.

    Raises:
        ValueError: j is not after i.
    """
    if j <= i:
        raise ValueError(f"the second reference must come after the first, got {i}, {j}")
    levels: Plan = []
    spans = [(i, j)]
    while spans := [(a, d) for a, d in spans if d - a > 1]:
        level = [thirds(a, d) for a, d in spans]
        levels.append(level)
        spans = [pair for q in level for pair in ((q.a, q.b), (q.b, q.c), (q.c, q.d))]
    return levels


def plan_naive(i: int, j: int, *, chained: bool = False) -> Plan:
    """Plan naive inference of Qffusion section 4.3: frames i + l and j - l for l = 1, 2, ... to the middle.

    Args:
        i: number of the first reference.
        j: number of the second reference, i < j.
        chained: True takes the pair generated before as references of a pair, with one quad in each level
            (the paper's appendix C). False always takes i and j, with all quads in one level (section 4.3).

    Raises:
        ValueError: j is not after i.
    """
    if j <= i:
        raise ValueError(f"the second reference must come after the first, got {i}, {j}")
    steps = range(1, (j - i) // 2 + 1)
    if chained:
        return [[Quad(i + n - 1, i + n, j - n, j - n + 1)] for n in steps]
    level = [Quad(i, i + n, j - n, j) for n in steps]
    return [level] if level else []


def propagate(known: dict[int, T], plan: Plan, generate: Generate[T], *, batch: int = 9) -> dict[int, T]:
    """Run a plan level by level, each level in batches.

    Args:
        known: frames by number. It must contain the references of the first level and is not changed.
        plan: result of `plan_thirds` or `plan_naive`.
        generate: takes up to `batch` quads and their references (a, d), and returns their frames (b, c).
        batch: largest number of quads in one call, 1 or more.

    Returns:
        `known` and all generated frames, ordered by number. Known frames are kept. Of a quad with b = c the
        first frame is kept.

    Raises:
        ValueError: `batch` is below 1, a reference is missing, or `generate` returned a wrong number of
            results.
    """
    if batch < 1:
        raise ValueError(f"batch must be 1 or more, got {batch}")
    frames = dict(known)
    for level in plan:
        wanted = [q for q in level if q.b not in frames or q.c not in frames]
        for start in range(0, len(wanted), batch):
            quads = wanted[start : start + batch]
            missing = sorted({n for q in quads for n in (q.a, q.d) if n not in frames})
            if missing:
                raise ValueError(f"reference frames {missing} are neither known nor generated before")
            pairs = generate(quads, [(frames[q.a], frames[q.d]) for q in quads])
            if len(pairs) != len(quads):
                raise ValueError(f"generate returned {len(pairs)} pairs for {len(quads)} quads")
            for q, (b, c) in zip(quads, pairs, strict=True):
                frames.setdefault(q.b, b)
                frames.setdefault(q.c, c)
    return dict(sorted(frames.items()))
