from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from correspondence import Landmarks
from correspondence.cover.weights import STATE
from correspondence.training.cover import train as cover_training
from correspondence.training.cover.export import export_cover, export_file
from correspondence.training.cover.kept import Kept
from correspondence.training.cover.loss import loss_of
from correspondence.training.cover.measures import CoverCase, auroc, cases, table
from correspondence.training.cover.pairs import CoverPair, CoverPairs
from correspondence.training.cover.train import CoverTrainConfig, CoverTrainer, train
from correspondence.types import Image
from stream.cli.options import TRAININGS
from tests.correspondence.cover.material import disc_cover, faces_of

TINY = CoverTrainConfig(
    widths=(4, 4, 8, 8), minutes=1e-4, batch=4, fresh=2, kept=8, half=False, log_every=1, table_pairs=2
)


def test_training_goes_on_where_it_was_left(tmp_path: Path, astronaut: Image, face: Landmarks) -> None:
    faces = faces_of(astronaut, face)
    covers = [disc_cover(), disc_cover(held=True)]
    held = cases(faces, covers, [], 2)
    first = train(TINY, CoverPairs(faces, covers, []), held, tmp_path)
    assert first.step >= 1
    assert {"hand, cut out", "drawn", "uncovered", "uncovered, glasses"} <= {c.name for c in held}
    going_on = CoverTrainer(TINY)
    going_on.load(tmp_path / "last.pt")
    assert (going_on.step, going_on.seconds) == (first.step, first.seconds)
    for name, value in first.average.state.items():
        assert torch.equal(going_on.average.state[name], value), name
    more = CoverTrainConfig(**{**TINY_DICT, "minutes": first.seconds / 60 + 1e-4})
    second = train(more, CoverPairs(faces, covers, []), held, tmp_path, resume=True)
    assert second.step > first.step
    lines = [json.loads(line) for line in (tmp_path / "table.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [first.step, second.step]
    assert (tmp_path / "best.pt").is_file()
    assert "loss" in (tmp_path / "curves.csv").read_text()


TINY_DICT = {name: getattr(TINY, name) for name in TINY.__slots__}


def test_training_begins_with_a_models_state(tmp_path: Path) -> None:
    trainer = CoverTrainer(TINY)
    export_cover(trainer.averaged(), tmp_path / "model")
    other = CoverTrainer(CoverTrainConfig(**{**TINY_DICT, "seed": 1}))
    other.begin_with(tmp_path / "model" / STATE)
    for name, value in trainer.network.state_dict().items():
        assert torch.allclose(other.network.state_dict()[name].float(), value.float(), atol=1e-3), name


def test_weights_of_other_material_are_no_start_for_free_ones(
    tmp_path: Path, astronaut: Image, face: Landmarks
) -> None:
    free = CoverTrainConfig(**{**TINY_DICT, "licences": ("cc-by", "mit")})
    faces = faces_of(astronaut, face)
    made = train(free, CoverPairs(faces, [], []), cases(faces, [], [], 2), tmp_path / "free")  # drawn alone
    export_file(tmp_path / "free" / "best.pt", tmp_path / "model")
    card = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))
    assert card["licences"] == ["cc-by", "mit"]
    for path in (tmp_path / "free" / "best.pt", tmp_path / "model" / STATE):
        CoverTrainer(free).begin_with(path)
    CoverTrainer(free).load(tmp_path / "free" / "last.pt")
    assert made.step >= 1
    less = CoverTrainer(CoverTrainConfig(**{**TINY_DICT, "licences": ("mit",)}))
    with pytest.raises(ValueError, match=r"best\.pt was trained on material under cc-by, mit"):
        less.begin_with(tmp_path / "free" / "best.pt")
    with pytest.raises(ValueError, match=r"last\.pt was trained on material under cc-by, mit"):
        less.load(tmp_path / "free" / "last.pt")
    unlimited = CoverTrainer(TINY)
    unlimited.save(tmp_path / "any.pt")
    export_cover(unlimited.averaged(), tmp_path / "any")
    with pytest.raises(ValueError, match="under any licence"):
        CoverTrainer(free).load(tmp_path / "any.pt")
    with pytest.raises(ValueError, match="under any licence"):
        CoverTrainer(free).begin_with(tmp_path / "any" / STATE)


