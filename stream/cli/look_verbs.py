"""The verb `look`: makes a look file, or tells what one holds."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from stream.cli.exits import OK, UsageError
from stream.cli.shared_options import layer_options


def options(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    layer_options(parser)
    parser.add_argument(
        "source", type=Path, metavar="IN", help="a still (PNG, JPEG or WebP), or a look file to look into"
    )
    parser.add_argument("--edited", type=Path, metavar="PICTURE", help="an edited copy of the still")
    parser.add_argument("--name", default=None, help="the look's name (default: the output's)")
    parser.add_argument("--strength", type=float, default=1.0, help="of the whole look, 0 to 1")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="the look file to write, *.livery")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(args: argparse.Namespace) -> int:
    """Make a look file from a still, or print what a look file holds."""
    from reference.looks.file import SUFFIX

    if args.source.suffix == SUFFIX:
        if args.output is not None or args.edited is not None or args.preset or args.sticker:
            raise UsageError(f"{args.source} is a look file already; give a still to make one of")
        _tell(args.source)
        return OK
    if args.output is None:
        raise UsageError(f"-o OUT{SUFFIX} is missing: the look file to write")
    if args.output.suffix != SUFFIX:
        raise UsageError(f"{args.output}: a look file's name ends in {SUFFIX}; name one that does")
    if args.edited is None and not args.preset and not args.sticker:
        raise UsageError(
            "say what to put into the look: --edited PICTURE (an edited copy of the still), --preset or "
            "--sticker (drawn on the still), or both"
        )
    _make(args)
    return OK


def _tell(path: Path) -> None:
    from stream.offline.look_clip import read_look

    look = read_look(path)
    height, width = look.still.shape[:2]
    print(f"{path}: “{look.name}”, {width}x{height}, {look.mode}, strength {look.strength:g}")
    for number, layer in enumerate(look.layers, 1):
        print(f"  {number}. {layer.title}, {layer.strength:.0%}{'' if layer.shown else ', hidden'}")


def _make(args: argparse.Namespace) -> None:
    from reference import EditError, Look, look_file
    from stream.looks.choice import layers_of, parse_preset, parse_sticker
    from stream.media.probe import MediaError
    from stream.offline.paths import check_inputs, check_output, check_writable
    from stream.offline.references import read_picture

    added = layers_of(map(parse_preset, args.preset), map(parse_sticker, args.sticker))
    check_inputs((args.source, *(() if args.edited is None else (args.edited,))))
    check_output(args.output, args.overwrite)
    check_writable(args.output)
    still = read_picture(args.source).image
    try:
        look = Look(still, name=args.name or args.output.stem[:40], strength=args.strength)
        if args.edited is not None:
            look = look.picture(read_picture(args.edited).over(still))
        look = replace(look, layers=(*look.layers, *added))
        data = look_file([look])
    except EditError as exc:
        raise MediaError(f"{args.source}: {exc}") from exc
    args.output.write_bytes(data)
    print(f"{args.output}: {len(look.layers)} layers, {len(data) / 1e6:.1f} MB")
