"""Video whose samples are RGB, deep, HDR or see-through: shown as it was, or said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from correspondence import Image
from stream.colour.samples import Colour
from stream.colour.tone import Tone
from stream.media.encoders import FileEncoderConfig
from stream.media.picture_writer import open_output
from stream.media.pixels import FromRgb, ToRgb
from stream.media.probe import probe
from stream.media.video import Frame, VideoReader
from tests.strangers.media import RATE, drawn, pass_on

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 140, 110), (255, 255, 255), (12, 12, 12)]


def patches(size: tuple[int, int] = (128, 192)) -> Image:
    """Six plain patches side by side, 32 pixels wide at least."""
    image = np.zeros((*size, 3), np.uint8)
    for number, colour in enumerate(COLOURS):
        image[:, number * size[1] // 6 : (number + 1) * size[1] // 6] = colour
    return image


def store(
    path: Path,
    frames: list[npt.NDArray[Any]],
    source: str,
    codec: str,
    pixel_format: str,
    options: dict[str, str] | None = None,
    tags: tuple[int, int, int, int] | None = None,
) -> Path:
    """Pictures (H, W, C) of FFmpeg's format `source` as a clip; tags are matrix, range, primaries, curve."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream(codec, rate=RATE, options=options or {})
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = pixel_format
        context = video.codec_context
        context.time_base, context.bit_rate = Fraction(1, RATE), 20_000_000
        if tags is not None:
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        if path.suffix == ".webm":
            video.metadata["alpha_mode"] = "1"
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=source)
            matrix = tags[0] if tags else 5
            frame = frame.reformat(
                format=pixel_format, dst_colorspace=matrix, dst_color_range=tags[1] if tags else 1
            )
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def shown(path: Path) -> Image:
    """The second frame as a player shows it that goes by the file's tags."""
    with av.open(str(path)) as container:
        frames: list[Any] = list(container.decode(video=0))
    frame = frames[1]
    matrix = {0: 1, 2: 5}.get(int(frame.colorspace), int(frame.colorspace))
    full = 2 if frame.format.is_rgb or frame.format.name.startswith("yuvj") else frame.color_range
    rgb = frame.reformat(
        format="rgb24", src_colorspace=matrix, src_color_range=int(full) or 1, dst_color_range=2
    )
    return np.asarray(rgb.to_ndarray(), np.uint8)


def middles(image: Image) -> npt.NDArray[np.float64]:
    """Mean colour of the middle of each patch."""
    h, w = image.shape[:2]
    return np.array(
        [image[h // 4 : -h // 4, k * w // 6 + 12 : (k + 1) * w // 6 - 12].mean((0, 1)) for k in range(6)]
    )


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "size"),
    [
        ("in.mp4", "libx264rgb", "bgr24", (128, 192)),
        ("in.mkv", "ffv1", "bgr0", (128, 192)),
        ("in.mov", "qtrle", "rgb24", (256, 384)),
        ("in.mov", "png", "rgb24", (128, 192)),
        ("in.avi", "utvideo", "gbrp", (128, 192)),
        ("in.avi", "rawvideo", "bgr24", (720, 1152)),
        ("in.mkv", "ffv1", "gbrp10le", (128, 192)),
    ],
)
@pytest.mark.parametrize(
    ("output", "codec_out"), [("out.mp4", None), ("out.webm", None), ("out.mkv", "ffv1")]
)
def test_rgb_video_keeps_its_colours(
    tmp_path: Path,
    name: str,
    codec: str,
    pixel_format: str,
    size: tuple[int, int],
    output: str,
    codec_out: str | None,
) -> None:
    clip = store(tmp_path / name, [patches(size)] * 3, "rgb24", codec, pixel_format)
    pass_on(clip, tmp_path / output, codec=codec_out)
    assert np.abs(middles(shown(tmp_path / output)) - COLOURS).max() <= 3


@pytest.mark.parametrize("matrix", [8, 1, 6])
def test_coefficients_bring_every_matrix_back(matrix: int) -> None:
    forward, inverse = Colour(matrix=matrix, range=2).coefficients((480, 640))
    rgb = np.array([250.0, 120.0, 30.0, 1.0])
    assert inverse @ np.append(forward @ rgb, 1) == pytest.approx(rgb[:3])
    if matrix == 8:  # ITU-T H.273, equations 50 to 52
        assert forward @ rgb == pytest.approx([130.0, 128 - 10.0, 128 + 110.0])


# More than 8 bits ----------------------------------------------------------------------------------------


def ramp(size: tuple[int, int] = (64, 256)) -> npt.NDArray[np.uint16]:
    """A grey ramp in steps finer than 8 bits, uint16 (H, W, 3)."""
    line = np.linspace(12000, 20000, size[1]).astype(np.uint16)
    return np.repeat(np.tile(line, (size[0], 1))[..., None], 3, axis=2)


