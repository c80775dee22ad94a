"""What the patch changes in aiortc's receivers: tracks, decoding and their end, beside aiortc's own."""

from __future__ import annotations

import asyncio
import queue
import struct
import threading
from typing import Any

import av
import numpy as np
import pytest
from aiortc import rtcpeerconnection, rtcrtpreceiver, rtp
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import VIDEO_TIME_BASE, MediaStreamError
from aiortc.rtcrtpparameters import (
    RTCRtpReceiveParameters,
)

from stream.colour.frames import to_frame
from stream.rtc import jitter, receivers
from stream.rtc.codecs import LiveEncoder, LiveEncoderConfig
from stream.rtc.receivers import NewestTrack, decoder_worker, pass_through
from tests.stream.aiortc_rig import H264, OPUS, VP8, Transport


async def test_an_unread_track_keeps_the_newest_frame_where_aiortc_keeps_all() -> None:
    ours: Any = NewestTrack("video")
    theirs: Any = rtcrtpreceiver.RemoteStreamTrack("video")
    for number in range(100):
        ours._queue.put_newest(number)
        theirs._queue.put_nowait(number)
    assert await ours.recv() == 99
    assert ours._queue.dropped == 99
    assert theirs._queue.qsize() == 100
    sound: Any = NewestTrack("audio")
    for number in range(100):
        sound._queue.put_newest(number)
    assert sound._queue.qsize() == receivers.AUDIO_QUEUE


async def test_the_end_of_a_track_is_never_pushed_out() -> None:
    track: Any = NewestTrack("video")
    track._queue.put_newest(None)
    track._queue.put_newest(5)
    with pytest.raises(MediaStreamError):
        await track.recv()


def encoded(count: int, keyframes: tuple[int, ...] = (0,)) -> list[JitterFrame]:
    """Frames of one x264 stream; frame n is grey 2 n."""
    encoder = LiveEncoder("H264", LiveEncoderConfig(keyframe_gap_s=0.0))
    out = []
    for index in range(count):
        if index in keyframes:
            encoder.request_keyframe()
        image = np.full((64, 64, 3), 2 * index, np.uint8)
        packet = encoder.encode(to_frame(image, index * 3000, VIDEO_TIME_BASE))[0]
        out.append(JitterFrame(bytes(packet), index * 3000))
    return out


async def work(tasks: list[Any], output: asyncio.Queue[Any]) -> threading.Event:
    """Run the decoder over tasks that are all there from the start."""
    inputs: queue.Queue[Any] = queue.Queue()
    for task in [*tasks, None]:
        inputs.put(task)
    error = threading.Event()
    await asyncio.to_thread(decoder_worker, asyncio.get_running_loop(), inputs, output, error)
    await asyncio.sleep(0)
    return error


async def test_batches_and_single_frames_are_decoded_in_order() -> None:
    frames = encoded(6)
    batch = jitter.FrameBatch([(frame.data, frame.timestamp) for frame in frames[1:4]])
    output: asyncio.Queue[Any] = asyncio.Queue()
    error = await work([(H264, frames[0]), (H264, batch), (H264, frames[4]), (H264, frames[5])], output)
    got = [output.get_nowait() for _ in range(output.qsize())]
    assert [frame.pts for frame in got[:-1]] == [0, 3000, 6000, 9000, 12000, 15000]
    assert got[-1] is None
    assert not error.is_set()


