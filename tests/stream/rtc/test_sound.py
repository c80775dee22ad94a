"""The hub of a session's sound: one stream of packets for all viewers, in one time."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from stream.rtc.sound import Sound, ViewerSound, opus_samples
from tests.stream.voices import TICK, Voice, decoded, opus, pitch, steps, tone


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
