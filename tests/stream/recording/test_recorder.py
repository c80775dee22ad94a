"""Recordings: playable at any moment, made anew with the keyframes at hand, never in the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest

from correspondence import Image, Matcher, detect_landmarks
from inpaint.fills.jobs import Filler
from reference import Edit, KeeperConfig, Look, Outfit, Propagator, PropagatorConfig, UserKeyframe
from stream.cli.main import main
from stream.filling.types import JobError, Setup, Worker
from stream.filling.worker import FillWorker
from stream.media.demo import DemoSource
from stream.media.probe import MediaError
from stream.recording.config import RecordConfig
from stream.recording.files import Writer, join, playlist, read_piece
from stream.recording.recorder import Recorder
from stream.recording.render import KeyframeFile, RenderJob, lost_between, render, save_picture

SIZE = (240, 320)
WAIT_S = 90.0


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    source = DemoSource(SIZE, fps=25)
    return [source.frame(n) for n in range(40)]


def painted(frame: Image) -> Image:
    """A blue patch on the cheek."""
    landmarks = detect_landmarks(frame)
    assert landmarks is not None
    out = frame.copy()
    x, y = landmarks.points[50, :2].astype(int)
    cv2.circle(out, (int(x), int(y)), 9, (30, 60, 230), -1)
    return out


def blue(image: Image) -> int:
    wide = image.astype(int)
    return int(((wide[..., 2] > 150) & (wide[..., 0] < 110) & (wide[..., 1] < 130)).sum())


@pytest.fixture(scope="module")
def outfit(frames: list[Image]) -> Outfit:
    edit = Edit(frames[0], painted(frames[0]))
    config = PropagatorConfig(references=KeeperConfig(make=False))
    return Propagator(matcher=Matcher.load("classical"), config=config).workshop.outfit(
        [UserKeyframe(edit=edit)]
    )


def count_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def eventually(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < until_s, "waited too long"
        time.sleep(0.02)


def no_recorder_runs() -> bool:
    return not any(thread.name == "recorder" for thread in threading.enumerate())


@pytest.fixture
def worker() -> Iterator[FillWorker]:
    made = FillWorker(Setup(render=render))
    yield made
    made.close()


class Refusing:
    """A worker that takes no job, so that all pieces are left."""

    def submit(self, *_: object, **__: object) -> Any:
        raise JobError("busy")


class Clock:
    """Says what it is told."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_live_file_that_was_never_closed_plays(tmp_path: Path, frames: list[Image]) -> None:
    writer = Writer(tmp_path / "live.mp4", SIZE, group=5)
    for n, frame in enumerate(frames[:20]):
        writer.write(frame, n / 25)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes((tmp_path / "live.mp4").read_bytes())  # as a kill would leave it
    assert count_frames(copy) >= 10
    writer.close()
    assert count_frames(tmp_path / "live.mp4") == 20


def test_pieces_keep_times_and_join(tmp_path: Path, frames: list[Image]) -> None:
    pieces = []
    for k in range(2):
        path = tmp_path / f"piece-{k}.ts"
        writer = Writer(path, SIZE)
        for n in range(5):
            writer.write(frames[5 * k + n], 3.0 + (5 * k + n) / 25)
        writer.close()
        pieces.append(path)
        read = read_piece(path)
        steps = np.diff([time_s for time_s, _ in read])
        np.testing.assert_allclose(steps, 0.04, atol=1e-4)
        assert np.abs(read[0][1].astype(int) - frames[5 * k]).mean() < 6
    join(pieces, tmp_path / "whole.mp4")
    with av.open(str(tmp_path / "whole.mp4")) as container:
        decoded: list[Any] = list(container.decode(video=0))
        times = [float(f.pts * f.time_base) for f in decoded]
    np.testing.assert_allclose(times, np.arange(10) / 25, atol=1e-3)
    with pytest.raises(MediaError, match="cannot be joined"):
        join([tmp_path / "missing.ts"], tmp_path / "none.mp4")
    assert not (tmp_path / "none.mp4").exists()
    assert playlist(pieces, 2.0, ended=True).splitlines()[-1] == "#EXT-X-ENDLIST"


def test_lost_frames_are_counted() -> None:
    assert lost_between(1.0, 1.04, 25) == 0
    assert lost_between(1.0, 1.08, 25) == 1
    assert lost_between(1.0, 1.2, 25) == 4
    assert lost_between(1.0, 3.0, 25) == 0  # no motion to be interpolated


