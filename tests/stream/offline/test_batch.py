"""Several clips: broken ones are named, the others are done, and a second run does only what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stream.cli.main import main
from stream.media.probe import MediaError
from stream.offline.batch import clips_of, edit_clips, outputs_of
from stream.offline.references import SearchStopped
from stream.offline.report import EditReport
from tests.stream.clips import Clip, make_clip, read_back

LOOK = ("--preset", "lipstick:#1828e0", "--preset", "blush", "--matcher", "classical")


def made(source: Path, output: Path, complete: bool = True) -> EditReport:
    output.write_bytes(b"made")
    return EditReport(source=source, output=output, size=(1, 1), complete=complete)


def files(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_bytes(name.encode())
    return [folder / name for name in names]


@pytest.mark.parametrize("count", [12, pytest.param(40, marks=pytest.mark.slow)])
def test_a_folder_of_clips_two_of_them_broken(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, out = tmp_path / "clips", tmp_path / "out"
    clips.mkdir()
    first = make_clip(clips / "clip-00.mp4", Clip(frames=2, size=(96, 128)))
    for number in range(1, count):
        shutil.copy(first, clips / f"clip-{number:02d}.mp4")
    (clips / "clip-07.mp4").write_bytes(first.read_bytes()[:300])
    (clips / "clip-11.mp4").write_bytes(b"no clip at all")
    (clips / "notes.txt").write_text("not a clip")
    command = ["edit", str(clips), *LOOK, "-o", str(out)]
    assert main(command) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{count - 2} of {count} clips done, 2 failed"
    assert [line.split(":")[0].strip() for line in said[1:]] == [
        str(clips / "clip-07.mp4"), str(clips / "clip-11.mp4"),
    ]  # fmt: skip
    assert len(list(out.iterdir())) == count - 2
    assert len(read_back(out / f"clip-{count - 2:02d}.mp4").times) == 2
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert main(command) == 1
    assert capsys.readouterr().out.splitlines()[0] == (
        f"0 of {count} clips done, {count - 2} there already, 2 failed"
    )
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    for name in ("clip-07.mp4", "clip-11.mp4"):
        shutil.copy(first, clips / name)
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines() == [f"2 of {count} clips done, {count - 2} there already"]


def test_a_clip_that_ends_early_is_made_anew_by_the_next_run(tmp_path: Path) -> None:
    sources = files(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    out = tmp_path / "out"
    out.mkdir()
    outputs = outputs_of(sources, out)
    told: list[tuple[float, str]] = []

    def edit(source: Path, output: Path, share: object) -> EditReport:
        if source.name == "c.mp4":
            raise SearchStopped
        share(0.5)  # type: ignore[operator]
        return made(source, output, complete=source.name == "a.mp4")

    report = edit_clips(sources, outputs, edit, progress=lambda *at: told.append(at))
    assert (report.done, report.failed, report.complete) == ([out / "a.mp4"], [], False)
    assert [path.name for path in out.iterdir()] == ["a.mp4"], "what is half done is not there"
    assert told == [(0, "a.mp4"), (0.5, "a.mp4"), (1, "b.mp4"), (1.5, "b.mp4")]
    assert edit_clips(sources, outputs, edit, stop=lambda: True).done == []


def test_names_that_cannot_be_are_refused_before_the_work(tmp_path: Path) -> None:
    one, two, old = files(tmp_path, "a.mp4", "a.avi", "b.avi")
    with pytest.raises(MediaError, match=r"would both become .*a\.mp4; rename one"):
        outputs_of([one, two], tmp_path / "out")
    assert outputs_of([old], tmp_path / "out") == [tmp_path / "out" / "b.mp4"]
    with pytest.raises(MediaError, match="is also an input"):
        outputs_of([one], tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="no clips in this folder"):
        clips_of([tmp_path / "empty"])


def test_presets_of_a_clip_are_drawn_on_its_best_frame(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=3))
    assert main(["edit", str(clip), *LOOK, "-o", str(tmp_path / "out.mp4")]) == 0
    assert "3 frames, 3 edited" in capsys.readouterr().out
    blank = make_clip(tmp_path / "blank.mp4", Clip(frames=2, blank=True))
    for more in (["--reference", "0"], []):
        assert main(["edit", str(blank), *LOOK, *more, "-o", str(tmp_path / "none.mp4")]) == 2
        assert "face" in capsys.readouterr().err
    assert main(["edit", str(clip), "--preset", "lipstik", "-o", str(tmp_path / "x.mp4")]) == 2
    assert "there is no 'lipstik'" in capsys.readouterr().err
