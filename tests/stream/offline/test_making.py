"""`livery smooth`, `animate` and `edit --fill` on clips of the demo, with and without (random) weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from correspondence import Image, Match
from inpaint.fills.jobs import Check, Filler, GapJob
from inpaint.fills.masked import DiffusionFill
from inpaint.model import checkpoints
from inpaint.model.diffusion import QuadrantModel
from reference import Edit, Result
from stream.cli.main import main
from stream.media.demo import DemoSource
from stream.media.pictures import encode_png
from stream.media.probe import MediaError, probe
from stream.offline.config import FileConfig
from stream.offline.cuts import find_cuts
from stream.offline.files import edit_file
from stream.offline.made import Inventor
from stream.offline.smooth import SmoothConfig, smooth_file
from tests.inpaint.tiny import tiny_autoencoder, tiny_denoiser
from tests.stream.clips import SIZE, Clip, check_same_timing, make_clip, painted_frame, read_back

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
    without = ["--fill-weights", "none"]
    assert main(["smooth", str(cut), "--cut", str(CUT), "--frames", "6", "-o", str(out), *without]) == 0
    said = capsys.readouterr().out
    assert "16 frames, 6 of them made anew" in said
    assert "no diffusion model: pictures are warped" in said
    before, after = check_same_timing(cut, out)
    assert after.sound == before.sound
    assert max(steps(after.images)) < 0.6 * max(steps(before.images))
    for n in (0, 3, 12, 15):
        assert np.abs(after.images[n].astype(int) - before.images[n]).mean() < 4


def test_jump_cuts_are_found_and_other_shots_stay(
    tmp_path: Path, astronaut: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    source = DemoSource(SIZE, fps=25)
    other = np.ascontiguousarray(np.full((*SIZE, 3), 200, np.uint8))
    other[:, ::9] = 20
    flash = np.full((*SIZE, 3), 255, np.uint8)
    numbers = (*range(16), *range(40, 56))
    images = [source.frame(n) for n in numbers] + [other] * 16
    images[25] = flash
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=48, images=tuple(images)))
    found = find_cuts(probe(clip))
    assert (found.jumps, found.shots) == ((16,), (32,))
    out = tmp_path / "out.mp4"
    assert main(["smooth", str(clip), "-o", str(out), "--frames", "6", "--fill-weights", "none"]) == 0
    said = capsys.readouterr().out
    assert "48 frames, 6 of them made anew" in said
    assert "jump cuts were found before frame 16; --cut N names others" in said
    assert "another shot begins at frame 32: such cuts stay" in said
    even = make_clip(tmp_path / "even.mp4", Clip(frames=30))
    assert main(["smooth", str(even), "-o", str(tmp_path / "none.mp4")]) != 0
    assert (
        "no jump cut was found; name the first frame after each cut with --cut N" in capsys.readouterr().err
    )
    assert not (tmp_path / "none.mp4").exists()
    near = [source.frame(n) for n in (*range(3), *range(40, 60))]
    early = make_clip(tmp_path / "early.mp4", Clip(frames=23, images=tuple(near)))
    with pytest.raises(MediaError, match="no jump cut"):
        smooth_file(early, tmp_path / "none.mp4", SmoothConfig())


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


def test_edit_fill_without_weights_says_that_nothing_is_invented(
    cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited = painted_frame(cut, 0, tmp_path / "edited.png")
    plain, filled = tmp_path / "plain.mp4", tmp_path / "filled.mp4"
    common = ["edit", str(cut), "--edited", str(edited), "--reference", "0", "--matcher", "classical"]
    assert main([*common, "-o", str(plain)]) == 0
    assert "diffusion" not in capsys.readouterr().out
    assert main([*common, "-o", str(filled), "--fill", "--fill-weights", "none"]) == 0
    assert "nothing never seen is invented" in capsys.readouterr().out
    for before, after in zip(read_back(plain).images, read_back(filled).images, strict=True):
        np.testing.assert_array_equal(before, after)


def test_filling_takes_the_thorough_matcher_unless_another_is_asked_for(cut: Path, tmp_path: Path) -> None:
    start = painted_frame(cut, 0, tmp_path / "start.png")
    for config, kind in (
        (FileConfig(reference=0, fill=True), "thorough"),
        (FileConfig(reference=0, fill=True, matcher="classical"), "classical"),
    ):
        report = edit_file(cut, start, tmp_path / f"{kind}.mp4", config)
        assert report.matcher == kind
        assert report.edited > 0


def test_edit_between_two_edits_is_filled_by_random_weights(cut: Path, weights: Path, tmp_path: Path) -> None:
    start = painted_frame(cut, 0, tmp_path / "start.png")
    end = painted_frame(cut, 15, tmp_path / "end.png")
    out = tmp_path / "out.mp4"
    config = FileConfig(
        reference=0, reference_end=15, matcher="classical", fill=True, fill_weights=weights, confidence=True
    )
    report = edit_file(cut, start, out, config, edited_end=end)
    assert any("invented by diffusion" in note for note in report.notes)
    assert len(read_back(out).images) == 2 * CUT


def test_an_inventor_changes_unsure_pixels_of_the_edit_alone(astronaut: Image) -> None:
    frame = np.ascontiguousarray(astronaut[:256, 96:352])
    edited = frame.copy()
    edited[100:160, 100:160] = (30, 60, 230)
    log_b = np.full((256, 256), -3.0, np.float32)
    log_b[120:140, 120:140] = 5.0  # nothing known there
    match = Match.from_field(np.zeros((256, 256, 2), np.float32), log_b, None)
    result = Result(edited, None, match, (100, 100, 160, 160), 1.0, None, [], {}, radius_px=2.0)
    filler = Filler(None, steps=2)
    edit = Edit(frame, edited)
    assert Inventor(filler, [edit])(frame, result) is edited
    filler.diffusion = DiffusionFill(QuadrantModel(tiny_autoencoder(), tiny_denoiser()))
    inventor = Inventor(filler, [edit])
    made = inventor(frame, result)
    changed = (made != edited).any(axis=2)
    unsure = result.confidence < 0.5
    assert changed[125:135, 125:135].mean() > 0.5
    assert not changed[~unsure].any()
    assert inventor.frames == 1


def test_an_edit_of_another_shape_is_fitted_and_not_stretched() -> None:
    """A round patch of a 4:3 picture stays round in a square stream, whatever invents beside it."""

    class Asked(Filler):
        def gap(self, job: GapJob, check: Check = lambda: None) -> dict[int, Image]:
            jobs.append(job)
            return {1: job.bases[1][0]}

    jobs: list[GapJob] = []
    filler = Asked(None)
    filler.diffusion = DiffusionFill(QuadrantModel(tiny_autoencoder(), tiny_denoiser()))
    wide = np.full((96, 128, 3), 90, np.uint8)
    patched = wide.copy()
    rows, columns = np.mgrid[:96, :128]
    patched[np.hypot(rows - 48, columns - 64) < 24] = (200, 30, 30)
    frame = np.full((64, 64, 3), 90, np.uint8)
    shown = frame.copy()
    shown[20:40, 20:40] = 200
    doubt = np.full((64, 64), 9.0, np.float32)
    match = Match.from_field(np.zeros((64, 64, 2), np.float32), doubt, None, (96, 128))
    result = Result(shown, None, match, (20, 20, 40, 40), 0.0, None, [], {})
    Inventor(filler, [Edit(wide, patched)])(frame, result)
    for picture in jobs[0].references.values():
        assert picture.shape == frame.shape
        red = np.argwhere(picture[..., 0] > 150)
        height, width = red.max(axis=0) - red.min(axis=0)
        assert abs(int(height) - int(width)) <= 1
