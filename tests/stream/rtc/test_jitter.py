"""Frames out of packets: marker release, order, loss, and asking again; beside aiortc's own."""

from __future__ import annotations

import numpy as np
import pytest
from aiortc import rtcrtpreceiver
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

from stream.rtc import aiortc_patch, jitter
from stream.rtc.jitter import AudioBuffer, FrameBatch, NackGenerator, VideoBuffer, is_keyframe, opens_keyframe

SPS, PPS, IDR, SLICE = (b"\0\0\0\1" + bytes([kind]) for kind in (0x67, 0x68, 0x65, 0x41))


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def packet(sequence: int, timestamp: int, data: bytes, marker: bool = False) -> RtpPacket:
    made = RtpPacket(sequence_number=sequence & 0xFFFF, timestamp=timestamp, marker=int(marker))
    made._data = data  # type: ignore[attr-defined]
    return made


def stream(
    frames: int = 6, parts: int = 3, first: int = 0, keyframes: tuple[int, ...] = (0,), marker: bool = True
) -> list[RtpPacket]:
    """H.264-like frames of `parts` packets each, 3000 ticks apart."""
    packets = []
    for index in range(frames):
        head = SPS + b"s" + IDR if index in keyframes else SLICE
        for part in range(parts):
            data = (head if part == 0 else b"") + bytes([index % 256, part])
            last = part == parts - 1
            packets.append(packet(first + index * parts + part, index * 3000, data, marker and last))
    return packets


