"""The command line: one verb each for serving, files, measuring, training and checking the machine."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import pkgutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from stream.device import check_device
from stream.options import TRAININGS, parser

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
QUIET = (  # verbs that do not show what native libraries log
    *("serve", "demo", "edit", "reference", "smooth", "animate", "refine", "doctor"),
)


class UsageError(Exception):
    """What was asked for makes no sense; the message says why and the way out."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments, `sys.argv[1:]` when None.

    Returns:
        0 done, 1 a failure inside, 2 wrong usage or input, 130 interrupted. A server that serves is done when
        it is stopped, by Ctrl-C or SIGTERM.
    """
    args = parser(RUNS).parse_args(argv)
    if args.verb not in QUIET or args.verbose:
        return _run(args)
    from stream.progress import native_chatter_hidden

    with native_chatter_hidden():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    logging.basicConfig(
        level=args.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        run: Callable[[argparse.Namespace], int] = args.run
        check_device(getattr(args, "device", "cpu"))
        return run(args)
    except KeyboardInterrupt:
        print("livery: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that closing it says nothing
        return FAILED
    except Exception as exc:
        if args.verbose:
            traceback.print_exc()
        return _complain(exc)


def _complain(exc: Exception) -> int:
    """One line for the user; usage and input errors apart from failures inside."""
    text = " ".join(str(exc).split()) or type(exc).__name__
    if isinstance(exc, ModuleNotFoundError):
        hint = "python -m pip install 'livery[cpu]', or [train] for training and benchmarks"
        print(f"livery: {text}; {hint}", file=sys.stderr)
        return USAGE
    from correspondence.errors import WeightsError
    from stream.errors import StartError

    if isinstance(exc, (UsageError, ValueError, OSError, WeightsError, StartError)):
        print(f"livery: {text}", file=sys.stderr)
        return USAGE
    print(f"livery: failed: {type(exc).__name__}: {text} (--verbose shows where)", file=sys.stderr)
    return FAILED


def _serve(args: argparse.Namespace, demo: bool = False) -> int:
    from stream.app import serve
    from stream.config import ServerConfig

    serve(
        ServerConfig(
            host=args.host,
            port=args.port,
            token=args.token,
            public_url=args.public_url,
            udp_ports=args.udp_ports,
            public_address=args.public_address,
            ice_servers=tuple(args.ice_server),
            max_sessions=args.max_sessions,
            opens_per_minute=args.opens_per_minute,
            failures_per_minute=args.failures_per_minute,
            matcher=args.matcher,
            device=args.device,
            keyframes=args.keyframes,
            fill_weights=args.fill_weights,
            prompt_model=args.prompt_model,
            prompt_controlnet=args.prompt_controlnet,
            record=args.record,
            bitrate_bps=args.bitrate,
            demo=demo,
        )
    )
    return OK


def _demo(args: argparse.Namespace) -> int:
    return _serve(args, demo=True)


def _edit(args: argparse.Namespace) -> int:
    from stream.files import FileConfig, edit_file
    from stream.progress import interruptible, progress_bar
    from stream.references import Stopped
    from stream.writer import EncoderConfig

    if (args.edited is None) == (args.prompt is None):
        raise UsageError("give either --edited, the edited frame, or --prompt, the words to edit it by")
    if args.prompt is not None and args.prompt_model is None:
        raise UsageError("--prompt needs --prompt-model: the folder of an InstructPix2Pix model, or its id")
    if args.prompt_controlnet is not None and args.prompt_model is None:
        raise UsageError("--prompt-controlnet needs --prompt-model, the inpainting model that it steers")
    if args.edited_end is None and args.reference_end != "auto":
        raise UsageError("--reference-end names the frame of --edited-end, which is missing")
    config = FileConfig(
        reference=args.reference,
        reference_end=args.reference_end,
        mode=args.mode,
        strength=args.strength,
        matcher=args.matcher,
        device=args.device,
        side_by_side=args.side_by_side,
        overwrite=args.overwrite,
        confidence=args.report is not None,
        fill=args.fill or args.fill_weights is not None,
        fill_weights=args.fill_weights,
        encoder=EncoderConfig(codec=args.codec, crf=args.crf),
    )
    _check_report(args)
    with (
        interruptible() as stop,
        progress_bar(args.progress) as progress,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            edited = args.edited
            if args.prompt is not None:
                from stream.prompting import PromptModel, edit_by_words

                model = PromptModel(
                    model=args.prompt_model, controlnet=args.prompt_controlnet, device=args.device
                )
                at, edited = edit_by_words(
                    args.source, args.reference, args.prompt, model, Path(folder), stop, progress
                )
                config = replace(config, reference=at)
            report = edit_file(
                args.source, edited, args.output, config,
                edited_end=args.edited_end, stop=stop, progress=progress,
            )  # fmt: skip
        except Stopped:
            return _nothing_written()
    print("\n".join(report.summary()))
    if args.report is not None:
        report.write(args.report)
    if not report.complete:
        print(f"livery: interrupted; {args.output} holds the first {report.frames} frames", file=sys.stderr)
        return INTERRUPTED
    return OK


def _reference(args: argparse.Namespace) -> int:
    from stream.files import save_reference
    from stream.progress import interruptible, progress_bar
    from stream.references import Stopped

    with interruptible() as stop, progress_bar(args.progress) as progress:
        try:
            picked = save_reference(
                args.source, args.output, args.at, overwrite=args.overwrite, stop=stop, progress=progress
            )
        except Stopped:
            return _nothing_written()
    print(f"{args.output}: {picked.note}")
    return OK


def _smooth(args: argparse.Namespace) -> int:
    from stream.progress import interruptible, progress_bar
    from stream.references import Stopped
    from stream.smooth import SmoothConfig, smooth_file
    from stream.writer import EncoderConfig

    config = SmoothConfig(
        cuts=args.cut,
        frames=args.frames,
        weights=args.fill_weights,
        device=args.device,
        overwrite=args.overwrite,
        encoder=EncoderConfig(codec=args.codec, crf=args.crf),
    )
    with interruptible() as stop, progress_bar(args.progress) as progress:
        try:
            report = smooth_file(args.source, args.output, config, stop=stop, progress=progress)
        except Stopped:
            return _nothing_written()
    print(f"{args.output}: {report.frames} frames, {report.made} of them made anew")
    return _told(args, report.notes, report.frames, complete=report.complete)


def _animate(args: argparse.Namespace) -> int:
    from stream.animate import AnimateConfig, animate_file
    from stream.progress import interruptible, progress_bar
    from stream.references import Stopped
    from stream.writer import EncoderConfig

    config = AnimateConfig(
        weights=args.fill_weights,
        device=args.device,
        overwrite=args.overwrite,
        encoder=EncoderConfig(codec=args.codec, crf=args.crf),
    )
    with interruptible() as stop, progress_bar(args.progress) as progress:
        try:
            report = animate_file(args.still, args.drive, args.output, config, stop=stop, progress=progress)
        except Stopped:
            return _nothing_written()
    print(f"{args.output}: {report.frames} frames; the drive rests at frame {report.rest}")
    return _told(args, report.notes, report.frames, complete=report.complete)


def _refine(args: argparse.Namespace) -> int:
    from stream.progress import interruptible, progress_bar
    from stream.refine import refine_folder

    with interruptible() as stop, progress_bar(args.progress) as progress:
        report = refine_folder(args.folder, args.fill_weights, args.device, stop=stop, progress=progress)
    done = f"{report.frames} frames made anew, {report.bridged} of them bridged"
    print(f"{args.folder}: {done}, {report.invented} with invented parts")
    for line in (*report.notes, *(f"written: {path}" for path in report.outputs)):
        print(f"  {line}")
    if not report.complete:
        print("livery: interrupted; the rest can be made later", file=sys.stderr)
        return INTERRUPTED
    return OK


def _told(args: argparse.Namespace, notes: Sequence[str], frames: int, *, complete: bool) -> int:
    """Print what a user should know; the exit code."""
    for note in notes:
        print(f"  {note}")
    if not complete:
        print(f"livery: interrupted; {args.output} holds the first {frames} frames", file=sys.stderr)
        return INTERRUPTED
    return OK


def _nothing_written() -> int:
    print("livery: interrupted; nothing was written", file=sys.stderr)
    return INTERRUPTED


def _check_report(args: argparse.Namespace) -> None:
    """See, before the work, that the report can be written."""
    if args.report is None:
        return
    from stream.paths import check_output, check_writable

    if args.report in (args.source, args.edited, args.edited_end, args.output):
        raise UsageError(f"{args.report}: the report needs a name of its own")
    check_output(args.report, args.overwrite)
    check_writable(args.report)


def _bench(args: argparse.Namespace) -> int:
    names = _benchmarks()
    if args.name is None:
        print("\n".join(names))
        return OK
    if args.name not in names:
        raise UsageError(f"no benchmark {args.name!r}; there are {', '.join(names)}")
    return _hand_over(args, f"benchmarks.{args.name}")


def _benchmarks() -> list[str]:
    """Modules of `benchmarks` that can be run, found without importing them."""
    import benchmarks

    names = []
    for module in pkgutil.iter_modules(benchmarks.__path__):
        path = Path(benchmarks.__path__[0]) / f"{module.name}.py"
        if path.is_file() and "\ndef configure(" in path.read_text(encoding="utf-8"):
            names.append(module.name)
    return sorted(names)


def _train(args: argparse.Namespace) -> int:
    if args.name is None:
        print("\n".join(sorted(TRAININGS)))
        return OK
    return _hand_over(args, TRAININGS[args.name])


def _hand_over(args: argparse.Namespace, module_name: str) -> int:
    """Run a module that offers `configure(parser)` and `run(args) -> int`."""
    module: ModuleType = importlib.import_module(module_name)
    summary = (module.__doc__ or "").strip().partition("\n")[0]
    options = argparse.ArgumentParser(prog=f"livery {args.verb} {args.name}", description=summary)
    module.configure(options)
    chosen = options.parse_args(args.rest)
    check_device(getattr(chosen, "device", "cpu"))
    code: int = module.run(chosen)
    return code


def _doctor(args: argparse.Namespace) -> int:
    from stream.doctor import examine

    failed = []
    for finding in examine():
        sign = {True: "ok  ", None: "--  ", False: "FAIL"}[finding.ok]
        print(f"{sign} {finding.name}: {finding.text}", flush=True)
        if finding.ok is False:
            failed.append(finding.name)
    if failed:
        print(f"livery: failed: {', '.join(failed)}", file=sys.stderr)
        return FAILED
    return OK


RUNS: dict[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "demo": _demo,
    "edit": _edit,
    "reference": _reference,
    "smooth": _smooth,
    "animate": _animate,
    "refine": _refine,
    "bench": _bench,
    "train": _train,
    "doctor": _doctor,
}
