"""The parsers of all verbs. It imports nothing slow, so that --help is quick."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stream.cli import camera, look_verbs, serve_options
from stream.cli.shared_options import (
    DEVICES,
    MODES,
    faces_option,
    fill_options,
    look_options,
    mark_option,
    matcher_options,
    mode_named,
    prompt_options,
)

CODECS = ("h264", "hevc", "vp9", "prores", "ffv1")
INPUT = "a video file, or numbered pictures as in frames/%%04d.png"
OUTPUT = ".mp4, .mov, .mkv or .webm; or pictures, as in out/%%04d.png"
CODEC = "default: h264, vp9 in .webm; hevc for 10-bit input; what keeps transparency where there is some"
LEVELS = ("debug", "info", "warning", "error")
TRAININGS = {
    "autoencoder": "inpaint.training.autoencoder",
    "cover": "correspondence.training.cover.train",
    "denoiser": "inpaint.training.denoiser",
    "graphs": "inpaint.model.onnx",
    "matcher": "correspondence.training.train",
}
STOP = "Ctrl-C or SIGTERM ends it within 5 seconds, exit code 0; a second Ctrl-C at once, exit code 130."
SHELLS = ("bash", "zsh", "tcsh")
ELSEWHERE = (
    "Every option may also stand in a TOML file (--config, else $LIVERY_CONFIG, else livery.toml in the "
    "user's configuration folder): at its top for every verb, or in a table of the verb's name. And in a "
    "variable: LIVERY_PORT is --port. An argument wins over a variable, a variable over the file."
)
EXIT_CODES = {"serve": STOP, "demo": STOP, "camera": "Ctrl-C or SIGTERM ends it, exit code 0."}
PREVIEW_S = 5.0  # length of a preview, seconds

Run = Callable[[argparse.Namespace], int]


class _ShowVersion(argparse.Action):
    """Prints the version. It is read only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: object) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and leave")

    def __call__(self, parser: argparse.ArgumentParser, *parsed: object) -> None:
        from correspondence.version import version

        print(f"livery {version()}")
        parser.exit()


