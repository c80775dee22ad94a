"""Algorithm 1: every frame once, references before what needs them, any length."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from inpaint.model.propagation import (
    Plan,
    Quad,
    plan_naive,
    plan_thirds,
    propagate,
    thirds,
)


def generated(plan: Plan) -> list[int]:
    return sorted(n for level in plan for q in level for n in {q.b, q.c})


def test_the_papers_example() -> None:
    plan = plan_thirds(0, 81)
    assert plan[0] == [Quad(0, 27, 54, 81)]
    assert plan[1] == [Quad(0, 9, 18, 27), Quad(27, 36, 45, 54), Quad(54, 63, 72, 81)]
    assert [len(level) for level in plan] == [1, 3, 9, 27]


def test_small_case_written_out() -> None:
    assert plan_thirds(3, 8) == [[Quad(3, 5, 6, 8)], [Quad(3, 4, 4, 5), Quad(6, 7, 7, 8)]]
    assert plan_thirds(0, 1) == []
    assert plan_thirds(0, 2) == [[Quad(0, 1, 1, 2)]]


@pytest.mark.parametrize("i", [0, 5, 1000])
@pytest.mark.parametrize("length", [*range(1, 100), 501, 1234])
def test_every_frame_between_appears_once(i: int, length: int) -> None:
    assert generated(plan_thirds(i, i + length)) == list(range(i + 1, i + length))


@pytest.mark.parametrize("length", range(2, 60))
def test_thirds_are_even_and_symmetric(length: int) -> None:
    q = thirds(0, length)
    assert q.b + q.c == length
    assert max(q.b, q.c - q.b, q.d - q.c) - min(q.b, q.d - q.c) <= 1 or length == 2


@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 80, 81])
def test_naive_order_covers_too(length: int, chained: bool) -> None:
    plan = plan_naive(10, 10 + length, chained=chained)
    assert generated(plan) == list(range(11, 10 + length))
    if chained:
        assert all(len(level) == 1 for level in plan)
    elif plan:
        assert all((q.a, q.d) == (10, 10 + length) for q in plan[0])


def test_backward_spans_are_refused() -> None:
    for plan in (plan_thirds, plan_naive):
        with pytest.raises(ValueError, match="after the first"):
            plan(4, 4)
    with pytest.raises(ValueError, match="no frame lies between"):
        thirds(4, 5)
    with pytest.raises(ValueError, match="a < b <= c < d"):
        Quad(0, 3, 2, 4)


def middles(quads: Sequence[Quad], ends: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    def at(q: Quad, n: int, a: float, d: float) -> float:
        return a + (d - a) * (n - q.a) / (q.d - q.a)

    return [(at(q, q.b, a, d), at(q, q.c, a, d)) for q, (a, d) in zip(quads, ends, strict=True)]


@pytest.mark.parametrize("batch", [1, 4, 100])
@pytest.mark.parametrize("plan", [plan_thirds(0, 50), plan_naive(0, 50), plan_naive(0, 50, chained=True)])
def test_linear_frames_come_out_in_their_place(plan: Plan, batch: int) -> None:
    calls: list[int] = []

    def generate(quads: Sequence[Quad], ends: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        calls.append(len(quads))
        return middles(quads, ends)

    frames = propagate({0: 100.0, 50: 200.0}, plan, generate, batch=batch)
    assert list(frames) == list(range(51))
    assert list(frames.values()) == pytest.approx([100.0 + 2 * n for n in range(51)])
    assert max(calls) <= batch
    assert sum(calls) == sum(len(level) for level in plan)


def test_known_frames_are_kept() -> None:
    frames = propagate({0: 0.0, 1: -7.0, 3: 3.0}, plan_thirds(0, 3), middles)
    assert frames == {0: 0.0, 1: -7.0, 2: 2.0, 3: 3.0}


def test_missing_references_and_wrong_results_are_said() -> None:
    with pytest.raises(ValueError, match=r"reference frames \[9\]"):
        propagate({0: 0.0}, plan_thirds(0, 9), middles)
    with pytest.raises(ValueError, match="0 pairs for 1 quads"):
        propagate({0: 0.0, 9: 1.0}, plan_thirds(0, 9), lambda _q, _e: [])
    with pytest.raises(ValueError, match="batch"):
        propagate({0: 0.0, 9: 1.0}, plan_thirds(0, 9), middles, batch=0)
