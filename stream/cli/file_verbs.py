"""The verbs for files: edit, reference, smooth, animate and refine."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from stream.cli.exits import FAILED, INTERRUPTED, OK, UsageError
from stream.cli.options import PREVIEW_S

if TYPE_CHECKING:
    from stream.offline.report import EditReport

CHOSEN = "the best frame of the clip"  # why a frame was edited that nobody named
LOOKING = 0.2  # share of the progress bar for finding a clip's reference, [0, 1]
Progress = Callable[[str, int, int], None]


def edit(args: argparse.Namespace) -> int:
    """Carry an edit through a clip, or through several clips into a folder."""
    from stream.cli.progress import interruptible, progress_bar
    from stream.offline.references import SearchStopped

    _check_edit(args)
    if len(args.sources) > 1 or args.sources[0].is_dir() or (args.output and args.output.is_dir()):
        return _edit_several(args)
    _check_report(args)
    with interruptible() as stop, progress_bar(args.progress) as progress:
        try:
            report = _edited(args, args.sources[0], args.output, stop, progress)
        except SearchStopped:
            return _nothing_written()
    print("\n".join(report.forecast() if args.dry_run else report.summary()))
    if args.report is not None:
        report.write(args.report)
    if not report.complete:
        print(f"livery: interrupted; {args.output} holds the first {report.frames} frames", file=sys.stderr)
        return INTERRUPTED
    return OK


def _check_edit(args: argparse.Namespace) -> None:
    """Check, before any work, that the options of `edit` fit together."""
    from stream.looks.choice import layers_of, parse_preset, parse_sticker

    args.drawn = layers_of(map(parse_preset, args.preset), map(parse_sticker, args.sticker))
    _sort_edited(args)
    shown = args.edited is not None or bool(args.drawn) or args.look is not None
    if shown == (args.prompt is not None):
        raise UsageError(
            "say what to wear, in one of these ways: --edited PICTURE (the edited frame), --preset or "
            "--sticker (drawn on it), or both; --look FILE (a look file); --prompt WORDS"
        )
    _check_look(args)
    if args.prompt is not None and args.prompt_model is None:
        raise UsageError("--prompt needs --prompt-model: the folder of an InstructPix2Pix model, or its id")
    if args.prompt_controlnet is not None and args.prompt_model is None:
        raise UsageError("--prompt-controlnet needs --prompt-model, the inpainting model that it steers")
    if args.edited_end is None and args.reference_end != "auto":
        raise UsageError("--reference-end names the frame of --edited-end, which is missing")
    if args.further and (args.drawn or args.edited_end is not None):
        raise UsageError("several --edited frames cannot go with --preset, --sticker or --edited-end")
    if args.edited_end is not None and args.drawn:
        raise UsageError("--preset and --sticker cannot go with --edited-end: draw them into both pictures")
    if args.output is None and not args.dry_run:
        raise UsageError("-o OUT is missing: where to write the clip (or --dry-run, to look first)")


def _check_look(args: argparse.Namespace) -> None:
    """Check the options of look files, and read the file once for all clips."""
    if args.look is None:
        if args.own_look:
            raise UsageError("--own-look goes with --look, which is missing: name the look file")
        return
    if args.edited is not None or args.edited_end is not None:
        raise UsageError("--look cannot go with --edited or --edited-end: each says what is worn")
    if args.own_look and args.reference != "auto":
        raise UsageError("--own-look brings the look's own still, so leave out --reference")
    from stream.offline.look_clip import read_look

    args.worn = read_look(args.look, args.drawn)


def _sort_edited(args: argparse.Namespace) -> None:
    """Take the values of --edited apart: the first picture, its frame, and the further frames' pictures."""
    pictures = [_numbered(text) for text in args.edited or ()]
    args.edited, args.further = None, []
    if not pictures:
        return
    (number, args.edited), *further = pictures
    if number is not None and args.reference != "auto":
        raise UsageError(f"--edited {number}=… and --reference both name the frame; leave one out")
    if number is not None:
        args.reference = number
    for at, picture in further:
        if at is None:
            raise UsageError(
                f"{picture}: each further edited frame needs its number, as in --edited 120=PICTURE"
            )
        args.further.append((at, picture))


def _numbered(text: str) -> tuple[int | None, Path]:
    """Take N=PICTURE apart. A file whose own name reads so is a picture without a number."""
    number, equals, name = text.partition("=")
    if not equals or not number.isascii() or not number.isdigit() or Path(text).exists():
        return None, Path(text)
    return int(number), Path(name)


