"""Colour bars there and back, against the matrices written out."""

from __future__ import annotations

import itertools
import time
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from correspondence import Image
from stream.colour.frames import Matrix, source_colour, to_frame, to_rgb

Array = npt.NDArray[Any]
TICK = Fraction(1, 90000)
BARS = np.array(
    [
        [255, 255, 255],
        [255, 255, 0],
        [0, 255, 255],
        [0, 255, 0],
        [255, 0, 255],
        [255, 0, 0],
        [0, 0, 255],
        [0, 0, 0],
        [128, 128, 128],
        [226, 178, 152],  # skin
    ],
    np.uint8,
)
BAR_WIDTH = 32
CENTRES = BAR_WIDTH // 2 + BAR_WIDTH * np.arange(len(BARS))
WEIGHTS = {Matrix.BT601: (0.299, 0.114), Matrix.BT709: (0.2126, 0.0722)}  # of red and blue in luma
EVERY = list(itertools.product(Matrix, (False, True)))


def colour_bars(height: int = 64) -> Image:
    return np.ascontiguousarray(np.broadcast_to(np.repeat(BARS, BAR_WIDTH, axis=0), (height, 320, 3)))


def luma_chroma(matrix: Matrix, full_range: bool) -> tuple[Array, Array, Array]:
    """Y, Cb, Cr of the bars by the definition in BT.601 and BT.709."""
    red, blue = WEIGHTS[matrix]
    rgb = BARS / 255.0
    y = rgb @ np.array([red, 1 - red - blue, blue])
    cb, cr = (rgb[:, 2] - y) / (2 - 2 * blue), (rgb[:, 0] - y) / (2 - 2 * red)
    if full_range:
        return 255 * y, 128 + 255 * cb, 128 + 255 * cr
    return 16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr


@pytest.mark.parametrize("size", [(180, 320), (182, 322)])
def test_a_smooth_picture_comes_back_to_a_level(size: tuple[int, int]) -> None:
    x, y = np.meshgrid(np.linspace(0, 255, size[1]), np.linspace(0, 255, size[0]))
    picture = np.dstack([x, y, 255 - x / 2 - y / 2]).round().astype(np.uint8)
    frame = to_frame(picture, 0, TICK)
    assert (frame.height, frame.width) == size
    away = np.abs(to_rgb(frame).astype(int) - picture)
    assert away.mean() < 0.9
    assert away.max() <= 4


def plane(frame: av.VideoFrame, index: int) -> Array:
    source = frame.planes[index]
    return np.frombuffer(bytes(source), np.uint8).reshape(source.height, source.line_size)[:, : source.width]


@pytest.mark.parametrize(("matrix", "full_range"), EVERY)
def test_frames_hold_what_the_standard_says(matrix: Matrix, full_range: bool) -> None:
    frame = to_frame(colour_bars(), 7, TICK, matrix, full_range)
    y, cb, cr = luma_chroma(matrix, full_range)
    assert np.abs(plane(frame, 0)[32, CENTRES] - y).max() <= 1.6
    assert np.abs(plane(frame, 1)[16, CENTRES // 2] - np.clip(cb, 0, 255)).max() <= 1.6
    assert np.abs(plane(frame, 2)[16, CENTRES // 2] - np.clip(cr, 0, 255)).max() <= 1.6
    assert (frame.pts, frame.time_base, frame.format.name) == (7, TICK, "yuv420p")


@pytest.mark.parametrize(("matrix", "full_range"), EVERY)
def test_colour_bars_come_back(matrix: Matrix, full_range: bool) -> None:
    bars = colour_bars()
    back = to_rgb(to_frame(bars, 0, TICK, matrix, full_range))
    assert np.abs(back[32, CENTRES].astype(int) - BARS).max() <= 3
    difference = deltaE_ciede2000(rgb2lab(back[32, CENTRES]), rgb2lab(BARS))
    assert difference.max() < (2.0 if full_range else 1.0)  # 1: just noticeable


@pytest.mark.parametrize(("matrix", "full_range"), EVERY)
def test_tags_survive_the_encoder_and_decide(matrix: Matrix, full_range: bool) -> None:
    frame = to_frame(colour_bars(), 0, TICK, matrix, full_range)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 320, 64, "yuv420p", TICK
    encoder.colorspace, encoder.color_primaries, encoder.color_trc = matrix.codes
    encoder.color_range = frame.color_range
    encoder.options = {"qp": "4", "tune": "zerolatency"}
    decoder = av.CodecContext.create("h264", "r")
    packets = encoder.encode(frame) + encoder.encode(None)
    decoded = [picture for packet in packets for picture in decoder.decode(packet)] + decoder.decode(None)
    assert source_colour(decoded[0])[0] == matrix.sws
    wrong = Matrix.BT709 if matrix is Matrix.BT601 else Matrix.BT601
    back = to_rgb(decoded[0], untagged=wrong)  # the tag wins over the guess
    assert np.abs(back[32, CENTRES].astype(int) - BARS).max() <= 5


def test_untagged_frames_are_taken_for_a_peers_or_by_their_size() -> None:
    small, large = av.VideoFrame(64, 480, "yuv420p"), av.VideoFrame(64, 720, "yuv420p")
    assert source_colour(small, None)[0] == Matrix.BT601.sws
    assert source_colour(large, None)[0] == Matrix.BT709.sws
    assert source_colour(large)[0] == Matrix.BT601.sws  # what a WebRTC peer sends, whatever its size


def test_the_matrix_matters() -> None:
    frame = to_frame(colour_bars(), 0, TICK, Matrix.BT709)
    frame.colorspace = 2  # the tag lost, the guess wrong
    back = to_rgb(frame, untagged=Matrix.BT601)
    assert np.abs(back[32, CENTRES].astype(int) - BARS).max() > 20


def test_full_range_formats_need_no_tag() -> None:
    frame = to_frame(colour_bars(), 0, TICK, full_range=True)
    full = av.VideoFrame(320, 64, "yuvj420p")
    for source, target in zip(frame.planes, full.planes, strict=True):
        target.update(bytes(source))
    back = to_rgb(full)
    assert np.abs(back[32, CENTRES].astype(int) - BARS).max() <= 3


@pytest.mark.parametrize("size", [(64, 64), (63, 61), (1, 1), (2, 5)])
def test_any_size_keeps_its_size_and_memory(size: tuple[int, int], rng: np.random.Generator) -> None:
    image = np.full((*size, 3), rng.integers(0, 256, 3), np.uint8)
    frame = to_frame(image, 0, TICK)
    back = to_rgb(frame)
    assert back.shape == image.shape
    assert back.flags.c_contiguous
    assert np.abs(back.astype(int) - image).max() <= 4


def test_rgb_frames_pass_and_are_copied() -> None:
    image = colour_bars()
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    back = to_rgb(frame)
    back[:] = 0
    assert np.array_equal(to_rgb(frame), image)


def test_to_frame_refuses_other_types() -> None:
    with pytest.raises(ValueError, match="uint8"):
        to_frame(np.zeros((4, 4, 3), np.float32), 0, TICK)


def test_both_ways_are_quick_at_720p(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    frame = to_frame(image, 0, TICK)
    to_rgb(frame)
    spent = []
    for _ in range(9):
        start = time.thread_time()
        to_rgb(to_frame(image, 0, TICK))
        spent.append(time.thread_time() - start)
    assert min(spent) < 0.05  # both ways, seconds; 2 ms on an idle core
