"""Lip sync with a clock of its own: held, followed, never dropped without need."""

from __future__ import annotations

import asyncio
import fractions
from typing import TypeAlias

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.stream import Stream

from stream.rtc.audio import LATE_S, MAX_DELAY_S, QUEUE_ITEMS, DelayedAudioTrack, Hold

PACKET_S = 0.02
VoicePacket: TypeAlias = "av.Packet[Stream]"


class Microphone(MediaStreamTrack):
    """Gives what is spoken; pts counts packets."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[VoicePacket | None] = asyncio.Queue()
        self.count = 0

    def speak(self) -> None:
        packet = av.Packet(b"\xfc\xff\xfe")  # silence, one Opus frame
        packet.pts, packet.time_base = self.count * 960, fractions.Fraction(1, 48_000)
        self.count += 1
        self.queue.put_nowait(packet)

    async def recv(self) -> VoicePacket:
        packet = await self.queue.get()
        if packet is None:
            raise MediaStreamError
        return packet


class World:
    """A clock that only `sleep` moves, and a microphone that speaks each 20 ms of it."""

    def __init__(self, microphone: Microphone) -> None:
        self.start_s = self.now_s = 50.0
        self._microphone = microphone

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while (next_s := self.start_s + self._microphone.count * PACKET_S) <= until_s:
            self.now_s = next_s
            self._microphone.speak()
            for _ in range(4):
                await asyncio.sleep(0)  # the track reads it at its time
        self.now_s = until_s


async def listen(video_delay_s: list[float]) -> list[float]:
    """Skew in seconds between sound and picture for each packet, the picture late by the given delays."""
    microphone = Microphone()
    world, step = World(microphone), 0
    track = DelayedAudioTrack(microphone, lambda: video_delay_s[step], world.clock, world.sleep)
    skews: list[float] = []
    for step, delay_s in enumerate(video_delay_s):
        if microphone.count <= step:
            await world.sleep(max(world.start_s + step * PACKET_S - world.now_s, 0.0))
        packet = await asyncio.wait_for(track.recv(), 1)
        skews.append(world.now_s - world.start_s - (packet.pts or 0) / 48_000 - delay_s)
    track.stop()
    return skews


async def test_sound_leaves_as_late_as_the_picture() -> None:
    skews = await listen([0.06] * 100)
    assert np.abs(skews).max() < 0.001


async def test_a_drifting_delay_is_followed_within_forty_milliseconds() -> None:
    drift = [0.05 + 0.04 * np.sin(step / 80) for step in range(600)]
    assert np.abs(await listen(drift)).max() < 0.04


async def test_noise_of_single_frames_is_not_followed() -> None:
    rng = np.random.default_rng(3)
    hold = Hold()
    held = [hold.follow(0.06 + rng.normal(0, 0.01), step * PACKET_S) for step in range(500)]
    assert np.std(held[100:]) < 0.003
    assert np.mean(held[100:]) == pytest.approx(0.06, abs=0.004)


def test_a_large_change_is_made_up_for_in_about_a_second() -> None:
    hold = Hold()
    hold.follow(0.04, 0.0)
    held = [hold.follow(0.14, step * PACKET_S) for step in range(1, 151)]
    assert np.diff(held).max() <= 0.1 * PACKET_S + 1e-9  # never a jump
    assert abs(held[50] - 0.14) < 0.04
    assert held[-1] == pytest.approx(0.14, abs=0.015)


def test_delays_are_bounded_and_time_may_stand_still() -> None:
    hold = Hold()
    assert hold.follow(99.0, 0.0) == MAX_DELAY_S
    assert hold.follow(-5.0, 0.0) == MAX_DELAY_S
    assert Hold().follow(-5.0, 0.0) == 0.0


async def test_time_stamps_and_packets_pass_untouched() -> None:
    microphone = Microphone()
    world = World(microphone)
    track = DelayedAudioTrack(microphone, lambda: 0.05, world.clock, world.sleep)
    microphone.speak()
    packet = await asyncio.wait_for(track.recv(), 1)
    assert isinstance(packet, av.Packet)
    assert (packet.pts, bytes(packet)) == (0, b"\xfc\xff\xfe")
    assert track.last_delay_s == pytest.approx(0.05)
    track.stop()


async def test_what_nobody_reads_is_bounded_and_the_newest_kept() -> None:
    microphone = Microphone()
    world = World(microphone)
    track = DelayedAudioTrack(microphone, lambda: 0.0, world.clock, world.sleep)
    for _ in range(QUEUE_ITEMS + 40):
        microphone.speak()
    for _ in range(QUEUE_ITEMS + 50):
        await asyncio.sleep(0)
    assert track.dropped == 40
    packet = await asyncio.wait_for(track.recv(), 1)
    assert packet.pts == 40 * 960
    track.stop()


async def test_what_gathered_before_the_viewer_connected_is_skipped() -> None:
    microphone = Microphone()
    world = World(microphone)
    track = DelayedAudioTrack(microphone, lambda: 0.05, world.clock, world.sleep)
    await world.sleep(1.0)
    first = await asyncio.wait_for(track.recv(), 1)
    assert 0.05 <= world.now_s - world.start_s - (first.pts or 0) / 48_000 <= 0.051 + LATE_S
    assert track.dropped == pytest.approx((1.0 - 0.05 - LATE_S) / PACKET_S, abs=2)
    track.stop()


async def test_the_end_of_the_source_ends_the_track_after_what_is_held() -> None:
    microphone = Microphone()
    world = World(microphone)
    track = DelayedAudioTrack(microphone, lambda: 0.05, world.clock, world.sleep)
    microphone.speak()
    microphone.queue.put_nowait(None)
    assert (await asyncio.wait_for(track.recv(), 1)).pts == 0
    with pytest.raises(MediaStreamError):
        await asyncio.wait_for(track.recv(), 1)


async def test_stop_wakes_the_reader_and_stops_the_source() -> None:
    microphone = Microphone()
    track = DelayedAudioTrack(microphone, lambda: 0.05)
    reading = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    track.stop()
    with pytest.raises(MediaStreamError):
        await asyncio.wait_for(reading, 1)
    assert microphone.readyState == "ended"
