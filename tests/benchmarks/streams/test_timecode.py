"""The bar code survives the encoder, scaling and both ranges, and refuses everything else."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from aiortc.mediastreams import VIDEO_TIME_BASE

from benchmarks.streams import timecode
from correspondence import Image
from stream.colour.frames import to_frame
from stream.rtc.codecs import LiveEncoder, LiveEncoderConfig

VALUES = [0, 1, 33, 12_345, 2**31, 2**32 - 1, 0xAAAAAAAA, 0x55555555]


def luma(image: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    frame = to_frame(image, 0, VIDEO_TIME_BASE)
    plane = frame.planes[0]
    return np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("size", [(720, 1280), (480, 640), (240, 320), (96, 163)])
def test_what_is_drawn_is_read(value: int, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 120, np.uint8)
    timecode.draw(image, value)
    assert timecode.read(luma(image)) == value


def test_it_survives_two_encoders_and_noise(astronaut: Image) -> None:
    wide = cv2.resize(astronaut, (1280, 1280))
    first, second = (LiveEncoder("H264", LiveEncoderConfig()) for _ in range(2))
    decoders = [av.CodecContext.create("h264", "r") for _ in range(2)]
    for index in range(20):
        image = np.ascontiguousarray(np.roll(wide, 9 * index, axis=1)[200:920])
        timecode.draw(image, 1000 * index // 30)
        again = decoders[0].decode(first.encode(to_frame(image, 3000 * index, VIDEO_TIME_BASE))[0])[0]
        assert isinstance(again, av.VideoFrame)
        shown = decoders[1].decode(second.encode(again)[0])[0]
        assert isinstance(shown, av.VideoFrame)
        plane = shown.planes[0]
        pixels = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, :1280]
        assert timecode.read(pixels) == 1000 * index // 30


def test_pictures_without_a_code_give_none(astronaut: Image, rng: np.random.Generator) -> None:
    assert timecode.read(astronaut[..., 1]) is None
    for grey in (0, 24, 128, 255):
        assert timecode.read(np.full((720, 1280), grey, np.uint8)) is None
    assert timecode.read(np.zeros((10, 20), np.uint8)) is None
    noise = [timecode.read(rng.integers(0, 256, (96, 160), dtype=np.uint8)) for _ in range(200)]
    assert noise == [None] * 200


@pytest.mark.parametrize("cell", range(timecode.CELLS))
def test_one_wrong_cell_is_noticed(cell: int) -> None:
    image = np.zeros((720, 1280, 3), np.uint8)
    timecode.draw(image, 987_654)
    image[:24, 32 * cell : 32 * cell + 32] = 255 - image[:24, 32 * cell : 32 * cell + 32]
    assert timecode.read(luma(image)) is None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2\*\*32"):
        timecode.draw(np.zeros((64, 64, 3), np.uint8), 1 << 32)
    with pytest.raises(ValueError, match="159"):
        timecode.draw(np.zeros((64, 159, 3), np.uint8), 1)
