"""Live encoders: rate changes without key frames, bounded frames, key frames on request."""

from __future__ import annotations

import itertools
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from aiortc.codecs.h264 import H264Encoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import VIDEO_TIME_BASE

from correspondence import Image
from stream.colour.frames import Matrix, source_colour, to_frame
from stream.rtc.codecs import AHEAD_S, H264Sender, LiveEncoder, LiveEncoderConfig, Vp8Sender

FPS = 30
SIZE = (360, 640)


@pytest.fixture(scope="module")
def frames() -> list[av.VideoFrame]:
    """Three seconds of a face that moves, with grain that costs bits."""
    return [to_frame(moving(index), index * 90000 // FPS, VIDEO_TIME_BASE) for index in range(90)]


def moving(index: int) -> Image:
    from skimage import data

    face = cv2.resize(data.astronaut(), (SIZE[1] + 80, SIZE[1] + 80))
    dx, dy = int(40 + 35 * np.sin(index / 5)), int(40 + 35 * np.cos(index / 4))
    cut = face[dy : dy + SIZE[0], dx : dx + SIZE[1]].astype(np.int16)
    grain = np.random.default_rng(index).integers(-6, 7, cut.shape, dtype=np.int16)
    return np.clip(cut + grain, 0, 255).astype(np.uint8)


def rate_bps(sizes: list[int]) -> float:
    return 8 * sum(sizes) * FPS / len(sizes)


def test_h264_follows_a_new_rate_without_a_key_frame(frames: list[av.VideoFrame]) -> None:
    encoder = LiveEncoder("H264", LiveEncoderConfig())
    packets = []
    for index, frame in enumerate(frames):
        if index == 30:
            encoder.bitrate_bps = 300_000
        packets += encoder.encode(frame)
    sizes = [packet.size for packet in packets]
    assert len(packets) == len(frames)
    assert [packet.is_keyframe for packet in packets] == [True] + [False] * 89
    assert rate_bps(sizes[60:]) < 0.5 * rate_bps(sizes[:30])
    assert rate_bps(sizes[60:]) == pytest.approx(300_000, rel=0.35)


@pytest.mark.parametrize("kind", [H264Sender, Vp8Sender])
def test_a_sender_sends_no_more_than_a_rate_that_fell(
    frames: list[av.VideoFrame], kind: type[H264Sender | Vp8Sender]
) -> None:
    sender = kind()
    sender.target_bitrate = 2_000_000
    sent = [sum(map(len, sender.encode(frame)[0])) for frame in frames[:30]]
    assert all(sent), "nothing is left out at a rate that stays"
    sender.target_bitrate = 200_000
    first = [sum(map(len, sender.encode(frame)[0])) for frame in frames[30:60]]
    assert 8 * sum(first) < 200_000 * (1 + AHEAD_S) + 8 * max(sent), "of the first second"
    asked = [
        sum(map(len, sender.encode(frame, index == 60)[0])) for index, frame in enumerate(frames[60:], 60)
    ]
    assert sender.live.keyframes == 2, "a key frame that is asked for meanwhile is not forgotten"
    assert any(asked)


@pytest.mark.parametrize("fps", [30, 15, 10])
def test_h264_keeps_its_rate_whatever_the_frame_rate(frames: list[av.VideoFrame], fps: int) -> None:
    encoder, sizes = LiveEncoder("H264", LiveEncoderConfig()), []
    encoder.bitrate_bps = 300_000
    for index in range(90):
        frame = to_frame(moving(index), index * 90_000 // fps, VIDEO_TIME_BASE)
        sizes += [packet.size for packet in encoder.encode(frame)]
    assert 8 * sum(sizes[40:]) * fps / len(sizes[40:]) == pytest.approx(300_000, rel=0.25)


def test_h264_grows_beyond_the_rate_it_was_opened_for(frames: list[av.VideoFrame]) -> None:
    encoder, sizes = LiveEncoder("H264", LiveEncoderConfig(min_bitrate_bps=20_000)), []
    encoder.bitrate_bps = 100_000
    for index, frame in enumerate(frames):
        if index == 30:
            encoder.bitrate_bps = 600_000
        sizes += [packet.size for packet in encoder.encode(frame)]
    assert rate_bps(sizes[10:30]) < 200_000
    assert rate_bps(sizes[60:]) == pytest.approx(600_000, rel=0.35)
    assert 8 * sizes[0] < 1.1 * 0.2 * 2 * 100_000, "a key frame at a low rate is small"


def test_a_key_frame_after_the_rate_fell_is_small(frames: list[av.VideoFrame]) -> None:
    encoder, sizes = LiveEncoder("H264", LiveEncoderConfig(keyframe_gap_s=0.0)), []
    for index, frame in enumerate(frames[:40]):
        if index == 20:
            encoder.bitrate_bps = 100_000
        if index in (10, 30):
            encoder.request_keyframe()
        sizes += [packet.size for packet in encoder.encode(frame)]
    assert encoder.keyframes == 3
    assert 8 * sizes[10] > 0.2 * 2 * 100_000 > 8 * sizes[30] / 1.1


def test_aiortc_makes_a_key_frame_at_each_new_rate(frames: list[av.VideoFrame]) -> None:
    bursts = []
    for encoder in (H264Encoder(), H264Sender()):
        sizes = []
        for index, frame in enumerate(frames[:20]):
            if index in (0, 10):
                encoder.target_bitrate = (1_000_000, 700_000)[index // 10]
            sizes.append(sum(map(len, encoder.encode(frame)[0])))
        bursts.append(sizes[10] / np.median(sizes[5:10]))
    assert bursts[0] > 2 * bursts[1]
    assert bursts[1] < 2


def test_key_frames_stay_within_the_buffer(frames: list[av.VideoFrame]) -> None:
    config = LiveEncoderConfig(keyframe_gap_s=0.0)
    encoder = LiveEncoder("H264", config)
    sizes = []
    for index, frame in enumerate(frames[:60]):
        if index % 20 == 0:
            encoder.request_keyframe()
        sizes += [packet.size for packet in encoder.encode(frame)]
    highest = config.rates(SIZE)[2]
    assert encoder.keyframes == 3
    assert 8 * max(sizes) < 1.1 * config.vbv_s * highest


def test_it_is_constrained_baseline_with_parameter_sets_in_band_and_colours_tagged(
    frames: list[av.VideoFrame],
) -> None:
    packet = LiveEncoder("H264", LiveEncoderConfig()).encode(frames[0])[0]
    kinds = [unit[0] & 0x1F for unit in H264Encoder._split_bitstream(bytes(packet))]
    assert kinds[:2] == [7, 8]
    assert 5 in kinds
    parameters = next(u for u in H264Encoder._split_bitstream(bytes(packet)) if u[0] & 0x1F == 7)
    assert parameters[1] == 66  # profile_idc: Baseline
    assert parameters[2] & 0x40  # constraint_set1_flag: without what browsers cannot decode
    decoded = av.CodecContext.create("h264", "r").decode(packet)[0]
    assert source_colour(decoded, Matrix.BT709)[0] == Matrix.BT601.sws  # the tag, not the guess
    assert decoded.color_range == frames[0].color_range


def test_each_frame_comes_out_at_once_with_its_time(frames: list[av.VideoFrame]) -> None:
    for codec in ("H264", "VP8"):
        encoder = LiveEncoder(codec, LiveEncoderConfig())
        for frame in frames[:10]:
            packets = encoder.encode(frame)
            assert [packet.pts for packet in packets] == [frame.pts]
            assert packets[0].time_base == VIDEO_TIME_BASE


def test_vp8_is_rebuilt_for_large_steps_only_and_seldom(frames: list[av.VideoFrame]) -> None:
    encoder, keyframes = LiveEncoder("VP8", LiveEncoderConfig()), []
    for index in range(240):
        encoder.bitrate_bps = (400_000, 300_000, 420_000)[index % 3]  # within the step, and beyond it
        frame = to_frame(moving(index % 60), index * 3000, VIDEO_TIME_BASE)
        keyframes += [index for packet in encoder.encode(frame) if packet.is_keyframe]
    assert len(keyframes) <= 2
    assert all(later - earlier >= 5 * FPS for earlier, later in itertools.pairwise(keyframes))


def test_a_key_frame_asked_for_too_soon_comes_when_the_gap_has_passed(frames: list[av.VideoFrame]) -> None:
    encoder, keyframes = LiveEncoder("H264", LiveEncoderConfig(keyframe_gap_s=0.5)), []
    for index, frame in enumerate(frames[:40]):
        if index in (3, 4, 5):
            encoder.request_keyframe()
        keyframes += [index for packet in encoder.encode(frame) if packet.is_keyframe]
    assert keyframes == [0, 15]


def test_rates_follow_the_size_and_stay_in_order() -> None:
    config = LiveEncoderConfig()
    assert config.rates((720, 1280)) == (80_000, 2_500_000, 4_000_000)
    small, full, large = (config.rates(size) for size in ((64, 64), (720, 1280), (2160, 3840)))
    assert small < full < large
    assert all(low <= start <= high for low, start, high in (small, full, large))
    assert LiveEncoderConfig(bitrate_bps=70_000).rates((720, 1280))[0] == 70_000
    assert LiveEncoderConfig(bitrate_bps=9_000_000).rates((720, 1280))[2] == 9_000_000


def test_threads_follow_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    sizes = [(64, 64), (720, 1280), (1080, 1920), (2160, 3840)]
    assert [LiveEncoderConfig().threads_for(size) for size in sizes] == [1, 1, 2, 4]
    assert LiveEncoderConfig(threads=3).threads_for((64, 64)) == 3


@pytest.mark.parametrize("field", ["bitrate_bps", "fps", "vbv_s", "threads"])
def test_config_refuses_what_makes_no_sense(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        LiveEncoderConfig(**{field: 0})  # type: ignore[arg-type]


def test_what_the_sender_packs_decodes(frames: list[av.VideoFrame]) -> None:
    from aiortc.codecs.h264 import H264Decoder, h264_depayload
    from aiortc.codecs.vpx import Vp8Decoder, vp8_depayload

    for encoder, decoder, strip in (
        (H264Sender(), H264Decoder(), h264_depayload),
        (Vp8Sender(), Vp8Decoder(), vp8_depayload),
    ):
        payloads, timestamp = encoder.encode(frames[3], force_keyframe=True)
        assert timestamp == frames[3].pts
        assert all(len(payload) <= 1300 for payload in payloads)
        shown = decoder.decode(JitterFrame(b"".join(map(strip, payloads)), timestamp))
        assert len(shown) == 1
        assert isinstance(shown[0], av.VideoFrame)
        difference = np.asarray(shown[0].to_ndarray()).astype(int) - frames[3].to_ndarray().astype(int)
        assert np.abs(difference).mean() < 8


def test_other_formats_sides_and_time_bases_are_taken() -> None:
    frame = av.VideoFrame.from_ndarray(np.full((65, 67, 3), 77, np.uint8), format="rgb24")
    frame.pts, frame.time_base = 5, Fraction(1, 10)
    packet = LiveEncoder("H264", LiveEncoderConfig()).encode(frame)[0]
    assert packet.pts == 45_000
    decoded = av.CodecContext.create("h264", "r").decode(packet)[0]
    assert (decoded.width, decoded.height) == (66, 64)


def test_frames_without_time_are_refused() -> None:
    with pytest.raises(ValueError, match="pts"):
        H264Sender().encode(av.VideoFrame(64, 64, "yuv420p"))
    with pytest.raises(ValueError, match="pts"):
        LiveEncoder("VP8", LiveEncoderConfig()).encode(av.VideoFrame(64, 64, "yuv420p"))


def test_it_costs_less_than_aiortc_at_720p() -> None:
    import time

    image = np.ascontiguousarray(cv2.resize(moving(0), (1280, 720)))
    spent = {}
    for name, encoder in (("ours", H264Sender()), ("aiortc", H264Encoder())):
        encoder.target_bitrate = 2_500_000
        start = 0.0
        for index in range(12):
            if index == 2:
                start = time.process_time()  # x264 has threads of its own in aiortc's
            frame = to_frame(np.roll(image, 3 * index, axis=1), index * 3000, VIDEO_TIME_BASE)
            encoder.encode(frame)
        spent[name] = time.process_time() - start
    assert spent["ours"] < 0.8 * spent["aiortc"]


def test_vp8_pictures_are_numbered() -> None:
    sender = Vp8Sender()
    first = sender.picture_id
    for count in range(1, 4):
        sender.encode(to_frame(np.zeros((64, 64, 3), np.uint8), count * 3000, VIDEO_TIME_BASE))
        assert sender.picture_id == (first + count) % (1 << 15)
