"""Converts a session's looks to a JSON record with pictures, and back."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar, cast

import numpy as np

from correspondence.types import LANDMARK_COUNT, Image, Landmarks
from reference import Edit, EditError, Mode
from reference.looks.drawn import edit_of
from reference.looks.layers import Layer, PictureLayer, PresetLayer, StickerLayer
from reference.looks.manifest import from_entry, to_entry
from stream.errors import RequestError
from stream.looks.describe import LIVE_BEGAN_S
from stream.looks.look import (
    Look,
    LookKeyframe,
    Overlay,
    Pictures,
    ReferencePicture,
    Settings,
    checked_name,
)
from stream.storage.errors import DamagedError, StorageError

Record = dict[str, object]
PictureKey = tuple[str, int]  # what the picture is, and the version of its reference or edit
PutPicture = Callable[[PictureKey, Image], str]
GetPicture = Callable[[str], Image]
T = TypeVar("T")
FIRST_FORM = 1  # of records without a "form"
FORM = 2  # form 2: an edit is a list of layers


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The part of a session that outlives the server.

    Attributes:
        looks: the looks in order, without outfits (see `frozen`).
        active: id of the look that is worn.
        enabled, overlay: see `Settings`.
        demo: whether the demo is the source.
        recordings: names of the recordings' folders.
    """

    looks: tuple[Look, ...]
    active: int
    enabled: bool = True
    overlay: Overlay = "none"
    demo: bool = False
    recordings: tuple[str, ...] = ()

    @property
    def mark(self) -> object:
        """A value that is equal for two snapshots of a session only if nothing has changed between them."""
        looks = tuple(
            (
                look.id, look.name, look.mode, look.strength, look.focus,
                look.pictures.reference and look.pictures.reference.id,
                tuple(e.version for e in look.pictures.edits),
            )
            for look in self.looks
        )  # fmt: skip
        return looks, self.active, self.enabled, self.overlay, self.demo, self.recordings


def frozen(look: Look) -> Look:
    """Copy a look in its present state, without what can be made again: its outfit and made keyframes."""
    own = look.focus is not None and look.pictures.find(look.focus) is not None
    return replace(look, outfit=None, held=None, focus=look.focus if own else None)


def to_record(snapshot: Snapshot, put: PutPicture) -> Record:
    """Convert a snapshot to JSON values.

    Args:
        snapshot: the session.
        put: stores a picture and returns its name.
    """
    references: dict[str, Record] = {}

    def refer(reference: ReferencePicture) -> int:
        if str(reference.id) not in references:
            references[str(reference.id)] = _reference_to(reference, put)
        return reference.id

    looks = [
        {
            "id": look.id,
            "name": look.name,
            "mode": look.mode,
            "strength": look.strength,
            "focus": look.focus,
            "reference": look.pictures.reference and refer(look.pictures.reference),
            "edits": [{**_edit_to(e, put), "reference": refer(e.reference)} for e in look.pictures.edits],
        }
        for look in snapshot.looks
    ]
    return {
        "form": FORM,
        "looks": looks,
        "references": references,
        "active": snapshot.active,
        "enabled": snapshot.enabled,
        "overlay": snapshot.overlay,
        "demo": snapshot.demo,
        "recordings": list(snapshot.recordings),
    }


def _reference_to(reference: ReferencePicture, put: PutPicture) -> Record:
    landmarks = reference.landmarks
    return {
        "picture": put(("reference", reference.id), reference.image),
        "landmarks": landmarks and base64.b64encode(landmarks.points.astype("<f4").tobytes()).decode(),
        "score": reference.score,
        "weakness": reference.weakness,
        "taken_at_s": LIVE_BEGAN_S + reference.taken_s if reference.taken_s else None,
    }


def _edit_to(edited: LookKeyframe, put: PutPicture) -> Record:
    return {
        "version": edited.version,
        "picture": put(("edit", edited.version), edited.edit.edited),
        "was": edited.was and put(("was", edited.version), edited.was.edited),
        "layers": [
            {**to_entry(layer, _put_pixels(put)), "id": layer.id, "version": layer.version}
            for layer in edited.layers
        ],
    }


def _put_pixels(put: PutPicture) -> Callable[[Layer, Image], str]:
    return lambda layer, pixels: put(("layer", layer.version), pixels)


