"""Training: repeatable to the bit, it learns, it starts from weights, it imports without MediaPipe."""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from correspondence.certainty.doubt import own_word
from correspondence.network.checkpoints import load_network, network_from, open_model, read_state
from correspondence.network.encoder import DINOV2, DinoEncoder, load_vit
from correspondence.network.export import export_model
from correspondence.network.model import SIZES, Network
from correspondence.training import data, train
from correspondence.training.pairs import PairConfig, Pairs
from correspondence.training.trainer import TrainConfig, Trainer, build, to_batch
from tests.correspondence.material import SMALL_VIT, demo_clip, tiny_network, write_small_vit

SMALL = PairConfig(side=64, synthetic=1.0)


def config(**options: object) -> TrainConfig:
    return TrainConfig(**{"size": "tiny", "batch": 1, "threads": 1, "warm_up": 1, **options})  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_weights_to_the_bit(tmp_path: Path) -> None:
    states = []
    for name in ("one", "two"):
        pairs = Pairs([demo_clip()], SMALL, 3, 2)
        train.train(config(steps=2, seed=3, log_every=1), pairs, tmp_path / name)
        states.append(read_state(tmp_path / name / "weights.pt")["state"])
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())
    other = build(config(seed=4)).state_dict()
    assert any(not torch.equal(v, other[k]) for k, v in states[0].items())


def test_it_learns_one_pair_by_heart() -> None:
    trainer = Trainer(config(rate=3e-3), tiny_network(wild=False))
    sample = Pairs([demo_clip()], SMALL, 3, 2)[1]
    batch = to_batch({k: torch.from_numpy(v[None]) for k, v in sample.items()}, torch.device("cpu"))
    flows = [trainer.update(batch, 0.4)["flow"] for _ in range(12)]
    assert flows[-1] < 0.9 * flows[0]


def test_results_and_curves_are_left_behind(tmp_path: Path) -> None:
    pairs = Pairs([demo_clip()], SMALL, 3, 3)
    trainer = train.train(config(steps=3, log_every=1), pairs, tmp_path)
    assert trainer.step == 3
    with (tmp_path / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["step"] for r in rows] == ["1", "2", "3"]
    assert {"total", "flow", "share_network", "visible"} <= set(rows[0])
    assert (tmp_path / "curves.png").stat().st_size > 1000
    network = load_network(tmp_path / "weights.pt")
    assert torch.equal(
        network.state_dict()["encoder.stem.weight"], trainer.average.state["encoder.stem.weight"]
    )


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    trainer = Trainer(config(), tiny_network())
    sample = Pairs([demo_clip()], SMALL, 3, 2)[0]
    sample["truth"][:] = np.nan
    sample["known"][:] = 1
    batch = to_batch({k: torch.from_numpy(v[None]) for k, v in sample.items()}, torch.device("cpu"))
    with pytest.raises(FloatingPointError, match="at step 0"):
        trainer.update(batch, 0.0)


def test_the_rate_rises_then_falls() -> None:
    trainer = Trainer(config(rate=1.0, warm_up=10), tiny_network())
    assert trainer.rate(0) == pytest.approx(0.1)
    trainer.step = 100
    assert trainer.rate(0.5) == pytest.approx(0.51)
    assert trainer.rate(1.0) == pytest.approx(0.02)


def test_one_persons_clip_adapts_the_shipped_kind_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command from end to end: a model folder, a clip, new weights; the last third is not looked at."""
    clip = demo_clip()
    writer = cv2.VideoWriter(str(tmp_path / "me.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (256, 256))
    for frame in clip.frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    seen = []

    def detect(frames):  # type: ignore[no-untyped-def]
        for frame in frames:
            seen.append(frame)
            yield clip.points[0]

    monkeypatch.setattr(data, "face_mesh", detect)
    export_model(tiny_network(), tmp_path / "model", size="tiny")
    parser = argparse.ArgumentParser()
    train.configure(parser)
    options = [
        "--init",
        str(tmp_path / "model"),
        "--data",
        str(tmp_path / "me.mp4"),
        "--out",
        str(tmp_path / "out"),
    ]
    options += ["--cache", str(tmp_path / "none")]
    args = parser.parse_args([*options, "--steps", "1", "--batch", "1", "--side", "64", "--threads", "1"])
    assert train.run(args) == 0
    assert len(seen) == 4  # of 6
    assert read_state(tmp_path / "out" / "weights.pt")["size"] == "tiny"
    assert open_model(tmp_path / "out" / "model").size == "tiny"


def test_a_model_is_judged_anew_without_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_model(tiny_network(), tmp_path / "model", size="tiny", facts={"minutes": 7})
    before = open_model(tmp_path / "model")
    judge = replace(own_word(), log_b=np.array([-3, 4], np.float32))
    asked: list[int] = []

    def calibrated(runner: object, clips: list[data.Clip], pairs: int, seed: int) -> object:
        asked.append(pairs)
        return judge, {"ause": 0.125}

    monkeypatch.setattr(data, "load", lambda *_, **__: [demo_clip()])
    monkeypatch.setattr(train, "calibrate", calibrated)
    parser = argparse.ArgumentParser()
    train.configure(parser)
    args = parser.parse_args(["--refit", str(tmp_path / "model"), "--pairs", "11", "--threads", "1"])
    assert train.run(args) == 0
    after = open_model(tmp_path / "model")
    assert asked == [11]
    np.testing.assert_array_equal(after.judge.log_b, judge.log_b)
    assert not np.array_equal(before.judge.log_b, judge.log_b)
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert (card["minutes"], card["held_out"]) == (7, {"ause": 0.125})


def test_dinov2_trains_one_step(tmp_path: Path) -> None:
    vit = load_vit(DINOV2, write_small_vit(tmp_path / "vit.safetensors", DINOV2), **SMALL_VIT)
    network = Network(SIZES["tiny"], DinoEncoder(SIZES["tiny"].encoder, vit))
    trainer = Trainer(config(encoder="dinov2"), network)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    sample = Pairs([demo_clip()], SMALL, 3, 2)[1]
    trainer.update(
        to_batch({k: torch.from_numpy(v[None]) for k, v in sample.items()}, torch.device("cpu")), 0.5
    )
    after = network.state_dict()
    changed = {k for k, v in before.items() if not torch.equal(v, after[k])}
    assert "encoder.project.weight" in changed
    assert not any(".vit." in k for k in changed)
    trainer.save(tmp_path / "weights.pt")
    assert not any(".vit." in k for k in read_state(tmp_path / "weights.pt")["state"])


def test_the_training_module_needs_torch_numpy_and_opencv_alone() -> None:
    code = (
        "import sys\n"
        "for name in ('mediapipe', 'av', 'aiortc', 'kornia', 'timm', 'onnx', 'onnxruntime', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "import correspondence.training.train\n"
        "import correspondence.network.export\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="size must be one of s2, xs2, tiny, got 'm2'"):
        TrainConfig(size="m2")
    with pytest.raises(ValueError, match="minutes must be positive, got 0"):
        TrainConfig(minutes=0)
    with pytest.raises(ValueError, match="two frames that show a face"):
        Pairs([], PairConfig(), 0, 1)


def test_a_network_of_other_weights_is_refused() -> None:
    from correspondence import WeightsError

    state = tiny_network().state_dict()
    state.pop("matcher.compare.weight")
    with pytest.raises(WeightsError, match=r"tiny network.*compare"):
        network_from({"state": state, "size": "tiny", "encoder": "compact"})
    with pytest.raises(WeightsError, match="unknown size 'huge'"):
        network_from({"state": state, "size": "huge", "encoder": "compact"})
