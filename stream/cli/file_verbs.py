"""The command line's verbs for files: edit, reference, smooth, animate, refine."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stream.cli.exits import INTERRUPTED, OK, UsageError


def edit(args: argparse.Namespace) -> int:
    """Carry an edit through a clip."""
    from stream.cli.progress import interruptible, progress_bar
    from stream.media.encoders import FileEncoderConfig
    from stream.offline.files import FileConfig, edit_file, try_edit
    from stream.offline.references import SearchStopped

    if (args.edited is None) == (args.prompt is None):
        raise UsageError("give either --edited, the edited frame, or --prompt, the words to edit it by")
    if args.prompt is not None and args.prompt_model is None:
        raise UsageError("--prompt needs --prompt-model: the folder of an InstructPix2Pix model, or its id")
    if args.prompt_controlnet is not None and args.prompt_model is None:
        raise UsageError("--prompt-controlnet needs --prompt-model, the inpainting model that it steers")
    if args.edited_end is None and args.reference_end != "auto":
        raise UsageError("--reference-end names the frame of --edited-end, which is missing")
    if args.output is None and not args.dry_run:
        raise UsageError("-o OUT is missing: where to write the clip (or --dry-run, to look first)")
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
        deinterlace=args.deinterlace,
        encoder=FileEncoderConfig(codec=args.codec, crf=args.crf),
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
                from stream.prompting.service import PromptModel, edit_by_words

                model = PromptModel(
                    model=args.prompt_model, controlnet=args.prompt_controlnet, device=args.device
                )
                at, edited = edit_by_words(
                    args.source, args.reference, args.prompt, model, Path(folder), stop, progress
                )
                config = replace(config, reference=at)
            report = (try_edit if args.dry_run else edit_file)(
                args.source, edited, args.output, config,
                edited_end=args.edited_end, stop=stop, progress=progress,
            )  # fmt: skip
        except SearchStopped:
            return _nothing_written()
    print("\n".join(report.forecast() if args.dry_run else report.summary()))
    if args.report is not None:
        report.write(args.report)
    if not report.complete:
        print(f"livery: interrupted; {args.output} holds the first {report.frames} frames", file=sys.stderr)
        return INTERRUPTED
    return OK


def reference(args: argparse.Namespace) -> int:
    """Take a frame out of a clip, to be edited."""
    from stream.cli.progress import interruptible, progress_bar
    from stream.offline.files import save_reference
    from stream.offline.references import SearchStopped

    with interruptible() as stop, progress_bar(args.progress) as progress:
        try:
            picked = save_reference(
                args.source, args.output, args.at, overwrite=args.overwrite, stop=stop, progress=progress
            )
        except SearchStopped:
            return _nothing_written()
    print(f"{args.output}: {picked.note}")
    return OK


def smooth(args: argparse.Namespace) -> int:
    """Make the frames around cuts anew."""
    from stream.cli.progress import interruptible, progress_bar
    from stream.media.encoders import FileEncoderConfig
    from stream.offline.references import SearchStopped
    from stream.offline.smooth import SmoothConfig, smooth_file

    config = SmoothConfig(
        cuts=args.cut,
        frames=args.frames,
        weights=args.fill_weights,
        device=args.device,
        overwrite=args.overwrite,
        encoder=FileEncoderConfig(codec=args.codec, crf=args.crf),
    )
    with interruptible() as stop, progress_bar(args.progress) as progress:
        try:
            report = smooth_file(args.source, args.output, config, stop=stop, progress=progress)
        except SearchStopped:
            return _nothing_written()
    print(f"{args.output}: {report.frames} frames, {report.made} of them made anew")
    return _told(args, report.notes, report.frames, complete=report.complete)


def animate(args: argparse.Namespace) -> int:
    """Move a still as the face in a clip moves."""
    from stream.cli.progress import interruptible, progress_bar
    from stream.media.encoders import FileEncoderConfig
    from stream.offline.animate import AnimateConfig, animate_file
    from stream.offline.references import SearchStopped

    config = AnimateConfig(
        weights=args.fill_weights,
        device=args.device,
        overwrite=args.overwrite,
        encoder=FileEncoderConfig(codec=args.codec, crf=args.crf),
    )
    with interruptible() as stop, progress_bar(args.progress) as progress:
        try:
            report = animate_file(args.still, args.drive, args.output, config, stop=stop, progress=progress)
        except SearchStopped:
            return _nothing_written()
    print(f"{args.output}: {report.frames} frames; the drive rests at frame {report.rest}")
    return _told(args, report.notes, report.frames, complete=report.complete)


def refine(args: argparse.Namespace) -> int:
    """Finish recordings that were left unrefined."""
    from stream.cli.progress import interruptible, progress_bar
    from stream.recording.refine import refine_folder

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
    from stream.offline.paths import check_output, check_writable

    if args.report in (args.source, args.edited, args.edited_end, args.output):
        raise UsageError(f"{args.report}: the report needs a name of its own")
    check_output(args.report, args.overwrite)
    check_writable(args.report)