def _edited(
    args: argparse.Namespace,
    source: Path,
    output: Path | None,
    stop: Callable[[], bool],
    progress: Progress,
) -> EditReport:
    """Edit one clip. With --dry-run, print what would be done instead."""
    from stream.media.encoders import FileEncoderConfig
    from stream.offline.config import FileConfig
    from stream.offline.files import edit_file, try_edit
    from stream.offline.span import Span

    part = args.start_s is not None or args.end_s is not None
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
        faces=args.faces,
        deinterlace=args.deinterlace,
        span=Span(args.start_s or 0.0, inf if args.end_s is None else args.end_s) if part else None,
        preview_s=PREVIEW_S if args.preview else 0.0,
        layer=args.layer,
        mark=args.mark,
        encoder=FileEncoderConfig(codec=args.codec, crf=args.crf),
    )
    with tempfile.TemporaryDirectory() as folder:
        edited, notes = args.edited, list[str]()
        if args.look is not None:
            mode = args.worn.mode if args.mode == "auto" else args.mode
            config = replace(config, mode=mode, strength=args.strength * args.worn.strength)
        if args.prompt is not None or args.drawn or args.look is not None:
            from stream.offline.paths import check_inputs, check_paths

            inputs = (source, *([] if edited is None else [edited]))
            check_inputs(inputs)
            if output is not None:
                check_paths(inputs, output, args.overwrite)
            at, edited, notes = _dressed(args, source, Path(folder), stop, progress)
            config = replace(config, reference=at, why=config.why if args.reference == at else CHOSEN)
            config = replace(config, stickers=args.drawn if args.look is None else args.worn.layers)
        more = {"edited_end": args.edited_end, "further": args.further, "stop": stop, "progress": progress}
        if output is None or args.dry_run:
            report = try_edit(source, edited, output, config, **more)
        else:
            report = edit_file(source, edited, output, config, warn=partial(_warn, source), **more)
    report.notes[:0] = notes
    return report


def _warn(source: Path, text: str) -> None:
    """Say before the work what is doubtful about an edited picture."""
    print(f"livery: {source.name}: {text}", file=sys.stderr)


def _dressed(
    args: argparse.Namespace, source: Path, folder: Path, stop: Callable[[], bool], progress: Progress
) -> tuple[int | Path, Path, list[str]]:
    """Return the reference of a clip, its edited picture, made by layers or by words, and notes on it."""
    if args.look is not None:
        from stream.offline.look_clip import edit_by_look, own_pictures

        if args.own_look:
            return *own_pictures(args.worn, folder), []
        return edit_by_look(source, args.reference, args.worn, folder, stop, progress)
    if args.drawn:
        from stream.offline.dressing import edit_by_layers

        return edit_by_layers(source, args.reference, args.drawn, folder, args.edited, stop, progress)
    from stream.prompting.service import PromptModel, edit_by_words

    model = PromptModel(model=args.prompt_model, controlnet=args.prompt_controlnet, device=args.device)
    return *edit_by_words(source, args.reference, args.prompt, model, folder, stop, progress), []


def _edit_several(args: argparse.Namespace) -> int:
    """Edit clips into a folder. A clip that fails is reported, and the others are done."""
    from stream.cli.progress import clips_bar, interruptible
    from stream.offline.batch import clips_of, edit_clips, outputs_of

    if args.report is not None:
        raise UsageError("--report tells of one clip; leave it out where there are several")
    if args.dry_run:
        raise UsageError("--dry-run tells of one clip; name one")
    sources = clips_of(args.sources)
    outputs = outputs_of(sources, args.output)
    args.output.mkdir(parents=True, exist_ok=True)

    def edit_clip(source: Path, output: Path, told: Callable[[float], None]) -> EditReport:
        def progress(phase: str, done: int, expected: int) -> None:
            if phase == "look":  # in the middle of editing
                return
            share = min(1.0, done / expected) if expected else 0.0
            told((LOOKING * share) if phase != "edit" else LOOKING + (1 - LOOKING) * share)

        return _edited(args, source, output, stop, progress)

    with interruptible() as stop, clips_bar(len(sources), args.progress) as shown:
        report = edit_clips(sources, outputs, edit_clip, overwrite=args.overwrite, stop=stop, progress=shown)
    print("\n".join(report.summary(len(sources))))
    if not report.complete:
        print("livery: interrupted; run it again for the rest", file=sys.stderr)
        return INTERRUPTED
    return FAILED if report.failed else OK


def reference(args: argparse.Namespace) -> int:
    """Save a frame of a clip, to be edited."""
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
            report = animate_file(
                args.still, args.drive, args.output, config,
                stop=stop, progress=progress, say=partial(_warn, args.still),
            )  # fmt: skip
        except SearchStopped:
            return _nothing_written()
    print(f"{args.output}: {report.frames} frames; the drive rests at frame {report.rest}")
    return _told(args, report.notes, report.frames, complete=report.complete)


def refine(args: argparse.Namespace) -> int:
    """Finish recordings whose refined half is incomplete."""
    from stream.cli.progress import interruptible, progress_bar
    from stream.recording.refine import refine_folder

    with interruptible() as stop, progress_bar(args.progress) as progress:
        report = refine_folder(
            args.folder, args.fill_weights, args.device,
            fill=args.fill, stop=stop, progress=progress, say=partial(_warn, args.folder),
        )  # fmt: skip
    done = f"{report.frames} frames made anew, {report.bridged} of them bridged"
    print(f"{args.folder}: {done}, {report.invented} with invented parts")
    for line in (*report.notes, *(f"written: {path}" for path in report.outputs)):
        print(f"  {line}")
    if not report.complete:
        print("livery: interrupted; the rest can be made later", file=sys.stderr)
        return INTERRUPTED
    if report.failed:
        print(f"livery: {len(report.failed)} of the folder's files could not be used", file=sys.stderr)
        return FAILED
    return OK


def _told(args: argparse.Namespace, notes: Sequence[str], frames: int, *, complete: bool) -> int:
    """Print the notes for the user and return the exit code."""
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
    """Check, before the work, that the report can be written."""
    if args.report is None:
        return
    from stream.offline.paths import check_output, check_writable

    others = (args.edited, args.edited_end, args.output, *(picture for _, picture in args.further))
    if args.report in (*args.sources, *others):
        raise UsageError(f"{args.report}: the report needs a name of its own")
    check_output(args.report, args.overwrite)
    check_writable(args.report)