@pytest.mark.parametrize("name", sorted(set(TRAININGS) - {"graphs"}))  # which trains nothing
def test_each_training_can_be_limited_to_licences(name: str) -> None:
    parser = argparse.ArgumentParser()
    importlib.import_module(TRAININGS[name]).configure(parser)
    needed = ["--cache", "c", "--out", "o", *(("--autoencoder", "a") if name == "denoiser" else ())]
    assert parser.parse_args([*needed, "--licences", "MIT,CC BY"]).licences == {"mit", "cc-by"}


def test_the_command_refuses_a_cache_of_other_material(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    cover_training.configure(parser)
    with pytest.raises(ValueError, match=r"holds material under any licence; make another with --prepare"):
        cover_training.run(parser.parse_args(["--cache", str(tmp_path), "--licences", "mit"]))


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"last\.pt"):
        CoverTrainer(TINY).load(tmp_path / "last.pt")


def test_a_step_lowers_the_loss_of_its_batch() -> None:
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 256, (4, 64, 64, 8), dtype=np.uint8)
    batch[..., 6] = np.where(batch[..., 0] > 200, 255, 0)
    batch[..., 7] = 1
    trainer = CoverTrainer(CoverTrainConfig(**{**TINY_DICT, "minutes": 60, "warm_up": 1, "rate": 1e-2}))
    losses = [trainer.update(batch) for _ in range(25)]
    assert losses[-1] < 0.8 * losses[0]


def test_what_is_unknown_costs_nothing() -> None:
    hidden = torch.zeros(1, 1, 16, 16)
    face = torch.ones_like(hidden)
    logits = torch.full_like(hidden, -9.0)
    good = loss_of(logits, hidden, face)
    logits[..., :8] = 9.0
    assert loss_of(logits, hidden, face) > good + 1
    face[..., :8] = 2
    assert torch.isclose(loss_of(logits, hidden, face), good, atol=1e-3)


def test_the_newest_pairs_are_in_each_batch() -> None:
    kept = Kept(4, 8)
    for i in range(6):
        picture = np.full((8, 8, 3), 10 * i, np.float32)
        kept.add(
            CoverPair(picture, picture, np.zeros((8, 8), np.float32), np.ones((8, 8), np.float32), "none")
        )
    batch = kept.batch(2, 8, np.random.default_rng(0))
    assert batch[:2, 0, 0, 0].tolist() == [50, 40]
    assert set(batch[:, 0, 0, 0]) <= {20, 30, 40, 50}


def test_the_table_counts_inside_the_face_only() -> None:
    hidden = np.zeros((1, 8, 8), np.uint8)
    hidden[:, :, 4:] = 255
    face = np.ones_like(hidden)
    face[:, 4:] = 0
    picture = np.zeros((1, 8, 8, 3), np.uint8)
    said = np.zeros((1, 8, 8), np.float32)
    said[0, :2, 4:] = 0.9
    said[0, 4:] = 0.9  # beside the face
    said[0, 0, 0] = 0.6
    row = table([CoverCase("a", picture, picture, hidden, face)], lambda a, b: said)["a"]
    assert row["leak"] == 0.5
    assert row["lost"] == 1 / 16
    assert 0.5 < row["auroc"] < 1


def test_auroc_of_apart_and_of_alike() -> None:
    low, high = np.full(100, 0.2, np.float32), np.full(100, 0.8, np.float32)
    assert auroc(high, low) == 1
    assert auroc(low, high) == 0
    assert auroc(low, low) == 0.5


@pytest.mark.parametrize("wrong", [{"minutes": 0}, {"fresh": 9}, {"kept": 2}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        CoverTrainConfig(**{**TINY_DICT, **wrong})


def test_a_mistake_at_the_edge_of_a_cover_costs_more() -> None:
    hidden = torch.zeros(1, 1, 32, 32)
    hidden[..., :16] = 1
    logits = 9 * (2 * hidden - 1)
    far, near = logits.clone(), logits.clone()
    far[..., 2:30:4, 28], near[..., 2:30:4, 17] = 9.0, 9.0
    face = torch.ones_like(hidden)
    assert loss_of(near, hidden, face) > 1.3 * loss_of(far, hidden, face)
