"""Media files that strangers may have made: opened under bounds, and nothing but the file that was named.

FFmpeg finds out what a file is by its content, so that a text file named clip.mp4 can be a list of other
files ("ffconcat", HLS, DASH, SDP) which it would open too. Such kinds are refused before they are read;
decoders are told how many pixels a frame may have, and a file may hold `MAX_STREAMS` streams.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError

MAX_PIXELS = 40_000_000  # of one frame: 8K has 33 million
MAX_STREAMS = 64
PROBE_S = 10.0  # longest time to find out what a file holds
LISTS = {  # beginnings of files that name other files, and what they are called
    b"ffconcat": "an ffconcat list",
    b"#EXTM3U": "an HLS playlist",
    b"v=0": "a session description (SDP)",
    b"# VobSub": "a VobSub index",
    b"<": "a text in XML (a DASH or IMF playlist, or an SVG drawing)",
}
# Kinds that open other files, addresses or devices, or run a script.
INDIRECT = frozenset(
    (
        *("concat", "concatf", "hls", "dash", "imf", "webm_dash_manifest", "image2", "image2pipe"),
        *("sdp", "rtsp", "rtp", "sap", "vobsub", "svg_pipe", "avisynth", "vapoursynth", "ffmetadata"),
        *("lavfi", "dvdvideo", "libcdio", "alsa", "oss", "fbdev", "kmsgrab", "x11grab", "xcbgrab"),
        *("video4linux2,v4l2", "video4linux2", "v4l2", "avfoundation", "dshow", "gdigrab", "vfwcap"),
        *("pulse", "jack", "sndio", "iec61883", "openal", "bktr", "android_camera"),
    )
)


class MediaError(ValueError):
    """A file that cannot be read, written or used as asked; says which, why and the way out."""


@cache
def _kinds() -> str:
    """FFmpeg's names of the kinds of file that are opened."""
    return ",".join(sorted(av.formats_available - INDIRECT))


def open_input(path: Path, kind: str | None = None, max_pixels: int = MAX_PIXELS) -> InputContainer:
    """Open a media file and nothing else.

    Args:
        path: a file.
        kind: FFmpeg's name of what it must be ("mpegts"); None: whatever it is found to be.
        max_pixels: of a frame; a decoder refuses a larger one before it takes memory for it.

    Raises:
        MediaError: not there, no file, not readable, a list of other files, or no media.
    """
    if not path.exists():
        raise MediaError(f"{path}: no such file")
    if not path.is_file():
        raise MediaError(f"{path}: not a file")
    options = {
        "format_whitelist": _kinds() if kind is None else kind,
        "protocol_whitelist": "file",
        "max_streams": str(MAX_STREAMS),
        "max_pixels": str(max_pixels),
    }
    name = str(path.absolute())  # a name with a colon would else be taken for an address
    try:
        container = av.open(
            name, "r", format=kind, options=options, metadata_errors="replace", timeout=(PROBE_S, None)
        )
    except (FFmpegError, OSError) as exc:
        if (listed := _list_kind(path)) is not None:
            raise MediaError(
                f"{path}: is {listed}, which names other files; these are not opened. "
                "Name the video file itself, or join the files into one first"
            ) from exc
        reason = exc.strerror or str(exc)
        raise MediaError(
            f"{path}: not a video file that can be read ({reason}); it may be damaged or cut short"
        ) from exc
    try:
        _bound(container, path, max_pixels)
    except BaseException:
        container.close()
        raise
    return container


def _bound(container: InputContainer, path: Path, max_pixels: int) -> None:
    """Tell the decoders the limit, and refuse a picture that is said to be beyond it."""
    for stream in container.streams.video:
        context = stream.codec_context
        if context is None:
            continue
        if context.width * context.height > max_pixels:
            raise MediaError(
                f"{path}: its pictures have {context.width}x{context.height} = "
                f"{context.width * context.height / 1e6:.4g} megapixels; at most {max_pixels / 1e6:.4g} are "
                "taken: scale the video down first"
            )
        context.options = {**context.options, "max_pixels": str(max_pixels)}


def _list_kind(path: Path) -> str | None:
    """What a file that names other files is called; None where it does not look like one."""
    try:
        with path.open("rb") as file:
            head = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return None
    return next((name for start, name in LISTS.items() if head.startswith(start)), None)
