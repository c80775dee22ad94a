"""Finds and opens what `livery camera` reads: a camera, a file, an address or the screen."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import av
from av.container import InputContainer
from av.device import enumerate_input_devices
from av.error import FFmpegError

from stream.camera.grab import grab
from stream.media.untrusted import MediaError, open_input

logger = logging.getLogger(__name__)

Kind = Literal["camera", "file", "address", "screen"]
SCHEMES = ("rtsp", "rtsps", "http", "https")
NETWORK = "tcp,udp,tls,http,https,httpproxy,crypto,rtp,rtsp,rtsps"  # none opens files
OPEN_S, READ_S = 10.0, 5.0  # longest wait for a source to open, and for its next packet
DEVICES = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}  # FFmpeg's camera input
SCREENS = {"linux": ("x11grab", ":{}.0"), "darwin": ("avfoundation", "Capture screen {}:none"),
           "win32": ("gdigrab", "desktop")}  # fmt: skip
PERMISSIONS = {
    "linux": "sudo usermod -aG video $USER, then log in again",
    "darwin": "let this terminal use the camera: System Settings, Privacy & Security, Camera",
    "win32": "let desktop apps use the camera: Settings, Privacy & security, Camera",
}
SCREEN_HELP = {
    "linux": "x11grab needs an X display, Wayland has none",
    "darwin": "let this terminal record the screen: System Settings, Privacy & Security, Screen Recording",
    "win32": "a locked or remote desktop cannot be grabbed",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A source of pictures.

    Attributes:
        kind: kind of source.
        name: the user's name for it.
        url: what FFmpeg opens.
        format: FFmpeg's input format. None lets FFmpeg find out.
    """

    kind: Kind
    name: str
    url: str
    format: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Format that a camera or the screen is asked for. None leaves it to the device.

    Attributes:
        size: (H, W), pixels.
        fps: frames a second, above 0.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None


def permission() -> str:
    """How this account is given the camera, on this system."""
    return PERMISSIONS.get(sys.platform, PERMISSIONS["linux"])


def list_cameras() -> list[tuple[str, str]]:
    """List this machine's cameras: what FFmpeg opens, and the name for the user."""
    try:
        found = enumerate_input_devices(DEVICES.get(sys.platform, "v4l2"))
    except (FFmpegError, ValueError, OSError) as exc:
        logger.debug("cameras cannot be listed: %s", exc)
        return []
    videos = [each for each in found if "video" in (each.media_types or ["video"])]
    return [(each.name, each.description or each.name) for each in videos]


def parse_source(
    text: str, cameras: Callable[[], list[tuple[str, str]]] = list_cameras, platform: str = sys.platform
) -> Source:
    """Find the source that the user named.

    Args:
        text: a camera's number or a part of its name, a file, an rtsp or http address, or "screen", which may
            be followed by ":" and the screen's number.
        cameras: lists the cameras.
        platform: name of the system, as in `sys.platform`.

    Raises:
        MediaError: there is no such camera or file, the address is of another kind, or the screen cannot be
            read on this system.
    """
    if text == "screen" or text.startswith("screen:"):
        return _screen(text, platform)
    scheme, mark, _ = text.partition("://")
    if mark:
        if scheme.lower() not in SCHEMES:
            raise MediaError(f"{text}: addresses may begin with {', '.join(SCHEMES)}, not {scheme!r}")
        return Source("address", text, text)
    if Path(text).is_file():
        return Source("file", text, text)
    if text.isascii() and text.isdigit():
        return _numbered(text, cameras, platform)
    if Path(text).suffix or "/" in text or "\\" in text:
        raise MediaError(f"{text}: no such file")
    return _named(text, cameras(), platform)


def _screen(text: str, platform: str) -> Source:
    number = text.partition(":")[2] or "0"
    if not number.isdigit():
        raise MediaError(f"{text}: screens are numbered, as in screen:0")
    kind, url = SCREENS.get(platform, SCREENS["linux"])
    if kind not in av.formats_available:
        raise MediaError(f"{text}: this build of FFmpeg cannot grab the screen ({kind} is missing)")
    return Source("screen", text, url.format(number), kind)


