"""Opens clips: a media file, numbered pictures or an animated WebP, which FFmpeg does not read."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import SideData
from PIL import Image as Pillow
from PIL import ImageSequence

from stream.media.picture_colour import usable
from stream.media.untrusted import BROKEN, MAX_PIXELS, MediaError, open_input

PICTURES_RATE = 25  # frames per second of numbered pictures, which have no times
NUMBER = re.compile(r"%(?:0(\d+))?d")
WEBP_ANIMATED = 0x02  # flag of a VP8X chunk (RFC 9649, section 2.7)
STILLS = {  # kinds of pictures by suffix, for which FFmpeg would look for numbered pictures
    ".jpg": "jpeg_pipe",
    ".jpeg": "jpeg_pipe",
    ".bmp": "bmp_pipe",
    ".tif": "tiff_pipe",
    ".tiff": "tiff_pipe",
}
KINDS = {  # suffixes of numbered pictures by Pillow's name of their kind
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
    "bmp": (".bmp",),
}
ORIENTATION = 0x0112  # EXIF's tag
EXIF_TURNS = {  # the display matrix's a, b, c and d by EXIF's orientation
    **{2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1), 5: (0, 1, 1, 0)},
    **{6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0)},
}
TURNED_AS = {-90: 6, 90: 8, 180: 3, -180: 3}  # EXIF's orientation by degrees anticlockwise
UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, Pillow.DecompressionBombError)  # by Pillow
DEFAULT_MS = 100  # display time of an animation's picture that names none
Samples = TypeVar("Samples", bound=npt.NDArray[Any])
MOST_PIXELS = 1_500_000_000  # limit for all pictures of an animated WebP together, which is held in memory


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight orientations of a picture. A transposition and then flips bring it upright."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, matrix: tuple[int, ...] | None) -> Orientation:
        """Read FFmpeg's display matrix (3 x 3 row-major, 16.16 fixed point). Odd angles count as upright."""
        if matrix is None:
            return cls()
        a, b, c, d = (matrix[k] for k in (0, 1, 3, 4))
        if a == d == 0 and b and c:
            return cls(transpose=True, flip_x=c < 0, flip_y=b < 0)
        if b == c == 0 and a and d:
            return cls(flip_x=a < 0, flip_y=d < 0)
        return cls()

    def upright(self, image: Samples) -> Samples:
        """Turn a stored picture (H, W, C) upright. The result is contiguous."""
        turned = image.transpose(1, 0, 2) if self.transpose else image
        turned = cast(Samples, turned[:, ::-1]) if self.flip_x else turned
        return cast(Samples, np.ascontiguousarray(turned[::-1] if self.flip_y else turned))

    def stored(self, image: Samples) -> Samples:
        """Invert `upright`. The result is contiguous."""
        turned = cast(Samples, image[::-1]) if self.flip_y else image
        turned = cast(Samples, turned[:, ::-1]) if self.flip_x else turned
        return cast(Samples, np.ascontiguousarray(turned.transpose(1, 0, 2) if self.transpose else turned))


def open_clip(path: Path) -> InputContainer:
    """Open a clip.

    Args:
        path: a media file. If there is no such file, the pattern of numbered pictures, such as
            frames/%04d.png.

    Raises:
        MediaError: the file is missing, a folder, not readable or no media.
    """
    if is_pattern(path):
        return _open_pictures(path)
    if path.is_file() and _is_animated_webp(path):
        return _open_webp(path)
    return open_input(path, STILLS.get(path.suffix.lower()))


def is_pattern(path: Path) -> bool:
    """Whether a name stands for numbered pictures. It contains one %d or %04d and is no file itself."""
    return len(NUMBER.findall(path.name)) == 1 and not path.is_file()


def numbers(pattern: Path) -> list[int]:
    """List the numbers of the pictures that match a pattern, ascending."""
    before, digits, after = cast("list[str | None]", NUMBER.split(pattern.name))
    wanted = re.compile(rf"{re.escape(before or '')}(\d+){re.escape(after or '')}")
    width = int(digits or 0)
    folder = pattern.parent
    found = (wanted.fullmatch(entry.name) for entry in folder.iterdir()) if folder.is_dir() else ()
    texts = (match[1] for match in found if match is not None)
    return sorted(int(text) for text in texts if len(str(int(text)).zfill(width)) == len(text))


def missing(pattern: Path) -> list[int]:
    """List the first number of each gap in the pictures that match a pattern."""
    found = numbers(pattern)
    return [a + 1 for a, b in pairwise(found) if b > a + 1]


