"""A look: the user's edited pictures of a face and the settings with which they are worn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal, get_args

from correspondence import Image, Landmarks, Prepared, detect_landmarks
from correspondence.face.landmarks import MOST_FACES
from reference import MODES, Edit, Mode, Outfit, UserKeyframe, next_id, reference_score
from reference.keyframes.bank import BankConfig
from reference.looks.drawn import edit_of
from reference.looks.layers import Layer, PictureLayer, PresetLayer, StickerLayer
from stream.errors import RequestError

Overlay = Literal["none", "confidence"]
MAX_NAME = 40  # characters
EDIT_BYTES = 30  # per pixel of an edit: two pictures, difference, masks and layers
REFERENCE_BYTES = 6  # per pixel of a reference: the picture and its prepared form
KEYFRAME_BYTES = 17  # per pixel of a keyframe in the bank
NO_FACE = "no face was found in this picture: presets need one, and the edit will not follow a face"


@dataclass(frozen=True, slots=True)
class Settings:
    """How the edit is worn.

    Attributes:
        mode: how the edit is composed (see `reference.Edit`).
        strength: share of the change that is applied, [0, 1].
        enabled: whether the edit is shown. False shows the live picture.
        faces: largest number of people in the picture who wear it, 1 to 4; the server may allow fewer.
        overlay: "confidence" draws the field's confidence over the picture.

    Raises:
        RequestError: a value is not allowed.
    """

    mode: Mode = "auto"
    strength: float = 1.0
    enabled: bool = True
    overlay: Overlay = "none"
    faces: int = 1

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise RequestError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if isinstance(self.strength, bool) or not isinstance(self.strength, (int, float)):
            raise RequestError(f"strength must be a number in [0, 1], got {self.strength!r}")
        if not 0.0 <= self.strength <= 1.0:
            raise RequestError(f"strength must lie in [0, 1], got {self.strength}")
        if not isinstance(self.enabled, bool):
            raise RequestError(f"enabled must be true or false, got {self.enabled!r}")
        if self.overlay not in get_args(Overlay):
            raise RequestError(f"overlay must be none or confidence, got {self.overlay!r}")
        if type(self.faces) is not int or not 1 <= self.faces <= MOST_FACES:
            raise RequestError(f"faces must be a whole number from 1 to {MOST_FACES}, got {self.faces!r}")

    def patched(self, patch: Mapping[str, object]) -> Settings:
        """Return these settings with the values of `patch` replaced.

        Raises:
            RequestError: a name is unknown or a value is out of range.
        """
        unknown = sorted(set(patch) - {"mode", "strength", "enabled", "overlay", "faces"})
        if unknown:
            known = "known are mode, strength, enabled, overlay and faces"
            raise RequestError(f"unknown setting {', '.join(unknown)}", known)
        return replace(self, **patch)  # type: ignore[arg-type]  # checked by __post_init__


@dataclass(frozen=True, slots=True, eq=False)
class ReferencePicture:
    """A picture to edit, with its landmarks and score.

    Attributes:
        image: the picture, uint8 (H, W, 3).
        landmarks: landmarks of its face. None without a face.
        score: how good a reference it is, in [0, 1]. None without a face.
        taken_s: time at which it was live, on the pipeline's clock, seconds. 0 for an upload.
        id: unique among all keyframes.
        prepared: the picture made ready for matching, if that was done already.
        weakness: what lowers the score most, in words. "" if nothing does, or unknown.
    """

    image: Image
    landmarks: Landmarks | None
    score: float | None
    taken_s: float = 0.0
    id: int = field(default_factory=next_id)
    prepared: Prepared | None = None
    weakness: str = ""


@dataclass(frozen=True, slots=True)
class PresetChoice:
    """A preset as it was chosen. None as colour or strength means the preset's own."""

    name: str
    colour: str | None = None
    strength: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LookKeyframe:
    """A keyframe that the user edited.

    Attributes:
        edit: the edit of the reference's picture.
        reference: the picture that was edited. Its id names the keyframe.
        layers: what was drawn on it, the lowest layer first.
        was: the edit that the keyframe had before, if Livery had made the keyframe.
        version: changes with each edit.
    """

    edit: Edit
    reference: ReferencePicture
    layers: tuple[Layer, ...] = ()
    was: Edit | None = None
    version: int = field(default_factory=next_id)

    @property
    def image(self) -> Image:
        """The edited picture with its stickers, uint8 (H, W, 3)."""
        return self.edit.shown

    @property
    def preset(self) -> PresetLayer | None:
        """The uppermost layer, if it is a preset."""
        top = self.layers[-1] if self.layers else None
        return top if isinstance(top, PresetLayer) else None

    @property
    def note(self) -> str | None:
        """What was done to bring the uppermost picture to the reference's size. None if nothing was."""
        notes = (layer.note for layer in reversed(self.layers) if isinstance(layer, PictureLayer))
        return next(notes, None)

    def layer(self, number: int) -> Layer | None:
        """The layer of an id. None if there is none."""
        return next((layer for layer in self.layers if layer.id == number), None)

    def user_keyframe(self, prepared: Prepared | None) -> UserKeyframe:
        """Convert to the propagator's keyframe type.

        Args:
            prepared: used if the reference was not prepared before.
        """
        reference = self.reference
        return UserKeyframe(
            edit=self.edit, landmarks=reference.landmarks, prepared=reference.prepared or prepared,
            id=reference.id, made_s=reference.taken_s,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The pictures of a look. They are replaced as a whole, so that earlier ones can be restored.

    Attributes:
        reference: the picture taken last. It may not be edited yet.
        edits: the keyframes edited by hand. The first is the anchor of the others.
    """

    reference: ReferencePicture | None = None
    edits: tuple[LookKeyframe, ...] = ()

    @property
    def anchor(self) -> LookKeyframe | None:
        """The first edit. None if there is none."""
        return self.edits[0] if self.edits else None

    def find(self, keyframe: int) -> LookKeyframe | None:
        """The edit of a keyframe. None if the keyframe was not edited by hand."""
        return next((e for e in self.edits if e.reference.id == keyframe), None)

    def with_edit(self, new: LookKeyframe) -> Pictures:
        """Return these pictures with `new` in place of the same keyframe, or added at the end."""
        if self.find(new.reference.id) is None:
            return replace(self, edits=(*self.edits, new))
        same = new.reference.id
        return replace(self, edits=tuple(new if e.reference.id == same else e for e in self.edits))

    def without(self, keyframe: int) -> Pictures:
        """Return these pictures without one keyframe. Without the first, the next is the anchor."""
        edits = tuple(e for e in self.edits if e.reference.id != keyframe)
        reference = self.reference
        if reference is not None and reference.id == keyframe and edits:
            reference = edits[0].reference
        return Pictures(reference, edits)


@dataclass(slots=True, eq=False)
class Look:
    """A named look of a session.

    Attributes:
        id: unique id, for programs.
        name: for people.
        mode, strength: see `reference.Edit`.
        pictures: the pictures of the look.
        outfit: the pictures made ready to be worn. None without an edit.
        focus: id of the keyframe being edited. None for `pictures.reference`.
        held: the edit of a keyframe in focus that Livery made. Kept here, it is not lost meanwhile.
    """

    id: int
    name: str
    mode: Mode = "auto"
    strength: float = 1.0
    pictures: Pictures = field(default_factory=Pictures)
    outfit: Outfit | None = None
    focus: int | None = None
    held: LookKeyframe | None = None

    def has(self, keyframe: int) -> bool:
        """Whether this is the look's reference, or a keyframe that `keyframe` finds. Copies no picture."""
        reference, held = self.pictures.reference, self.held
        return (
            (reference is not None and reference.id == keyframe)
            or self.pictures.find(keyframe) is not None
            or (self.outfit is not None and self.outfit.keyframe(keyframe) is not None)
            or (held is not None and held.reference.id == keyframe)
        )

    def keyframe(self, keyframe: int) -> LookKeyframe | None:
        """Find a keyframe to edit: one of the user's, or one that Livery made and has not dropped."""
        found = self.pictures.find(keyframe)
        if found is not None:
            return found
        made = self.outfit.keyframe(keyframe) if self.outfit is not None else None
        if made is not None:
            reference = ReferencePicture(
                made.image, made.prepared.landmarks, None, made.made_s, made.id, made.prepared
            )
            carried = PictureLayer(image=made.edited, id=made.version, version=made.version)
            layers = (carried, *self.head_stickers())
            edit = edit_of(made.image, reference.landmarks, layers, drawn=made.edited)
            return LookKeyframe(edit, reference, layers, was=edit, version=made.version)
        held = self.held
        return held if held is not None and held.reference.id == keyframe else None

    def head_stickers(self) -> tuple[Layer, ...]:
        """The stickers that the head carries. They are no part of a picture that Livery drew."""
        anchor = self.pictures.anchor
        layers = () if anchor is None or anchor.reference.landmarks is None else anchor.layers
        return tuple(layer for layer in layers if isinstance(layer, StickerLayer) and layer.rigid)

    @property
    def focused(self) -> LookKeyframe | None:
        """The keyframe being edited. None if the reference is being edited."""
        return None if self.focus is None else self.keyframe(self.focus)

    @property
    def reference(self) -> ReferencePicture | None:
        """The picture that is being edited."""
        focused = self.focused
        return self.pictures.reference if focused is None else focused.reference

    @property
    def edited(self) -> LookKeyframe | None:
        """The edit of the keyframe in focus, else the look's first edit."""
        return self.focused or self.pictures.anchor


def checked_name(name: object) -> str:
    """Check a look's name and strip its surrounding spaces.

    Raises:
        RequestError: the name is no text, is empty or too long, or has control characters.
    """
    if not isinstance(name, str):
        raise RequestError(f"a look's name must be text, got {name!r}")
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME:
        raise RequestError(f"a look's name must have 1 to {MAX_NAME} characters, got {len(name)}")
    if not name.isprintable():
        raise RequestError("a look's name must have no line breaks or control characters")
    return name


def free_name(looks: Iterable[Look], wanted: str | None) -> str:
    """Return the wanted name if no look has it, else "Look N"."""
    taken = {look.name for look in looks}
    if wanted is not None and wanted not in taken:
        return wanted
    return next(name for number in count(2) if (name := f"Look {number}") not in taken)


def memory(pictures: Iterable[Pictures]) -> int:
    """Estimate the memory of edits in bytes. Pictures that several looks share are counted once."""
    references: dict[int, int] = {}
    edits: dict[int, int] = {}
    layers: dict[int, int] = {}
    for each in pictures:
        for e in each.edits:
            edits[id(e.edit)] = EDIT_BYTES * (e.image.size // 3)
            layers |= {id(p): p.nbytes for layer in e.layers if (p := layer.pixels) is not None}
        for reference in (each.reference, *(e.reference for e in each.edits)):
            if reference is not None:
                references[reference.id] = REFERENCE_BYTES * (reference.image.size // 3)
    return sum(edits.values()) + sum(layers.values()) + sum(references.values())


def largest_px(max_bytes: int, bank: BankConfig) -> int:
    """Pixels of the largest reference whose edit fits both the session's memory and the bank."""
    return min(max_bytes // (EDIT_BYTES + REFERENCE_BYTES), int(bank.max_mib * 2**20) // KEYFRAME_BYTES)


def examine(image: Image, taken_s: float = 0.0) -> ReferencePicture:
    """Find landmarks and score of a picture and return it as a reference not yet taken. This is slow."""
    landmarks = detect_landmarks(image)
    if landmarks is None:
        return ReferencePicture(image, None, None, taken_s)
    rated = reference_score(image, landmarks)
    return ReferencePicture(image, landmarks, round(rated.total, 3), taken_s, weakness=rated.weakness)
