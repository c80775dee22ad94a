from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stream.camera.capture import Capture
from stream.camera.clocks import Pace, SleepWatch
from stream.camera.source import Source, Wish, open_source, parse_source
from stream.media.untrusted import MediaError
from tests.stream.camera.rtsp import rtsp_camera
from tests.stream.clips import RATE, SIZE, Clip, make_clip

CAMERAS = [("/dev/video0", "Front Camera"), ("/dev/video2", "USB Camera: HD"), ("/dev/video4", "USB Camera")]


def none() -> list[tuple[str, str]]:
    return []


def test_a_camera_is_found_by_part_of_its_name_or_all_of_it() -> None:
    assert parse_source("front", lambda: CAMERAS, "linux").url == "/dev/video0"
    assert parse_source("usb camera", lambda: CAMERAS, "linux").url == "/dev/video4"
    assert parse_source("front", lambda: [("0", "Front Camera")], "darwin").url == "0:none"
    assert (
        parse_source("front", lambda: [("Front Camera", "Front Camera")], "win32").url == "video=Front Camera"
    )
    assert parse_source("1", lambda: CAMERAS, "win32").url == "video=/dev/video2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("camera", "3 cameras are called 'camera'; there are 0 \\(Front Camera\\)"),
        ("nothing", "no camera is called 'nothing'"),
        ("97", "there is no camera 97"),
        ("gone.mp4", "no such file"),
        ("./gone", "no such file"),
        ("ftp://host/clip.mp4", "addresses may begin with rtsp"),
        ("file:///etc/passwd", "addresses may begin with rtsp"),
        ("screen:left", "screens are numbered"),
    ],
)
def test_what_is_not_there_is_said_before_the_work(text: str, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        parse_source(text, lambda: CAMERAS, "linux")


def test_no_camera_at_all_is_said() -> None:
    with pytest.raises(MediaError, match="no camera is connected"):
        parse_source("front", none, "linux")


def test_a_file_without_video_and_an_address_without_server_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(MediaError, match="not a video file"):
        open_source(parse_source(str(text)), Wish())
    with pytest.raises(MediaError, match="nothing could be read there"):
        open_source(parse_source("http://127.0.0.1:9/clip.mp4"), Wish())


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def site(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def wait(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_an_address_is_watched_and_its_end_is_waited_out(kind: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.ts", Clip(frames=20))
    frames: list[tuple[int, ...]] = []
    lines: list[str] = []
    with site(tmp_path) as page, rtsp_camera(clip) as camera:
        capture = Capture(
            parse_source(f"{page}/clip.ts" if kind == "http" else camera), Wish(),
            lambda frame: frames.append(frame.image.shape), lambda: None, lines.append,
        )  # fmt: skip
        capture.start()
        wait(lambda: any("is back" in line for line in lines))
        capture.close()
    assert frames[0] == (*SIZE, 3)
    assert "has gone (it ended)" in lines[0]


def test_a_playlist_at_an_address_opens_no_file_of_this_machine(tmp_path: Path) -> None:
    secret = make_clip(tmp_path / "secret.ts", Clip(frames=5))
    folder = tmp_path / "site"
    folder.mkdir()
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
    (folder / "list.m3u8").write_text(f"{head}file://{secret}\n#EXT-X-ENDLIST\n")
    with site(folder) as address:
        source = parse_source(f"{address}/list.m3u8")
        with pytest.raises(MediaError):
            open_source(source, Wish())


def test_a_camera_is_opened_again_after_the_machine_slept(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", Clip(frames=40))
    opened, lines = [], []  # type: ignore[var-annotated]

    def opener(source: Source, wish: Wish):  # type: ignore[no-untyped-def]
        opened.append(source)
        return open_source(Source("file", "clip", str(clip)), wish)

    walls = iter([0.0, 0.04, 0.08, 3600.0, *(3600.0 + k / 25 for k in range(10_000))])

    def watch() -> SleepWatch:
        return SleepWatch(monotonic=lambda: 0.0, wall=lambda: next(walls))

    capture = Capture(
        Source("camera", "0", "unused"), Wish(), lambda frame: None, lambda: None, lines.append, opener, watch
    )
    capture.start()
    wait(lambda: len(opened) > 1)
    capture.close()
    assert lines[0] == "the machine slept; opening the camera again"


def test_the_pace_is_kept_and_not_caught_up_after_a_pause() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    assert pace.wait_s(0.0) == 0
    assert pace.wait_s(1 / RATE) == pytest.approx(1 / RATE)
    now[0] += 0.5
    assert pace.wait_s(2 / RATE) == pytest.approx(2 / RATE - 0.5)
    now[0] += 3600  # suspended
    assert pace.wait_s(3 / RATE) == 0
    assert pace.wait_s(4 / RATE) == pytest.approx(1 / RATE)
