"""`livery edit --dry-run`, names on the command line, and what the summary counts."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.cli.main import main
from stream.media.pictures import encode_png
from stream.media.probe import probe
from stream.offline.files import edit_file, try_edit
from stream.offline.references import read_picture
from stream.offline.shape import as_stored
from tests.stream.clips import CLASSICAL, Clip, make_clip, painted_frame


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv", Clip(frames=6, audio="libopus"))


@pytest.fixture
def edited(tmp_path: Path, clip: Path) -> Path:
    return painted_frame(clip, 0, tmp_path / "edited.png")


def test_a_dry_run_tells_and_writes_nothing(
    clip: Path, edited: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    arguments = ["edit", str(clip), "--edited", str(edited), "--reference", "0", "--dry-run"]
    assert main([*arguments, "-o", str(tmp_path / "out.mov")]) == 0
    said = capsys.readouterr().out
    assert sorted(tmp_path.iterdir()) == before
    assert "6 frames, 320x240" in said
    assert re.search(r"^placement: .+", said, re.MULTILINE)
    share = re.search(r"^edited: ([\d.]+) % of the reference$", said, re.MULTILINE)
    assert share is not None
    assert 0.05 < float(share[1]) < 3
    assert "sound track 1 (opus) is converted to AAC: .mov cannot hold it" in said
    assert said.endswith("nothing was written (--dry-run)\n")
    assert main(arguments) == 0  # without an output only the edit is looked at
    assert "sound" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sound", "name", "more", "told"),
    [
        ("libopus", "out.mkv", [], ["sound track 1 (opus) is kept as it is"]),
        ("libopus", "out.mov", [], ["sound track 1 (opus) is converted to AAC: .mov cannot hold it; write"]),
        ("ac3", "out.webm", [], ["sound track 1 (ac3) is converted to Opus: .webm cannot hold it; write"]),
        ("aac", "out-%02d.png", [], ["the sound is left out: pictures hold none"]),
        ("aac", "out.mov", ["--layer"], ["the sound is left out: the edit is written alone"]),
        (None, "out.mp4", [], ["the input has no sound"]),
        ("aac", "out.mp4", ["--side-by-side"], ["sound track 1 (aac) is kept as it is"]),
    ],
)
def test_a_dry_run_tells_what_becomes_of_the_sound(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    sound: str | None,
    name: str,
    more: list[str],
    told: list[str],
) -> None:
    clip = make_clip(tmp_path / "in.mkv", Clip(frames=3, audio=sound))
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    arguments = ["edit", str(clip), "--edited", str(picture), "--reference", "0", *more]
    arguments += ["-o", str(tmp_path / name)]
    assert main([*arguments, "--dry-run"]) == 0
    said = [line.strip() for line in capsys.readouterr().out.splitlines()]
    found = [line for line in said if "sound" in line]
    assert len(found) == len(told), said
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True)), found
    assert main([*arguments, "--matcher", "classical"]) == 0  # what it leaves out or converts it tells alike
    done = [line.strip() for line in capsys.readouterr().out.splitlines() if "sound" in line]
    assert done == [line for line in found if "pictures" in line or "converted" in line]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-o", "out.txt"], "the name must end in"),
        (["-o", "out.mp4", "--codec", "ffv1"], "ffv1 needs .mkv"),
        (["-o", "out.png"], "holds one picture"),
        (["-o", "out.mp4", "--reference", "99"], "has no frame 99"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(
    clip: Path, edited: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert main(["edit", str(clip), "--edited", str(edited), "--dry-run", *more]) == 2
    assert said in capsys.readouterr().err


def test_an_output_is_asked_for(clip: Path, edited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edit", str(clip), "--edited", str(edited)]) == 2
    assert "-o OUT is missing" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["-dash.mkv", "--two.mkv", "take 2:30.mkv"])
def test_names_that_look_like_options(
    clip: Path, edited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    clip.rename(tmp_path / name)
    edited.rename(tmp_path / "-edited.png")
    output = f"-out{name}"
    arguments = ["edit", name, "--edited", "-edited.png", "--reference", "0", "--matcher", "classical"]
    assert main([*arguments, "-o", output]) == 0
    assert (tmp_path / output).is_file()


def test_frames_that_do_not_show_the_edit_are_not_counted(clip: Path, edited: Path, tmp_path: Path) -> None:
    report = edit_file(clip, edited, tmp_path / "out.mkv", replace(CLASSICAL, strength=0.001))
    assert report.edited == 0
    assert "6 frames passed through unedited: the edit does not show there" in report.summary()
    assert edit_file(clip, edited, tmp_path / "full.mkv", CLASSICAL).edited == 6


def test_a_picture_of_another_frame_than_named_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=10))
    other, own = (painted_frame(clip, at, tmp_path / f"{at}.png") for at in (9, 0))
    arguments = ["edit", str(clip), "--dry-run", "--reference", "0", "--edited"]
    assert main([*arguments, str(other)]) == 0
    assert "nearer to frame 9 than to frame 0" in capsys.readouterr().out
    assert main([*arguments, str(own)]) == 0
    assert "nearer to frame" not in capsys.readouterr().out
    toned = read_picture(own).image // 2 + 40  # all of it is edited, and it shows frame 0
    (tmp_path / "toned.png").write_bytes(encode_png(toned))
    assert main([*arguments, str(tmp_path / "toned.png")]) == 0
    assert "nearer to frame" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(Fraction(64, 45), (455, 240)), (Fraction(1, 2), (160, 240)), (Fraction(4, 3), (853, 480))],
)
def test_a_picture_of_the_shape_shown_is_recognised(
    tmp_path: Path, aspect: Fraction, size: tuple[int, int]
) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=3, aspect=aspect))
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    stored = read_picture(picture).image
    stretched = cv2.resize(stored, size, interpolation=cv2.INTER_CUBIC)
    (tmp_path / "shown.png").write_bytes(encode_png(stretched))
    info = probe(clip)
    again = as_stored(read_picture(tmp_path / "shown.png"), info)
    assert again.image.shape == stored.shape
    assert np.abs(again.image.astype(int) - stored).mean() < 6
    report = try_edit(clip, tmp_path / "shown.png", None, replace(CLASSICAL, reference=0))
    assert any("the clip is stored as 320x240 pixels, but shown" in note for note in report.notes)
    plain = read_picture(picture)
    assert as_stored(plain, info) is plain