async def test_a_decoder_that_is_behind_goes_on_at_the_next_key_frame_and_asks_for_one() -> None:
    count = receivers.BACKLOG + 30
    keyframe = count - 20
    output: asyncio.Queue[Any] = asyncio.Queue()
    error = await work([(H264, frame) for frame in encoded(count, (keyframe,))], output)
    got = [output.get_nowait() for _ in range(output.qsize())]
    assert [frame.pts // 3000 for frame in got[:-1]] == [0, *range(keyframe, count)]
    assert error.is_set()


async def test_what_does_not_decode_asks_for_a_key_frame_and_goes_on() -> None:
    frames = encoded(2)
    output: asyncio.Queue[Any] = asyncio.Queue()
    error = await work([(H264, JitterFrame(b"\0\0\0\1\x65\xff\xff", 0)), (H264, frames[0])], output)
    assert error.is_set()
    assert output.qsize() >= 2  # the good frame and the end


@pytest.mark.parametrize(("name", "kind"), [("libx264", H264), ("libvpx", VP8)])
async def test_a_picture_beyond_the_limit_ends_the_track_with_its_size(name: str, kind: Any) -> None:
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.width, encoder.height, encoder.pix_fmt = 4112, 2320, "yuv420p"
    encoder.time_base = VIDEO_TIME_BASE
    frame = av.VideoFrame(4112, 2320, "yuv420p")
    frame.pts, frame.time_base = 0, VIDEO_TIME_BASE
    data = bytes((encoder.encode(frame) + encoder.encode(None))[0])
    track: Any = NewestTrack("video")
    await work([(kind, JitterFrame(data, 0)), (H264, encoded(1)[0])], track._queue)
    with pytest.raises(MediaStreamError):
        await track.recv()
    assert "4112x2320" in receivers.end_reason(track)


class Broken:
    def decode(self, _: JitterFrame) -> list[Any]:
        raise struct.error("unpack requires a buffer of 4 bytes")


async def test_a_decoder_that_breaks_does_not_end_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "get_decoder", lambda _: Broken())
    output: asyncio.Queue[Any] = asyncio.Queue()
    error = await work([(H264, frame) for frame in encoded(3)], output)
    assert error.is_set()
    assert output.get_nowait() is None


def test_a_hanging_decoder_keeps_so_many_frames_and_its_end() -> None:
    waiting = receivers.DecoderQueue()
    for number in range(1000):
        waiting.put(number)
    waiting.put(None)
    held = [waiting.get() for _ in range(waiting.qsize())]
    assert len(held) == 2 * receivers.BACKLOG + 1
    assert held[-1] is None


async def test_opus_passes_through_when_asked() -> None:
    track = NewestTrack("audio")
    assert pass_through(track)
    await work([(OPUS, JitterFrame(b"\xfc\xff\xfe", 960))], track._queue)
    packet = await track.recv()
    assert isinstance(packet, av.Packet)
    assert (packet.pts, bytes(packet)) == (960, b"\xfc\xff\xfe")
    plain = NewestTrack("audio")
    await work([(OPUS, JitterFrame(b"\xfc\xff\xfe", 960))], plain._queue)
    assert isinstance(await plain.recv(), av.AudioFrame)
    assert not pass_through(rtcrtpreceiver.RemoteStreamTrack("audio"))


@pytest.mark.parametrize(("setting", "held"), [("stock", True), ("patched", False)])
async def test_a_busy_decoder_does_not_hold_up_the_loop_when_its_peer_leaves(
    setting: str, held: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request.getfixturevalue(setting)
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        def decode(self, _: JitterFrame) -> list[Any]:
            begun.set()
            go_on.wait(10)
            return []

    monkeypatch.setattr(rtcrtpreceiver, "get_decoder", lambda _: Slow())
    monkeypatch.setattr(receivers, "get_decoder", lambda _: Slow())
    made: Any = rtcpeerconnection
    receiver = made.RTCRtpReceiver("video", Transport())
    receiver._track = made.RemoteStreamTrack(kind="video")
    await receiver.receive(RTCRtpReceiveParameters(codecs=[H264]))
    for number in range(3):
        packet = rtp.RtpPacket(payload_type=101, sequence_number=number, timestamp=3000 * number, marker=1)
        packet.payload = b"\x65" + bytes([9]) * 50
        await receiver._handle_rtp_packet(packet, 0)
    await asyncio.to_thread(begun.wait, 5)
    later = threading.Timer(1.5, go_on.set)
    later.start()
    receiver._handle_disconnect()
    assert go_on.is_set() is held, "who waits for the decoder comes back after it has gone on"
    go_on.set()
    later.cancel()
    await receiver.stop()
    with pytest.raises(MediaStreamError):
        await asyncio.wait_for(receiver.track.recv(), 5)
    assert not [t for t in threading.enumerate() if t.name == "video-decoder"]


def test_a_frame_was_taken_when_the_senders_report_says() -> None:
    track = receivers.NewestTrack("video")
    assert receivers.taken_s(track, 9000) is None
    track.report = 4500, 1000.0
    assert receivers.taken_s(track, 9000) == pytest.approx(1000.05)
    assert receivers.taken_s(track, 0) == pytest.approx(999.95)
    track.report = (1 << 32) - 9000, 1000.0  # the report counts from before the time wrapped
    assert receivers.taken_s(track, 0) == pytest.approx(1000.1)
    assert receivers.taken_s(track, None) is None