@dataclass(slots=True)
class Reading:
    """Reads a record.

    Attributes:
        record: what `to_record` made.
        get: returns the picture of a name. Raises DamagedError if it cannot be used.
        problems: sentences for the user about what could not be read.
        names: names of the pictures that were read, by what they are and their version.
    """

    record: Mapping[str, object]
    get: GetPicture
    problems: list[str] = field(default_factory=list)
    names: dict[PictureKey, str] = field(default_factory=dict)
    _references: dict[int, ReferencePicture] = field(default_factory=dict)

    def snapshot(self) -> Snapshot:
        """Return the session. Damaged parts are left out and named in `problems`.

        Raises:
            StorageError: a newer Livery wrote it.
        """
        record = self.record
        form = record.get("form", FIRST_FORM)
        if not isinstance(form, int) or form > FORM:
            raise StorageError(f"it was written by a newer Livery (form {form}, this one knows {FORM})")
        entries = record.get("looks")
        looks = [self._look(entry) for entry in entries] if isinstance(entries, list) else []
        kept = [look for look in looks if look is not None]
        if not kept:
            if not looks:
                self.problems.append("its list of looks could not be read back")
            kept = [Look(1, "Look 1")]
        active = record.get("active")
        overlay = record.get("overlay")
        names = record.get("recordings")
        return Snapshot(
            looks=tuple(kept),
            active=active if active in [look.id for look in kept] else kept[0].id,
            enabled=record.get("enabled") is not False,
            overlay="confidence" if overlay == "confidence" else "none",
            demo=record.get("demo") is True,
            recordings=tuple(str(name) for name in names) if isinstance(names, list) else (),
        )

    def _look(self, entry: object) -> Look | None:
        name = entry.get("name") if isinstance(entry, dict) else None
        label = f"the look “{name}”" if isinstance(name, str) else "a look"
        try:
            entry = _of(dict, entry)
            settings = Settings(mode=cast(Mode, entry["mode"]), strength=_of(float, entry["strength"]))
            look = Look(_of(int, entry["id"]), checked_name(name), settings.mode, settings.strength)
        except (DamagedError, KeyError, RequestError):
            self.problems.append(f"{label}: its entry is damaged")
            return None
        reference = self._try(label, "its reference", partial(self._reference, entry["reference"]))
        edits = [
            self._try(label, f"keyframe {number}", partial(self._edit, edit))
            for number, edit in enumerate(_of(list, entry.get("edits", [])), 1)
        ]
        kept = tuple(edit for edit in edits if edit is not None)
        if reference is None and kept:
            reference = kept[0].reference
        look.pictures = Pictures(reference, kept)
        focus = entry.get("focus")
        look.focus = focus if isinstance(focus, int) and look.pictures.find(focus) else None
        return look

    def _try(self, label: str, part: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except DamagedError as exc:
            self.problems.append(f"{label}, {part}: {exc}")
        except (KeyError, TypeError, ValueError):
            self.problems.append(f"{label}, {part}: its entry is damaged")
        return None

    def _picture(self, what: str, version: int, name: object) -> Image:
        self.names[what, version] = _of(str, name)
        return self.get(_of(str, name))

    def _reference(self, version: object) -> ReferencePicture | None:
        if version is None:
            return None
        number = _of(int, version)
        if number in self._references:
            return self._references[number]
        entry = _of(dict, _of(dict, self.record["references"])[str(number)])
        image = self._picture("reference", number, entry["picture"])
        score, taken_at_s = entry["score"], entry["taken_at_s"]
        self._references[number] = ReferencePicture(
            image,
            _landmarks(entry["landmarks"], image),
            None if score is None else _of(float, score),
            0.0 if taken_at_s is None else _of(float, taken_at_s) - LIVE_BEGAN_S,
            number,
            weakness=_of(str, entry.get("weakness", "")),
        )
        return self._references[number]

    def _edit(self, entry: object) -> LookKeyframe:
        entry = _of(dict, entry)
        reference = self._reference(entry["reference"])
        if reference is None:
            raise DamagedError("its reference is missing")
        version = _of(int, entry["version"])
        image = self._picture("edit", version, entry["picture"])
        was = entry["was"] and self._picture("was", version, entry["was"])
        for picture in (image, was):
            if picture is not None and picture.shape != reference.image.shape:
                raise DamagedError("its picture has another size than its reference")
        layers = self._layers(entry, image, version) or (PictureLayer(image=image, version=version),)
        before = None if was is None else Edit(reference.image, was)
        edit = self._drawn(reference, layers, image)
        return LookKeyframe(edit, reference, layers, before, version)

    def _drawn(self, reference: ReferencePicture, layers: tuple[Layer, ...], image: Image) -> Edit:
        """Return layers whose picture was stored as an edit."""
        try:
            return edit_of(reference.image, reference.landmarks, layers, drawn=image)
        except EditError as exc:
            raise DamagedError(str(exc)) from exc

    def _layers(self, entry: Record, image: Image, version: int) -> tuple[Layer, ...]:
        """Return the layers of an edit. In the first form an edit was one preset or one picture.

        None are returned if one of them is damaged: the edited picture then takes their place.
        """
        if self.record.get("form", FIRST_FORM) == FIRST_FORM:
            preset = entry["preset"]
            if preset is not None:
                return (PresetLayer.of(**_of(dict, preset)),)
            note = None if entry["note"] is None else _of(str, entry["note"])
            return (PictureLayer(image=image, note=note, version=version),)
        layers = _of(list, entry["layers"])
        found = [
            self._try("the layers of an edit", f"layer {number}", partial(self._layer, each, image.shape[:2]))
            for number, each in enumerate(layers, 1)
        ]
        return () if None in found else tuple(layer for layer in found if layer is not None)

    def _layer(self, entry: object, size: tuple[int, ...]) -> Layer:
        numbers = {name: _of(int, _of(dict, entry)[name]) for name in ("id", "version")}

        def get(name: str) -> Image:
            return self._picture("layer", numbers["version"], name)

        layer = from_entry(entry, get, **numbers)
        fits = isinstance(layer, StickerLayer) or layer.pixels is None or layer.pixels.shape[:2] == size
        if not fits:
            raise DamagedError("a layer has another size than its reference")
        return layer


def _of(kind: type[T], value: object) -> T:
    """Check that a value has a type. Whole numbers pass as float.

    Raises:
        DamagedError: it has another type.
    """
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DamagedError("its entry is damaged")
    if isinstance(value, float) and not math.isfinite(value):
        raise DamagedError("its entry is damaged")
    return value


def _landmarks(text: object, image: Image) -> Landmarks | None:
    if text is None:
        return None
    points = np.frombuffer(base64.b64decode(_of(str, text)), "<f4").astype(np.float32)
    if points.size != LANDMARK_COUNT * 3 or not np.isfinite(points).all():
        raise DamagedError("its landmarks are damaged")
    return Landmarks(points.reshape(LANDMARK_COUNT, 3), (image.shape[0], image.shape[1]))
