"""Sound from a publisher to its viewers over real connections: the same packets, in step with the picture."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender
from aiortc.mediastreams import MediaStreamError
from av.stream import Stream

from correspondence.types import Image
from stream.aiortc_patch import pass_through
from stream.colour import to_rgb
from stream.sound import Sound, ViewerSound, opus_samples
from tests.stream.rig import Client, Pictures, new_peer, serving, until

RATE = 48_000
TICK = Fraction(1, RATE)
Voice: TypeAlias = "av.Packet[Stream]"
Wave: TypeAlias = npt.NDArray[np.float64]


def tone(hz: float, samples: int, first: int = 0) -> av.AudioFrame:
    """A sine, s16 mono at 48 kHz; `first` is its first sample's number."""
    wave = 8000 * np.sin(2 * np.pi * hz * (first + np.arange(samples)) / RATE)
    frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, first, TICK
    return frame


def opus(hz: float, packets: int, **options: str) -> list[bytes]:
    """A tone as Opus packets, 20 ms each unless the options say otherwise."""
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.format, codec.layout, codec.time_base = RATE, "s16", "mono", TICK
    codec.options = options
    codec.open()
    size, made = codec.frame_size, []
    for number in range(packets):
        made += [bytes(packet) for packet in codec.encode(tone(hz, size, number * size))]
    return made


def pitch(samples: Wave) -> float:
    """The strongest frequency, Hz, of samples at 48 kHz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * RATE / len(samples))


def decoded(packets: list[bytes]) -> Wave:
    """The left channel of Opus packets, float64 (N,)."""
    codec = av.CodecContext.create("libopus", "r")
    frames = [frame for data in packets for frame in codec.decode(av.Packet(data))]
    planes = [frame.to_ndarray() for frame in frames]
    step = 2 if planes[0].shape[0] == 1 else 1  # interleaved stereo, or planes
    return np.concatenate([plane[0, ::step] for plane in planes]).astype(np.float64)


class Voices(MediaStreamTrack):
    """Speaks Opus packets, one each 20 ms from `begin` ticks on, then repeats them."""

    kind = "audio"

    def __init__(self, packets: list[bytes], begin: int = 0) -> None:
        super().__init__()
        self._packets, self._begin = packets, begin
        self._number, self._start_s = 0, 0.0

    async def recv(self) -> Voice | av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        self._start_s = self._start_s or time.monotonic()
        await asyncio.sleep(max(self._start_s + 0.02 * self._number - time.monotonic(), 0))
        packet = av.Packet(self._packets[self._number % len(self._packets)])
        packet.pts, packet.time_base = self._begin + 960 * self._number, TICK
        self._number += 1
        return packet


class Given(MediaStreamTrack):
    """Gives a list of packets or frames at once, then ends."""

    kind = "audio"

    def __init__(self, items: list[Voice] | list[av.AudioFrame]) -> None:
        super().__init__()
        self._items: list[Voice | av.AudioFrame] = [*items]

    async def recv(self) -> Voice | av.AudioFrame:
        if not self._items:
            raise MediaStreamError
        return self._items.pop(0)


def packets(data: list[bytes], begin: int, step: int = 960) -> list[Voice]:
    made: list[Voice] = []
    for number, payload in enumerate(data):
        made.append(av.Packet(payload))
        made[-1].pts, made[-1].time_base = begin + number * step, TICK
    return made


async def heard(viewer: ViewerSound, count: int) -> list[Voice]:
    return [await asyncio.wait_for(viewer.recv(), 5) for _ in range(count)]


def steps(got: list[Voice]) -> list[int]:
    """Time stamps' differences."""
    stamps = [packet.pts or 0 for packet in got]
    return [after - before for before, after in itertools.pairwise(stamps)]


@pytest.mark.parametrize("milliseconds", ["2.5", "5", "10", "20", "40", "60"])
@pytest.mark.parametrize(("use", "bit_rate"), [("voip", "12000"), ("voip", "28000"), ("lowdelay", "64000")])
def test_the_length_of_a_packet_is_read_from_it(milliseconds: str, use: str, bit_rate: str) -> None:
    made = opus(300, 6, frame_duration=milliseconds, application=use, b=bit_rate)
    assert {opus_samples(data) for data in made} == {int(float(milliseconds) * 48)}


def test_packets_of_several_frames_and_none() -> None:
    assert opus_samples(bytes([0xFB, 3])) == 3 * 960  # code 3: the second byte counts
    assert opus_samples(b"") == opus_samples(b"\xfb") == 0


async def test_every_viewer_gets_the_same_packets() -> None:
    hub, data = Sound(), opus(440, 5)
    viewers = [hub.track() for _ in range(3)]
    await hub.drain(Given(packets(data, 777)))
    got = [await heard(viewer, 5) for viewer in viewers]
    assert [bytes(packet) for packet in got[0]] == data
    assert all(one is two for one, two in zip(got[0], got[1], strict=True))
    assert steps(got[2]) == [960] * 4


async def test_a_new_publisher_goes_on_where_the_last_one_stopped() -> None:
    hub = Sound()
    viewer = hub.track()
    await hub.drain(Given(packets(opus(440, 5, frame_duration="60"), 9_000_000, 2880)))
    await hub.drain(Given(packets(opus(660, 5), 5)))
    stamps = [packet.pts or 0 for packet in await heard(viewer, 10)]
    assert np.diff(stamps[:5]).tolist() == [2880] * 4
    assert stamps[5] == stamps[4] + 2880, "not into the last packet"
    assert np.diff(stamps[5:]).tolist() == [960] * 4


async def test_another_codec_is_encoded_once() -> None:
    hub = Sound()
    one, two = hub.track(), hub.track()
    frames = [tone(6 * 440, 160, 160 * number) for number in range(30)]
    for frame in frames:
        frame.sample_rate, frame.time_base = 8000, Fraction(1, 8000)  # as G.711 is decoded: six times slower
    await hub.drain(Given(frames))
    got = await heard(one, 20)
    assert all(mine is theirs for mine, theirs in zip(got, await heard(two, 20), strict=True))
    assert steps(got) == [960] * 19
    assert pitch(decoded([bytes(packet) for packet in got])[9600:]) == pytest.approx(440, abs=5)


async def test_a_viewer_that_does_not_read_loses_the_oldest() -> None:
    hub, data = Sound(), opus(440, 60)
    viewer = hub.track()
    await hub.drain(Given(packets(data, 0)))
    assert bytes((await heard(viewer, 1))[0]) == data[10]
    hub.close()
    with pytest.raises(MediaStreamError):
        await heard(viewer, 50)


# Over real connections.


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
