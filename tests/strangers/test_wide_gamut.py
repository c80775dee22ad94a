"""Clips and pictures in Display P3: the colours of an edit stay right, whichever program saved it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from correspondence import Image
from reference import Edit
from stream.colour.spaces import PRIMARIES, Space
from stream.media.demo import DemoSource
from stream.media.pictures import encode_png
from stream.media.probe import probe
from stream.media.video import VideoReader
from stream.offline.files import edit_file, save_reference, try_edit
from stream.offline.references import read_picture
from stream.offline.shape import aligned
from tests.strangers.saved import EDITS, LIPS, overlap
from tests.strangers.test_picture_colour import saved_in
from tests.stream.clips import CLASSICAL, SIZE

P3 = Space(*PRIMARIES[12])
TAGS = (1, 1, 12, 13)  # matrix, range, primaries, curve of the clip


def wide_clip(path: Path, codec: str = "libx264", pixel_format: str = "yuv444p") -> Path:
    """Three frames of the demo, coded in Display P3."""
    source = DemoSource(SIZE, fps=25)
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream(codec, rate=25, options={"crf": "4"})
        context = video.codec_context
        context.height, context.width = SIZE
        context.pix_fmt, context.time_base = pixel_format, Fraction(1, 25)
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = TAGS
        if pixel_format == "bgr24":
            context.colorspace, context.color_range = 0, 2
        for index in range(3):
            image = P3.from_srgb(source.frame(index))
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            coded = frame.reformat(
                format=pixel_format, dst_colorspace=1, src_color_range=2, dst_color_range=1
            )
            if pixel_format == "bgr24":
                coded = frame.reformat(format=pixel_format)
            coded.pict_type, coded.pts, coded.time_base = 0, index, Fraction(1, 25)
            out.mux(video.encode(coded))
        out.mux(video.encode(None))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wide_clip(tmp_path_factory.mktemp("wide") / "p3.mp4")


@pytest.fixture(scope="module")
def frame(clip: Path) -> Image:
    """The first frame, in Display P3."""
    with VideoReader(probe(clip)) as reader:
        return next(iter(reader.frames())).image


def untagged(image: Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, **({"format": "PNG"} | options))
    return buffer.getvalue()


SRGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SAVINGS: dict[str, Callable[[Image], bytes]] = {  # of an edited picture in Display P3
    "its own numbers, untagged": untagged,
    "its own numbers, called sRGB": lambda image: untagged(image, icc_profile=SRGB_ICC),
    "Display P3, tagged": lambda image: encode_png(image, P3),
    "Display P3, JPEG": lambda image: untagged(
        image, format="JPEG", quality=97, subsampling=0, icc_profile=P3.profile
    ),
    "converted to sRGB, untagged": lambda image: untagged(P3.to_srgb(image)),
    "converted to sRGB, tagged JPEG": lambda image: untagged(
        P3.to_srgb(image), format="JPEG", quality=97, subsampling=0, icc_profile=SRGB_ICC
    ),
    "converted to Adobe RGB": lambda image: saved_in(P3.to_srgb(image), "Adobe", "PNG"),
}


@pytest.mark.parametrize("saving", SAVINGS)
@pytest.mark.parametrize("edit", ["lips", "hat"])
def test_an_edit_of_a_wide_clip_has_its_colours(
    clip: Path, frame: Image, tmp_path: Path, saving: str, edit: str
) -> None:
    clean = EDITS[edit](frame)
    path = tmp_path / "edited"
    path.write_bytes(SAVINGS[saving](clean))
    space = probe(clip).space
    assert space is not None
    assert space.like(P3)
    alignment, picture = aligned(frame, read_picture(path, space), space)
    truth, seen = (Edit(frame, image).mask > 0.5 for image in (clean, alignment.image))
    assert overlap(truth, seen) > 0.8
    off = np.abs(alignment.image[truth].mean(axis=0) - clean[truth].mean(axis=0)).max()
    assert off < 3
    said = "converted from" in (picture.note or "")
    assert said == ("converted" in saving)


def test_a_cropped_picture_of_a_wide_clip_has_its_colours(clip: Path, frame: Image, tmp_path: Path) -> None:
    clean = EDITS["lips"](frame)
    path = tmp_path / "edited.png"
    path.write_bytes(untagged(P3.to_srgb(clean[20:220, 60:310])))
    alignment, _ = aligned(frame, read_picture(path, P3), P3)
    truth = Edit(frame, clean).mask > 0.5
    assert overlap(truth, Edit(frame, alignment.image).mask > 0.5) > 0.8
    assert np.abs(alignment.image[truth].mean(axis=0) - clean[truth].mean(axis=0)).max() < 3


def test_a_wide_clip_from_its_reference_to_the_output(clip: Path, tmp_path: Path) -> None:
    reference = tmp_path / "ref.png"
    saved = save_reference(clip, reference, 0)
    with Pillow.open(reference) as opened:  # an editor shows the frame in its own colours
        shown = ImageCms.profileToProfile(
            opened, ImageCms.ImageCmsProfile(io.BytesIO(opened.info["icc_profile"])),
            ImageCms.createProfile("sRGB"), outputMode="RGB",
        )  # fmt: skip
    assert np.abs(np.asarray(shown, int) - P3.to_srgb(saved.image)).max() <= 2
    edited = tmp_path / "edited.png"
    edited.write_bytes(encode_png(EDITS["lips"](read_picture(reference, P3).image), P3))
    for chosen in (0, reference):
        report = try_edit(clip, edited, None, replace(CLASSICAL, reference=chosen))
        assert 0.001 < report.mask_share < 0.05
        assert not any("converted" in note for note in report.notes)
    edit_file(clip, edited, tmp_path / "out.mp4", replace(CLASSICAL, reference=0))
    with av.open(str(tmp_path / "out.mp4")) as made:
        first = next(made.decode(video=0))
    assert (first.colorspace, first.color_primaries, first.color_trc) == (1, 12, 13)
    edit_file(clip, edited, tmp_path / "out-%d.png", replace(CLASSICAL, reference=0))
    x, y = LIPS[0]
    wanted = read_picture(edited, P3).image[y, x].astype(int)
    with VideoReader(probe(tmp_path / "out.mp4")) as reader:
        assert np.abs(next(iter(reader.frames())).image[y, x] - wanted).max() < 8
    assert np.abs(read_picture(tmp_path / "out-1.png", P3).image[y, x] - wanted).max() < 8


def test_rgb_in_a_wide_space_keeps_it(tmp_path: Path) -> None:
    info = probe(wide_clip(tmp_path / "rgb.mp4", "libx264rgb", "bgr24"))
    assert info.rgb
    assert (info.written.matrix, info.written.primaries, info.written.transfer) == (1, 12, 13)


def test_pictures_with_a_profile_are_edited_in_srgb(tmp_path: Path) -> None:
    plain = DemoSource(SIZE, fps=25).frame(0)
    photo, edited = tmp_path / "photo.jpg", tmp_path / "edited.jpg"
    photo.write_bytes(saved_in(plain, "P3", "JPEG"))
    with Pillow.open(photo) as opened:  # edited in Display P3, as a phone's editor does
        wide, icc = np.asarray(opened.convert("RGB")), opened.info["icc_profile"]
    edited.write_bytes(untagged(EDITS["lips"](wide), format="JPEG", quality=97, icc_profile=icc))
    report = edit_file(photo, edited, tmp_path / "out.png", replace(CLASSICAL, reference=0))
    assert "the input's colours are converted from P3 to sRGB" in report.notes
    assert 0.001 < report.mask_share < 0.05
    out = read_picture(tmp_path / "out.png").image.astype(int)
    skin, unconverted = np.s_[60:110, 190:240], wide.astype(int)
    assert np.abs((out[skin] - plain[skin]).mean(axis=(0, 1))).max() < 1
    assert np.abs((unconverted[skin] - plain[skin]).mean(axis=(0, 1))).max() > 4  # what it would be else
    x, y = LIPS[0]
    assert np.abs(out[y, x] - read_picture(edited).image[y, x]).max() < 8
