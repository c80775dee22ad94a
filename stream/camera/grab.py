"""Grabs the screen of an X display in a process of its own.

The wheels of PyAV and OpenCV bring libraries for X that crash each other within one process. Therefore this
module, when it is run, imports PyAV only and writes the screen's frames to its standard output.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from fractions import Fraction

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

FORMAT = "nut"  # between the two processes
END_S = 5.0  # longest wait for the process to end


class _Child(io.RawIOBase):
    """The output of the process. It ends with this object."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "stream.camera.grab", url, json.dumps(dict(options))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return what has arrived, at most `size` bytes; nothing at the end."""
        assert isinstance(self._process.stdout, io.BufferedReader)
        return self._process.stdout.read1(size)

    def said(self) -> str:
        """End the process and return the last line that it wrote about its failure."""
        self._process.kill()
        lines = self._process.communicate(timeout=END_S)[1].decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """End the process."""
        if not self.closed:
            self.said()
        super().close()


def grab(url: str, options: Mapping[str, str]) -> InputContainer:
    """Open a display's screen.

    Args:
        url: the display and screen, as in ":0.0".
        options: of FFmpeg's x11grab.

    Raises:
        OSError: the display cannot be grabbed.
    """
    child = _Child(url, options)
    try:
        return av.open(child, "r", format=FORMAT)
    except (FFmpegError, OSError) as exc:
        raise OSError(child.said() or str(exc)) from exc


def main() -> None:
    """Write the frames of the display to the standard output until nobody reads it."""
    url, options = sys.argv[1], json.loads(sys.argv[2])
    try:
        with av.open(url, "r", format="x11grab", options=options) as source:
            stream = source.streams.video[0]
            rate = stream.average_rate or Fraction(30)
            with av.open(sys.stdout.buffer, "w", format=FORMAT) as sink:
                out = sink.add_stream("rawvideo", rate=rate)
                assert isinstance(out, VideoStream)
                out.width, out.height, out.pix_fmt = stream.width, stream.height, stream.pix_fmt
                for number, frame in enumerate(source.decode(stream)):
                    frame.pts, frame.time_base = number, 1 / rate
                    sink.mux(out.encode(frame))
    except BrokenPipeError:
        return
    except (FFmpegError, OSError) as exc:
        sys.exit(exc.strerror or str(exc))


if __name__ == "__main__":
    main()
