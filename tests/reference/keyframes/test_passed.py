"""Remembering poorly covered views: few, apart, and only while the edit is poorly covered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import KeeperConfig
from reference.keyframes.bank import BankConfig
from reference.keyframes.passed import PassedViews
from reference.keyframes.passed_job import Passing
from tests.reference.helpers import scaled_face, shut

SIZE = (64, 64)


def frame(yaw_deg: int) -> Image:
    return np.full((*SIZE, 3), 100 + yaw_deg, np.uint8)


@pytest.fixture
def turned(face: Landmarks) -> Any:
    return lambda yaw_deg: scaled_face(face, 0.3, SIZE, yaw_deg)


def yaws(views: Any) -> list[int]:
    return [int(view.frame[0, 0, 0]) - 100 for view in views]


@pytest.mark.parametrize("step_deg", [2, 3, 7])
def test_of_a_long_turn_a_few_views_far_apart_are_kept(turned: Any, step_deg: int) -> None:
    views = PassedViews(2, BankConfig())
    for n, yaw in enumerate(range(12, 60, step_deg)):
        views.note(frame(yaw), turned(yaw), float(n), turned(0))
        assert len(views) <= 3
    way = [0, *yaws(views.before(100.0, turned(0), turned(60))), 60]
    assert len(way) == 4
    assert np.diff(way).min() >= 10  # even steps would be 20


def test_a_head_held_still_is_copied_once(turned: Any) -> None:
    views, shown = PassedViews(2, BankConfig()), frame(30)
    for n in range(50):
        views.note(shown, turned(30 + n % 2), n / 10, turned(0))
    assert len(views) == 1
    shown[:] = 0
    assert yaws(views.before(9.0, turned(0), turned(60))) == [30]


def test_what_came_after_the_frame_does_not_lie_before_it(turned: Any) -> None:
    views = PassedViews(2, BankConfig())
    for n, yaw in enumerate((15, 30, 45)):
        views.note(frame(yaw), turned(yaw), float(n), turned(0))
    assert yaws(views.before(2.0, turned(0), turned(45))) == [15, 30]
    assert yaws(views.before(0.0, turned(0), turned(45))) == []


def test_none_are_kept_where_none_are_wanted(turned: Any) -> None:
    views = PassedViews(0, BankConfig())
    views.note(frame(30), turned(30), 0.0, turned(0))
    assert len(views) == 0


def test_the_way_is_forgotten_when_the_edit_is_covered_again(turned: Any) -> None:
    config = KeeperConfig()
    passing = Passing(config, worker=None)  # type: ignore[arg-type]  # nothing is drawn here
    for n, (yaw, covered, held) in enumerate([(20, 0.94, 1), (30, 0.7, 2), (30, 0.95, 0), (40, 0.9, 1)]):
        passing.note_covered(frame(yaw), turned(yaw), float(n), covered, turned(0), turned(0))
        assert len(passing) == held
    passing.begin_anew()
    assert len(passing) == 0


def test_shut_eyes_and_streams_that_make_nothing_leave_nothing(turned: Any) -> None:
    passing = Passing(KeeperConfig(), worker=None)  # type: ignore[arg-type]
    passing.note_covered(frame(30), shut(turned(30)), 0.0, 0.5, turned(0), turned(0))
    assert len(passing) == 0
    passing = Passing(KeeperConfig(make=False), worker=None)  # type: ignore[arg-type]
    passing.note_covered(frame(30), turned(30), 0.0, 0.5, turned(0), turned(0))
    assert len(passing) == 0
