"""Options that several verbs share. Imports nothing that takes time, so that --help is quick."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from stream.mark import WORD


class _Listed:
    """The choices of an option, imported from the package that lists them when they are first needed.

    Building the parsers stays quick this way.

    Args:
        module: dotted name of the module that holds the list.
        name: name of the list in that module.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __iter__(self) -> Iterator[str]:
        return iter(getattr(import_module(self._module), self._name))

    def __contains__(self, value: object) -> bool:
        return value in tuple(self)


class _Modes(_Listed):
    """The modes by the names that people read: a rigid object is "object" there, "layer" in programs."""

    def __iter__(self) -> Iterator[str]:
        return ("object" if mode == "layer" else mode for mode in super().__iter__())

    def __contains__(self, value: object) -> bool:
        return value == "layer" or super().__contains__(value)


def mode_named(text: str) -> str:
    """Return a mode's name in programs."""
    return "layer" if text == "object" else text


MATCHERS = _Listed("correspondence.matcher", "KINDS")
MODES = _Modes("reference", "MODES")
DEVICES = ("cpu", "cuda")


def layer_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name presets and stickers (see `stream.looks.choice`)."""
    parser.add_argument(
        "--preset",
        action="append",
        default=[],
        metavar="NAME[:COLOUR[:STRENGTH]]",
        help="draw this preset, as in lipstick:#b3122e:0.8; may be given again",
    )
    parser.add_argument(
        "--sticker",
        action="append",
        default=[],
        metavar="FILE:PLACE[:SIZE]",
        help="lay this picture on nose, eyes, forehead, crown, cheeks, mouth …, SIZE face heights wide; "
        "with :rigid or :skin behind the size the head carries it, or the skin; may be given again",
    )


def look_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name presets, stickers and a look file."""
    layer_options(parser)
    parser.add_argument(
        "--look",
        type=Path,
        metavar="FILE",
        help="wear this look file (*.livery); --preset and --sticker add to it",
    )
    parser.add_argument(
        "--own-look",
        action="store_true",
        help="the look was made of this person: its hair and backdrop, too",
    )


def fill_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--fill-weights` for the verbs that work on files."""
    parser.add_argument(
        "--fill-weights",
        type=Path,
        metavar="DIR",
        help="weights of the diffusion model, or hub:OWNER/NAME of an inpainting model (default: the "
        "shipped ones; none: pictures are warped and blended only)",
    )


def prompt_options(parser: argparse.ArgumentParser, when: str) -> None:
    """Adds the options that name models for edits by words.

    Args:
        parser: parser of the verb.
        when: begins the help text, says when the model is used.
    """
    parser.add_argument(
        "--prompt-model",
        metavar="PATH|ID",
        help=f"{when} an InstructPix2Pix or ControlNet inpainting model's folder, or its id on the hub",
    )
    parser.add_argument(
        "--prompt-controlnet",
        metavar="PATH|ID",
        help="a ControlNet for a --prompt-model that repaints and does not hold its own",
    )


def matcher_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose the matcher and its device."""
    parser.add_argument(
        "--matcher",
        choices=MATCHERS,
        metavar="KIND",
        default="auto",
        help="%(choices)s; auto: the best that loads here",
    )
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where a network runs")


def turning_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options for heads that turn and cameras that move, the same for each live verb."""
    parser.add_argument(
        "--keyframes",
        action=argparse.BooleanOptionalAction,
        help="make new references where the head turns away; the default with more than two processors",
    )
    parser.add_argument(
        "--follow-camera",
        action=argparse.BooleanOptionalAction,
        help="move edits of the background with the camera, behind the person; the default with more than "
        "two processors, which it needs at 720p",
    )


def faces_option(parser: argparse.ArgumentParser) -> None:
    """The argument that says how many people wear the look, the same for each verb."""
    parser.add_argument(
        "--faces",
        type=_faces,
        default=1,
        metavar="N",
        help="people in the picture who wear the look, 1 to 4 (default 1: whose face was edited)",
    )


def mark_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Adds the option for a visible word in edited pictures, the same for each verb."""
    parser.add_argument(
        "--mark",
        nargs="?",
        const=WORD,
        metavar="TEXT",
        help="write a visible text into the lower left corner of edited pictures (default text: %(const)s)",
    )


def _faces(text: str) -> int:
    if text not in ("1", "2", "3", "4"):
        raise argparse.ArgumentTypeError(f"must be 1 to 4 people who wear the look, got {text!r}")
    return int(text)
