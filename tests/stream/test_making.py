"""`livery smooth` and `livery animate` on files of the demo source, with and without (random) weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from correspondence.types import Image
from inpaint import checkpoints
from stream.cli import main
from stream.demo import DemoSource
from stream.pictures import encode_png
from stream.probe import MediaError
from stream.smooth import SmoothConfig, smooth_file
from tests.inpaint.tiny import tiny_autoencoder, tiny_denoiser
from tests.stream.clips import SIZE, Clip, check_same_timing, make_clip, read_back

CUT = 8


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    checkpoints.save(folder / checkpoints.AUTOENCODER, tiny_autoencoder(), {})
    checkpoints.save(folder / checkpoints.DENOISER, tiny_denoiser(), {})
    return folder


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that jumps between frames 7 and 8."""
    source = DemoSource(SIZE, fps=25)
    images = tuple(source.frame(n) for n in (*range(CUT), *range(40, 40 + CUT)))
    path = tmp_path_factory.mktemp("cut") / "cut.mp4"
    return make_clip(path, Clip(frames=2 * CUT, images=images, audio="aac"))


def steps(images: list[Image]) -> list[float]:
    return [float(np.abs(b.astype(int) - a).mean()) for a, b in pairwise(images)]


def test_a_jump_becomes_a_motion(cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.mp4"
    assert main(["smooth", str(cut), "--cut", str(CUT), "--frames", "6", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "16 frames, 6 of them made anew" in said
    assert "no diffusion weights are given" in said
    before, after = check_same_timing(cut, out)
    assert after.sound == before.sound
    assert max(steps(after.images)) < 0.6 * max(steps(before.images))
    for n in (0, 3, 12, 15):
        assert np.abs(after.images[n].astype(int) - before.images[n]).mean() < 4


def test_random_weights_go_through_too(cut: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    report = smooth_file(cut, out, SmoothConfig(cuts=[CUT], frames=2, weights=weights))
    assert report.made == 2
    assert "invented by diffusion on cpu" in report.notes[0]
    assert len(read_back(out).images) == 2 * CUT


@pytest.mark.parametrize(
    ("cuts", "frames", "words"),
    [([2], 8, "too early"), ([8], 3, "even"), ([8, 10], 4, "apart"), ([], 4, "at least one cut")],
)
def test_cuts_that_cannot_be(cuts: list[int], frames: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SmoothConfig(cuts=cuts, frames=frames)


def test_a_cut_beyond_the_end_writes_nothing(cut: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="too late: 14"):
        smooth_file(cut, tmp_path / "out.mp4", SmoothConfig(cuts=[14], frames=6))
    assert list(tmp_path.iterdir()) == []


def test_a_still_follows_a_video(
    cut: Path, tmp_path: Path, astronaut: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    still, out = tmp_path / "still.png", tmp_path / "out.mp4"
    still.write_bytes(encode_png(np.ascontiguousarray(astronaut[:240, 90:331])))
    assert main(["animate", str(still), "--drive", str(cut), "-o", str(out)]) == 0
    assert "16 frames; the drive rests at frame" in capsys.readouterr().out
    made = read_back(out)
    assert made.times == read_back(cut).times
    assert made.images[0].shape == (240, 240, 3)
    assert 0.05 < max(steps(made.images)) < 20


def test_a_still_without_a_face(cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    still = tmp_path / "still.png"
    still.write_bytes(encode_png(np.full((64, 64, 3), 90, np.uint8)))
    assert main(["animate", str(still), "--drive", str(cut), "-o", str(tmp_path / "out.mp4")]) == 2
    assert "no face was found" in capsys.readouterr().err
