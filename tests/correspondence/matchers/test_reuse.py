"""Matches that give way: every other frame takes over the flow of the one before."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from correspondence import Box, Image, Landmarks, Matcher, Prepared, detect_landmarks
from correspondence.face.topology import OVAL
from correspondence.matchers import classical, window_match
from correspondence.matchers.reuse import FINEST, SHARED, FlowMatch, takes_over

View = tuple[Image, Landmarks]


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return Matcher.load("classical", cover=False)


@pytest.fixture(scope="module")
def views(astronaut: Image) -> list[View]:
    """A portrait and three later frames: the head moves and turns steadily."""
    large = np.asarray(cv2.resize(astronaut, (1024, 1024), interpolation=cv2.INTER_LINEAR), np.uint8)
    out = []
    for i in range(4):
        turn = cv2.getRotationMatrix2D((450.0, 230.0), 1.5 * i, 1.0) + np.array(
            [[0, 0, 6.0 * i], [0, 0, 3.0 * i]]
        )
        frame = np.asarray(cv2.warpAffine(large, turn, (1024, 1024), borderMode=cv2.BORDER_REFLECT), np.uint8)
        face = detect_landmarks(frame)
        assert face is not None
        out.append((frame, face))
    return out


def box_of(face: Landmarks) -> Box:
    points = face.points[list(OVAL), :2]
    (x0, y0), (x1, y1) = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    return int(x0), int(y0), int(x1), int(y1)


def matched(
    matcher: Matcher, prepared: Prepared, view: View, last: FlowMatch | None, thin: int, window: bool
) -> FlowMatch:
    frame, face = view
    box = box_of(face) if window else None
    match = matcher.match(frame, prepared, last, face, window=box, thin=thin)
    assert isinstance(match, FlowMatch)
    return match


@pytest.mark.parametrize("window", [True, False])
def test_every_other_frame_takes_over_the_flow(matcher: Matcher, views: list[View], window: bool) -> None:
    prepared, last, shared = matcher.prepare(*views[0]), None, []
    for view in views:
        last = matched(matcher, prepared, view, last, SHARED, window)
        shared.append(last.shared)
    assert shared == [False, True, False, True]


@pytest.mark.parametrize("window", [True, False])
def test_a_taken_over_flow_follows_the_face(matcher: Matcher, views: list[View], window: bool) -> None:
    prepared = matcher.prepare(*views[0])
    first = matched(matcher, prepared, views[1], None, 0, window)
    full = matched(matcher, prepared, views[2], first, 0, window)
    thin = matched(matcher, prepared, views[2], first, SHARED, window)
    assert thin.shared
    box = box_of(views[2][1])
    apart = np.linalg.norm(thin.window(box)[0] - full.window(box)[0], axis=2)
    stayed = np.linalg.norm(first.window(box)[0] - full.window(box)[0], axis=2)
    assert np.median(apart) < 0.5
    assert np.median(stayed) > 3.0, "the head moved by more than that"


@pytest.mark.parametrize("window", [True, False])
def test_no_flow_is_computed_then(
    matcher: Matcher, views: list[View], window: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = matcher.prepare(*views[0])
    first = matched(matcher, prepared, views[1], None, 0, window)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("flow was computed")

    for module, name in ((window_match, "full_flow"), (window_match, "flow_back"), (classical, "dis_flow")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(type(matcher.backend), "begin", refuse)
    assert not matcher.wants_begin(prepared, first, SHARED, whole=True)
    assert matched(matcher, prepared, views[2], first, SHARED, window).shared


def test_a_thin_window_leaves_out_the_finest_pass(
    matcher: Matcher, views: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(name: str) -> Callable[..., object]:
        real = getattr(window_match, name)

        def call(*arguments: object, **named: object) -> object:
            calls.append(name)
            return real(*arguments, **named)

        return call

    for name in ("full_flow", "dis_flow"):
        monkeypatch.setattr(window_match, name, counted(name))
    prepared = matcher.prepare(*views[0])
    for thin in (0, FINEST):
        matched(matcher, prepared, views[1], None, thin, True)
    assert calls == ["full_flow", "dis_flow"]


def test_a_flow_is_taken_over_once_and_for_one_reference(matcher: Matcher, views: list[View]) -> None:
    prepared, other = matcher.prepare(*views[0]), matcher.prepare(*views[3])
    first = matched(matcher, prepared, views[1], None, 0, True)
    second = matched(matcher, prepared, views[2], first, SHARED, True)
    assert [takes_over(first, prepared, thin) for thin in (0, FINEST, SHARED)] == [False, False, True]
    assert not takes_over(second, prepared, SHARED)
    assert not takes_over(first, other, SHARED)
    assert not takes_over(None, prepared, SHARED)


def test_frames_of_another_size_take_over_nothing(matcher: Matcher, views: list[View]) -> None:
    prepared = matcher.prepare(*views[0])
    first = matched(matcher, prepared, views[1], None, 0, False)
    frame, face = views[2]
    wider = np.asarray(cv2.copyMakeBorder(frame, 0, 0, 0, 64, cv2.BORDER_REPLICATE), np.uint8)
    face = Landmarks(face.points.copy(), (wider.shape[0], wider.shape[1]))
    assert not matched(matcher, prepared, (wider, face), first, SHARED, False).shared
