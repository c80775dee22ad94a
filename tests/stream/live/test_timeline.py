"""The times of frames by RTP time, and the sentences on what is slow."""

from __future__ import annotations

from typing import Any

import pytest

from stream.live.slowness import slowness
from stream.metrics import WINDOW_S, Window
from stream.timeline import KEPT, TOLD_S, Timeline

FIGURES: dict[str, Any] = {
    "fps_in": 30.0,
    "fps_out": 30.0,
    "stages_ms": {"step": 12.0},
    "latency_ms": {"p50": 20.0},
}


def test_frames_are_told_by_rtp_time_once_they_were_sent() -> None:
    now_s = 10.0
    timeline = Timeline(lambda: now_s)
    timeline.arrived(10.0, 1700.5)
    timeline.arrived(10.1, None)
    timeline.sent(10.0, (1 << 32) + 7)
    assert timeline.recent() == [], "not known yet whether it is edited"
    now_s = 10.2
    timeline.stepped(10.0, edited=True)
    timeline.stepped(10.1, edited=False)
    timeline.sent(10.1, 9000)
    timeline.sent(99.0, 1)  # never arrived: a picture that is shown again
    assert timeline.recent() == [[7, 1_700_500.0, 0.0, True], [9000, None, 100.0, False]]
    now_s += TOLD_S + 0.1
    assert timeline.recent() == []


def test_a_timeline_is_bounded() -> None:
    timeline = Timeline(lambda: 0.0)
    for number in range(2 * KEPT):
        timeline.arrived(float(number), None)
    assert len(timeline._frames) == KEPT


def test_percentiles_forget_what_is_past() -> None:
    now_s = 0.0
    window = Window(lambda: now_s)
    window.add(5.0)
    now_s = WINDOW_S / 2
    window.add(1.0)
    assert window.percentiles() == pytest.approx((3.0, 4.8))
    now_s = WINDOW_S + 0.1
    assert window.percentiles() == (1.0, 1.0)
    now_s = 2 * WINDOW_S
    assert window.percentiles() is None


@pytest.mark.parametrize(
    ("change", "others", "words"),
    [
        ({}, {}, None),
        ({"fps_out": 14.0}, {"held_back": True}, "all its sessions: 14 of 30 pictures"),
        ({"fps_out": 14.0, "stages_ms": {"step": 70.0}}, {}, "The edit takes 70 ms a picture"),
        ({"fps_out": 14.0}, {}, "computer is too busy: 14 of 30"),
        ({"fps_in": 2.0, "fps_out": 1.0}, {}, None),
        ({"latency_ms": {"p50": 400.0}}, {}, "stays there for 400 ms"),
        ({"latency_ms": None}, {"rate_bps": 90_000}, "takes only 0.1 Mb/s"),
        ({}, {"rate_bps": 90_000, "viewers": 0}, None),
        ({}, {"thin": 1}, "placed less exactly, and every picture is shown"),
        ({"fps_out": 14.0}, {"thin": 2}, "14 of 30 pictures a second are shown, and the edit is placed less"),
    ],
)
def test_what_is_slow_is_said(change: dict[str, Any], others: dict[str, Any], words: str | None) -> None:
    usual = {"held_back": False, "thin": 0, "viewers": 1, "rate_bps": 2_500_000}
    said = slowness(FIGURES | change, **(usual | others))
    assert (said is None) if words is None else (said is not None and words in said)
