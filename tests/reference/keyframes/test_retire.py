"""Jobs of an edit that is worn no more, or whose keyframes the user has changed, end and have no effect."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from correspondence import Float, Image, Landmarks
from reference import Propagator
from tests.reference.helpers import paint_square
from tests.reference.views import PAINT, Scene, SlowFill, TurnMatcher, turning

FPS = 25


@pytest.fixture
def scene(astronaut: Image, face: Landmarks) -> Scene:
    return Scene(np.ascontiguousarray(astronaut[:256, 96:352]), face)


def play(propagator: Propagator, scene: Scene, yaws: list[int]) -> None:
    for step, yaw in enumerate(yaws):
        propagator.step(scene.frame(yaw), step / FPS)


@pytest.mark.parametrize("by", ["an edit", "retirement"])
def test_a_job_stops_when_its_result_counts_no_more(scene: Scene, by: str) -> None:
    class Ending(TurnMatcher):
        ends: Any = None

        def match(self, *args: Any, **more: Any) -> Any:
            if self.ends is not None:
                self.ends()
            return super().match(*args, **more)

    class LateWorker:
        failures = 0
        job: Any = None

        def submit(self, job: Any) -> None:
            self.job = job

    matcher, asked = Ending(scene), []

    def fill(image: Image, mask: Float, hint: Any) -> Image:
        asked.append(hint)
        return image

    propagator = turning(scene, matcher=matcher, fill=fill)
    outfit, late = propagator.worn, LateWorker()
    assert outfit is not None
    assert outfit.keeper is not None
    outfit.keeper._worker = late  # type: ignore[assignment]
    play(propagator, scene, [0] * 10 + [25] * 12)
    assert late.job is not None
    if by == "retirement":
        matcher.ends = outfit.retire  # while the job makes its first match
    else:
        held = outfit.keeper.held
        blue = replace(held.first, edited=paint_square(scene.frame(0), PAINT, (10, 10, 220)), edit=None)
        matcher.ends = lambda: held.follow([blue], held.style) if blue not in list(held) else None
    before = matcher.matched
    late.job()
    assert matcher.matched == before + 1, "it stops after the match that ran"
    assert asked == []


def test_a_job_that_waits_is_dropped_when_its_edit_is_retired(scene: Scene) -> None:
    propagator = turning(scene)
    waiting: list[Any] = []
    outfit = propagator.worn
    assert outfit is not None
    assert outfit.keeper is not None
    outfit.keeper._worker = SimpleNamespace(submit=waiting.append)
    play(propagator, scene, [0] * 10 + [25] * 12)
    outfit.retire()
    matched = propagator._matcher.matched  # type: ignore[attr-defined]
    waiting[-1]()
    assert propagator._matcher.matched == matched  # type: ignore[attr-defined]


def test_a_retired_edit_wants_nothing_more(scene: Scene) -> None:
    fill = SlowFill()
    propagator = turning(scene, fill=fill)
    for step, yaw in enumerate([0] * 10 + [25] * 40):
        propagator.step(scene.frame(yaw), step / FPS)
    outfit = propagator.worn
    assert outfit is not None
    assert outfit.keeper is not None
    propagator.put_on(None)
    assert fill.asked[0][3](), "it may be put on again, and then shows what was filled"
    outfit.retire(successor=outfit)
    assert fill.asked[0][3](), "the keyframes were taken over"
    outfit.retire()
    assert not fill.asked[0][3]()
    fill.answer()
    assert outfit.keeper.held.waiting == []
