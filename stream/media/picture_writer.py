"""Writes edited frames as one picture or as numbered pictures, and chooses between pictures and video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from av.packet import Packet
from av.stream import Stream
from PIL import Image as Pillow

from correspondence import Image
from stream.media.encoders import CONTAINERS, FileEncoderConfig, encoding_notes
from stream.media.opening import is_pattern, named, numbers, open_clip
from stream.media.probe import VideoInfo
from stream.media.tracks import Plan, plan_tracks
from stream.media.video import Frame, VideoReader
from stream.media.writer import VideoWriter, WriteError, temporary_name
from stream.processes import replace_file, unwritten

if TYPE_CHECKING:
    from av.container.core import Chapter

QUALITY = 95  # quality of JPEG and WebP


class Writer(Protocol):
    """Takes edited frames. See `VideoWriter`."""

    others: tuple[Stream, ...]
    notes: list[str]
    lost: list[str]

    def __enter__(self) -> Writer: ...

    def __exit__(self, *_: object) -> None: ...

    def write(self, frame: Frame, image: Image) -> None:
        """Take a picture, uint8 (H, W, 3) upright, at the time of `frame`."""

    def copy(self, packet: Packet[Stream]) -> None:
        """Take a packet of one of the streams `others`."""

    def finish(self, complete: bool = True) -> None:
        """Finish the output and give it its name."""


def open_output(
    path: Path,
    reader: VideoReader,
    size: tuple[int, int],
    encoder: FileEncoderConfig,
    turn: bool = True,
    chapters: list[Chapter] | None = None,
    alone: bool = False,
) -> Writer:
    """Make the writer of the file `path`, or of the pictures that it stands for.

    The arguments are those of `VideoWriter`.

    Raises:
        MediaError: the output cannot be written in this way.
    """
    if path.suffix.lower() in CONTAINERS:
        return VideoWriter(path, reader, size, encoder, turn, chapters, alone)
    encoder.resolve(path, reader.info)
    return PictureWriter(path, reader, alone)


def output_notes(
    info: VideoInfo, path: Path, encoder: FileEncoderConfig, *, beside: bool = False, alone: bool = False
) -> list[str]:
    """Tell what a user should know about how an output would be written, before any work.

    Args:
        info: the input.
        path: the output.
        encoder: how it is compressed.
        beside: whether it holds the input beside the result.
        alone: whether sound and subtitles are left out.

    Returns:
        The notes of the writer, and what becomes of each track of sound and subtitles.

    Raises:
        MediaError: the output cannot be written in this way.
    """
    codec = encoder.resolve(path, info)
    suffix = path.suffix.lower()
    with open_clip(info.path) as source:
        sounds = any(stream.type == "audio" for stream in source.streams)
    silent = [] if sounds else ["the input has no sound"]
    if alone and sounds:
        silent = ["the sound is left out: the edit is written alone"]
    if suffix not in CONTAINERS:
        return [*picture_notes(info, path, sounds=sounds and not alone), *silent]
    stored = (info.size[0], 2 * info.size[1]) if beside else info.stored_size
    plan = Plan() if alone else plan_tracks(info, CONTAINERS[suffix], suffix)
    return [*encoding_notes(codec, info, stored), *plan.notes, *plan.kept, *silent]


def picture_notes(info: VideoInfo, path: Path, *, sounds: bool) -> list[str]:
    """Describe what pictures cannot keep of the input.

    Args:
        info: the input.
        path: the output.
        sounds: whether it has sound that should be mentioned.
    """
    notes = ["the sound is left out: pictures hold none"] if sounds else []
    if info.alpha and path.suffix.lower() in (".jpg", ".jpeg"):
        notes.append("the input's transparency is lost: JPEG holds none; write .png or .webp")
    if info.deep:
        notes.append(
            f"the {info.bits}-bit input is written with 8 bits a channel; .mkv with --codec ffv1 keeps all"
        )
    return notes


class PictureWriter:
    """Writes frames as upright pictures. Each gets its name when it is whole. See `VideoWriter`.

    Args:
        path: a picture, or a pattern such as out/%04d.png. Numbers start at the first number of numbered
            input, else at 1.
        reader: the open input.
        alone: whether sound is left out without a note.
    """

    def __init__(self, path: Path, reader: VideoReader, alone: bool = False) -> None:
        self.others: tuple[Stream, ...] = ()
        self.lost: list[str] = []
        self._path = path
        source = reader.info.path
        self._first = (numbers(source)[0] if is_pattern(source) else 1) if is_pattern(path) else None
        sounds = any(stream.type == "audio" for stream in reader.container.streams)
        self._profile: dict[str, Any] = (
            {} if reader.info.space is None else {"icc_profile": reader.info.space.profile}
        )
        self.notes = picture_notes(reader.info, path, sounds=sounds and not alone)

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def write(self, frame: Frame, image: Image) -> None:
        """Write `image`, uint8 (H, W, 3).

        Raises:
            WriteError: the disk is full.
        """
        path = self._path if self._first is None else named(self._path, self._first + frame.index)
        alpha = None if frame.pixels is None or image.shape != frame.image.shape else frame.pixels.alpha
        shown = image
        if alpha is not None and path.suffix.lower() not in (".jpg", ".jpeg"):
            shown = np.dstack([image, ((alpha.astype(np.uint32) + 128) // 257).astype(np.uint8)])
        temporary = temporary_name(path)
        try:
            Pillow.fromarray(shown).save(temporary, quality=QUALITY, subsampling=0, **self._profile)
            replace_file(temporary, path)
        except OSError as exc:
            raise WriteError(unwritten(path, exc)) from exc
        finally:
            temporary.unlink(missing_ok=True)

    def copy(self, packet: Packet[Stream]) -> None:
        """Do nothing, since pictures hold no other streams."""

    def finish(self, complete: bool = True) -> None:
        """Do nothing, since each picture has its name already."""
