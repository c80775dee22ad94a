"""The verbs' arguments; imports nothing that takes time, so that --help is quick."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from stream.cli import camera, network
from stream.config import PORT


class _Listed:
    """Values that a package lists, imported where they are first needed: building the parsers stays quick.

    Args:
        module: that lists them.
        name: of the list.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __iter__(self) -> Iterator[str]:
        return iter(getattr(import_module(self._module), self._name))

    def __contains__(self, value: object) -> bool:
        return value in tuple(self)


MATCHERS = _Listed("correspondence.matcher", "KINDS")
MODES = _Listed("reference", "MODES")
DEVICES = ("cpu", "cuda")
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

Run = Callable[[argparse.Namespace], int]


class _ShowVersion(argparse.Action):
    """Prints the version, found only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: object) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and leave")

    def __call__(self, parser: argparse.ArgumentParser, *parsed: object) -> None:
        from stream.version import version

        print(f"livery {version()}")
        parser.exit()


def parser(runs: Mapping[str, Run]) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The whole command line, and the parser of each verb.

    Args:
        runs: what each verb does; ends up as `run` in the namespace.
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

    _serve_options(verb("serve", "Serve the page and its WebRTC endpoints."))
    _serve_options(verb("demo", "Serve with a session that needs no camera; prints its address."))
    _camera_options(verb("camera", "Wear a look in a virtual camera, without browser or server."))
    _edit_options(verb("edit", "Carry an edit of one frame onto every frame of a clip."))
    _reference_options(verb("reference", "Save the frame of a clip that is best to edit."))
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


def _serve_options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(log_level="info")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on, 0.0.0.0 for all")
    parser.add_argument("--port", type=int, default=PORT, help="TCP port, 0 for any free one")
    parser.add_argument("--token", help="asked of who opens a session; better as $LIVERY_TOKEN")
    network.options(parser)
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name that clients reach it under; addresses, localhost, this machine's name and "
        "--public-url's are known",
    )
    parser.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="a proxy, address or network, whose X-Forwarded-For is believed; none by default",
    )
    parser.add_argument("--max-sessions", type=int, default=8, help="sessions at a time")
    parser.add_argument(
        "--max-load",
        type=float,
        default=0.95,
        metavar="SHARE",
        help="share of the processors that live sessions may take; one that would take more is refused, "
        "0 refuses nobody (default 0.95)",
    )
    parser.add_argument(
        "--opens-per-minute", type=int, default=60, metavar="N", help="sessions that one address may open"
    )
    parser.add_argument(
        "--failures-per-minute", type=int, default=20, metavar="N", help="wrong tokens taken from one address"
    )
    _matcher_options(parser)
    parser.add_argument(
        "--keyframes",
        action="store_true",
        help="make new references where the head turns away, and move edits of the background with the "
        "camera; edits behind the person want more than two cores at 720p",
    )
    parser.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="record every session here: live.mp4 as it was sent, refined.mp4 made anew with time to spare",
    )
    parser.add_argument("--record-asked", action="store_true", help="record only when the page says so")
    parser.add_argument(
        "--record-mib", type=int, default=20_000, metavar="MIB", help="bound of all recordings there"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="where sessions, looks and tokens are kept over a restart (default: the user's data folder)",
    )
    parser.add_argument("--no-store", action="store_true", help="keep sessions in memory only")
    parser.add_argument(
        "--keep-days", type=float, default=30.0, metavar="N", help="delete sessions unused for longer"
    )
    parser.add_argument(
        "--data-mib", type=int, default=4096, metavar="MIB", help="bound of all that is kept there"
    )
    parser.add_argument(
        "--fill-weights",
        type=Path,
        metavar="DIR",
        help="weights of the diffusion fill, with --keyframes or --record, or hub:OWNER/NAME of an "
        "inpainting model, or shipped: ours (default: OpenCV's fill)",
    )
    _prompt_options(parser, "edit by words on the page, with")
    parser.add_argument(
        "--virtual-camera",
        action="store_true",
        help="feed this machine's virtual camera from the first session that sends pictures (extra obs)",
    )
    parser.add_argument(
        "--bitrate",
        type=_bitrate,
        default=2_500_000,
        metavar="BPS",
        help="of the edited stream at start, e.g. 2500k",
    )


def _camera_options(parser: argparse.ArgumentParser) -> None:
    camera.options(parser, MODES)
    _matcher_options(parser)


def _edit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="IN", help=f"{INPUT}; several, or a folder, with -o DIR"
    )
    parser.add_argument("--edited", type=Path, metavar="PICTURE", help="the edited frame: PNG, JPEG or WebP")
    camera.preset_option(parser)
    parser.add_argument("--prompt", metavar="WORDS", help="edit the frame by words instead")
    _prompt_options(parser, "with --prompt:")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help=OUTPUT)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say where the edit lies, how much of the picture it is and what to know; write nothing",
    )
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
        choices=MODES,
        metavar="MODE",
        default="auto",
        help="%(choices)s: decide per pixel and object, add the change, lay it over, or carry it as one"
        " rigid object",
    )
    parser.add_argument("--strength", type=float, default=1.0, help="0 to 1")
    parser.add_argument(
        "--fill",
        action="store_true",
        help="match thoroughly; with weights, invent what is shown without being sure of its place",
    )
    _fill_options(parser)
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
    _matcher_options(parser)
    _file_options(parser)


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
        required=True,
        metavar="N",
        help="number of the first frame after a cut, from 0; may be given again",
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
    _fill_options(parser)
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
    _fill_options(parser)
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where the diffusion model runs")
    _file_options(parser)


def _fill_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fill-weights",
        type=Path,
        metavar="DIR",
        help="weights of the diffusion model, or hub:OWNER/NAME of an inpainting model (default: the "
        "shipped ones; none: pictures are warped and blended only)",
    )


def _prompt_options(parser: argparse.ArgumentParser, when: str) -> None:
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


def _matcher_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--matcher",
        choices=MATCHERS,
        metavar="KIND",
        default="auto",
        help="%(choices)s; auto: the best that loads here",
    )
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where a network runs")


def _file_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    parser.add_argument(
        "--progress", action="store_true", help="show progress even where stderr is no terminal"
    )


def _bitrate(text: str) -> int:
    scale = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    try:
        return round(float(text[:-1] if scale > 1 else text) * scale)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be bits per second as in 2500k or 2.5M, got {text!r}"
        ) from None


def _reference_value(text: str) -> int | str | Path:
    if text == "auto":
        return text
    return int(text) if text.lstrip("-").isdigit() else Path(text)
