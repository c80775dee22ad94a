"""Publishes the moving astronaut through FFmpeg's `whip` muxer until its standard input ends.

Run as a process of its own: PyAV holds the interpreter's lock while the muxer shakes hands, and a server in
the same process could not answer.

    python whip_publisher.py URL TOKEN [SECONDS [PROFILE]]
"""

from __future__ import annotations

import sys
import threading
import time
from fractions import Fraction

import av
from av.video.frame import PictureType
from av.video.stream import VideoStream

from stream.colour.frames import to_frame
from stream.media.demo import DemoSource

SIZE = (480, 640)
FPS = 15


def publish(url: str, token: str, stop: threading.Event, limit_s: float, profile: str) -> None:
    """Send to `url` until `stop` or for `limit_s` seconds."""
    source = DemoSource(SIZE, FPS)
    with av.open(url, "w", format="whip", options={"authorization": token}) as sink:
        video = sink.add_stream("libx264", rate=FPS)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        video.bit_rate, video.gop_size = 1_000_000, FPS
        preset = "ultrafast" if profile == "baseline" else "superfast"  # the first is Baseline anyway
        video.options = {"preset": preset, "tune": "zerolatency", "profile": profile, "bf": "0"}
        started_s = time.monotonic()
        number = 0
        while not stop.is_set() and time.monotonic() - started_s < limit_s:
            frame = to_frame(source.frame(number), number, Fraction(1, FPS))
            frame.pict_type = PictureType.NONE
            sink.mux(video.encode(frame))
            number += 1
            time.sleep(max(started_s + number / FPS - time.monotonic(), 0))


def main() -> None:
    """Read the arguments and publish."""
    stop = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    url, token, seconds, profile = (*sys.argv[1:], *("60", "baseline")[len(sys.argv) - 3 :])
    publish(url, token, stop, float(seconds), profile)


if __name__ == "__main__":
    main()
