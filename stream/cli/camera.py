"""The verb `camera`: its options and what it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from stream.cli.exits import OK, UsageError
from stream.cli.shared_options import (
    faces_option,
    look_options,
    mark_option,
    mode_named,
    turning_options,
)

if TYPE_CHECKING:
    from stream.camera.fitting import LookConfig


def options(parser: argparse.ArgumentParser, modes: Iterable[str]) -> None:
    """Add the options of `camera` except those of the matcher.

    Args:
        parser: parser of the verb.
        modes: values of --mode.
    """
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a camera's number or name, a video file, an rtsp:// or http:// address, or screen",
    )
    look_options(parser)
    parser.add_argument("--edited", type=Path, metavar="PICTURE", help="wear this edited copy of the still")
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="PICTURE",
        help="the still that was edited (default: one is taken at a good moment)",
    )
    parser.add_argument(
        "--still", type=Path, metavar="PNG", help="save the still that is taken, to edit a copy of it"
    )
    parser.add_argument(
        "--mode",
        type=mode_named,
        choices=modes,
        metavar="MODE",
        default="auto",
        help="%(choices)s: how the edit composes",
    )
    parser.add_argument("--strength", type=float, default=1.0, help="0 to 1")
    parser.add_argument("--size", type=_size, metavar="WxH", help="of the virtual camera (default: SOURCE's)")
    parser.add_argument("--fps", type=float, help="of the virtual camera (default: SOURCE's)")
    parser.add_argument("--virtual-device", metavar="NAME", help="which virtual camera, as in /dev/video10")
    parser.add_argument("--backend", metavar="NAME", help="pyvirtualcam's kind of virtual camera")
    parser.add_argument("--preview", action="store_true", help="show what goes out in a window, with keys")
    turning_options(parser)
    faces_option(parser)
    mark_option(parser)


def run(args: argparse.Namespace) -> int:
    """Run until a signal comes or the window is closed."""
    from stream.camera.run import CameraConfig, run_camera
    from stream.cli.progress import interruptible

    if args.fps is not None and not 1 <= args.fps <= 120:
        raise UsageError(f"--fps must lie in [1, 120], got {args.fps:g}")
    if args.preview and sys.platform == "linux" and not _has_display():
        raise UsageError("--preview needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set")
    if args.still is not None:
        from stream.offline.paths import check_output

        check_output(args.still, overwrite=True)
    config = CameraConfig(
        source=args.source,
        look=_look(args),
        size=args.size,
        fps=args.fps,
        device=args.virtual_device,
        backend=args.backend,
        matcher=args.matcher,
        processor=args.device,
        preview=args.preview,
        keyframes=args.keyframes,
        follow_camera=args.follow_camera,
        faces=args.faces,
        mark=args.mark,
    )
    with interruptible() as stop:
        run_camera(config, stop, _tell)
    return OK


def _look(args: argparse.Namespace) -> LookConfig:
    from stream.camera.fitting import LookConfig
    from stream.looks.choice import layers_of, parse_preset, parse_sticker
    from stream.offline.look_clip import read_look

    return LookConfig(
        drawn=layers_of(map(parse_preset, args.preset), map(parse_sticker, args.sticker)),
        worn=None if args.look is None else read_look(args.look),
        own=args.own_look,
        edited=args.edited,
        reference=args.reference,
        still=args.still,
        mode=args.mode,
        strength=args.strength,
    )


def _tell(text: str) -> None:
    print(text, flush=True)


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"must be width and height as in 1280x720, got {text!r}")
    size = int(height), int(width)
    if not all(16 <= side <= 7680 for side in size):
        raise argparse.ArgumentTypeError(f"each side must lie in [16, 7680], got {text!r}")
    return size
