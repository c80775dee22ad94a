"""A recording's folder made by somebody else: nothing outside it is touched, and the rest of it is made."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from correspondence import Image
from stream.cli.main import main
from stream.filling.worker import FillWorker
from stream.media.demo import DemoSource
from stream.media.probe import MediaError
from stream.recording import render
from stream.recording.config import RecordConfig
from stream.recording.files import Writer, read_piece
from stream.recording.folder import write_whole
from stream.recording.recorder import Recorder
from stream.recording.refine import RefineReport, refine_folder
from stream.recording.render import RenderJob, save_picture

SIZE = (64, 96)


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    source = DemoSource(SIZE, fps=25)
    return [source.frame(n) for n in range(6)]


@pytest.fixture
def folder(tmp_path: Path, frames: list[Image]) -> Path:
    """A recording with one piece to be made; `tmp_path` is what it must not touch."""
    inside = tmp_path / "recording"
    inside.mkdir()
    piece(inside, 1, frames)
    return inside


def piece(folder: Path, number: int, frames: list[Image]) -> Path:
    """A source piece and its description; returns the latter."""
    name = f"piece-{number:05d}"
    writer = Writer(folder / f"{name}.source.ts", SIZE)
    for n, frame in enumerate(frames):
        writer.write(frame, 10 * number + n / 25)
    writer.close()
    job = RenderJob(
        folder=str(folder), source=f"{name}.source.ts", output=f"{name}.ts", keyframes=(), mode="auto",
        strength=1.0, matcher="classical", fps=25.0,
    )  # fmt: skip
    job.write(folder / f"{name}.json")
    return folder / f"{name}.json"


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refine(folder: Path) -> dict[str, str]:
    return refine_folder(folder, Path("none")).failed


KEYFRAME = {"image": "keyframe-1-1.png", "edited": "keyframe-1-1-edited.png", "made_s": 0.0}


@pytest.mark.parametrize(
    "values",
    [
        {"source": "../victim.ts"},
        {"source": "{tmp}/victim.ts"},
        {"source": "..\\victim.ts"},
        {"source": "piece-00001.source.ts\0"},
        {"source": "victim.ts"},
        {"source": 7},
        {"keyframes": [{**KEYFRAME, "image": "../victim.ts"}]},
        {"keyframes": [{**KEYFRAME, "edited": "{tmp}/victim.ts"}]},
        {"keyframes": [KEYFRAME] * 65},
        {"keyframes": [{**KEYFRAME, "made_s": 1e300}]},
        {"keyframes": [{"image": "a.png"}]},
        {"keyframes": 5},
        {"faces": 5},
        {"faces": "all"},
        {"fps": 1e308},
        {"fps": float("nan")},
        {"fps": -1},
        {"fps": "25"},
        {"fps": True},
        {"strength": float("inf")},
        {"mode": "../auto"},
        {"matcher": "/bin/sh"},
        {"mode": None},
    ],
)
def test_what_a_description_says_is_checked_and_nothing_outside_is_touched(
    tmp_path: Path, folder: Path, values: dict[str, object]
) -> None:
    (tmp_path / "victim.ts").write_bytes((folder / "piece-00001.source.ts").read_bytes())
    (tmp_path / "victim.json").write_text("{}")
    before = snapshot(tmp_path)
    described = folder / "piece-00001.json"
    change(described, **json.loads(json.dumps(values).replace("{tmp}", str(tmp_path))))
    with pytest.raises(MediaError, match=r"is no description of a piece|bare name|at most 64"):
        RenderJob.read(described)
    assert refine(folder) == {"piece-00001.json": "piece-00001.source.ts"}
    assert snapshot(tmp_path) == before
    assert described.is_file()
    assert (folder / "piece-00001.source.ts").is_file()


def test_an_output_that_is_named_elsewhere_is_not_believed(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "victim.ts").write_text("precious")
    change(folder / "piece-00001.json", output=str(tmp_path / "victim.ts"), folder=str(tmp_path))
    report = refine_folder(folder, Path("none"))
    assert (tmp_path / "victim.ts").read_text() == "precious"
    assert [path.parent for path in report.outputs] == [folder]


@pytest.mark.parametrize("name", ["piece-00001.source.ts", "piece-00001.json"])
def test_links_are_not_followed(tmp_path: Path, folder: Path, name: str) -> None:
    (folder / name).rename(tmp_path / "secret")
    (folder / name).symlink_to(tmp_path / "secret")
    before = snapshot(tmp_path)
    assert refine(folder)
    assert snapshot(tmp_path) == before
    assert not (folder / "refined.mp4").exists()


@pytest.mark.parametrize("name", ["refined.mp4", ".refined.{pid}.part.mp4", ".piece-00001.{pid}.part.ts"])
def test_a_link_under_the_name_of_an_output_leads_nowhere(tmp_path: Path, folder: Path, name: str) -> None:
    (tmp_path / "victim").write_text("precious")
    (folder / name.format(pid=os.getpid())).symlink_to(tmp_path / "victim")
    assert not refine(folder)
    assert (tmp_path / "victim").read_text() == "precious"
    assert (folder / "refined.mp4").stat().st_size > 500
    assert not (folder / "refined.mp4").is_symlink()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe\0", b"[" * 100_000, b'{"keyframes": []}', b"9" * 5000,
        b'{"source": "' + b"a" * 2_000_000 + b'"}',
    ],
)  # fmt: skip
def test_one_bad_piece_does_not_stop_the_rest(
    folder: Path, frames: list[Image], data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    piece(folder, 2, frames).write_bytes(data)
    piece(folder, 3, frames)
    (folder / "piece-00004.ts").write_bytes(b"no stream")
    assert main(["refine", str(folder), "--fill-weights", "none"]) == 1
    said = capsys.readouterr()
    assert "piece-00002.json: left as it is, it cannot be made" in said.out
    assert "left out of the film" in said.out
    assert "2 of the folder's files could not be used" in said.err
    assert "Traceback" not in said.err
    assert len(read_piece(folder / "piece-00001.ts")) == len(read_piece(folder / "piece-00003.ts")) == 6
    assert (folder / "refined.mp4").is_file()
    # mended, it is joined with the others
    (folder / "piece-00004.ts").unlink()
    piece(folder, 2, frames)
    assert main(["refine", str(folder), "--fill-weights", "none"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["refined.mp4"]


def test_a_piece_that_holds_an_hour_is_refused(folder: Path) -> None:
    with pytest.raises(MediaError, match="two seconds long"):
        read_piece(folder / "piece-00001.source.ts", most_bytes=20_000)


def test_pictures_of_two_sizes_are_refused(folder: Path, tmp_path: Path) -> None:
    other = DemoSource((128, 96), fps=25).frame(0)
    writer = Writer(tmp_path / "other.ts", (128, 96))
    writer.write(other, 20.0)
    writer.close()
    path = folder / "piece-00001.source.ts"
    path.write_bytes(path.read_bytes() + (tmp_path / "other.ts").read_bytes())
    assert refine(folder)


# Writing.


def test_a_small_file_is_there_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "piece-00001.json"
    write_whole(path, b"first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MediaError, match="No space left on device"):
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_recordings_are_their_owners_alone(tmp_path: Path, frames: list[Image]) -> None:
    recorder = Recorder(RecordConfig(folder=tmp_path), "one", FillWorker())
    for n, frame in enumerate(frames):
        recorder.live(frame, n / 25)
        recorder.source(frame, n / 25)
    recorder.close(10)
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o700
    for path in (tmp_path / "one").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a POSIX matter")
@pytest.mark.parametrize("name", ["piece-00001.json", "piece-00001.source.ts", "keyframe-1.png"])
def test_a_pipe_is_not_waited_for(folder: Path, name: str) -> None:
    keyframe = {"image": "keyframe-1.png", "edited": "keyframe-1.png", "made_s": 0.0}
    change(folder / "piece-00001.json", keyframes=[keyframe])
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    found: list[RefineReport] = []
    work = threading.Thread(target=lambda: found.append(refine_folder(folder)), daemon=True)
    work.start()
    work.join(60)
    if work.is_alive():  # let it go, so that the test ends
        os.close(os.open(folder / name, os.O_WRONLY | os.O_NONBLOCK))
    (report,) = found
    assert any("pipe" in note for note in report.notes)


def test_keyframes_have_so_many_pixels_in_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 plain keyframes of 40 megapixels are a few MB on the disk, and took 77 GB."""
    monkeypatch.setattr(render, "MAX_KEYFRAME_PIXELS", 3 * 64 * 96)
    plain = np.full((*SIZE, 3), 90, np.uint8)
    save_picture(folder / "keyframe-1.png", plain)
    large = np.full((2 * SIZE[0], SIZE[1], 3), 90, np.uint8)
    save_picture(folder / "keyframe-2.png", large)
    for edited, number, fits in (("keyframe-1", 3, True), ("keyframe-1", 4, False), ("keyframe-2", 1, False)):
        keyframe = {"image": "keyframe-1.png", "edited": f"{edited}.png", "made_s": 0.0}
        change(folder / "piece-00001.json", keyframes=[keyframe] * number)
        job = RenderJob.read(folder / "piece-00001.json")
        if fits:
            assert len(render._edits(job)) == number
        else:
            with pytest.raises(MediaError, match="megapixels"):
                render._edits(job)