def _numbered(text: str, cameras: Callable[[], list[tuple[str, str]]], platform: str) -> Source:
    kind = DEVICES.get(platform, "v4l2")
    if platform == "linux":
        if not Path(f"/dev/video{text}").exists():
            raise MediaError(f"there is no camera {text}; {_found(cameras())}")
        return Source("camera", text, f"/dev/video{text}", kind)
    if platform == "darwin":
        return Source("camera", text, f"{text}:none", kind)
    found = cameras()
    if int(text) >= len(found):
        raise MediaError(f"there is no camera {text}; {_found(found)}")
    return Source("camera", text, f"video={found[int(text)][0]}", kind)


def _named(text: str, found: list[tuple[str, str]], platform: str) -> Source:
    like = [each for each in found if text.casefold() in each[1].casefold()]
    exact = [each for each in like if text.casefold() == each[1].casefold()] or like
    if len(exact) != 1:
        what = f"{len(exact)} cameras are" if exact else "no camera is"
        raise MediaError(f"{what} called {text!r}; {_found(found)}")
    device = exact[0][0]
    url = {"darwin": f"{device}:none", "win32": f"video={device}"}.get(platform, device)
    return Source("camera", text, url, DEVICES.get(platform, "v4l2"))


def _found(cameras: list[tuple[str, str]]) -> str:
    if not cameras:
        return "no camera is connected, or this account may not see it"
    return "there are " + ", ".join(f"{number} ({name})" for number, (_, name) in enumerate(cameras))


def open_source(source: Source, wish: Wish) -> InputContainer:
    """Open a source for reading.

    A camera is asked for Motion JPEG of the wished size and rate, because full HD needs it over USB 2. A
    camera that does not offer it is opened in its own format.

    Raises:
        MediaError: the source is not there, cannot be read, or holds no video. The message says what to do.
    """
    if source.kind == "file":
        return _with_video(open_input(Path(source.url)), source)
    tries = _options(source, wish)
    for number, options in enumerate(tries):
        try:
            if source.format == "x11grab":
                return _with_video(grab(source.url, options), source)
            opened = av.open(source.url, "r", format=source.format, options=options, timeout=(OPEN_S, READ_S))
            return _with_video(opened, source)
        except (FFmpegError, OSError, ValueError) as exc:
            if number == len(tries) - 1:
                raise MediaError(f"{source.name}: {_reason(source, exc)}") from exc
            logger.debug("%s did not open with %s: %s", source.name, options, exc)
    raise AssertionError("a source has at least one way to be opened")


def _with_video(opened: InputContainer, source: Source) -> InputContainer:
    if not opened.streams.video:
        opened.close()
        raise MediaError(f"{source.name}: there is no video in it")
    return opened


def _options(source: Source, wish: Wish) -> list[dict[str, str]]:
    """Return the ways to open a source, the best first."""
    if source.kind == "address":
        return [{"protocol_whitelist": NETWORK, "rtsp_transport": "tcp"}]
    wanted: dict[str, str] = {}
    if wish.size is not None:
        wanted["video_size"] = f"{wish.size[1]}x{wish.size[0]}"
    if wish.fps is not None:
        wanted["framerate"] = f"{wish.fps:g}"
    if source.format == "v4l2":
        return [{**wanted, "input_format": "mjpeg"}, wanted, {}]
    if source.format == "avfoundation" and "framerate" not in wanted:
        wanted["framerate"] = "30"  # most Macs' cameras refuse FFmpeg's default of 29.97
    return [wanted, {}]


def _reason(source: Source, error: Exception) -> str:
    """Return why a source could not be opened, and what to do."""
    said = getattr(error, "strerror", None) or str(error)
    if source.kind == "camera":
        if isinstance(error, PermissionError) or sys.platform == "darwin":
            return f"the camera could not be opened ({said}); {permission()}"
        return f"the camera could not be opened ({said}); is it connected, and used by no other program?"
    if source.kind == "screen":
        return (
            f"the screen could not be grabbed ({said}); {SCREEN_HELP.get(sys.platform, SCREEN_HELP['linux'])}"
        )
    return f"nothing could be read there ({said}); is the address right, and does it want a password?"


def camera_wish(wish: Wish) -> Wish:
    """Complete a wish with what suits calls: 720 lines, 30 frames a second."""
    return replace(wish, size=wish.size or (720, 1280), fps=wish.fps or 30.0)