def play(buffer: VideoBuffer, packets: list[RtpPacket]) -> list[int]:
    """Indices of the frames released, in order."""
    return [frame.timestamp // 3000 for frame in batches(buffer, packets)]


def batches(buffer: VideoBuffer | AudioBuffer, packets: list[RtpPacket]) -> list[JitterFrame]:
    out: list[JitterFrame] = []
    for item in packets:
        batch = buffer.add(item)[1]
        out += batch.frames() if batch else []
    return out


def test_the_marker_releases_a_frame_one_frame_before_aiortc_does() -> None:
    packets = stream()
    ours, theirs = VideoBuffer(), JitterBuffer(capacity=512, is_video=True)
    released = [(ours.add(p)[1] is not None, theirs.add(p)[1] is not None) for p in packets]
    assert [index for index, (here, _) in enumerate(released) if here] == [2, 5, 8, 11, 14, 17]
    assert [index for index, (_, there) in enumerate(released) if there] == [3, 6, 9, 12, 15]


def test_data_is_joined_in_order_across_the_wrap_of_sequence_numbers() -> None:
    packets = stream(first=65530)
    whole = batches(VideoBuffer(), packets)
    assert [frame.data[-6:] for frame in whole] == [
        b"".join(part._data for part in packets[3 * i : 3 * i + 3])[-6:]  # type: ignore[attr-defined]
        for i in range(6)
    ]
    assert [frame.timestamp for frame in whole] == [0, 3000, 6000, 9000, 12000, 15000]


def test_without_markers_the_next_timestamp_releases() -> None:
    assert play(VideoBuffer(), stream(marker=False)) == [0, 1, 2, 3, 4]


def test_markers_within_frames_are_found_out() -> None:
    packets = stream(frames=6)
    for index, item in enumerate(packets):
        item.marker = int(index % 3 in (1, 2))  # one too many in each frame
    frames = batches(VideoBuffer(), packets)
    later = [frame for frame in frames if frame.timestamp >= 6000]
    assert [frame.timestamp for frame in later] == [6000, 9000, 12000]
    assert all(frame.data.endswith(bytes([frame.timestamp // 3000, 2])) for frame in later)


@pytest.mark.parametrize("seed", range(5))
def test_reordering_and_duplicates_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    packets = stream(frames=30)
    order = np.argsort(np.arange(len(packets)) + rng.uniform(0, 4, len(packets)) * (np.arange(90) > 0))
    shuffled = [packets[i] for i in order for _ in range(rng.integers(1, 3))]
    assert play(VideoBuffer(), shuffled) == list(range(30))


def test_a_late_packet_releases_all_it_held_back_at_once() -> None:
    packets = stream(parts=1)
    buffer, stock = VideoBuffer(), JitterBuffer(capacity=512, is_video=True)
    late = packets.pop(1)
    assert play(buffer, packets) == [0]
    batch = buffer.add(late)[1]
    assert batch is not None
    assert [frame.timestamp // 3000 for frame in batch.frames()] == [1, 2, 3, 4, 5]
    given = [stock.add(p)[1] for p in [*packets, late]]
    assert sum(frame is not None for frame in given) <= 2  # one a packet: the delay stays


def test_a_batch_keeps_its_distances_when_aiortc_maps_the_first_time() -> None:
    batch = FrameBatch([(b"a", 2**32 - 1000), (b"b", 2000), (b"c", 5000)])
    batch.timestamp = 90_000
    assert [(frame.data, frame.timestamp) for frame in batch.frames()] == [
        (b"a", 90_000),
        (b"b", 93_000),
        (b"c", 96_000),
    ]


def test_a_hole_is_jumped_at_the_next_whole_key_frame() -> None:
    packets = stream(frames=8, keyframes=(0, 5))
    del packets[7]  # part of frame 2
    buffer = VideoBuffer()
    assert play(buffer, packets) == [0, 1, 5, 6, 7]
    assert buffer.skipped == 3


def test_a_key_frame_without_its_beginning_is_no_way_on() -> None:
    packets = stream(frames=8, keyframes=(0, 5))
    del packets[15], packets[7]  # the parameter sets of the key frame, and a part of frame 2
    assert play(VideoBuffer(), packets) == [0, 1]


def test_a_key_frame_is_asked_for_when_a_hole_stays(clock: Clock) -> None:
    packets = stream(frames=40)
    del packets[7]
    buffer, asked = VideoBuffer(clock), []
    for item in packets:
        clock.now_s = 100 + item.timestamp / 90_000
        if buffer.add(item)[0]:
            asked.append(clock.now_s - 100 - 2 / 30)
    gaps = np.diff([0.0, *asked])
    assert len(asked) == 2
    assert np.all((gaps > 0.299) & (gaps < 0.335))


def test_a_key_frame_that_takes_long_is_asked_for_ever_less_often(clock: Clock) -> None:
    packets = stream(frames=200)
    del packets[7]
    buffer, asked = VideoBuffer(clock), []
    for item in packets:
        clock.now_s = 100 + item.timestamp / 90_000
        if buffer.add(item)[0]:
            asked.append(clock.now_s)
    assert np.diff(asked)[:5] == pytest.approx([0.3, 0.6, 1.2, 1.2, 1.2], abs=0.04)


def test_a_hole_that_fills_in_time_is_not_asked_about(clock: Clock) -> None:
    packets = stream(frames=20)
    late = packets.pop(7)
    buffer = VideoBuffer(clock)
    for item in [*packets[:20], late, *packets[20:]]:
        clock.now_s += 0.01
        assert not buffer.add(item)[0]
    assert buffer.skipped == 0


def test_a_loss_larger_than_the_history_waits_for_a_key_frame_and_asks_again(clock: Clock) -> None:
    buffer = VideoBuffer(clock)
    assert play(buffer, stream(frames=3)) == [0, 1, 2]
    far = 9 + jitter.HISTORY + 50
    rest = stream(frames=30, first=far, keyframes=(20,))
    asked, frames = 0, []
    for item in rest:
        clock.now_s += 0.02
        ask, batch = buffer.add(item)
        asked += ask
        frames += batch.frames() if batch else []
    assert [frame.timestamp // 3000 for frame in frames] == list(range(20, 30))
    assert asked == 3  # at once, 0.3 s and 0.9 s later; then the key frame came


def test_memory_is_bounded_while_nothing_can_be_released() -> None:
    buffer = VideoBuffer()
    for item in stream(frames=3000)[1:]:
        buffer.add(item)
        assert len(buffer._packets) <= jitter.HISTORY


def test_padding_between_frames_is_left_out() -> None:
    packets = stream(frames=2)
    padding = packet(3, 0, b"")
    for item in packets[3:]:
        item.sequence_number += 1
    assert play(VideoBuffer(), [*packets[:3], padding, *packets[3:]]) == [0, 1]


def test_key_frames_are_told_from_others() -> None:
    assert is_keyframe(SPS + b"x" + PPS + b"y" + IDR + b"z")
    assert is_keyframe(IDR + b"z")
    assert not is_keyframe(SLICE + b"z")
    assert not is_keyframe(SPS + b"x" + PPS + b"y")
    assert not is_keyframe(b"")
    assert is_keyframe(b"\x10\x02\x00\x9d\x01\x2a\x80\x02")  # VP8, RFC 6386 9.1: bit 0 clear
    assert not is_keyframe(b"\x11\x02\x00\x9d\x01\x2a\x80\x02")
    assert opens_keyframe(SPS + b"x")
    assert not opens_keyframe(IDR + b"x")  # may be a later slice of the picture


def test_audio_leaves_at_once_where_aiortc_holds_four_packets() -> None:
    packets = [packet(index, index * 960, bytes([index])) for index in range(8)]
    ours = [AudioBuffer().add(packets[0])[1]]
    stock = JitterBuffer(capacity=16, prefetch=4)
    assert ours[0] is not None
    assert [stock.add(p)[1] is not None for p in packets] == [False] * 4 + [True] * 4


def test_audio_waits_for_three_packets_then_goes_on() -> None:
    packets = [packet(index, index * 960, bytes([index])) for index in range(8)]
    swapped = [packets[i] for i in (0, 2, 1, 3)]
    assert [frame.data[0] for frame in batches(AudioBuffer(), swapped)] == [0, 1, 2, 3]
    lost = [packets[i] for i in (0, 1, 3, 4, 5, 2, 6)]  # 2 comes too late
    frames = batches(AudioBuffer(), lost)
    assert [frame.timestamp // 960 for frame in frames] == [0, 1, 3, 4, 5, 6]


def ask_for(
    generator: NackGenerator, clock: Clock, arrivals: list[tuple[float, int]]
) -> list[tuple[float, list[int]]]:
    asked = []
    for at_s, sequence in arrivals:
        clock.now_s = 100 + at_s
        if generator.add(packet(sequence, 0, b"")):
            asked.append((at_s, list(generator.missing)))
    return asked


def test_a_lost_packet_is_asked_for_again_after_a_round_trip_and_a_quarter_then_ever_later(
    clock: Clock,
) -> None:
    generator = NackGenerator(clock)
    generator.rtt_s = 0.02
    arrivals = [(0.0, 0)] + [(0.005 * n, n + 1) for n in range(1, 900)]
    asked = ask_for(generator, clock, arrivals)
    assert [sequences for _, sequences in asked] == [[1]] * jitter.MAX_TRIES
    gaps = np.diff([at_s for at_s, _ in asked])
    wanted = [1.25 * 0.02 * 1.5**n for n in range(jitter.MAX_TRIES - 1)]
    assert gaps == pytest.approx(wanted, abs=0.006)
    assert generator.given_up == 1


def test_packets_that_were_only_overtaken_are_soon_not_asked_for(clock: Clock) -> None:
    generator, needless = NackGenerator(clock), []
    waiting = [(0.005 * n + (0.02 if n % 10 == 3 else 0.0), n) for n in range(2000)]  # each tenth 20 ms late
    while waiting:
        waiting.sort()
        at_s, sequence = waiting.pop(0)
        for _, sequences in ask_for(generator, clock, [(at_s, sequence)]):
            needless.append(sequences[0])
            waiting.append((at_s + 0.05, sequences[0]))  # what is asked for comes a second time
    assert len([sequence for sequence in needless if sequence < 60]) >= 4
    assert len([sequence for sequence in needless if sequence >= 1000]) <= 20
    assert 0.01 < generator.overtaken_s <= jitter.OVERTAKEN_S


def test_a_longer_round_trip_is_learnt_quickly(clock: Clock) -> None:
    generator = NackGenerator(clock)
    ask_for(generator, clock, [(0.0, 0), (0.02, 2), (0.06, 1)])
    assert generator.rtt_s == pytest.approx(0.04)
    ask_for(generator, clock, [(1.0, 4), (1.4, 3)])
    assert generator.rtt_s == pytest.approx(0.22)


def test_aiortc_asks_only_when_a_new_gap_opens() -> None:
    theirs = aiortc_patch.stock(rtcrtpreceiver, "NackGenerator")()
    assert [theirs.add(packet(n, 0, b"")) for n in (0, 2, 3, 4, 5, 6, 7)] == [False, True] + [False] * 5


def test_the_round_trip_is_learnt(clock: Clock) -> None:
    generator, sequence, at_s = NackGenerator(clock), 0, 0.0
    arrivals = []
    for _ in range(30):  # each lost packet comes 60 ms after it was missed
        arrivals += [(at_s, sequence), (at_s + 0.02, sequence + 2), (at_s + 0.08, sequence + 1)]
        sequence, at_s = sequence + 3, at_s + 0.1
    ask_for(generator, clock, arrivals)
    assert generator.rtt_s == pytest.approx(0.06, abs=0.002)


def test_gaps_across_the_wrap_and_reordering(clock: Clock) -> None:
    generator = NackGenerator(clock)
    asked = ask_for(generator, clock, [(0, 65534), (0.001, 1), (0.002, 65535), (0.003, 0), (0.004, 2)])
    assert asked == [(0.001, [65535, 0])]
    assert not generator._holes


def test_a_jump_of_the_sequence_is_a_new_start(clock: Clock) -> None:
    generator = NackGenerator(clock)
    assert ask_for(generator, clock, [(0, 5), (0.1, 40_000), (0.2, 40_001)]) == []
    assert generator.max_seq == 40_001