def a_job(folder: Path, frames: list[Image], numbers: list[int], *, edited: bool) -> RenderJob:
    writer = Writer(folder / "piece-00001.source.ts", SIZE, crf=14)
    for n in numbers:
        writer.write(frames[n], n / 25)
    writer.close()
    keyframes: tuple[KeyframeFile, ...] = ()
    if edited:
        save_picture(folder / "k.png", frames[0])
        save_picture(folder / "k-edited.png", painted(frames[0]))
        keyframes = (KeyframeFile(image="k.png", edited="k-edited.png", made_s=0.0),)
    return RenderJob(
        folder=str(folder),
        source="piece-00001.source.ts",
        output="piece-00001.ts",
        keyframes=keyframes,
        mode="auto",
        strength=1.0,
        matcher="classical",
        fps=25.0,
    )


def test_a_piece_is_edited_anew_and_its_stall_bridged(tmp_path: Path, frames: list[Image]) -> None:
    numbers = [0, 1, 2, 3, 7, 8, 9]
    made = render(a_job(tmp_path, frames, numbers, edited=True), Filler(None))
    assert (made.frames, made.bridged, made.invented) == (10, 3, 0)
    shown = read_piece(tmp_path / "piece-00001.ts")
    np.testing.assert_allclose(np.diff([t for t, _ in shown]), 0.04, atol=2e-3)
    assert all(blue(image) > 80 for _, image in shown)
    for n in (4, 5, 6):
        nearest = min(np.abs(shown[n][1].astype(int) - frames[k]).mean() for k in (3, 7))
        assert np.abs(shown[n][1].astype(int) - frames[n]).mean() < nearest + 2


def test_a_piece_with_nothing_worn_stays_itself(tmp_path: Path, frames: list[Image]) -> None:
    job = a_job(tmp_path, frames, [0, 1, 2], edited=False)
    assert render(job, Filler(None)).frames == 3
    before, after = read_piece(tmp_path / job.source), read_piece(tmp_path / job.output)
    assert np.abs(before[0][1].astype(int) - after[0][1]).mean() < 3


def test_a_job_on_disk_is_the_same_job(tmp_path: Path, frames: list[Image]) -> None:
    job = a_job(tmp_path, frames, [0, 1], edited=True)
    job.write(tmp_path / "piece-00001.json")
    assert RenderJob.read(tmp_path / "piece-00001.json") == job
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(ValueError, match="no description of a piece"):
        RenderJob.read(tmp_path / "broken.json")


def test_a_session_is_recorded_live_and_made_anew(
    tmp_path: Path, frames: list[Image], outfit: Outfit, worker: FillWorker
) -> None:
    clock = Clock()
    config = RecordConfig(folder=tmp_path, piece_s=0.4, matcher="classical")
    recorder = Recorder(config, "one", worker, clock)
    recorder.wear(outfit, enabled=True, strength=1.0)
    for n, frame in enumerate(frames):
        recorder.source(frame, clock.now_s + n / 25)
        if n % 2 == 0:  # the live path skipped every other frame
            recorder.live(frame, clock.now_s + n / 25)
        eventually(lambda: recorder._inbox.empty())
    recorder.close(10.0)
    folder = tmp_path / "one"
    eventually(lambda: (folder / "refined.mp4").is_file())
    assert count_frames(folder / "live.mp4") == 20
    with av.open(str(folder / "refined.mp4")) as container:
        shown: list[Any] = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(shown) == 40
    assert all(blue(image) > 80 for image in shown)
    eventually(lambda: sorted(p.suffix for p in folder.iterdir()) == [".mp4", ".mp4", ".png", ".png"])
    status = recorder.status()
    assert (status.live, status.source, status.dropped, status.failed) == (20, 40, 0, 0)


