"""File mode: carries an edit of one frame of a clip onto all its frames and keeps timing and sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from correspondence import Matcher
from inpaint.fills.jobs import Filler
from inpaint.weights import NO_WEIGHTS
from reference import (
    MODES,
    Alignment,
    Between,
    Edit,
    KeeperConfig,
    Mode,
    Propagator,
    PropagatorConfig,
    align_edited,
)
from stream.media.encoders import FileEncoderConfig
from stream.media.picture_writer import output_notes
from stream.media.pictures import Picture, encode_png
from stream.media.probe import VideoInfo, probe
from stream.media.untrusted import MediaError
from stream.media.writer import temporary_name
from stream.offline.editing import EditingPass, Progress
from stream.offline.made import DirectFill, FrameEditor, Inventing, Inventor, make_filler
from stream.offline.paths import check_inputs, check_output, check_paths
from stream.offline.references import (
    ClipReference,
    frame_at,
    over,
    pick_pair,
    pick_reference,
    picture_reference,
    read_picture,
)
from stream.offline.report import EditReport
from stream.offline.shape import BROUGHT, as_stored
from stream.offline.turned import Turned, turned_edit, turned_note
from stream.processes import replace_file

# Clips need not be edited in real time, so keyframes are made in step and are the same on each run.
REFERENCES = KeeperConfig(background=False, pair_match_s=10.0, max_match_s=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileConfig:
    """Settings of `edit_file`. The ranges are checked.

    Attributes:
        reference: number of the frame that was edited, counted from 0, or "auto" for the best frame or the
            one that the edited picture resembles, or a picture file.
        reference_end: number of the frame that was edited for the end, or "auto" for the frame that its
            picture resembles most. With a picture for the end, "auto" means the same for `reference`.
        mode, strength: see `reference.Edit`.
        matcher, device: see `correspondence.Matcher.load`. With `fill`, "auto" means the thorough matcher,
            since the fill takes time for each frame anyway.
        side_by_side: whether to write the input beside the result.
        overwrite: whether to replace an existing output.
        confidence: whether to report each frame's mean confidence, which costs time.
        fill: whether to invent uncertain places, if there are weights for it.
        fill_weights: see `inpaint.weights.chosen`. Without `fill`, only weights given here are used.
        faces: largest number of people in a frame who wear the edit, 1 to 4.
        deinterlace: whether to convert interlaced pictures to whole pictures.
        encoder: how to compress the output.
    """

    reference: int | Path | str = "auto"
    reference_end: int | Path | str = "auto"
    mode: Mode = "auto"
    strength: float = 1.0
    matcher: str = "auto"
    device: str = "cpu"
    side_by_side: bool = False
    overwrite: bool = False
    confidence: bool = False
    fill: bool = False
    fill_weights: Path | None = None
    faces: int = 1
    deinterlace: bool = False
    encoder: FileEncoderConfig = field(default_factory=FileEncoderConfig)

    def __post_init__(self) -> None:
        for name in ("reference", "reference_end"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{name} must be a frame's number from 0, got {value}")
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must lie in [0, 1], got {self.strength}")
        PropagatorConfig(faces=self.faces)  # checks it


def edit_file(
    source: Path,
    edited: Path,
    output: Path,
    config: FileConfig | None = None,
    *,
    edited_end: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
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
        stop: called at each frame. True finishes the file early.
        progress: called after each frame.

    Raises:
        MediaError: a file cannot be read, written or used in this way.
        EditError: the edited picture does not fit the reference.
        WeightsError: there are no weights for the chosen matcher.
        SearchStopped: `stop` returned True before the first frame was edited. Nothing was written.
    """
    config = config or FileConfig()
    ready = _prepared(source, (edited, edited_end), output, config, stop, progress)
    report, edits = ready.report, ready.edits
    kind = "thorough" if config.fill and config.matcher == "auto" else config.matcher
    matcher = Matcher.load(kind, config.device)
    report.matcher = matcher.kind
    weights = config.fill_weights if config.fill or config.fill_weights else Path(NO_WEIGHTS)
    filler, about = make_filler(weights, config.device)
    carrier = _carrier(edits, ready.references, matcher, filler, config.faces)
    if config.fill:
        report.notes.append(about)
        carrier = Inventing(carrier, Inventor(filler, edits))
    if quarters := ready.references[0].quarters:
        carrier = Turned(carrier, quarters)
    editing = EditingPass(
        ready.info,
        report,
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
    return report


def try_edit(
    source: Path,
    edited: Path,
    output: Path | None,
    config: FileConfig | None = None,
    *,
    edited_end: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
) -> EditReport:
    """Report what `edit_file` would do, without doing it: placement and size of the edit, and notes.

    Args:
        output: the output file. None if only the edit matters.

    Other arguments and errors are those of `edit_file`.
    """
    config = config or FileConfig()
    ready = _prepared(source, (edited, edited_end), output, config, stop, progress)
    if output is not None:
        ready.report.notes += output_notes(ready.info, output, config.encoder)
    return ready.report


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is known of a run before its first frame."""

    info: VideoInfo
    references: list[ClipReference]
    edits: list[Edit]
    report: EditReport


def _prepared(
    source: Path,
    edited: tuple[Path, Path | None],
    output: Path | None,
    config: FileConfig,
    stop: Callable[[], bool],
    progress: Progress,
) -> _Prepared:
    """Check the names, read the clip and align the edited pictures with their references."""
    paths = tuple(path for path in edited if path is not None)
    check_inputs((source, *paths))
    if output is not None:
        check_paths((source, *paths), output, config.overwrite)
        config.encoder.resolve(output)
    info = probe(source, config.deinterlace)
    if output is not None:
        config.encoder.resolve(output, info)
    pictures = [read_picture(path) for path in paths]
    brought = [as_stored(picture, info) for picture in pictures]
    squeezed = any(a is not b for a, b in zip(brought, pictures, strict=True))
    pictures = brought
    references = _references(info, pictures, config, stop, progress)
    alignments = [
        align_edited(r.image, over(picture, r.image)) for r, picture in zip(references, pictures, strict=True)
    ]
    quarters = references[0].quarters
    edits = [
        turned_edit(Edit(r.image, alignment.image, config.mode, config.strength), quarters)
        for r, alignment in zip(references, alignments, strict=True)
    ]
    report = _report(source, output, info, config, references, alignments)
    report.notes += [picture.remark for picture in pictures if picture.remark is not None]
    if squeezed:
        report.notes.append(BROUGHT.format(*info.size[::-1]))
    if quarters:
        report.notes.append(turned_note(quarters))
    report.mask_share = float((edits[0].mask > 0).mean())
    if all(edit.is_empty for edit in edits):
        report.notes.append("the edited picture equals its reference: nothing changes")
    return _Prepared(info, references, edits, report)


def _report(
    source: Path,
    output: Path | None,
    info: VideoInfo,
    config: FileConfig,
    references: list[ClipReference],
    alignments: list[Alignment],
) -> EditReport:
    """What is known of a run before its first frame."""
    report = EditReport(
        source=source,
        output=output,
        size=info.size,
        frames_held=info.frames,
        frames_expected=info.announced or info.frames,
        reference=str(config.reference) if references[0].index is None else references[0].index,
        reference_note=references[0].note,
        alignment=alignments[0].note,
        mode=config.mode,
        strength=config.strength,
        placement=str(alignments[0].placement),
        notes=list(info.notes),
    )
    if len(references) > 1 and references[1].index is not None:
        report.end = (references[1].index, references[1].note, alignments[1].note)
    return report


def _references(
    info: VideoInfo,
    pictures: list[Picture],
    config: FileConfig,
    stop: Callable[[], bool],
    progress: Progress,
) -> list[ClipReference]:
    """Find the reference of each edited picture."""

    def seen(done: int) -> None:
        progress("reference", done, info.frames)

    if len(pictures) > 1:
        asked = []
        for value in (config.reference, config.reference_end):
            if value != "auto" and not isinstance(value, int):
                raise MediaError(f"{value}: with two edits each reference must be a frame's number, or auto")
            asked.append(value if isinstance(value, int) else None)
        return list(pick_pair(info, (pictures[0], pictures[1]), (asked[0], asked[1]), stop, seen))
    if config.reference == "auto":
        return [pick_reference(info, pictures[0], stop, seen)]
    if isinstance(config.reference, int):
        return [frame_at(info, config.reference)]
    return [picture_reference(Path(config.reference), info)]


def _carrier(
    edits: list[Edit], references: list[ClipReference], matcher: Matcher, filler: Filler, faces: int
) -> FrameEditor:
    """Make the object that carries one edit, or the transition between two edits, onto frames."""
    if len(edits) == 1:
        worn = PropagatorConfig(references=REFERENCES, faces=faces)
        return Propagator(edits[0], matcher, config=worn, fill=DirectFill(filler))
    start_s, end_s = references[0].time_s, references[1].time_s
    assert start_s is not None
    assert end_s is not None
    config = PropagatorConfig(faces=faces)
    return Between(edits[0], edits[1], start_s=start_s, end_s=end_s, matcher=matcher, config=config)


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
        temporary.write_bytes(encode_png(picked.image))
        replace_file(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
    return picked
