"""Records of an earlier Livery, and of a damaged layer, are read as what they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from correspondence import Image
from reference.looks.layers import PaintLayer
from stream.storage.config import StorageConfig
from stream.storage.errors import StorageError
from stream.storage.keys import Keys
from stream.storage.record import PictureKey, Reading, to_record
from stream.storage.storage import FOLDER, Storage
from tests.stream.storage.material import edited, look, noise, snapshot


def first_form(record: dict[str, Any]) -> dict[str, Any]:
    """A record of two looks as Livery wrote it when an edit was one preset or one picture."""
    del record["form"]
    for place, each in enumerate(record["looks"]):
        for entry in each["edits"]:
            del entry["layers"]
            lips = {"name": "lipstick", "colour": None, "strength": 0.4}
            entry |= {"preset": lips, "note": None} if place == 0 else {"preset": None, "note": "scaled"}
    return record


def test_sessions_of_an_earlier_livery_are_read_as_layers() -> None:
    pictures: dict[str, Image] = {}

    def put(key: PictureKey, image: Image) -> str:
        pictures[f"{key}"] = image
        return f"{key}"

    kept = snapshot(look(1, "Preset", edited(1)), look(2, "Picture", edited(2)))
    reading = Reading(first_form(to_record(kept, put)), pictures.__getitem__)
    preset, picture = (each.pictures.edits[0] for each in reading.snapshot().looks)
    assert reading.problems == []
    assert preset.preset is not None
    assert (preset.preset.name, preset.preset.colour, preset.preset.strength) == ("lipstick", "#b3122e", 0.4)
    assert [layer.kind for layer in picture.layers] == ["picture"]
    assert picture.note == "scaled"
    assert picture.layers[0].pixels is picture.image
    with pytest.raises(StorageError, match="newer Livery"):
        Reading({**to_record(kept, put), "form": 99}, pictures.__getitem__).snapshot()


def test_a_damaged_layer_leaves_the_edited_picture(tmp_path: Path) -> None:
    storage = Storage(StorageConfig(folder=tmp_path))
    keys, _ = Keys.issue()
    paint = PaintLayer(rgba=np.dstack([noise(5), noise(6)[..., 0]]))
    one = edited(1, paint)
    storage.write("one", keys, snapshot(look(1, "Painted", one)))
    damaged = storage._names["one"]["layer", paint.version]
    (tmp_path / FOLDER / "one" / f"{damaged}.png").unlink()
    stored = storage.read("one")
    storage.close()
    assert stored is not None
    (kept,) = stored.snapshot.looks[0].pictures.edits
    assert np.array_equal(kept.image, one.image)
    assert [layer.kind for layer in kept.layers] == ["picture"]
    assert stored.problems == ("the layers of an edit, layer 2: its picture is missing",)
