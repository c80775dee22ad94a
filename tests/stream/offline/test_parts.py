"""Parts of clips, previews, the edit alone as a layer, and several edited frames."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from correspondence import Image, detect_landmarks
from stream.cli.main import main
from stream.media.pictures import encode_png
from stream.media.probe import MediaError, probe
from stream.media.video import VideoReader
from stream.offline.config import FileConfig
from stream.offline.files import edit_file, try_edit
from stream.offline.preparing import EditedPictures
from stream.offline.span import Span, read_time
from tests.stream.clips import BLUE, CLASSICAL, RATE, Clip, blue, make_clip, painted_frame, read_back


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parts")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    """A second of video, 25 frames, with sound and three chapters."""
    plain = make_clip(folder / "plain.mp4", Clip(frames=25, audio="aac"))
    path = folder / "in.mp4"
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        streams = [out.add_stream_from_template(stream) for stream in source.streams]
        marks = [(0, 300), (300, 600), (600, 1000)]
        out.set_chapters([
            {"id": n, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": f"{n}"}}
            for n, (a, b) in enumerate(marks)
        ])  # fmt: skip
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return path


@pytest.fixture(scope="module")
def edited(clip: Path, folder: Path) -> Path:
    return painted_frame(clip, 0, folder / "edited.png")


def frames_of(clip: Path) -> list[Image]:
    with VideoReader(probe(clip)) as reader:
        return [frame.image for frame in reader.frames()]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("75.5", 75.5), ("1:15.5", 75.5), ("0:01:15.5", 75.5), (".5", 0.5), ("2:03:04", 7384.0), ("0", 0.0)],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert read_time(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "one", "1:", "1e3", "1:100:2", "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time: give seconds"):
        read_time(text)


@pytest.mark.parametrize(("start", "end"), [(-1.0, 2.0), (2.0, 2.0), (3.0, 1.0), (float("nan"), 1.0)])
def test_spans_are_checked(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="the start"):
        Span(start, end)


def test_a_part_holds_its_frames_sound_and_chapters_alone(clip: Path, edited: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    report = edit_file(clip, edited, out, replace(CLASSICAL, span=Span(0.4, 0.8)))
    before, after = read_back(clip), read_back(out)
    assert [round(float(time) * RATE) for time in after.times] == list(range(10))
    assert report.frames == report.edited == 10
    assert report.per_frame[0].time_s == 0
    for made, seen in zip(after.images, before.images[10:20], strict=True):
        away = np.s_[:, 230:]  # nothing is edited there
        assert np.abs(made[away].astype(int) - seen[away]).mean() < 4
    contents = [content for _, content in before.sound]
    at = contents.index(after.sound[0][1])
    assert [content for _, content in after.sound] == contents[at : at + len(after.sound)]
    for (then, _), (now, _) in zip(before.sound[at:], after.sound, strict=False):
        assert float(now) == pytest.approx(float(then) - 0.4, abs=0.0015), "the sound stays with the picture"
    assert 0.34 < len(after.sound) * 1024 / 48000 <= 0.41
    with av.open(str(out)) as container:
        chapters = container.chapters()
    borders = [float(at * (c["time_base"] or 0)) for c in chapters for at in (c["start"], c["end"])]
    assert borders == pytest.approx([0.0, 0.2, 0.2, 0.4], abs=0.002)
    assert [c["metadata"]["title"] for c in chapters] == ["1", "2"]


def test_a_part_may_hold_none_of_the_frames(clip: Path, edited: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"starts at 30 s, the clip is 1\.0 s long"):
        edit_file(clip, edited, tmp_path / "a.mp4", replace(CLASSICAL, span=Span(30)))
    with pytest.raises(MediaError, match=r"no frame from 1\.5 s to 2 s"):
        edit_file(clip, edited, tmp_path / "b.mp4", replace(CLASSICAL, span=Span(1.5, 2)))
    assert list(tmp_path.iterdir()) == []


def test_numbered_pictures_of_a_part_keep_their_numbers(clip: Path, edited: Path, tmp_path: Path) -> None:
    edit_file(clip, edited, tmp_path / "%03d.png", replace(CLASSICAL, span=Span(0.2, 0.32)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["006.png", "007.png", "008.png"]


def test_a_preview_shows_the_edited_frame_and_tells_the_whole_time(clip: Path, folder: Path) -> None:
    late = painted_frame(clip, 22, folder / "late.png")
    config = FileConfig(reference=22, matcher="classical", preview_s=0.2)
    report = edit_file(clip, late, folder / "preview.mp4", config)
    assert [frame.index for frame in report.per_frame] == [20, 21, 22, 23, 24]
    assert report.notes[-1].startswith("a preview: all 25 frames would take about ")
    whole = edit_file(clip, late, folder / "whole.mp4", replace(config, preview_s=5.0))
    assert whole.frames == 25
    assert not any("preview" in note for note in whole.notes), "the clip is shorter than a preview"


@pytest.mark.parametrize("name", ["layer.mov", "layer.webm", "layer.mkv", "%02d.png"])
def test_a_layer_laid_over_the_clip_is_the_edited_clip(
    clip: Path, edited: Path, tmp_path: Path, name: str
) -> None:
    config = replace(CLASSICAL, span=Span(0, 0.16))
    edit_file(clip, edited, tmp_path / "%02d-whole.png", config)
    report = edit_file(clip, edited, tmp_path / name, replace(config, layer=True))
    assert report.edited == 4
    assert not any("sound" in note for note in report.notes)
    if name.endswith(".png"):
        layers = [cv2.imread(str(tmp_path / f"{n:02d}.png"), cv2.IMREAD_UNCHANGED) for n in range(1, 5)]
        shown = [cv2.cvtColor(layer, cv2.COLOR_BGRA2RGBA) for layer in layers]
    else:
        with VideoReader(probe(tmp_path / name)) as reader:
            assert not reader.container.streams.audio
            frames = list(reader.frames())
        shown = [np.dstack([f.image, f.pixels.alpha[..., 0] // 257]) for f in frames if f.pixels is not None]  # type: ignore[index]
    assert len(shown) == 4
    for n, (layer, frame) in enumerate(zip(shown, frames_of(clip), strict=False), 1):
        alpha = layer[..., 3:].astype(np.float32) / 255
        assert 0.001 < alpha.mean() < 0.05, "only the edit is opaque"
        laid = layer[..., :3] * alpha + frame * (1 - alpha)
        wanted = cv2.cvtColor(cv2.imread(str(tmp_path / f"{n:02d}-whole.png")), cv2.COLOR_BGR2RGB)
        difference = np.abs(laid - wanted)
        assert difference.mean() < 0.1
        assert np.percentile(difference[alpha[..., 0] > 0.5], 90) < (1 if name.endswith(".png") else 30)


def test_what_cannot_hold_a_layer_is_refused_before_the_work(
    clip: Path, edited: Path, tmp_path: Path
) -> None:
    layer = replace(CLASSICAL, layer=True)
    for name, config in (
        ("out.mp4", layer),
        ("%d.jpg", layer),
        ("out.mkv", replace(layer, encoder=replace(layer.encoder, codec="h264"))),
    ):
        with pytest.raises(MediaError, match=r"holds no transparency, which a layer needs; write \.mov"):
            edit_file(clip, edited, tmp_path / name, config)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="leave out --side-by-side, or --layer"):
        FileConfig(layer=True, side_by_side=True)
    with pytest.raises(ValueError, match="chooses its own part"):
        FileConfig(preview_s=5, span=Span(1))


def test_several_edited_frames_are_worn_each_where_it_fits(tmp_path: Path) -> None:
    """The second frame shows a patch on the right cheek, which the first one hides."""
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=30))
    first = painted_frame(clip, 2, tmp_path / "first.png")
    other = frames_of(clip)[20].copy()
    landmarks = detect_landmarks(other)
    assert landmarks is not None
    x, y = np.rint(landmarks.points[9, :2]).astype(int)  # the forehead
    cv2.circle(other, (int(x), int(y)), 6, BLUE, -1)
    second = tmp_path / "second.png"
    second.write_bytes(encode_png(other))
    config = FileConfig(reference=2, matcher="classical")
    report = edit_file(clip, first, tmp_path / "out.mp4", config, further=[(20, second)])
    assert report.edited == 30
    assert any(note.startswith("edited too: frame 20") for note in report.notes)
    images = read_back(tmp_path / "out.mp4").images
    assert blue(images[2]) > 40
    assert blue(images[20][: int(y) + 12]) > 20, "the forehead is painted where its own frame is worn"


def test_edited_pictures_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    a = tmp_path / "a.png"
    for wrong, words in (
        ({"end": a, "further": ((3, a),)}, "takes two edited pictures"),
        ({"further": ((-3, a),)}, "counted from 0, got -3"),
        ({"further": ((3, a), (3, a))}, r"each frame takes one edited picture, got the frames \[3, 3\]"),
        ({"further": tuple((n, a) for n in range(8))}, "at most 8 edited pictures, got 9"),
    ):
        with pytest.raises(ValueError, match=words):
            EditedPictures(a, **wrong)


def test_the_command_line_takes_parts_and_numbered_pictures(
    clip: Path, edited: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, told = tmp_path / "out.mp4", tmp_path / "told.json"
    common = ["--matcher", "classical", "-o", str(out), "--overwrite"]
    part = ["--from", "0:00.2", "--to", "0.4"]
    argv = ["edit", str(clip), "--edited", f"0={edited}", *part, "--report", str(told), *common]
    assert main(argv) == 0
    assert json.loads(told.read_text())["frames"] == 5
    late = painted_frame(clip, 20, tmp_path / "late.png")
    assert main(["edit", str(clip), "--edited", f"0={edited}", "--edited", f"20={late}", *common]) == 0
    assert "edited too: frame 20" in capsys.readouterr().out
    odd = tmp_path / "7=a.png"
    odd.write_bytes(edited.read_bytes())
    assert main(["edit", str(clip), "--edited", str(odd), *part, *common]) == 0, "a file's own name"
    capsys.readouterr()
    for wrong, words in (
        (["--edited", f"0={edited}", "--reference", "3"], "both name the frame"),
        (["--edited", str(edited), "--edited", str(late)], "needs its number, as in --edited 120=PICTURE"),
        (["--edited", str(edited), "--edited", f"99={late}"], "has no frame 99; its frames are 0 to 24"),
        (["--edited", str(edited), "--from", "0.9", "--to", "0.5"], "must come after the start"),
        (["--edited", str(edited), "--preview", "--to", "0.5"], "chooses its own part"),
    ):
        assert main(["edit", str(clip), *wrong, *common]) != 0
        assert words in capsys.readouterr().err, wrong


def test_a_dry_run_checks_parts_and_layers(clip: Path, edited: Path, tmp_path: Path) -> None:
    report = try_edit(clip, edited, tmp_path / "out.mov", replace(CLASSICAL, layer=True, span=Span(0.1)))
    assert report.frames == 0
    with pytest.raises(MediaError, match="holds no transparency"):
        try_edit(clip, edited, tmp_path / "out.mp4", replace(CLASSICAL, layer=True))


def test_a_frame_that_nobody_named_is_not_called_asked_for(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["edit", str(clip), "--preset", "warm", "--matcher", "classical", "-o", str(tmp_path / "out.mp4")]
    assert main([*argv, "--from", "0.9"]) == 0
    assert "the best frame of the clip" in capsys.readouterr().out
    assert main([*argv, "--from", "0.9", "--reference", "3", "--overwrite"]) == 0
    assert "frame 3 (0.12 s), as asked" in capsys.readouterr().out
