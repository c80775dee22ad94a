"""Video files of a recording: written so that they can be played at any moment, read, and joined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.video.frame import PictureType

from correspondence import Image
from stream.colour.frames import Matrix, to_frame, to_rgb
from stream.media.probe import MediaError
from stream.media.untrusted import BROKEN, open_input
from stream.processes import replace_file, unwritten
from stream.recording.folder import begin

TICK = Fraction(1, 90000)
GROUP_S = 0.9  # longest group of pictures, seconds
MAX_PIECE_BYTES = 3 * 2**30  # memory of a piece's decoded pictures: two seconds of 4K at 60 frames a second
FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"


class Writer:
    """Writes pictures with their own times as H.264. The file is playable after each group of pictures.

    Args:
        path: .mp4 (fragmented) or .ts.
        size: (H, W) of the pictures, even numbers.
        crf, preset: settings of x264.
        group: most pictures from one key frame to the next.

    Raises:
        MediaError: the file cannot be created.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], *, crf: int = 20, preset: str = "veryfast", group: int = 30
    ) -> None:
        self.path, self.size = path, size
        self.frames = 0
        self._last = -1
        self._key_s = -math.inf  # time of the last key frame
        kind = "mpegts" if path.suffix == ".ts" else "mp4"
        options = {"flush_packets": "1"} | ({"movflags": FRAGMENTED} if kind == "mp4" else {})
        try:
            path.unlink(missing_ok=True)
            path.touch(0o600, exist_ok=False)
            self._out = av.open(str(path), "w", format=kind, options=options)
        except (FFmpegError, OSError) as exc:
            raise MediaError(unwritten(path, exc)) from exc
        video: Any = self._out.add_stream("libx264", options={"crf": str(crf), "preset": preset})
        context = video.codec_context
        context.height, context.width = size
        context.pix_fmt, context.time_base = "yuv420p", TICK
        context.gop_size, context.max_b_frames = group, 0
        context.thread_count = 1
        context.colorspace, context.color_primaries, context.color_trc = Matrix.BT601.codes
        context.color_range = 1  # limited
        self._video = video

    def write(self, image: Image, time_s: float) -> None:
        """Encode a picture, uint8 (H, W, 3), at `time_s` seconds.

        A time that does not rise is moved after the last.
        """
        pts = max(self._last + 1, round(time_s / TICK))
        self._last = pts
        frame = to_frame(image, pts, TICK)
        if time_s - self._key_s >= GROUP_S:  # a killed server loses no more than the present group
            frame.pict_type = PictureType.I
            self._key_s = time_s
        self._out.mux(self._video.encode(frame))
        self.frames += 1

    def close(self) -> None:
        """End the file."""
        self._out.mux(self._video.encode(None))
        self._out.close()


def read_piece(path: Path, most_bytes: int = MAX_PIECE_BYTES) -> list[tuple[float, Image]]:
    """Read a piece of a recording.

    Args:
        path: the piece.
        most_bytes: largest memory of its decoded pictures, bytes.

    Returns:
        Rising times, seconds, and pictures, uint8 (H, W, 3), all of one size.

    Raises:
        MediaError: the piece cannot be read, its pictures take more than `most_bytes`, or they differ in
            size.
    """
    read: list[tuple[float, Image]] = []
    try:
        with open_input(path, "mpegts") as container:
            frames: Any = container.decode(video=0)
            for frame in frames:
                if frame.pts is None or (read and float(frame.time) <= read[-1][0]):
                    continue
                image = to_rgb(frame)
                if read and image.shape != read[0][1].shape:
                    raise MediaError(f"{path}: its pictures differ in size, which a piece's never do")
                read.append((float(frame.time), image))
                if len(read) * image.nbytes > most_bytes:
                    raise MediaError(
                        f"{path}: its pictures take more than {most_bytes / 2**30:.3g} GiB; a piece is two "
                        "seconds long"
                    )
    except BROKEN as exc:
        raise MediaError(f"{path}: cannot be read ({getattr(exc, 'strerror', None) or exc})") from exc
    return read


def size_of(path: Path) -> tuple[int, int]:
    """Return (H, W) of a piece's pictures.

    Raises:
        MediaError: the piece cannot be read.
    """
    try:
        with open_input(path, "mpegts") as container:
            stream = container.streams.video[0]
            return stream.height, stream.width
    except BROKEN as exc:
        raise MediaError(f"{path}: cannot be read ({exc})") from exc


def count_frames(path: Path) -> int:
    """Return the number of pictures in a piece, without decoding them.

    Raises:
        MediaError: the piece cannot be read.
    """
    try:
        with open_input(path, "mpegts") as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)
    except BROKEN as exc:
        raise MediaError(f"{path}: cannot be read ({exc})") from exc


def playlist(pieces: Sequence[Path], longest_s: float, *, ended: bool) -> str:
    """Return an HLS playlist (RFC 8216) of pieces in one folder. Players show it while more pieces come."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{max(1, round(longest_s + 0.5))}"]
    lines += ["#EXT-X-PLAYLIST-TYPE:EVENT", "#EXT-X-MEDIA-SEQUENCE:0"]
    for piece in pieces:
        lines += [f"#EXTINF:{longest_s:.3f},", piece.name]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else []), ""])


def join(pieces: Sequence[Path], output: Path) -> None:
    """Join pieces of MPEG transport stream into one .mp4. Nothing is encoded again, and the times stay.

    All pieces must have one size, because many players cannot show a change of size.

    Raises:
        MediaError: a piece cannot be read, or the file cannot be written.
    """
    temporary = begin(output)
    try:
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as out:
            video: Any = None
            start: int | None = None
            for piece in pieces:
                with open_input(piece, "mpegts") as container:
                    stream: Any = container.streams.video[0]
                    if video is None:
                        video = out.add_stream_from_template(stream)
                    for packet in container.demux(stream):
                        if packet.dts is None or packet.pts is None:
                            continue
                        start = packet.dts if start is None else start
                        packet.pts, packet.dts = packet.pts - start, packet.dts - start
                        packet.stream = video
                        out.mux(packet)
        replace_file(temporary, output)
    except (*BROKEN, ValueError) as exc:
        temporary.unlink(missing_ok=True)
        raise MediaError(f"{output}: cannot be joined ({exc})") from exc
