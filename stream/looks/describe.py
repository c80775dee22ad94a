"""Describes a wardrobe to the page as JSON. Its size is bounded, and it names pictures by address only."""

from __future__ import annotations

import time

import cv2

from correspondence import Image, Landmarks
from reference import KeyframeInfo, presets
from reference.face.parts import face_size
from reference.face.sticker import head_roll
from reference.looks.layers import Layer, PresetLayer, StickerLayer
from stream.events import Message
from stream.looks.look import Look, LookKeyframe, ReferencePicture
from stream.looks.wardrobe import Wardrobe

THUMB_PX = 144  # height of a thumbnail
THUMB_ROOM = 1.7  # height of a thumbnail in face sizes
THUMB_SHAPE = 1.4  # width of a thumbnail in heights
THUMB_QUALITY = 80
FOREHEAD, CHIN = 10, 152  # landmarks of FaceMesh on the middle line
LIVE_BEGAN_S = time.time() - time.monotonic()  # time 0 of the pipeline's clock, seconds since 1970


def describe(wardrobe: Wardrobe) -> Message:
    """Describe a wardrobe for the session's state.

    Returns:
        The state's `reference`, `edit`, `layers`, `settings`, `looks`, `max_looks`, `max_faces`, `active`,
        `keyframes`, `focus`, `undo` and `redo`. The first three describe the keyframe in focus.
    """
    look, settings, history = wardrobe.active, wardrobe.settings, wardrobe.history
    reference, edited = look.reference, look.edited
    return {
        "reference": reference and _reference(reference),
        "edit": edited
        and {
            **_edit(edited),
            "mode": settings.mode,
            "strength": settings.strength,
            "enabled": settings.enabled,
        },
        "layers": [_layer(layer, edited.reference) for layer in edited.layers] if edited else [],
        "settings": {
            "mode": settings.mode,
            "strength": settings.strength,
            "enabled": settings.enabled,
            "overlay": settings.overlay,
            "faces": settings.faces,
        },
        "looks": [_look(each) for each in wardrobe.looks],
        "max_looks": wardrobe.max_looks,
        "max_faces": wardrobe.max_faces,
        "active": look.id,
        "keyframes": strip(look),
        "focus": look.focus,
        "undo": history.undo and history.undo.label,
        "redo": history.redo and history.redo.label,
    }


def _reference(reference: ReferencePicture) -> Message:
    height, width = reference.image.shape[:2]
    return {
        "width": width,
        "height": height,
        "version": reference.id,
        "landmarks": reference.landmarks is not None,
        "score": reference.score,
        "weakness": reference.weakness,
        "axis": None if reference.landmarks is None else _axis(reference.landmarks),
    }


def _axis(landmarks: Landmarks) -> list[float]:
    """Two points of the line that parts a face's halves, on the forehead and the chin: x0, y0, x1, y1."""
    return [round(float(value), 1) for value in landmarks.points[[FOREHEAD, CHIN], :2].ravel()]


def _edit(edited: LookKeyframe) -> Message:
    preset = edited.preset
    return {
        "version": edited.version,
        "reference_version": edited.reference.id,
        "preset": preset and preset.name,
        "preset_colour": preset and preset.colour,
        "preset_strength": preset and preset.strength,
        "note": edited.note,
    }


def _layer(layer: Layer, reference: ReferencePicture) -> Message:
    preset = layer if isinstance(layer, PresetLayer) else None
    coloured = preset is not None and presets.find(preset.name).coloured
    return {
        "id": layer.id,
        "version": layer.version,
        "kind": layer.kind,
        "title": layer.title,
        "shown": layer.shown,
        "strength": layer.strength,
        "preset": preset and preset.name,
        "colour": preset.colour if preset is not None and coloured else None,
        "sticker": _sticker(layer, reference.landmarks) if isinstance(layer, StickerLayer) else None,
    }


def _sticker(layer: StickerLayer, landmarks: Landmarks | None) -> Message:
    """Describe a sticker, and where it lies: `middles` are x, y, width and turn (radians) in pixels."""
    sticker, face = layer.sticker, landmarks
    places = () if face is None else sticker.places(face)
    return {
        "at": sticker.at,
        "size": sticker.size,
        "turn_deg": sticker.turn_deg,
        "right": sticker.right,
        "down": sticker.down,
        "rigid": layer.rigid,
        "shape": [sticker.picture.shape[1], sticker.picture.shape[0]],
        "face": face and [round(face_size(face), 1), round(head_roll(face), 4)],
        "middles": [[round(v, 1) for v in (p.x, p.y, p.width)] + [round(p.turn, 4)] for p in places],
    }


def _look(look: Look) -> Message:
    anchor, reference = look.pictures.anchor, look.pictures.reference
    return {
        "id": look.id,
        "name": look.name,
        "edited": anchor is not None,
        "picture": anchor.version if anchor else reference and reference.id,
        "preset": anchor and anchor.preset and anchor.preset.name,
        "keyframes": len(look.pictures.edits),
    }


def strip(look: Look) -> list[Message]:
    """Describe a look's keyframes, oldest first. The user's keyframes that do not serve yet come last."""
    serving = look.outfit.keyframes() if look.outfit is not None else []
    shown = []
    for info in serving:
        own = look.pictures.find(info.id)
        shown.append(_keyframe(info) if own is None else _own(own, info))
    ids = {info.id for info in serving}
    return shown + [_own(own) for own in look.pictures.edits if own.reference.id not in ids]


def _own(own: LookKeyframe, info: KeyframeInfo | None = None) -> Message:
    """Describe a keyframe that the user edited."""
    waiting: Message = {
        "id": own.reference.id,
        "pinned": True,
        "active": False,
        "made_at": _clock_ms(own.reference.taken_s),
        "turn_deg": None,
        "covered": None,
    }
    told = waiting if info is None else _keyframe(info)
    return {**told, "version": own.version, "was_made": own.was is not None}


def _keyframe(info: KeyframeInfo) -> Message:
    return {
        "id": info.id,
        "version": info.version,
        "pinned": info.pinned,
        "active": info.active,
        "made_at": _clock_ms(info.made_s),
        "turn_deg": info.turn_deg and [round(angle) for angle in info.turn_deg],
        "covered": None if info.covered is None else round(info.covered, 2),
        "was_made": False,
    }


def _clock_ms(live_s: float) -> int | None:
    """Convert a time of the pipeline to milliseconds since 1970. None for a picture that was never live."""
    return round((LIVE_BEGAN_S + live_s) * 1000) if live_s > 0 else None


def thumbnail(image: Image, landmarks: Landmarks | None) -> bytes:
    """Make a small JPEG of the face in a picture, uint8 (H, W, 3), or of the whole picture without a face."""
    height, width = image.shape[:2]
    box = (0, 0, width, height)
    if landmarks is not None:
        left, top, right, bottom = landmarks.box
        half = THUMB_ROOM * max(right - left, bottom - top) / 2
        x, y = (left + right) / 2, (top + bottom) / 2
        wide = half * THUMB_SHAPE
        box = (
            max(0, round(x - wide)), max(0, round(y - half)),
            min(width, round(x + wide)), min(height, round(y + half)),
        )  # fmt: skip
    part = image[box[1] : box[3], box[0] : box[2]]
    scale = min(1.0, THUMB_PX / part.shape[0])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, THUMB_QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), quality)
    return bytes(data)