def _open_pictures(pattern: Path) -> InputContainer:
    found = numbers(pattern)
    if not found:
        raise MediaError(f"{pattern}: no picture is named so; the first would be {named(pattern, 1).name}")
    if (gaps := missing(pattern)) != []:
        raise MediaError(
            f"{pattern}: picture {named(pattern, gaps[0]).name} is missing; number the pictures without gaps"
        )
    _check_kind(pattern, named(pattern, found[0]))
    options = {
        "start_number": str(found[0]),
        "framerate": str(PICTURES_RATE),
        "protocol_whitelist": "file",
        "max_pixels": str(MAX_PIXELS),
    }
    try:
        return av.open(str(pattern.absolute()), "r", format="image2", options=options)
    except (FFmpegError, OSError) as exc:
        raise MediaError(
            f"{pattern}: not pictures that can be read ({exc.strerror or exc}); save them as PNG"
        ) from exc


def _check_kind(pattern: Path, first: Path) -> None:
    """Refuse pictures that are of another kind than their name says, by which FFmpeg goes."""
    try:
        with Pillow.open(first) as picture:
            kind = (picture.format or "").lower()
    except UNREADABLE:
        return  # FFmpeg may read more kinds
    suffixes = KINDS.get(kind)
    if suffixes is not None and pattern.suffix.lower() not in suffixes:
        raise MediaError(
            f"{pattern}: the pictures are {kind.upper()} by what they hold; rename them to {suffixes[0]}"
        )


def display_matrix(path: Path, first: av.VideoFrame) -> tuple[int, ...] | None:
    """How a picture is to be turned, as FFmpeg's display matrix. None if it says nothing of that.

    Args:
        path: the clip.
        first: its first frame.
    """
    try:
        turn = cast(SideData | None, first.side_data.get("DISPLAYMATRIX"))
    except ValueError:  # PyAV does not know EXIF data, and then tells none of a frame's side data
        turn = None
        exif = _exif_orientation(path) or TURNED_AS.get(first.rotation, 1)
        if exif in EXIF_TURNS:
            a, b, c, d = (value << 16 for value in EXIF_TURNS[exif])
            return (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    return None if turn is None else tuple(int(v) for v in np.frombuffer(bytes(turn), np.int32))


def _exif_orientation(path: Path) -> int | None:
    """Read EXIF's orientation of a picture, or of the first numbered one. None if it is no picture."""
    try:
        with Pillow.open(_first_file(path)) as picture:
            return int(picture.getexif().get(ORIENTATION, 1))
    except UNREADABLE:
        return None


def profile_of(path: Path) -> tuple[bytes, str] | None:
    """Read the ICC profile of a picture, or of the first numbered one, which FFmpeg does not apply.

    Returns:
        The profile and the name of its colour space. None if there is none, if it is sRGB, or if the file is
        no picture in RGB.
    """
    try:
        with Pillow.open(_first_file(path)) as picture:
            profile = picture.info.get("icc_profile")
        return None if profile is None else usable(profile)
    except UNREADABLE:
        return None


def _first_file(path: Path) -> Path:
    return named(path, numbers(path)[0]) if is_pattern(path) else path


def named(pattern: Path, number: int) -> Path:
    """Return the file of one number."""
    return pattern.with_name(NUMBER.sub(lambda match: str(number).zfill(int(match[1] or 0)), pattern.name))


def _is_animated_webp(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(21)
    riff = head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X"
    return riff and len(head) == 21 and bool(head[20] & WEBP_ANIMATED)


def _open_webp(path: Path) -> InputContainer:
    """Decode an animated WebP with Pillow into a lossless file in memory."""
    file = io.BytesIO()
    try:
        with Pillow.open(path, formats=["WEBP"]) as picture:
            frames, (width, height) = getattr(picture, "n_frames", 1), picture.size
            if frames * width * height > MOST_PIXELS:
                raise MediaError(
                    f"{path}: an animated WebP of {frames} pictures, {width}x{height}; at most "
                    f"{MOST_PIXELS // (width * height)} of this size are read: convert it to a video first"
                )
            _store(picture, file)
    except MediaError:
        raise
    except (*BROKEN, ValueError, SyntaxError, EOFError, Pillow.DecompressionBombError) as exc:
        raise MediaError(f"{path}: the animated WebP is damaged ({exc}); save it again") from exc
    file.seek(0)
    return av.open(file, "r", format="matroska,webm")


def _store(animation: Pillow.Image, file: io.BytesIO) -> None:
    """Write an animation with its times and its transparency as FFV1 in Matroska."""
    with av.open(file, "w", format="matroska") as out:
        video: Any = out.add_stream("ffv1", rate=Fraction(1000, DEFAULT_MS), options={"level": "3"})
        video.width, video.height = animation.size
        video.pix_fmt = "bgra"
        video.codec_context.time_base = Fraction(1, 1000)
        at_ms = 0
        for shown in ImageSequence.Iterator(animation):
            frame = av.VideoFrame.from_ndarray(np.asarray(shown.convert("RGBA")), format="rgba")
            frame = frame.reformat(format="bgra")
            length_ms = int(shown.info.get("duration") or 0) or DEFAULT_MS
            frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
            at_ms += length_ms
            for packet in video.encode(frame):
                packet.duration = length_ms
                out.mux(packet)
        out.mux(video.encode(None))
