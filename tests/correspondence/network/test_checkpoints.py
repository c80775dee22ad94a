"""Weights on disk: whole, or refused with the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from correspondence import WeightsError
from correspondence.network import checkpoints
from correspondence.network.checkpoints import Shipped, find_models, load_network, open_model, read_state
from correspondence.network.export import export_model
from correspondence.weight_files import WEIGHTS, digest
from tests.correspondence.material import tiny_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "model"
    export_model(tiny_network(), path, size="tiny", facts={"minutes": 1})
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    target = tmp_path / "model"
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_a_whole_folder_opens(folder: Path) -> None:
    model = open_model(folder)
    assert (model.kind, model.size) == ("compact", "tiny")
    assert json.loads((folder / "model.json").read_text())["minutes"] == 1


@pytest.mark.parametrize("name", ["frame.onnx", "encode.onnx", "prepare.onnx", "state.pt"])
def test_a_changed_file_is_refused(copy: Path, name: str) -> None:
    changed = bytearray((copy / name).read_bytes())
    changed[len(changed) // 2] ^= 1
    (copy / name).write_bytes(bytes(changed))
    with pytest.raises(WeightsError, match=rf"{name} has sha256 .* expected .*reinstall"):
        open_model(copy)
    others = tuple(n for n in checkpoints.FILES if n != name)
    assert open_model(copy, None, others).size == "tiny"


def test_missing_parts_are_named(copy: Path, tmp_path: Path) -> None:
    (copy / "state.pt").unlink()
    with pytest.raises(WeightsError, match=r"state\.pt is missing"):
        open_model(copy)
    with pytest.raises(WeightsError, match=r"model\.json is missing"):
        open_model(tmp_path)
    with pytest.raises(WeightsError, match="no weights at"):
        read_state(tmp_path / "nowhere.pt")


def test_a_changed_card_of_a_shipped_model_is_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "WEIGHTS", copy.parent)
    right = Shipped("model", "compact", "tiny", "Apache-2.0", "made by a test", digest(copy / "model.json"))
    monkeypatch.setattr(checkpoints, "SHIPPED", (right,))
    assert [m.size for m in find_models("compact", None)] == ["tiny"]
    (copy / "model.json").write_text((copy / "model.json").read_text().replace("-4.0, 5.0", "-4.0, 6.0"))
    with pytest.raises(WeightsError, match=r"model\.json has sha256 .* reinstall"):
        find_models("compact", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("judge"), r"no judge of the network's errors.*--refit"),
        (lambda card: card["judge"].pop("scores"), r"another version .*scores.*--export"),
        (
            lambda card: card["judge"].update(hidden=[[1.0, 2.0]]),
            r"shape \(1, 2\), expected \(units, 32\).*--refit",
        ),
    ],
    ids=["none", "part of one", "one for other evidence"],
)
def test_a_card_of_another_version_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    card = json.loads((copy / "model.json").read_text())
    change(card)
    (copy / "model.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match=message):
        open_model(copy)
    assert load_network(copy) is not None, "its network can still be judged anew"


def test_what_is_shipped_is_whole_and_says_where_it_comes_from() -> None:
    for shipped in checkpoints.SHIPPED:
        model = open_model(WEIGHTS / shipped.name, shipped.manifest)
        assert (model.kind, model.size) == (shipped.kind, shipped.size)
        assert shipped.licence
        assert shipped.origin
        assert (model.folder / "README.md").is_file()
        assert sum(f.stat().st_size for f in model.folder.iterdir()) < 16e6


def test_dinov2_without_a_trained_head_says_how_to_train_one() -> None:
    with pytest.raises(WeightsError, match=r"livery train matcher --encoder dinov2"):
        find_models("dinov2", None)


def test_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(WeightsError, match="compact matcher, expected dinov2"):
        find_models("dinov2", folder)
    assert find_models("compact", folder)[0].folder == folder


def test_a_file_that_is_no_matcher_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.pt").write_bytes(b"noise")
    with pytest.raises(WeightsError, match="no file of weights"):
        read_state(tmp_path / "noise.pt")
    torch.save({"other": 1}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="encoder, size, state missing"):
        load_network(tmp_path / "other.pt")


def test_a_folder_gives_the_torch_network(folder: Path) -> None:
    wanted = tiny_network().state_dict()
    got = load_network(folder).state_dict()
    assert all(torch.allclose(v, got[k], atol=2e-3) for k, v in wanted.items())


def test_no_manifest_gives_the_weights_the_licence_of_the_code() -> None:
    found = list(WEIGHTS.glob("*/model.json"))
    assert len(found) >= 2
    for manifest in found:
        assert "Apache" not in str(json.loads(manifest.read_text(encoding="utf-8")).get("licence"))
