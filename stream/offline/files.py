"""File mode: carries an edit of one frame of a clip onto all its frames and keeps timing and sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from correspondence import Matcher
from inpaint.weights import NO_WEIGHTS
from reference import Between, KeeperConfig, Propagator, PropagatorConfig, UserKeyframe
from stream.filling.look_painter import with_painter
from stream.media.picture_writer import output_notes
from stream.media.pictures import encode_png
from stream.media.probe import probe
from stream.media.untrusted import MediaError
from stream.media.writer import temporary_name
from stream.offline.config import FileConfig
from stream.offline.editing import EditingPass, Progress
from stream.offline.made import DirectFill, FrameEditor, Inventing, Inventor, make_filler
from stream.offline.paths import check_output
from stream.offline.preparing import EditedPictures, Prepared, prepare
from stream.offline.references import ClipReference, frame_at, pick_reference
from stream.offline.report import EditReport
from stream.offline.turned import Turned
from stream.processes import replace_file

# Clips need not be edited in real time, so keyframes are made in step and are the same on each run.
REFERENCES = KeeperConfig(background=False, pair_match_s=10.0, max_match_s=10.0)


def edit_file(
    source: Path,
    edited: Path,
    output: Path,
    config: FileConfig | None = None,
    *,
    edited_end: Path | None = None,
    further: Sequence[tuple[int, Path]] = (),
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
    warn: Callable[[str], None] = lambda text: None,
) -> EditReport:
    """Carry the edit that `edited` shows onto every frame of `source`.

    With `edited_end`, an edit of a later frame, the first edit gradually turns into the second (see
    `reference.Between`).

    The output has the input's frames, time stamps, rotation, colour tags, sound and subtitles. Frames are
    edited upright and turned back, so that the rotation flag stays. Damaged parts of the input are left out
    and reported. The output appears under its name only when it is whole.

    Args:
        source: a video file.
        edited: PNG, JPEG or WebP of the edited frame. Transparent parts are unedited.
        output: .mp4, .m4v, .mov, .mkv or .webm. The last two store times to the millisecond.
        config: settings.
        edited_end: edited picture of a later frame. None for one edit throughout.
        further: edited pictures of further frames with the frames' numbers. They show the same edit in other
            views, such as a turned head.
        stop: called at each frame. True finishes the file early.
        progress: called after each frame.
        warn: called before the first frame with what is doubtful about the edited picture, if anything is.

    Raises:
        ValueError: a setting is outside its range, or the edited pictures do not go together.
        MediaError: a file cannot be read, written or used in this way.
        EditError: the edited picture does not fit the reference.
        WeightsError: there are no weights for the chosen matcher.
        SearchStopped: `stop` returned True before the first frame was edited. Nothing was written.
    """
    config = config or FileConfig()
    ready = prepare(
        source, EditedPictures(edited, edited_end, tuple(further)), output, config, stop, progress
    )
    report = ready.report
    for told in report.doubts():
        warn(told)
    kind = "thorough" if config.fill and config.matcher == "auto" else config.matcher
    matcher = Matcher.load(kind, config.device)
    report.matcher = matcher.kind
    carrier = _carrier(ready, matcher, config, stop, progress, turns=edited_end is not None)
    editing = EditingPass(
        ready.info,
        report,
        span=ready.span,
        layer=config.layer,
        mark_text=config.mark,
        beside=config.side_by_side,
        trust=config.confidence,
        encoder=config.encoder,
        stop=stop,
        progress=progress,
    )
    try:
        editing.edit(carrier, output)
    finally:
        carrier.close()
    if config.preview_s and ready.span is not None:
        report.notes.append(report.estimate())
    return report


def try_edit(
    source: Path,
    edited: Path,
    output: Path | None,
    config: FileConfig | None = None,
    *,
    edited_end: Path | None = None,
    further: Sequence[tuple[int, Path]] = (),
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
) -> EditReport:
    """Report what `edit_file` would do, without doing it: placement and size of the edit, and notes.

    Args:
        output: the output file. None if only the edit matters.

    Other arguments and errors are those of `edit_file`.
    """
    config = config or FileConfig()
    ready = prepare(
        source, EditedPictures(edited, edited_end, tuple(further)), output, config, stop, progress
    )
    if output is not None:
        ready.report.notes += output_notes(
            ready.info, output, config.encoder, beside=config.side_by_side, alone=config.layer
        )
    return ready.report


def _carrier(
    ready: Prepared,
    matcher: Matcher,
    config: FileConfig,
    stop: Callable[[], bool],
    progress: Progress,
    *,
    turns: bool,
) -> FrameEditor:
    """Make the object that carries an edit, or with `turns` the transition between two edits, onto frames."""
    painted = None
    if config.fill and not turns:
        painted = with_painter(
            ready.edits, config.learn_s, stop=stop, progress=progress, say=ready.report.notes.append
        )
    edits = painted or ready.edits
    wants_model = (config.fill or config.fill_weights) and painted is None
    weights = config.fill_weights if wants_model else Path(NO_WEIGHTS)
    filler, about = make_filler(weights, config.device)
    carrier: FrameEditor
    if turns:
        start_s, end_s = (reference.time_s for reference in ready.references)
        assert start_s is not None
        assert end_s is not None
        worn = PropagatorConfig(faces=config.faces)
        carrier = Between(*ready.edits, start_s=start_s, end_s=end_s, matcher=matcher, config=worn)
    else:
        worn = PropagatorConfig(references=REFERENCES, faces=config.faces)
        propagator = Propagator(None, matcher, config=worn, fill=DirectFill(filler))
        propagator.put_on(propagator.workshop.outfit([UserKeyframe(edit=edit) for edit in edits]))
        carrier = propagator
    if config.fill and painted is None:
        ready.report.notes.append(about)
        carrier = Inventing(carrier, Inventor(filler, ready.edits))
    quarters = ready.references[0].quarters
    return Turned(carrier, quarters) if quarters else carrier


def save_reference(
    source: Path,
    output: Path,
    at: int | None = None,
    *,
    overwrite: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
) -> ClipReference:
    """Save the frame of a clip that is best as reference, to be edited.

    Args:
        source: a video file.
        output: the PNG to write.
        at: number of the frame to save instead, counted from 0.
        overwrite: whether to replace an existing file.
        stop: called at each frame. True stops the search.
        progress: called after each frame.

    Raises:
        MediaError: a file cannot be read or written, there is no face, or there is no such frame.
        SearchStopped: `stop` returned True. Nothing was written.
    """
    if output.suffix.lower() != ".png":
        raise MediaError(f"{output}: the reference is saved as .png, so that nothing of it is lost")
    check_output(output, overwrite)
    info = probe(source)
    if at is None:
        picked = pick_reference(info, None, stop, lambda done: progress("reference", done, info.frames))
    else:
        picked = frame_at(info, at)
    temporary = temporary_name(output)
    try:
        temporary.write_bytes(encode_png(picked.image, info.space))
        replace_file(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
    return picked
