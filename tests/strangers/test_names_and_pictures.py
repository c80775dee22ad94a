"""File names of any kind, animations, numbered and single pictures, and output that fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from stream.errors import UploadError
from stream.media.opening import open_clip
from stream.media.pictures import decode_picture
from stream.media.probe import MediaError, probe
from stream.media.video import VideoReader
from stream.media.writer import VideoWriter
from tests.strangers.media import (
    SIZE,
    drawn,
    make,
    pass_on,
    play,
)

TURNS = {1: 0, 3: 180, 6: -90, 8: 90}  # degrees anticlockwise by EXIF's orientation
NAMES = ["take2:30.mp4", "-dash.mp4", "a%04d.mp4", "映" * 80 + ".mp4", "x" * 246 + ".mkv", "file:a|b'?.mp4"]


@pytest.mark.parametrize("name", NAMES)
def test_any_legal_name_is_read_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (make(tmp_path / "plain.mp4", frames=3)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    pass_on(Path(name), Path("out.mp4"))
    assert len(play(Path("out.mp4")).times) == 3
    (tmp_path / name).unlink()
    pass_on(Path("out.mp4"), Path(name))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["out.mp4", name])
    assert len(play(Path(name)).times) == 3


def animation(path: Path, frames: int, **options: Any) -> Path:
    pictures = [Pillow.fromarray(drawn(index)) for index in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    return path


@pytest.mark.parametrize(
    ("name", "options", "times"),
    [
        ("a.webp", {"duration": [40, 80, 200, 40], "lossless": True}, [0.0, 0.04, 0.12, 0.32]),
        ("b.webp", {"duration": 100, "quality": 95}, [0.0, 0.1, 0.2, 0.3]),
        ("c.gif", {"duration": [50, 100, 50, 50]}, [0.0, 0.05, 0.15, 0.2]),
        ("d.png", {"duration": 60}, [0.0, 0.06, 0.12, 0.18]),
    ],
)
def test_animations_are_clips(tmp_path: Path, name: str, options: dict[str, Any], times: list[float]) -> None:
    clip = animation(tmp_path / name, 4, **options)
    pass_on(clip, tmp_path / "out.mkv", codec="ffv1")
    shown = play(tmp_path / "out.mkv")
    assert shown.times == pytest.approx(times, abs=0.011)
    assert np.abs(shown.images[2].astype(int) - drawn(2)).mean() < 6


@pytest.mark.parametrize(("pattern", "first"), [("p%04d.png", 0), ("%d.png", 97), ("shot_%02d.jpg", 5)])
def test_numbered_pictures_in_and_out(tmp_path: Path, pattern: str, first: int) -> None:
    for index in range(6):
        Pillow.fromarray(drawn(index)).save(tmp_path / (pattern % (first + index)), quality=95)
    (tmp_path / "out").mkdir()
    info, notes = pass_on(tmp_path / pattern, tmp_path / "out" / pattern)
    assert info.frames == 6
    assert any("6 numbered pictures are read as 25 frames a second" in note for note in notes)
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == sorted(pattern % (first + index) for index in range(6))
    last = np.asarray(Pillow.open(tmp_path / "out" / (pattern % (first + 5))))
    assert np.abs(last.astype(int) - drawn(5)).mean() < 2
    pass_on(tmp_path / pattern, tmp_path / "out.mp4")
    assert len(play(tmp_path / "out.mp4").times) == 6


@pytest.mark.parametrize(("kept", "missing"), [((1, 2, 4, 5), "f003.png"), ((7, 9), "f008.png")])
def test_a_gap_in_numbered_pictures_is_named(tmp_path: Path, kept: tuple[int, ...], missing: str) -> None:
    for number in kept:
        Pillow.fromarray(drawn(number)).save(tmp_path / f"f{number:03d}.png")
    with pytest.raises(MediaError, match=f"picture {missing} is missing"):
        probe(tmp_path / "f%03d.png")


def test_no_numbered_picture_at_all(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"no picture is named so; the first would be f0001\.png"):
        probe(tmp_path / "f%04d.png")


@pytest.mark.parametrize("name", ["one.png", "one.jpg", "one.webp"])
def test_a_single_picture_in_and_out(tmp_path: Path, name: str) -> None:
    Pillow.fromarray(drawn(3)).save(tmp_path / name, quality=95)
    (tmp_path / "out").mkdir()
    pass_on(tmp_path / name, tmp_path / "out" / name)
    out = np.asarray(Pillow.open(tmp_path / "out" / name).convert("RGB"))
    assert np.abs(out.astype(int) - drawn(3)).mean() < 4


@pytest.mark.parametrize("turn", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("name", ["one.jpg", "one.png", "one.webp", "%03d.jpg"])
def test_a_camera_s_picture_is_turned_upright(tmp_path: Path, name: str, turn: int) -> None:
    """PyAV reads none of a frame's side data if EXIF's are among them."""
    exif = Pillow.Exif()
    exif[0x0112], exif[0x010F] = turn, "Camera"
    for index in range(1, 3 if "%" in name else 2):
        file = tmp_path / (name % index if "%" in name else name)
        Pillow.fromarray(drawn(index)).save(file, quality=95, exif=exif)
    info, _ = pass_on(tmp_path / name, tmp_path / "out_%d.png")
    upright = ImageOps.exif_transpose(Pillow.open(file))
    assert info.size == (upright.height, upright.width)
    last = np.asarray(Pillow.open(max(tmp_path.glob("out_*.png"))).convert("RGB"))
    assert np.abs(last.astype(int) - np.asarray(upright.convert("RGB"))).mean() < 4
    pass_on(tmp_path / name, tmp_path / "out.mp4")
    shown = play(tmp_path / "out.mp4").frames[0].rotation
    assert turn not in TURNS or shown % 360 == TURNS[turn] % 360


def test_numbered_pictures_of_another_kind_are_named(tmp_path: Path) -> None:
    for index in range(3):
        Pillow.fromarray(drawn(index)).save(tmp_path / f"f{index}.png", "JPEG")
    with pytest.raises(MediaError, match=r"the pictures are JPEG by what they hold; rename them to \.jpg"):
        probe(tmp_path / "f%d.png")


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Sign in</title>", b"\n <HTML><body>no"])
def test_a_web_page_in_place_of_a_download_is_named(tmp_path: Path, page: bytes) -> None:
    (tmp_path / "clip.mp4").write_bytes(page)
    with pytest.raises(MediaError, match=r"is a web page, not a video.*download the video again"):
        probe(tmp_path / "clip.mp4")
    with pytest.raises(UploadError, match="a web page, which is not read"):
        decode_picture(page, 10_000_000)
    with pytest.raises(UploadError, match="an empty file"):
        decode_picture(b"", 10_000_000)


def test_a_clip_does_not_fit_in_one_picture(tmp_path: Path) -> None:
    clip = make(tmp_path / "in.mp4", frames=5)
    with pytest.raises(MediaError, match=r"holds one picture, .* has 5 frames; name .*still-%04d\.png"):
        pass_on(clip, tmp_path / "still.png")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("at", [3, 7])
def test_a_full_disk_keeps_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, at: int
) -> None:
    from stream.offline.editing import EditingPass, KeptError
    from stream.offline.report import EditReport

    clip = make(tmp_path / "in.mp4", sound="aac", frames=12)
    copied: Callable[[VideoWriter, float], None] = VideoWriter._copy_until
    calls = iter(range(100))

    def full(self: VideoWriter, time_s: float) -> None:
        if next(calls) == at:
            raise OSError(28, "No space left on device")
        copied(self, time_s)

    monkeypatch.setattr(VideoWriter, "_copy_until", full)
    output = tmp_path / f"out{suffix}"
    report = EditReport(source=clip, output=output, size=SIZE)
    from stream.media.encoders import FileEncoderConfig

    run = EditingPass(
        probe(clip), report, beside=False, trust=False, encoder=FileEncoderConfig(),
        stop=lambda: False, progress=lambda phase, done, expected: None,
    )  # fmt: skip
    with pytest.raises(KeptError, match=f"No space left on device.*holds the first {at} frames"):
        run.edit(Untouched(), output)
    assert len(play(output).times) in (at, at + 1)
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []


class Untouched:
    """Carries nothing: every frame goes out as it came."""

    def step(self, image: Any, now_s: float) -> Any:
        from reference import Result

        return Result(image, None, None, None, 0.0, None, [], {})

    def close(self) -> None:
        """Nothing to free."""


def test_opening_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "broken.webp").write_bytes(animation(tmp_path / "a.webp", 4).read_bytes()[:60])
    with pytest.raises(MediaError, match="animated WebP is damaged"):
        open_clip(tmp_path / "broken.webp")
    with pytest.raises(MediaError, match="no such file; check its name"):
        VideoReader(probe(tmp_path / "gone.mp4"))
    with pytest.raises(MediaError, match="is a folder, not a file; name the clip in it"):
        probe(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(MediaError, match="is a pipe or a device, not a file; save it to a file first"):
        probe(tmp_path / "pipe.mp4")