def parser(runs: Mapping[str, Run]) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Build the parser of the whole command line.

    Args:
        runs: the function of each verb. It becomes `run` in the parsed namespace.

    Returns:
        The whole parser, and the parser of each verb.
    """
    parser = argparse.ArgumentParser(
        prog="livery", description="Wear an edit, live or in a file.", epilog=ELSEWHERE
    )
    parser.add_argument("--version", action=_ShowVersion)
    parsers: dict[str, argparse.ArgumentParser] = {}
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text, epilog=EXIT_CODES.get(name))
        added.add_argument("--log-level", choices=LEVELS, default="warning", help="what to log on stderr")
        added.add_argument(
            "--verbose", action="store_true", help="show an error's traceback, and native logs"
        )
        added.add_argument("--config", metavar="TOML", help="a file of options, see livery --help")
        added.set_defaults(run=runs[name], usage=added.format_usage)
        parsers[name] = added
        return added

    serve = verb("serve", "Serve the page and its WebRTC endpoints.")
    serve_options.options(serve)
    serve_options.cluster_options(serve.add_argument_group("several machines (extra cluster)"))
    serve_options.options(verb("demo", "Serve with a session that needs no camera; prints its address."))
    _camera_options(verb("camera", "Wear a look in a virtual camera, without browser or server."))
    _edit_options(verb("edit", "Carry an edit of one frame onto every frame of a clip."))
    _reference_options(verb("reference", "Save the frame of a clip that is best to edit."))
    look = verb("look", "Make a look file from a still, or tell what one holds.")
    look_verbs.options(look)
    _smooth_options(verb("smooth", "Turn jump cuts of a clip into short motions."))
    _animate_options(verb("animate", "Move a still portrait as the face in a video moves."))
    _refine_options(verb("refine", "Make what a recording's refined half still lacks."))
    bench = verb("bench", "Run a benchmark; without a name, list them.")
    bench.add_argument("name", nargs="?", help="which; NAME --help lists its options")
    bench.add_argument("rest", nargs=argparse.REMAINDER, help="its options")
    train = verb("train", "Train a network; without a name, list them.")
    train.add_argument(
        "name", nargs="?", choices=sorted(TRAININGS), help="which; NAME --help lists its options"
    )
    train.add_argument("rest", nargs=argparse.REMAINDER, help="its options")
    verb("doctor", "Check this machine and name what is missing.")
    completion = verb("completion", "Print what lets a shell complete this command line.")
    completion.add_argument("shell", choices=SHELLS, help="as in: livery completion bash >> ~/.bashrc")
    return parser, parsers


def _camera_options(parser: argparse.ArgumentParser) -> None:
    camera.options(parser, MODES)
    matcher_options(parser)


def _edit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="IN", help=f"{INPUT}; several, or a folder, with -o DIR"
    )
    parser.add_argument(
        "--edited",
        action="append",
        metavar="[N=]PICTURE",
        help="the edited frame: PNG, JPEG or WebP; N= says which frame it was, from 0. Given again, the same "
        "edit of further frames, each with N=, as of a turned head",
    )
    look_options(parser)
    parser.add_argument("--prompt", metavar="WORDS", help="edit the frame by words instead")
    prompt_options(parser, "with --prompt:")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help=OUTPUT)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say where the edit lies, how much of the picture it is and what to know; write nothing",
    )
    _part_options(parser)
    parser.add_argument(
        "--reference",
        type=_reference_value,
        default="auto",
        metavar="N|auto|PICTURE",
        help="the frame that was edited: its number from 0, a picture, or auto (default)",
    )
    parser.add_argument(
        "--edited-end",
        type=Path,
        metavar="PICTURE",
        help="a later frame, edited too: the clip goes from the one edit to the other",
    )
    parser.add_argument(
        "--reference-end",
        type=_reference_value,
        default="auto",
        metavar="M|auto",
        help="the frame that was edited for the end: its number, or the one most like it (default)",
    )
    parser.add_argument(
        "--mode",
        type=mode_named,
        choices=MODES,
        metavar="MODE",
        default="auto",
        help="%(choices)s: decide per pixel, add the change, lay it over, or carry it as one rigid object",
    )
    parser.add_argument("--strength", type=float, default=1.0, help="0 to 1")
    faces_option(parser)
    parser.add_argument(
        "--fill",
        action="store_true",
        help="match thoroughly; invent unsure places: by weights, or by learning a look of the whole picture",
    )
    fill_options(parser)
    parser.add_argument(
        "--deinterlace", action="store_true", help="make whole pictures of interlaced ones (default: kept)"
    )
    parser.add_argument("--side-by-side", action="store_true", help="write the input beside the result")
    parser.add_argument("--report", type=Path, metavar="JSON", help="write figures for each frame")
    parser.add_argument("--codec", choices=CODECS, help=CODEC)
    parser.add_argument(
        "--crf",
        type=int,
        help="quality, lower is better (default 18, vp9 24, not for ffv1 and prores)",
    )
    matcher_options(parser)
    _file_options(parser)


def _part_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose what of an edited clip is written."""
    mark_option(parser)
    parser.add_argument(
        "--from",
        dest="start_s",
        type=_time,
        metavar="TIME",
        help="start of the part to edit and write, in seconds or as [h:]m:s (default: the clip's start)",
    )
    parser.add_argument(
        "--to", dest="end_s", type=_time, metavar="TIME", help="end of that part (default: the clip's end)"
    )
    parser.add_argument(
        "--preview",
        action="store_true",
        help=f"edit {PREVIEW_S:g} seconds about the edited frame only, and say how long the whole would take",
    )
    parser.add_argument(
        "--layer",
        action="store_true",
        help="write the edit alone, transparent elsewhere and without sound, to lay over the clip: .mov "
        "(prores), .webm, .png",
    )


def _reference_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="IN", help=INPUT)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="PNG", help="where to save the frame"
    )
    parser.add_argument("--at", type=int, metavar="N", help="this frame instead of the best, from 0")
    _file_options(parser)


def _smooth_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="IN", help=INPUT)
    parser.add_argument(
        "--cut",
        type=int,
        action="append",
        metavar="N",
        help="number of the first frame after a cut, from 0; may be given again (default: they are found)",
    )
    parser.add_argument(
        "--frames", type=int, default=8, metavar="K", help="frames made anew around each cut (default 8)"
    )
    _making_options(parser)


def _animate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("still", type=Path, metavar="STILL", help="a portrait: PNG, JPEG or WebP")
    parser.add_argument(
        "--drive", type=Path, required=True, metavar="IN", help="the video whose face the still follows"
    )
    _making_options(parser)


def _refine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="one recording of `livery serve --record`"
    )
    parser.add_argument(
        "--fill", action="store_true", help="invent what is shown without being sure of its place: slow"
    )
    fill_options(parser)
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where the diffusion model runs")
    parser.add_argument(
        "--progress", action="store_true", help="show progress even where stderr is no terminal"
    )


def _making_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help=OUTPUT)
    parser.add_argument("--codec", choices=CODECS, help=CODEC)
    parser.add_argument(
        "--crf",
        type=int,
        help="quality, lower is better (default 18, vp9 24, not for ffv1 and prores)",
    )
    fill_options(parser)
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where the diffusion model runs")
    _file_options(parser)


def _file_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    parser.add_argument(
        "--progress", action="store_true", help="show progress even where stderr is no terminal"
    )


def _time(text: str) -> float:
    from stream.offline.span import read_time

    try:
        return read_time(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _reference_value(text: str) -> int | str | Path:
    if text == "auto":
        return text
    return int(text) if text.lstrip("-").isdigit() else Path(text)
