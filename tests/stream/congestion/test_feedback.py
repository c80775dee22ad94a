"""Transport-wide feedback: what is written can be read, all of the draft can, and nonsense is cheap."""

from __future__ import annotations

import contextlib
import random
import time

import pytest
from aiortc import rtp

from stream.congestion.feedback import (
    LATE_S,
    WRAP_S,
    ArrivalLog,
    FeedbackError,
    SentLog,
    pack_feedback,
    split_feedback,
    unpack_feedback,
    unwrapped,
)


def body(packet: bytes) -> bytes:
    reports, rest = split_feedback(packet)
    assert (len(reports), rest) == (1, b"")
    return reports[0]


def test_a_report_that_was_written_by_hand_is_read() -> None:
    # base 5, 7 packets; one small delta by run length, then two-bit symbols 01 01 00 00 00 00 10 follow
    data = bytes.fromhex("00050008") + bytes.fromhex("00000200") + bytes.fromhex("2001")
    data += (0xC000 | 1 << 12 | 1 << 10 | 2).to_bytes(2, "big")
    data += bytes([4, 8, 12]) + (-40 & 0xFFFF).to_bytes(2, "big")
    read = [(low, round(at_s, 6)) for low, at_s in unpack_feedback(data)]
    assert read == [(5, 0.129), (6, 0.131), (7, 0.134), (12, 0.124)]


def test_one_bit_symbols_are_read() -> None:
    chunk = (0x8000 | 0b10100000000001).to_bytes(2, "big")
    data = (0xFFFF).to_bytes(2, "big") + (14).to_bytes(2, "big") + bytes(4) + chunk + bytes([0, 4, 8])
    assert unpack_feedback(data) == [(0xFFFF, 0.0), (1, 0.001), (12, 0.003)]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read(seed: int) -> None:
    draw = random.Random(seed)
    sequence, now_s, arrivals = draw.randrange(1 << 17), draw.uniform(0, 1e6), []
    for _ in range(draw.randrange(1, 200)):
        sequence += draw.choice((1, 1, 1, 2, 9))
        now_s += draw.uniform(-0.01, 0.05)
        arrivals.append((sequence, now_s))
    packet = pack_feedback(arrivals, 7, 1, 2)
    assert len(packet) % 4 == 0
    read = unpack_feedback(body(packet))
    assert [low for low, _ in read] == [sequence & 0xFFFF for sequence, _ in arrivals]
    for (_, at_s), (_, wanted_s) in zip(read, arrivals, strict=True):
        assert (at_s - wanted_s + WRAP_S / 2) % WRAP_S - WRAP_S / 2 == pytest.approx(0, abs=0.0003 * 200)


def test_reports_are_taken_out_of_a_compound_and_the_rest_stays() -> None:
    report = bytes(rtp.RtcpRrPacket(ssrc=1))
    feedback = pack_feedback([(1, 1.0), (2, 1.1)], 0, 1, 2)
    for compound in (report + feedback, feedback + report):
        reports, rest = split_feedback(compound)
        assert rest == report
        assert [low for low, _ in unpack_feedback(reports[0])] == [1, 2]
    nack = rtp.RtcpRtpfbPacket(fmt=rtp.RTCP_RTPFB_NACK, ssrc=1, media_ssrc=2, lost=[7])
    assert split_feedback(bytes(nack)) == ([], bytes(nack))


def test_nonsense_is_refused_and_costs_little() -> None:
    draw = random.Random(1)
    good = body(pack_feedback([(n, n / 100) for n in range(100)], 0, 1, 2))
    started_s = time.process_time()
    for _ in range(5000):
        data = bytearray(good)
        for _ in range(draw.randrange(1, 8)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        with contextlib.suppress(FeedbackError):
            assert len(unpack_feedback(bytes(data[: draw.randrange(len(data) + 1)]))) <= len(good)
        split_feedback(bytes(data))
    widest = bytes.fromhex("0000ffff00000000") + bytes.fromhex("3fff") * 8 + bytes(16)
    with pytest.raises(FeedbackError):
        unpack_feedback(widest)
    assert time.process_time() - started_s < 5


def test_numbers_are_unwrapped() -> None:
    assert [unwrapped(low, near) for low, near in ((0, 0xFFFF), (0xFFFF, 0x10000), (5, 0x20004))] == [
        0x10000, 0xFFFF, 0x20005,
    ]  # fmt: skip


def test_a_sender_learns_what_arrived_and_what_was_lost() -> None:
    sent, arrivals, fates = SentLog(), ArrivalLog(), []
    for step in range(100):
        now_s = step * 0.02
        low = sent.number(now_s)
        sent.sized(1000 + step)
        if step % 10 != 3:
            arrivals.add(low, now_s + 0.05)
        for report in arrivals.reports(now_s + 0.05, 1, 2):
            fates += sent.take(body(report))
    lost = [fate.size - 1000 for fate in fates if fate.arrived_s is None]
    assert lost == [step for step in range(3, 100, 10) if step * 0.02 < 100 * 0.02 - LATE_S - 0.1]
    known = [fate for fate in fates if fate.arrived_s is not None]
    delays = [(fate.arrived_s or 0) - fate.sent_s for fate in known]
    assert max(delays) - min(delays) < 0.001
    assert len(known) > 80


def test_a_packet_that_was_overtaken_is_not_lost() -> None:
    sent, arrivals, fates = SentLog(), ArrivalLog(), []
    lows = [sent.number(step * 0.01) for step in range(30)]
    for step in [*range(10), *range(11, 30), 10]:
        arrivals.add(lows[step], 1 + step * 0.01)
        for report in arrivals.reports(1 + step * 0.2, 1, 2):
            fates += sent.take(body(report))
    for report in arrivals.reports(99.0, 1, 2):
        fates += sent.take(body(report))
    assert len(fates) == 30
    assert all(fate.arrived_s is not None for fate in fates)


def test_silence_counts_only_while_packets_are_sent() -> None:
    sent = SentLog()
    for step in range(30):
        sent.number(step * 0.1)
    assert sent.unanswered_s == pytest.approx(2.9)
    sent.take(body(pack_feedback([(29, 5.0)], 0, 1, 2)))
    assert sent.unanswered_s == 0
    sent.number(100.0)  # after a pause
    assert sent.unanswered_s == 0
    sent.number(100.2)
    assert sent.unanswered_s == pytest.approx(0.2)


def test_memory_is_bounded_whatever_is_sent_or_arrives() -> None:
    sent, arrivals = SentLog(), ArrivalLog()
    draw = random.Random(2)
    for step in range(40_000):
        sent.number(step * 0.001)
        arrivals.add(draw.randrange(1 << 16), step * 1e-9)
    assert len(sent._sent) == len(sent._waiting) <= 8192
    assert len(arrivals._held) <= 512
    assert all(len(report) < 1500 for report in arrivals.reports(50.0, 1, 2))
