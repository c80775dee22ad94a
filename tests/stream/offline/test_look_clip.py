"""Look files on the command line: made, looked into, worn by a clip, and refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from correspondence import Image, Landmarks
from reference import Look, look_file, read_look_file
from stream.cli.main import main
from tests.stream.clips import Clip, blue, make_clip, read_back

LIPS = "lipstick:#1828e0:1"
Said = pytest.CaptureFixture[str]


@pytest.fixture
def still(astronaut: Image, tmp_path: Path) -> Path:
    path = tmp_path / "me.png"
    Pillow.fromarray(astronaut).save(path)
    return path


def made(still: Path, *more: str) -> Path:
    path = still.with_name("evening.livery")
    assert main(["look", str(still), "--preset", LIPS, "-o", str(path), *more]) == 0
    return path


def test_a_look_file_is_made_and_looked_into(still: Path, tmp_path: Path, capsys: Said) -> None:
    edited = np.asarray(Pillow.open(still)).copy()
    edited[10:60, 10:60] = (0, 200, 0)
    Pillow.fromarray(edited).save(tmp_path / "edited.png")
    path = made(still, "--edited", str(tmp_path / "edited.png"), "--strength", "0.9")
    (look,) = read_look_file(path)
    assert [layer.title for layer in look.layers] == ["Picture", "Lipstick"]
    capsys.readouterr()
    assert main(["look", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: “evening”, 512x512, auto, strength 0.9", "  1. Picture, 100%", "  2. Lipstick, 100%",
    ]  # fmt: skip


def test_a_clip_wears_a_look_file(still: Path, tmp_path: Path, capsys: Said) -> None:
    clip = make_clip(tmp_path / "clip.mp4", Clip(frames=3))
    path, out = made(still), tmp_path / "out.mp4"
    command = ["edit", str(clip), "--look", str(path), "--matcher", "classical", "-o", str(out)]
    assert main(command) == 0
    worn = read_back(out)
    assert len(worn.images) == 3
    assert min(map(blue, worn.images)) > 20 + max(map(blue, read_back(clip).images))
    own = tmp_path / "own.mp4"
    assert main([*command[:-1], str(own), "--own-look", "--preset", "tiger"]) == 0
    assert len(read_back(own).images) == 3


def test_what_cannot_be_carried_is_said(
    astronaut: Image, face: Landmarks, tmp_path: Path, capsys: Said
) -> None:
    edited = astronaut.copy()
    edited[400:440, 200:300] = (200, 0, 0)
    path = tmp_path / "shirt.livery"
    path.write_bytes(look_file([Look(astronaut, face).preset("lipstick").picture(edited)]))
    clip = make_clip(tmp_path / "clip.mp4", Clip(frames=2))
    command = ["edit", str(clip), "--look", str(path), "--matcher", "classical"]
    assert main([*command, "-o", str(tmp_path / "out.mp4")]) == 0
    said = capsys.readouterr().out
    assert "Picture was left out: it lies on hair, clothes or backdrop" in said
    assert "--own-look keeps what was left out" in said


def test_what_makes_no_sense_is_refused(still: Path, tmp_path: Path, capsys: Said) -> None:
    path = made(still)
    broken = tmp_path / "broken.livery"
    broken.write_bytes(path.read_bytes()[:500])
    clip, out = str(still), str(tmp_path / "out.mp4")
    for command, words in (
        (["look", str(still), "-o", str(tmp_path / "x.zip"), "--preset", LIPS], "name ends in .livery"),
        (["look", str(still), "-o", str(tmp_path / "x.livery")], "say what to put into the look"),
        (["look", str(path), "-o", str(tmp_path / "x.livery")], "is a look file already"),
        (["look", str(still), "--preset", LIPS, "-o", str(path)], "--overwrite"),
        (["look", str(broken)], "no whole zip archive"),
        (["look", str(tmp_path / "none.livery")], "none.livery: no such file"),
        (["edit", clip, "--look", str(broken), "-o", out], "no whole zip archive"),
        (["edit", clip, "--own-look", "--preset", LIPS, "-o", out], "--own-look goes with --look"),
        (["edit", clip, "--look", str(path), "--edited", clip, "-o", out], "--look cannot go with --edited"),
        (["edit", clip, "--look", str(path), "--own-look", "--reference", "3", "-o", out], "leave out"),
    ):
        assert main(command) == 2, command
        assert words in capsys.readouterr().err, command
