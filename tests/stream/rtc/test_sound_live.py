"""Sound from a publisher to its viewers over real connections: the same packets, in step with the picture."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender

from correspondence import Image, Matcher
from reference import Propagator, Result
from stream.colour.frames import to_rgb
from stream.config import ServerConfig
from stream.rtc.receivers import pass_through
from stream.session.services import load_services
from tests.stream.rig import Client, Pictures, new_peer, serving, until
from tests.stream.voices import RATE, Voice, Voices, Wave, decoded, opus, pitch, steps, tone


def grey(number: int) -> Image:
    return np.full((96, 128, 3), 100, np.uint8)


@contextlib.asynccontextmanager
async def speaking(
    client: Client, voice: MediaStreamTrack, codec: str = "opus", picture: MediaStreamTrack | None = None
) -> AsyncIterator[None]:
    """A publisher with sound in `codec`."""
    peer = new_peer()
    peer.addTrack(picture or Pictures(grey))
    offer_only(peer, codec, voice)
    try:
        await client.connect("whip", peer)
        await until(lambda: peer.connectionState == "connected")
        yield
    finally:
        await peer.close()


def offer_only(peer: RTCPeerConnection, codec: str, track: MediaStreamTrack | str) -> None:
    transceiver = peer.addTransceiver(track, direction="recvonly" if track == "audio" else "sendonly")
    known = RTCRtpSender.getCapabilities("audio").codecs
    transceiver.setCodecPreferences([one for one in known if one.name == codec])


@contextlib.asynccontextmanager
async def listening(
    client: Client, codec: str = "opus", *, raw: bool = False
) -> AsyncIterator[tuple[RTCPeerConnection, Any]]:
    """A viewer and its sound, as undecoded packets where `raw`."""
    peer = new_peer()
    peer.addTransceiver("video", direction="recvonly")
    offer_only(peer, codec, "audio")
    try:
        await client.connect("whep", peer)
        sound = peer.getReceivers()[1].track
        if raw:
            assert pass_through(sound)
        await until(lambda: peer.connectionState == "connected")
        yield peer, sound
    finally:
        await peer.close()


async def collect(sound: Any, count: int) -> list[Voice]:
    got: list[Voice] = []
    while len(got) < count:
        item = await asyncio.wait_for(sound.recv(), 10)
        assert isinstance(item, av.Packet)
        got.append(item)
    return got


def within(part: list[bytes], whole: list[bytes]) -> bool:
    """Whether `part` is a stretch of `whole` repeated."""
    whole = whole * (2 + len(part) // len(whole))
    return any(whole[start : start + len(part)] == part for start in range(len(whole) - len(part) + 1))


async def test_opus_reaches_every_viewer_byte_for_byte() -> None:
    data = opus(440, 100)
    assert len(set(data)) > 50, "packets that can be told apart"
    async with serving() as server:
        client = await server.open()
        async with (
            listening(client, raw=True) as (_, one),
            listening(client, raw=True) as (_, two),
            speaking(client, Voices(data)),
        ):
            for got in await asyncio.gather(collect(one, 40), collect(two, 40)):
                payloads = [bytes(packet) for packet in got]
                assert within(payloads, data), "not decoded and encoded again"
                assert set(steps(got)) == {960}
                assert pitch(decoded(payloads)[4800:]) == pytest.approx(440, abs=5)


async def test_sound_goes_on_with_another_publisher() -> None:
    async with serving() as server:
        client = await server.open()
        async with listening(client) as (_, sound):
            stamps: list[int] = []
            started_s = time.monotonic()
            for hz, begin in ((440, 0), (660, 4_000_000_000)):  # the second one's clock is elsewhere
                waves: list[Wave] = []
                async with speaking(client, Voices(opus(hz, 100), begin)):
                    while len(waves) < 60:
                        frame = await asyncio.wait_for(sound.recv(), 10)
                        assert isinstance(frame, av.AudioFrame)
                        assert frame.pts is not None
                        stamps.append(frame.pts)
                        waves.append(frame.to_ndarray()[0, ::2].astype(np.float64))
                    assert pitch(np.concatenate(waves[20:])) == pytest.approx(hz, abs=5)
            assert np.all(np.diff(stamps) >= 960), "one time, never back"
            assert (stamps[-1] - stamps[0]) / RATE < time.monotonic() - started_s + 0.5, "and no leap ahead"


@pytest.mark.parametrize("codec", ["PCMU", "G722"])
async def test_a_publisher_without_opus_is_heard(codec: str) -> None:
    class Speaking(Voices):
        async def recv(self) -> av.AudioFrame:
            await super().recv()
            return tone(440, 960, 960 * (self._number - 1))

    async with serving() as server:
        client = await server.open()
        async with listening(client) as (_, sound), speaking(client, Speaking([b"\xfc"]), codec):
            waves: list[Wave] = []
            while len(waves) < 60:
                frame = await asyncio.wait_for(sound.recv(), 10)
                assert isinstance(frame, av.AudioFrame)
                waves.append(frame.to_ndarray()[0, ::2].astype(np.float64))
            assert pitch(np.concatenate(waves[20:])) == pytest.approx(440, abs=5)


async def test_a_viewer_without_opus_sees_without_sound() -> None:
    async with serving() as server:
        client = await server.open()
        async with speaking(client, Voices(opus(440, 50))), listening(client, "PCMU") as (peer, _):
            assert isinstance(await asyncio.wait_for(peer.getReceivers()[0].track.recv(), 10), av.VideoFrame)
            assert not server.session(client).connections._sound._viewers


class Clapper:
    """Claps once a second, for 0.3 s: a white picture and a tone; notes when each of them left."""

    def __init__(self) -> None:
        self.shown: dict[int, float] = {}
        self.spoken: dict[int, float] = {}

    def _clap(self, left: dict[int, float]) -> bool:
        now_s = time.monotonic()
        claps = now_s % 1.0 < 0.3
        if claps:
            left.setdefault(int(now_s), now_s)
        return claps

    def draw(self, number: int) -> Image:
        return np.full((96, 128, 3), 230 if self._clap(self.shown) else 30, np.uint8)

    def voice(self) -> MediaStreamTrack:
        clapper = self

        class Clapping(Voices):
            async def recv(self) -> av.AudioFrame:
                await super().recv()
                first = 960 * (self._number - 1)
                return tone(440, 960, first) if clapper._clap(clapper.spoken) else tone(0, 960, first)

        return Clapping([b"\xfc"])


async def onsets(track: MediaStreamTrack, left: dict[int, float], count: int) -> dict[int, float]:
    """From leaving to arriving, seconds, for claps seen or heard on a track, by second."""
    took: dict[int, float] = {}
    loud = True
    while len(took) < count:
        item = await asyncio.wait_for(track.recv(), 10)
        now_s = time.monotonic()
        if isinstance(item, av.VideoFrame):
            level = to_rgb(item).mean() > 130
        else:
            assert isinstance(item, av.AudioFrame)
            level = np.abs(item.to_ndarray()).max() > 2000
        if level and not loud and left:
            clap = max(left)
            took[clap] = now_s - left[clap]
        loud = bool(level)
    return took


async def test_clap_is_heard_when_it_is_seen() -> None:
    clapper = Clapper()
    async with serving() as server:
        client = await server.open()
        async with (
            speaking(client, clapper.voice(), picture=Pictures(clapper.draw, 30)),
            listening(client) as (peer, sound),
        ):
            picture = peer.getReceivers()[0].track
            seen, heard_ = await asyncio.gather(
                onsets(picture, clapper.shown, 5), onsets(sound, clapper.spoken, 5)
            )
    skews = [heard_[clap] - seen[clap] for clap in seen if clap in heard_]
    assert len(skews) >= 3
    assert abs(np.median(skews)) < 0.125, f"sound minus picture, seconds: {np.round(skews, 3)}"


class Late(Propagator):
    """Takes 0.12 s more for each picture."""

    def step(self, frame: Image, now_s: float) -> Result:
        time.sleep(0.12)
        return super().step(frame, now_s)


async def test_sound_waits_for_a_late_picture() -> None:
    clapper = Clapper()
    services = load_services(ServerConfig(matcher="classical"))
    services = dataclasses.replace(services, new_propagator=lambda: Late(matcher=Matcher.load("classical")))
    async with serving(services) as server:
        client = await server.open()
        async with (
            speaking(client, clapper.voice(), picture=Pictures(clapper.draw, 30)),
            listening(client) as (_, sound),
        ):
            late = await onsets(sound, clapper.spoken, 6)
    settled = [late[clap] for clap in sorted(late)[2:]]  # its delay follows the picture's within two seconds
    assert 0.09 < np.median(settled) < 0.8, f"held back by the picture's delay, seconds: {late}"