DEEP = [
    ("in.mp4", "libx264", "yuv420p10le", {"crf": "1"}),
    ("in.mp4", "libx265", "yuv420p10le", {"x265-params": "lossless=1:log-level=error:bframes=0"}),
    ("in.mkv", "ffv1", "yuv422p10le", {}),
    ("in.mkv", "ffv1", "yuv444p12le", {}),
    ("in.mov", "prores_ks", "yuv422p10le", {}),
    ("in.mkv", "ffv1", "gbrp10le", {}),
]


def luma(path: Path) -> npt.NDArray[np.float64]:
    """Luma of the middle row of the first frame, in 10-bit codes of limited range."""
    with av.open(str(path)) as container:
        frame: Any = next(container.decode(video=0))
    bits = frame.format.components[0].bits
    dtype = np.uint8 if bits == 8 else np.dtype("<u2")
    plane = np.frombuffer(frame.planes[0], dtype).reshape(frame.height, -1)[:, : frame.width]
    return plane[frame.height // 2].astype(np.float64) * 2.0 ** (10 - bits)


@pytest.mark.parametrize(("name", "codec", "pixel_format", "options"), DEEP)
@pytest.mark.parametrize(
    ("output", "codec_out", "expected"),
    [
        ("out.mp4", None, 10),
        ("out.mp4", "h264", 10),
        ("out.mov", "prores", 10),
        ("out.mkv", "ffv1", 10),
    ],
)
def test_more_than_8_bits_are_kept(
    tmp_path: Path,
    name: str,
    codec: str,
    pixel_format: str,
    options: dict[str, str],
    output: str,
    codec_out: str | None,
    expected: int,
) -> None:
    clip = store(tmp_path / name, [ramp()] * 2, "rgb48le", codec, pixel_format, options)
    info = probe(clip)
    assert info.deep
    pass_on(clip, tmp_path / output, codec=codec_out)
    assert probe(tmp_path / output).bits >= expected
    steps = np.unique(np.round(luma(tmp_path / output)))
    assert steps.size > 60  # 8 bits have 28 levels there
    if not info.rgb:
        assert np.abs(luma(tmp_path / output) - luma(clip)).max() <= (1.01 if codec_out == "ffv1" else 4)


def test_an_edit_is_added_to_the_deep_picture(tmp_path: Path) -> None:
    clip = store(tmp_path / "in.mkv", [ramp()] * 2, "rgb48le", "ffv1", "yuv444p10le")
    info = probe(clip)
    with (
        VideoReader(info) as reader,
        open_output(tmp_path / "out.mkv", reader, info.size, FileEncoderConfig(codec="ffv1")) as writer,
    ):
        for frame in reader.frames():
            edited = frame.image.copy()
            edited[:, :100] = np.clip(edited[:, :100].astype(int) + 40, 0, 255)
            writer.write(frame, edited)
        writer.finish()
    before, after = luma(clip), luma(tmp_path / "out.mkv")
    assert np.array_equal(before[102:], after[102:])
    assert after[:98] - before[:98] == pytest.approx(40 * 4 * 219 / 255, abs=2.5)


def test_8_bit_codecs_say_so(tmp_path: Path) -> None:
    clip = store(tmp_path / "in.mkv", [ramp()] * 2, "rgb48le", "ffv1", "yuv420p10le")
    _, notes = pass_on(clip, tmp_path / "out.webm")
    assert any(note.startswith("the 10-bit input is written with 8 bits") for note in notes)


@pytest.mark.parametrize("depth", ["yuv420p10le", "yuv444p12le", "yuv422p10le"])
@pytest.mark.parametrize("code_range", [1, 2])
def test_deep_samples_come_back_as_they_were(tmp_path: Path, depth: str, code_range: int) -> None:
    tags = (1, code_range, 1, 1)
    clip = store(tmp_path / "in.mkv", [ramp()] * 2, "rgb48le", "ffv1", depth, tags=tags)
    info = probe(clip)
    to_rgb, from_rgb = ToRgb(info), FromRgb(info, depth)
    with av.open(str(clip)) as container:
        frame: Any = next(container.decode(video=0))
    pixels = to_rgb.pixels(frame)
    again: Any = from_rgb(pixels.image, pixels)
    for mine, theirs in zip(again.planes, frame.planes, strict=True):
        a, b = (np.frombuffer(p, "<u2").reshape(p.height, -1)[:, : p.width] for p in (mine, theirs))
        assert np.abs(a.astype(int) - b).max() <= 1


# HDR -----------------------------------------------------------------------------------------------------


def pq(nits: float) -> float:
    """The PQ code value in [0, 1] of a light, cd/m2; ITU-R BT.2100, table 4, inverse."""
    y = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


@pytest.mark.parametrize(
    ("nits", "low", "high"),
    [(0.0, 0, 1), (26.0, 100, 125), (203.0, 235, 248), (1000.0, 253, 255), (8000.0, 254.9, 255)],
)
def test_pq_light_is_toned_to_what_a_viewer_expects(nits: float, low: int, high: int) -> None:
    level = np.full((2, 2, 3), 255 * pq(nits), np.float32)
    toned = Tone(Colour(matrix=9, range=1, primaries=9, transfer=16))(level)
    assert low <= toned.mean() <= high
    assert np.ptp(toned) < 1.5  # grey stays grey


def test_toning_keeps_order_and_hue() -> None:
    levels = np.repeat(np.linspace(0, 255, 200, dtype=np.float32)[None, :, None], 3, axis=2)
    for transfer in (16, 18):
        toned = Tone(Colour(matrix=9, range=1, primaries=9, transfer=transfer))(levels)[0, :, 0]
        assert (np.diff(toned) >= -0.01).all()
        assert toned[-1] == pytest.approx(255, abs=2)
    skin = np.array([[[150.0, 130.0, 120.0]]], np.float32)
    red, green, blue = Tone(Colour(matrix=9, range=1, primaries=9, transfer=18))(skin)[0, 0]
    assert red > green > blue


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("output", ["out.mp4", "out.webm", "out.mkv"])
def test_hdr_is_told_and_toned(tmp_path: Path, transfer: int, name: str, output: str) -> None:
    white = 255 * (pq(203) if transfer == 16 else 0.75)
    grey = np.full((64, 96, 3), white * 257, np.uint16)
    clip = store(
        tmp_path / "in.mp4", [grey] * 3, "rgb48le", "libx265", "yuv420p10le",
        {"x265-params": "log-level=error:bframes=0"}, tags=(9, 1, 9, transfer),
    )  # fmt: skip
    _, notes = pass_on(clip, tmp_path / output)
    assert any(f"the input is HDR ({name}): it is toned down" in note for note in notes)
    after = probe(tmp_path / output)
    assert (after.colour.matrix, after.colour.hdr) == (1, None)
    assert 228 <= shown(tmp_path / output).mean() <= 250


# Transparency --------------------------------------------------------------------------------------------


def cut_out(index: int) -> npt.NDArray[np.uint8]:
    """A shape with a soft rim on nothing, uint8 (H, W, 4)."""
    image = drawn(index, (96, 128))
    alpha = np.zeros((96, 128), np.uint8)
    cv2.circle(alpha, (60, 48), 30, 255, -1)
    return np.dstack([image, cv2.GaussianBlur(alpha, (0, 0), 3)])


SEE_THROUGH = [
    ("in.mov", "prores_ks", "yuva444p10le"),
    ("in.mov", "qtrle", "argb"),
    ("in.mov", "png", "rgba"),
    ("in.mkv", "ffv1", "yuva420p"),
    ("in.webm", "libvpx-vp9", "yuva420p"),
    ("in.webp", "", ""),
]


@pytest.mark.parametrize(("name", "codec", "pixel_format"), SEE_THROUGH)
@pytest.mark.parametrize("output", ["out.mov", "out.webm", "out.mkv", "out/%02d.png"])
def test_transparency_is_kept(tmp_path: Path, name: str, codec: str, pixel_format: str, output: str) -> None:
    clip = tmp_path / name
    pictures = [cut_out(index) for index in range(3)]
    if codec:
        options = {"auto-alt-ref": "0", "crf": "4", "b": "0"} if codec == "libvpx-vp9" else {}
        store(clip, list(pictures), "rgba", codec, pixel_format, options)
    else:
        first, *rest = [Pillow.fromarray(picture) for picture in pictures]
        first.save(clip, save_all=True, append_images=rest, duration=40, lossless=True)
    (tmp_path / "out").mkdir()
    _, notes = pass_on(clip, tmp_path / output)
    assert not any("transparency" in note for note in notes)
    info = probe(tmp_path / output)
    assert info.alpha
    with VideoReader(info) as reader:
        frame: Frame = list(reader.frames())[1]
    assert frame.pixels is not None
    assert frame.pixels.alpha is not None
    alpha = frame.pixels.alpha[..., 0] / 257
    assert np.abs(alpha - pictures[1][..., 3]).mean() < 2
    opaque = pictures[1][..., 3] > 250
    assert np.abs(frame.image.astype(int) - pictures[1][..., :3])[opaque].mean() < 6


@pytest.mark.parametrize(("name", "codec", "pixel_format"), SEE_THROUGH[:4])
@pytest.mark.parametrize(("output", "codec_out"), [("out.mp4", None), ("out.mkv", "h264")])
def test_lost_transparency_is_said(
    tmp_path: Path, name: str, codec: str, pixel_format: str, output: str, codec_out: str | None
) -> None:
    clip = store(tmp_path / name, [cut_out(index) for index in range(2)], "rgba", codec, pixel_format)
    _, notes = pass_on(clip, tmp_path / output, codec=codec_out)
    assert any("transparency is lost" in note and "write .mov" in note for note in notes)
