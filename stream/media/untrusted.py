"""Opens media files from unknown sources, within limits and without opening any other file.

FFmpeg detects the kind of a file by its content. So a text file named clip.mp4 can be a list of other files
("ffconcat", HLS, DASH, SDP), which FFmpeg would open too. Such kinds are refused before they are read.
Decoders get a limit of the pixels of a frame, and a file may hold at most `MAX_STREAMS` streams.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError

MAX_PIXELS = 40_000_000  # of one frame; 8K has 33 million
MAX_STREAMS = 64
PROBE_S = 10.0  # longest time to detect what a file holds
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/")  # as a path, an address has lost one of its slashes
MOST_BOXES = 1000  # top-level boxes of an MP4 that are looked through
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


# What reading and decoding a damaged file raises: FFmpeg's errors, the disk's, and IndexError, which is
# PyAV's at a packet whose stream it does not know.
BROKEN = (FFmpegError, OSError, IndexError)


class MediaError(ValueError):
    """A file cannot be read, written or used as asked. The message says which file, why and what to do."""


@cache
def _kinds() -> str:
    """FFmpeg's names of the kinds of file that may be opened."""
    return ",".join(sorted(av.formats_available - INDIRECT))


def open_input(path: Path, kind: str | None = None, max_pixels: int = MAX_PIXELS) -> InputContainer:
    """Open a media file, but no file that it refers to.

    Args:
        path: the file.
        kind: FFmpeg's name of the kind that it must be, such as "mpegts". None detects the kind.
        max_pixels: largest number of pixels of a frame. A decoder refuses larger frames before it allocates
            memory for them.

    Raises:
        MediaError: the file is missing, is no regular file, is not readable, is a list of other files or is
            no media.
    """
    check_exists(path)
    if not path.is_file():
        if path.is_dir():
            raise MediaError(f"{path}: is a folder, not a file; name the clip in it")
        raise MediaError(f"{path}: is a pipe or a device, not a file; save it to a file first")
    options = {
        "format_whitelist": _kinds() if kind is None else kind,
        "protocol_whitelist": "file",
        "max_streams": str(MAX_STREAMS),
        "max_pixels": str(max_pixels),
    }
    name = str(path.absolute())  # otherwise a name with a colon would be read as an address
    try:
        container = av.open(
            name, "r", format=kind, options=options, metadata_errors="replace", timeout=(PROBE_S, None)
        )
    except (FFmpegError, OSError) as exc:
        if _is_web_page(path):
            raise MediaError(
                f"{path}: is a web page, not a video; the download saved the page in its place: download the "
                "video again"
            ) from exc
        if (listed := _list_kind(path)) is not None:
            raise MediaError(
                f"{path}: is {listed}, which names other files; these are not opened. "
                "Name the video file itself, or join the files into one first"
            ) from exc
        raise MediaError(f"{path}: {_why_unreadable(path, exc)}") from exc
    try:
        _bound(container, path, max_pixels)
    except BaseException:
        container.close()
        raise
    return container


def check_exists(path: Path) -> None:
    """Check that there is a file or folder of this name.

    Raises:
        MediaError: there is none.
    """
    if path.exists():
        return
    if ADDRESS.match(str(path)):
        raise MediaError(f"{path}: is an address; files are not fetched: download it first")
    raise MediaError(f"{path}: no such file; check its name and folder")


def _why_unreadable(path: Path, failure: FFmpegError | OSError) -> str:
    """Say why a file cannot be opened, and what may help."""
    if path.stat().st_size == 0:
        return "the file is empty: copy or download it again"
    if _lacks_index(path):
        return (
            "the recording was not finished, or only a part was copied: the index at the end of the MP4 or "
            "MOV file (moov) is missing. Copy it again, or repair it with a tool for such files"
        )
    reason = failure.strerror or str(failure)
    return (
        f"not a video file that can be read ({reason}); it may be damaged or cut short: "
        "copy or download it again"
    )


def _lacks_index(path: Path) -> bool:
    """Whether a file is an MP4 or MOV whose top-level boxes (ISO/IEC 14496-12, section 4.2) hold no moov."""
    kinds: list[bytes] = []
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            at = 0
            while at + 8 <= end and len(kinds) < MOST_BOXES:
                file.seek(at)
                head = file.read(16)
                size, kind = int.from_bytes(head[:4]), head[4:8]
                if size == 1:
                    size = int.from_bytes(head[8:16])
                kinds.append(kind)
                at = end if size < 8 else at + size
    except OSError:
        return False
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds


def _bound(container: InputContainer, path: Path, max_pixels: int) -> None:
    """Set the decoders' limit, and refuse a file whose header declares larger pictures."""
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


def _is_web_page(path: Path) -> bool:
    return _head(path).lower().startswith((b"<!doctype html", b"<html"))


def _head(path: Path) -> bytes:
    """The first characters of a text. Empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return b""


def _list_kind(path: Path) -> str | None:
    """Name the kind of a file that lists other files. None if it does not look like one."""
    head = _head(path)
    return next((name for start, name in LISTS.items() if head.startswith(start)), None)