def test_stickers_that_the_head_carries_are_made_anew(tmp_path: Path, frames: list[Image]) -> None:
    """The recorder writes them beside the keyframes; a job reads them and lays them on the face."""
    green = np.full((40, 40, 4), (20, 220, 60, 255), np.uint8)
    edit = Look(frames[0]).sticker(green, "nose", 0.4).sticker(green, "crown", 0.5).edit()
    propagator = Propagator(matcher=Matcher.load("classical"))
    with closing(propagator):
        recorder = Recorder(
            RecordConfig(folder=tmp_path, piece_s=1.0), "one", cast(Worker, Refusing()), Clock()
        )
        recorder.wear(propagator.workshop.outfit([UserKeyframe(edit=edit)]), enabled=True, strength=1.0)
        for n in range(4):
            recorder.source(frames[n], 100 + n / 25)
        recorder.close(10.0)
    (path,) = (tmp_path / "one").glob("piece-*.json")
    job = RenderJob.read(path)
    assert [entry["at"] for entry in job.stickers] == ["crown"], "the other one is part of the picture"
    assert render(job, Filler(None)).frames == 4
    hat = [image[: image.shape[0] // 3].astype(int) for _, image in read_piece(tmp_path / "one" / job.output)]
    assert all((np.abs(image - (20, 220, 60)).max(axis=2) < 60).sum() > 400 for image in hat)
    for change, words in (
        ({"picture": "../x.png"}, "sticker"),
        ({"at": "knee"}, "at must be one of"),
        ({"size": 1e9}, "size must be"),
        ({"picture": "missing.png"}, "missing"),
    ):
        bad = replace(job, stickers=({**job.stickers[0], **change},))
        bad.write(path)
        with pytest.raises(MediaError, match=words):
            render(RenderJob.read(path), Filler(None))


def test_what_a_killed_server_left_is_refined(
    tmp_path: Path, frames: list[Image], capsys: pytest.CaptureFixture[str]
) -> None:
    job = a_job(tmp_path, frames, [0, 1, 2, 5, 6], edited=True)
    job.write(tmp_path / "piece-00001.json")
    (tmp_path / "piece-00002.source.ts").write_bytes(b"half a piece")
    assert main(["refine", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "7 frames made anew, 2 of them bridged" in said
    assert "what was worn is not known of piece-00002.source.ts" in said
    assert count_frames(tmp_path / "refined.mp4") == 7
    assert main(["refine", str(tmp_path)]) == 2
    assert "nothing is left to be refined" in capsys.readouterr().err


def test_a_slow_disk_drops_pictures_and_never_waits(
    tmp_path: Path, frames: list[Image], worker: FillWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Writer.write

    def slow(self: Writer, image: Image, time_s: float) -> None:
        time.sleep(0.2)
        write(self, image, time_s)

    monkeypatch.setattr(Writer, "write", slow)
    recorder = Recorder(RecordConfig(folder=tmp_path), "slow", worker)
    started_s = time.perf_counter()
    for n in range(60):
        recorder.live(frames[0], n / 25)
    assert time.perf_counter() - started_s < 3, "to wait for the disk would take 12 s"
    assert recorder.status().dropped >= 25
    recorder.close(0.1)


def test_a_pause_and_the_end_are_heard_by_a_busy_recorder(
    tmp_path: Path, frames: list[Image], worker: FillWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was lost here once: a pause that came while pictures waited. What followed it was kept."""
    write, go_on, written = Writer.write, threading.Event(), []
    eventually(no_recorder_runs)  # those of earlier tests

    def held(self: Writer, image: Image, time_s: float) -> None:
        assert go_on.wait(WAIT_S)
        written.append(int(image[0, 0, 0]))
        write(self, image, time_s)

    monkeypatch.setattr(Writer, "write", held)
    recorder = Recorder(RecordConfig(folder=tmp_path), "busy", worker)
    for n in range(60):
        recorder.live(np.full((*SIZE, 3), 10, np.uint8), n / 25)
    assert recorder.status().dropped > 0, "it is full"
    recorder.pause(True)
    assert recorder.status().paused
    recorder.close(0.1)
    go_on.set()
    recorder.live(np.full((*SIZE, 3), 200, np.uint8), 3.0)
    eventually(no_recorder_runs)
    assert set(written) == {10}
    assert recorder.status().paused


def test_a_recording_that_breaks_says_so_and_goes_no_further(
    tmp_path: Path, frames: list[Image], worker: FillWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Writer, image: Image, time_s: float) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Writer, "write", full)
    recorder = Recorder(RecordConfig(folder=tmp_path), "full", worker)
    recorder.live(frames[0], 0.0)
    eventually(lambda: bool(recorder.describe()["error"]))
    assert recorder.describe()["error"] == "No space left on device"
    recorder.close()
    with pytest.raises(MediaError, match="cannot be made"):
        Recorder(RecordConfig(folder=tmp_path), "full", worker)


def test_a_publisher_that_changes_its_size_begins_so_many_films(
    tmp_path: Path, worker: FillWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.recording.recorder.MOST_FILMS", 3)
    recorder = Recorder(RecordConfig(folder=tmp_path), "sizes", worker)
    for number in range(8):
        recorder.live(np.zeros((32, 32 + 2 * number, 3), np.uint8), number / 25)
    eventually(lambda: "changed their size 3 times" in str(recorder.describe()["error"]))
    recorder.close()
    assert len(list((tmp_path / "sizes").glob("live*.mp4"))) == 3
