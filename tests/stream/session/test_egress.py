"""One encode for all viewers: joining, falling behind, feedback, closing."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from aiortc.mediastreams import VIDEO_TIME_BASE, MediaStreamError

from correspondence import Image
from stream.colour.frames import to_rgb
from stream.rtc.codecs import LiveEncoderConfig, VideoCodec, VideoPacket
from stream.session.egress import IDLE_S, Broadcast
from stream.session.viewer_track import QUEUE_PACKETS, PacketTrack

CONFIG = LiveEncoderConfig(keyframe_gap_s=0.0)
SIZE = (96, 128)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
async def broadcast(executor: ThreadPoolExecutor) -> AsyncIterator[Broadcast]:
    made = Broadcast(executor, CONFIG)
    yield made
    await made.close()


def picture(grey: int) -> Image:
    return np.full((*SIZE, 3), grey, np.uint8)


async def joined(broadcast: Broadcast, codec: VideoCodec = "H264") -> tuple[PacketTrack, VideoPacket]:
    """A track that has received its first packet."""
    track = broadcast.track(codec)
    reading = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    broadcast.put(picture(90), time.monotonic())
    return track, await asyncio.wait_for(reading, 5)


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110 - the counter lives in another thread
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_a_viewer_begins_with_a_key_frame_that_decodes(broadcast: Broadcast, codec: VideoCodec) -> None:
    _, packet = await joined(broadcast, codec)
    assert packet.is_keyframe
    decoder = av.CodecContext.create("h264" if codec == "H264" else "libvpx", "r")
    frames = decoder.decode(packet) or decoder.decode(None)
    assert to_rgb(frames[0]).mean() == pytest.approx(90, abs=3)


async def test_nothing_is_encoded_without_viewers(broadcast: Broadcast) -> None:
    for grey in range(5):
        broadcast.put(picture(grey), time.monotonic())
    track, _ = await joined(broadcast)
    assert broadcast.stats().encoded == 1
    track.stop()
    broadcast.put(picture(1), time.monotonic())
    await asyncio.sleep(0.05)
    assert broadcast.stats().encoded == 1
    assert broadcast.stats().viewers == 0


async def test_viewers_share_the_same_packets(broadcast: Broadcast) -> None:
    one, _ = await joined(broadcast)
    two = broadcast.track()
    reading = asyncio.ensure_future(two.recv())
    await asyncio.sleep(0)
    broadcast.put(picture(50), time.monotonic())
    shared = await asyncio.wait_for(reading, 5)
    assert await asyncio.wait_for(one.recv(), 5) is shared
    assert shared.is_keyframe  # the second one's joining made it so
    assert broadcast.stats().encoded == 2


async def test_rtp_time_is_capture_time(broadcast: Broadcast) -> None:
    track = broadcast.track()
    reading = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    start_s = time.monotonic()
    stamps = []
    for offset_s in (0.0, 0.040, 0.140, 0.140):
        broadcast.put(picture(9), start_s + offset_s)
        packet = await asyncio.wait_for(reading, 5)
        stamps.append(packet.pts)
        assert packet.time_base == VIDEO_TIME_BASE
        reading = asyncio.ensure_future(track.recv())
    reading.cancel()
    assert stamps == [0, 3600, 12600, 12601]  # never the same twice


async def test_only_the_newest_picture_waits_for_the_encoder(executor: ThreadPoolExecutor) -> None:
    broadcast = Broadcast(executor, CONFIG)
    track, _ = await joined(broadcast)
    gate = threading.Event()
    executor.submit(gate.wait, 5)
    for grey in range(10, 20):
        broadcast.put(picture(grey), time.monotonic())
    gate.set()
    await until(lambda: broadcast.stats().encoded == 2)
    assert broadcast.stats().replaced == 9
    track.stop()
    await broadcast.close()


async def test_a_slow_viewer_is_cut_to_the_next_key_frame_and_the_others_are_not(
    broadcast: Broadcast,
) -> None:
    slow, _ = await joined(broadcast)
    quick = broadcast.track()
    first = asyncio.ensure_future(quick.recv())
    await asyncio.sleep(0)
    read = 0
    for count in range(QUEUE_PACKETS + 5):
        broadcast.put(picture(count), time.monotonic())
        packet = await asyncio.wait_for(first if read == 0 else quick.recv(), 5)
        read += 1
    assert read == QUEUE_PACKETS + 5
    assert quick.dropped == 0
    assert slow.dropped >= QUEUE_PACKETS
    assert broadcast.stats().viewer_drops == slow.dropped
    packet = await asyncio.wait_for(slow.recv(), 5)
    assert packet.is_keyframe


async def test_key_frames_asked_for_are_rate_limited(executor: ThreadPoolExecutor) -> None:
    broadcast = Broadcast(executor, LiveEncoderConfig(keyframe_gap_s=0.5))
    track, _ = await joined(broadcast)
    start_s = time.monotonic()
    keyframes = []
    for index in range(1, 41):  # 1.3 s at 30 fps, each frame asked to be a key frame
        track.request_keyframe()
        broadcast.put(picture(index), start_s + index / 30)
        keyframes.append((await asyncio.wait_for(track.recv(), 5)).is_keyframe)
    came = np.flatnonzero(keyframes)
    assert len(came) in (2, 3), "as soon as 0.5 s, 15 frames, after the last one, the first viewer's included"
    assert np.diff(came).min() >= 15
    await broadcast.close()


async def test_who_joins_while_nothing_moves_sees_the_last_picture(broadcast: Broadcast) -> None:
    _, _ = await joined(broadcast)
    await asyncio.sleep(IDLE_S + 0.1)
    late = broadcast.track()
    packet = await asyncio.wait_for(late.recv(), 5)
    assert packet.is_keyframe
    frames = av.CodecContext.create("h264", "r").decode(packet)
    assert to_rgb(frames[0]).mean() == pytest.approx(90, abs=3)


async def test_one_viewers_word_does_not_rule_the_others(executor: ThreadPoolExecutor) -> None:
    broadcast = Broadcast(executor, LiveEncoderConfig())
    _, start, _ = LiveEncoderConfig().rates((720, 1280))
    tracks = [broadcast.track() for _ in range(5)]
    for track in tracks:
        broadcast._join(track)
    broadcast._sent["H264"] = deque([(time.monotonic(), start // 8)])
    tracks[0].set_remb(1)
    assert broadcast.stats().bitrate_bps == start
    tracks[1].set_remb(1)
    assert broadcast.stats().bitrate_bps == start, "nor do two of five"
    for track, limit in zip(tracks[2:], (900_000, 1_000_000, 1_100_000), strict=True):
        track.set_remb(limit)
    assert broadcast.stats().bitrate_bps == 900_000, "the median"
    for track in tracks[1:]:
        track.stop()
    assert broadcast.stats().bitrate_bps == LiveEncoderConfig().rates((720, 1280))[0], "its own"
    await broadcast.close()


async def test_limits_of_two_and_of_one(executor: ThreadPoolExecutor) -> None:
    broadcast = Broadcast(executor, LiveEncoderConfig())
    low, start, high = LiveEncoderConfig().rates((720, 1280))
    one, two = broadcast.track(), broadcast.track()
    for track in (one, two):
        broadcast._join(track)
    assert broadcast.stats().bitrate_bps == start
    broadcast._sent["H264"] = deque([(time.monotonic(), start // 8)])
    one.set_remb(1_000_000)
    two.set_remb(1_500_000)
    assert broadcast.stats().bitrate_bps == 1_500_000
    one.set_remb(1_000)
    assert broadcast.stats().bitrate_bps == 1_500_000
    two.set_remb(1_000)
    assert broadcast.stats().bitrate_bps == low
    one.stop()
    two.set_remb(90_000_000)
    assert broadcast.stats().bitrate_bps == high
    broadcast.set_bitrate(700_000)
    assert broadcast.stats().bitrate_bps == 700_000
    await broadcast.close()


async def test_an_estimate_of_an_easy_picture_is_no_limit(broadcast: Broadcast) -> None:
    track, _ = await joined(broadcast)
    target, sent = broadcast.stats().bitrate_bps, broadcast.stats().sent_bps
    assert sent < target / 2  # grey pictures need little
    track.set_remb((sent + target) // 2)
    assert broadcast.stats().bitrate_bps == target


async def test_delay_since_capture_is_known_for_sender_reports(broadcast: Broadcast) -> None:
    track = broadcast.track()
    reading = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    broadcast.put(picture(1), time.monotonic() - 0.2)
    await asyncio.wait_for(reading, 5)
    assert 0.2 <= track.last_delay_s < 1.0


async def test_a_bad_picture_ends_nothing(broadcast: Broadcast, caplog: pytest.LogCaptureFixture) -> None:
    track, _ = await joined(broadcast)
    for _ in range(3):
        broadcast.put(np.zeros((4, 4), np.uint8), time.monotonic())
        await asyncio.sleep(0.03)
    assert [record.levelname for record in caplog.records] == ["ERROR"]  # said once
    broadcast.put(picture(60), time.monotonic())
    packet = await asyncio.wait_for(track.recv(), 5)
    assert packet.is_keyframe


async def test_odd_sizes_and_changes_of_size_go_on_with_a_key_frame(broadcast: Broadcast) -> None:
    track, _ = await joined(broadcast)
    for size in ((99, 131), (64, 64), (128, 96)):
        broadcast.put(np.full((*size, 3), 120, np.uint8), time.monotonic())
        packet = await asyncio.wait_for(track.recv(), 5)
        decoded = av.CodecContext.create("h264", "r").decode(packet)[0]
        assert (decoded.height, decoded.width) == (size[0] & ~1, size[1] & ~1)


async def test_close_ends_the_tracks_and_ignores_later_pictures(executor: ThreadPoolExecutor) -> None:
    broadcast = Broadcast(executor, CONFIG)
    track, _ = await joined(broadcast)
    reading = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    await broadcast.close()
    with pytest.raises(MediaStreamError):
        await asyncio.wait_for(reading, 5)
    broadcast.put(picture(1), time.monotonic())
    with pytest.raises(MediaStreamError):
        await broadcast.track().recv()


async def test_at_a_low_rate_pictures_become_fewer_then_smaller_and_all_come_back(
    executor: ThreadPoolExecutor,
) -> None:
    broadcast = Broadcast(executor, LiveEncoderConfig(), clock=lambda: clock_s)
    clock_s, number = 100.0, 0
    track = broadcast.track()
    broadcast._join(track)

    def done() -> int:
        return broadcast.stats().encoded + broadcast.stats().thinned

    def reached(count: int) -> bool:
        return done() >= count

    async def shown(seconds: float) -> tuple[int, tuple[int, int]]:
        nonlocal clock_s, number
        before = broadcast.stats().encoded
        for _ in range(round(30 * seconds)):
            number += 1
            clock_s = 100.0 + number / 30
            wanted = done() + 1
            broadcast.put(np.full((360, 640, 3), number % 200, np.uint8), clock_s)
            await until(functools.partial(reached, wanted))
            track._queue.clear()
        return round((broadcast.stats().encoded - before) / seconds), broadcast.stats().size

    assert await shown(1.0) == (30, (360, 640))
    track.set_bandwidth(150_000)
    await shown(1.0)
    assert await shown(1.0) == (15, (360, 640))
    track.set_bandwidth(60_000)
    await shown(1.0)
    assert await shown(1.0) == (15, (180, 320))
    track.set_bandwidth(1_500_000)
    await shown(2.5)
    assert await shown(1.0) == (30, (360, 640))
    await broadcast.close()


async def test_a_long_queue_pauses_the_pictures_if_most_viewers_have_it(executor: ThreadPoolExecutor) -> None:
    broadcast = Broadcast(executor, LiveEncoderConfig(), clock=lambda: clock_s)
    clock_s = 50.0
    tracks = [broadcast.track() for _ in range(3)]
    for track in tracks:
        broadcast._join(track)
    tracks[0].set_bandwidth(300_000, 0.4)
    assert not broadcast._is_paused(), "one of three does not decide"
    tracks[1].set_bandwidth(300_000, 0.2)
    assert broadcast._is_paused()
    clock_s = 50.3
    assert not broadcast._is_paused()
    await broadcast.close()
