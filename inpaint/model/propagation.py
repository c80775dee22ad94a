"""In which order frames between two references are generated: Algorithm 1 of Qffusion, and the naive order.

A plan is a list of levels; the quads of one level need only frames of earlier levels, so each level is one
batch. Everything here is about frame numbers: what a frame *is* (latents, pictures) is the caller's.
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
    """The quad that splits the span (i, j) into thirds, even in time and the same read backwards.

    The paper omits its rounding, and its floor would give b = a for a span of 2. Here both steps are the
    nearest integer to a third, at least 1; a span of 2 has one frame inside, and then b = c.

    Raises:
        ValueError: a span below 2, which has no frame inside.
    """
    if j - i < 2:
        raise ValueError(f"no frame lies between {i} and {j}")
    step = max(1, (2 * (j - i) + 3) // 6)
    return Quad(i, i + step, j - step, j)


def plan_thirds(i: int, j: int) -> Plan:
    """Algorithm 1 of Qffusion on integer end points: recursive thirds until no span holds a frame.

    As printed the algorithm divides its interval for ever; the recursion here is on the end points (i, j)
    and stops at j - i <= 1. Every frame strictly between i and j appears in exactly one quad.

    Args:
        i: number of the first reference.
        j: number of the second, i < j.

    Returns:
        Levels of quads, breadth first; none where j - i <= 1.

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
    """Naive inference of Qffusion section 4.3: frames i + l and j - l for l = 1, 2, ... up to the middle.

    Args:
        i: number of the first reference.
        j: number of the second, i < j.
        chained: the references of a pair are the pair generated before it (the paper's appendix C), one
            quad a level; otherwise always i and j (its section 4.3), all in one level.
    """
    if j <= i:
        raise ValueError(f"the second reference must come after the first, got {i}, {j}")
    steps = range(1, (j - i) // 2 + 1)
    if chained:
        return [[Quad(i + n - 1, i + n, j - n, j - n + 1)] for n in steps]
    level = [Quad(i, i + n, j - n, j) for n in steps]
    return [level] if level else []


def propagate(known: dict[int, T], plan: Plan, generate: Generate[T], *, batch: int = 9) -> dict[int, T]:
    """Run a plan, level by level, each in batches.

    Args:
        known: frames by number; must hold the references of the first level. Not changed.
        plan: from `plan_thirds` or `plan_naive`.
        generate: takes up to `batch` quads and their references (a, d), returns their frames (b, c).
        batch: most quads of one call, 1 or more.

    Returns:
        `known` and every generated frame, in order of their numbers. A frame that is already known is
        kept; of a quad with b = c the first of its two frames is.

    Raises:
        ValueError: `batch` below 1, a missing reference, or a wrong number of results.
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
