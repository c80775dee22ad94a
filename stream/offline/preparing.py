"""What file mode does before the first frame: it checks names, finds references and aligns pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from correspondence import detect_landmarks
from reference import Alignment, Edit, EditError
from reference.looks.drawn import edit_of
from reference.looks.layers import Layer, StickerLayer
from stream.media.encoders import KEEPS_ALPHA
from stream.media.pictures import Picture
from stream.media.probe import VideoInfo, probe
from stream.media.untrusted import MediaError
from stream.offline.config import FileConfig
from stream.offline.editing import Progress
from stream.offline.paths import check_inputs, check_paths
from stream.offline.references import (
    ClipReference,
    find_reference,
    frame_at,
    nearer_frame,
    pick_pair,
    read_picture,
)
from stream.offline.report import EditReport
from stream.offline.shape import BROUGHT, aligned, as_stored
from stream.offline.span import Span
from stream.offline.turned import turned_edit, turned_note

MUCH = 0.1  # share of the reference from which it is asked whether another frame was edited
MOST = 8  # edited pictures of a clip
SLACK_S = 1.0  # by so much a clip may be longer than its frames and their rate say
LAYERS = "write .mov (prores), .webm (vp9), .mkv with --codec ffv1, or .png pictures"


@dataclass(frozen=True, slots=True)
class EditedPictures:
    """The edited pictures of a clip. They are checked.

    Attributes:
        first: the edited picture of the reference.
        end: the edited picture of a later frame, into which the first edit turns. None for one edit.
        further: edited pictures of further frames, each with its frame's number. They show the same edit
            where the first picture does not show it.
    """

    first: Path
    end: Path | None = None
    further: tuple[tuple[int, Path], ...] = ()

    def __post_init__(self) -> None:
        if self.end is not None and self.further:
            raise ValueError("an edit that turns into another one takes two edited pictures, not more")
        numbers = [number for number, _ in self.further]
        if any(number < 0 for number in numbers):
            raise ValueError(f"frames are counted from 0, got {min(numbers)}")
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"each frame takes one edited picture, got the frames {numbers}")
        if len(numbers) > MOST - 1:
            raise ValueError(f"a clip takes at most {MOST} edited pictures, got {len(numbers) + 1}")

    @property
    def paths(self) -> tuple[Path, ...]:
        """All pictures, the first one first."""
        ends = () if self.end is None else (self.end,)
        return (self.first, *ends, *(path for _, path in self.further))


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a run before its first frame.

    Attributes:
        info: the clip.
        references: the reference of each edited picture.
        edits: the edit of each, in the same order.
        report: the report so far.
        span: the part of the clip to write. None for all of it.
    """

    info: VideoInfo
    references: list[ClipReference]
    edits: list[Edit]
    report: EditReport
    span: Span | None


