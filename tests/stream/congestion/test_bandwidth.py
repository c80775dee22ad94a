"""The estimate on simulated links: it follows them down and up, and jitter or loss is no limit to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiortc.rate import RemoteBitrateEstimator

from stream.congestion.bandwidth import Bandwidth
from stream.congestion.remb import SEND_TIME_S, ReceiveEstimator, RembFollower
from tests.stream.congestion.link import Link, Packet, Run, simulate

Change = Callable[[Link, float], None]
DOWN_AND_UP = ((12, {"bps": 3e5}), (22, {"bps": 2e6}))


def changing(*steps: tuple[float, dict[str, Any]]) -> Change:
    """Sets the link's fields at times."""

    def change(link: Link, now_s: float) -> None:
        for at_s, values in steps:
            if now_s >= at_s:
                for name, value in values.items():
                    setattr(link, name, value)

    return change


def followed(link: Link, seconds: float, change: Change | None = None, start_bps: float = 2.5e6) -> Run:
    """A sender that follows transport-wide feedback."""
    bandwidth, quiet = Bandwidth(start_bps), [0]

    def follow(now_s: float, news: list[Packet]) -> float:
        for sent_s, arrived_s, size in sorted(news, key=lambda packet: packet[1] or 0.0):
            if arrived_s is None:
                bandwidth.lost()
            else:
                bandwidth.arrived(sent_s, arrived_s, size)
        quiet[0] = 0 if news else quiet[0] + 1
        if quiet[0] and quiet[0] % 10 == 0:  # as the sender does about every second
            return bandwidth.silent()
        return bandwidth.update(now_s) if news else bandwidth.bps

    return simulate(link, seconds, follow, change or changing())


def test_it_follows_a_link_down_at_once_and_up_within_five_seconds() -> None:
    run = followed(Link(bps=2e6), 35, changing(*DOWN_AND_UP))
    assert run.rate(5, 12) > 0.8 * 2e6
    assert run.fell(3.3e5, 12) < 1.5
    assert 0.7 * 3e5 < run.rate(14, 22) < 1.1 * 3e5
    assert run.reached(0.8 * 2e6, 22) < 5
    assert run.rate(27, 35) > 0.8 * 2e6


@pytest.mark.parametrize("bps", [1e5, 3e5, 1e6, 3e6])
def test_it_finds_the_rate_of_a_link_and_keeps_its_queue_short(bps: float) -> None:
    run = followed(Link(bps=bps), 30)
    assert 0.75 * bps < run.rate(6, 30) < 1.1 * bps
    waits = [delay_s for at_s, delay_s in run.delays if at_s > 6]
    assert sum(waits) / len(waits) < 0.03 + 0.12


@pytest.mark.parametrize(("loss", "share"), [(0.05, 0.95), (0.1, 0.7), (0.2, 0.5)])
def test_random_loss_and_jitter_are_no_limit(loss: float, share: float) -> None:
    run = followed(Link(bps=20e6, loss=loss, jitter_s=0.05), 30, start_bps=2.5e6)
    assert run.rate(5, 30) > share * 4e6, "what the pictures need"
    assert min(rate for _, rate in run.rates) > 1.2e6


def test_loss_from_a_link_that_is_full_is_a_limit() -> None:
    run = followed(Link(bps=1e6, queue_s=0.03), 30)  # too short a queue for a delay
    assert 0.7e6 < run.rate(5, 30) < 1.25e6


@pytest.mark.parametrize("seconds", [2, 10, 30])
def test_after_a_black_out_the_rate_is_back_within_two_seconds(seconds: float) -> None:
    back_s = 10 + seconds
    run = followed(Link(bps=3e6), back_s + 10, changing((10, {"down": True}), (back_s, {"down": False})))
    assert run.rate(back_s - 0.5, back_s) < 1.6e6
    assert run.reached(0.8 * 2.5e6, back_s + 0.2) < 2


def test_pictures_that_need_little_do_not_raise_the_estimate_and_do_not_lower_it() -> None:
    bandwidth = Bandwidth(2.5e6)

    def follow(now_s: float, news: list[Packet]) -> float:
        for sent_s, arrived_s, size in news:
            bandwidth.arrived(sent_s, arrived_s or 0.0, size)
        bandwidth.update(now_s)
        return bandwidth.bps

    simulate(Link(bps=10e6), 20, follow, most_bps=2e5)
    assert bandwidth.bps == 2_500_000


# REMB, for peers without transport-wide feedback.


def by_remb(estimator: Any, follower: RembFollower | None = None, queue_s: float = 0.4) -> Run:
    """A sender that follows a receiver's REMB, directly or through a follower."""
    rate, used = [1.5e6], [0.0]

    def follow(now_s: float, news: list[Packet]) -> float:
        arrived = sorted((a, s, size) for s, a, size in news if a is not None)
        if follower is not None and arrived and round(10 * now_s) % 10 == 0:
            round_trip_s = arrived[-1][0] - arrived[-1][1] + 0.03
            follower.report(1 - len(arrived) / len(news), round_trip_s)
        used[0] = 0.8 * used[0] + 0.2 * 80 * sum(size for _, _, size in arrived)
        for arrived_s, sent_s, size in arrived:
            ticks = round(sent_s / SEND_TIME_S) & 0xFFFFFF
            told = estimator.add(
                arrival_time_ms=round(arrived_s * 1000), abs_send_time=ticks, payload_size=size, ssrc=1
            )
            if told is not None:
                rate[0] = told[0] if follower is None else follower.take(told[0], used[0], now_s)
        return max(rate[0], 5e4)

    return simulate(Link(bps=2e6, queue_s=queue_s), 34, follow, changing(*DOWN_AND_UP))


def test_by_remb_it_recovers_within_five_seconds_where_aiortcs_estimator_does_not() -> None:
    old = by_remb(RemoteBitrateEstimator(), queue_s=3.0)
    assert old.rate(20, 22) < 1.3 * 3e5
    assert old.reached(0.8 * 2e6, 22.5) > 10
    new = by_remb(ReceiveEstimator())
    assert new.rate(14, 22) < 1.1 * 3e5
    assert new.reached(0.8 * 2e6, 22.5) < 5


def test_a_sender_helps_a_receiver_whose_estimate_rises_slowly() -> None:
    helped = by_remb(RemoteBitrateEstimator(), RembFollower(), queue_s=3.0)
    assert helped.rate(20, 22) < 1.3 * 3e5
    assert helped.reached(0.8 * 2e6, 22.5) < 6


def test_a_follower_does_not_rise_while_packets_are_lost_or_wait() -> None:
    for loss, round_trip_s in ((0.2, 0.1), (0.0, 0.4)):
        follower = RembFollower()
        follower.report(0.0, 0.1)
        follower.take(500_000, 1e6, 0.0)
        follower.report(loss, round_trip_s)
        assert [follower.take(500_000, 1e6, at_s) for at_s in (1.0, 2.0, 3.0)] == [500_000] * 3
    follower.report(0.0, 0.1)
    assert follower.take(500_000, 1e6, 4.0) > 590_000