def prepare(
    source: Path,
    edited: EditedPictures,
    output: Path | None,
    config: FileConfig,
    stop: Callable[[], bool],
    progress: Progress,
) -> Prepared:
    """Check the names, read the clip and align the edited pictures with their references.

    Raises:
        MediaError, EditError, SearchStopped: see `files.edit_file`.
    """
    paths = edited.paths
    check_inputs((source, *paths))
    if output is not None:
        check_paths((source, *paths), output, config.overwrite)
        config.encoder.resolve(output)
    info = probe(source, config.deinterlace)
    if config.layer:
        info = replace(info, alpha=True)
    if output is not None:
        codec = config.encoder.resolve(output, info)
        if config.layer and codec not in (*KEEPS_ALPHA.values(), "png", "webp"):
            raise MediaError(f"{output}: {codec} holds no transparency, which a layer needs; {LAYERS}")
    if config.span is not None:
        _check_span(config.span, info)
    pictures = [read_picture(path, info.space) for path in paths]
    brought = [as_stored(picture, info) for picture in pictures]
    squeezed = any(a is not b for a, b in zip(brought, pictures, strict=True))
    pictures = brought
    references = _references(info, pictures[: 1 if edited.end is None else 2], config, stop, progress)
    references += [frame_at(info, number) for number, _ in edited.further]
    found = [_aligned(*each, info) for each in zip(paths, references, pictures, strict=True)]
    alignments, pictures = [alignment for alignment, _ in found], [picture for _, picture in found]
    quarters = references[0].quarters
    edits = [
        turned_edit(Edit(r.image, alignment.image, config.mode, config.strength), quarters)
        for r, alignment in zip(references, alignments, strict=True)
    ]
    edits = [_with_stickers(source, edit, config.stickers) for edit in edits]
    report = _report(source, output, info, config, references, alignments)
    report.notes += [picture.remark for picture in pictures if picture.remark is not None]
    if squeezed:
        report.notes.append(BROUGHT.format(*info.size[::-1]))
    if quarters:
        report.notes.append(turned_note(quarters))
    report.mask_share = float((edits[0].mask > 0).mean())
    if isinstance(config.reference, int) and edited.end is None and report.mask_share > MUCH:
        report.other_frame = nearer_frame(info, references[0], pictures[0], stop)
    if all(edit.is_empty for edit in edits):
        report.notes.append(
            "the edited picture shows no edit, so nothing changes: was it saved after you edited it?"
        )
    span = _preview(config.preview_s, info, references[0]) if config.preview_s else config.span
    if span is not None:
        report.frames_expected = 0  # what the header announces is of the whole clip
    if edited.end is not None and references[1].index is not None:
        report.end = (references[1].index, references[1].note, alignments[1].note)
    for reference, alignment in zip(references[1:], alignments[1:], strict=True):
        if edited.further:
            said = f"; {alignment.note}" if alignment.note else ""
            report.notes.append(f"edited too: {reference.note}{said}")
    return Prepared(info, references, edits, report, span)


def _aligned(
    path: Path, reference: ClipReference, picture: Picture, info: VideoInfo
) -> tuple[Alignment, Picture]:
    """Align an edited picture with its reference (see `shape.aligned`). An error names the file."""
    try:
        return aligned(reference.image, picture, info.space)
    except EditError as exc:
        raise EditError(f"{path}: {exc}") from exc


def _length_s(info: VideoInfo) -> float:
    """Length of a clip by its frames and their average rate, seconds."""
    return float(info.frames / info.rate)


def _with_stickers(source: Path, edit: Edit, layers: Sequence[Layer]) -> Edit:
    """Lay the stickers that the head carries on an edit.

    Raises:
        MediaError: the frame shows no face.
    """
    if not any(isinstance(layer, StickerLayer) and layer.rigid and layer.shown for layer in layers):
        return edit
    landmarks = detect_landmarks(edit.reference)
    if landmarks is None:
        raise MediaError(
            f"{source}: a sticker lies on a face, but the edited frame shows none; choose another one with "
            "--reference"
        )
    return replace(edit, stickers=edit_of(edit.reference, landmarks, layers, drawn=edit.edited).stickers)


def _check_span(span: Span, info: VideoInfo) -> None:
    length_s = _length_s(info)
    if span.start_s >= length_s + SLACK_S:
        raise MediaError(
            f"{info.path}: the part to edit starts at {span.start_s:g} s, the clip is {length_s:.1f} s long; "
            "name an earlier start"
        )


def _preview(length_s: float, info: VideoInfo, reference: ClipReference) -> Span | None:
    """Choose a part of this length about the edited frame. None if the clip is no longer than that."""
    whole_s = _length_s(info)
    if whole_s <= length_s:
        return None
    middle_s = whole_s / 2 if reference.time_s is None else reference.time_s
    start_s = min(max(0.0, middle_s - length_s / 2), whole_s - length_s)
    return Span(start_s, start_s + length_s)


def _report(
    source: Path,
    output: Path | None,
    info: VideoInfo,
    config: FileConfig,
    references: list[ClipReference],
    alignments: list[Alignment],
) -> EditReport:
    """What is known of a run before its first frame."""
    return EditReport(
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
    return [find_reference(info, config.reference, pictures[0], stop, seen, config.why)]
