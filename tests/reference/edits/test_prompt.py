"""Editing by words, with tiny random models: what is asked for arrives, what was left alone stays."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from correspondence import Image, WeightsError, detect_landmarks
from reference.edits.prompt import PromptCancelled, PromptConfig, PromptEditor, face_area, require
from stream.cli.main import main
from stream.prompting.service import PromptBusyError, PromptModel, PromptService, PromptStatus
from tests.reference.tiny_prompt import QuickModel, save_inpainter, save_pix2pix
from tests.stream.clips import Clip, make_clip, read_back

SHORT = PromptConfig(steps=3)
LIMIT_S = 300.0  # the process loads its libraries
pytestmark = pytest.mark.timeout(700)


@pytest.fixture(scope="module")
def pix2pix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pix2pix(tmp_path_factory.mktemp("pix2pix"))


@pytest.fixture
def still(astronaut: Image) -> Image:
    return np.ascontiguousarray(astronaut[40:200, 130:330])


def test_a_picture_is_edited_in_steps_and_the_same_each_time(pix2pix: Path, still: Image) -> None:
    editor = PromptEditor.load(str(pix2pix))
    told: list[tuple[int, int]] = []
    made = editor.edit(still, "a red hat", config=SHORT, progress=lambda *at: told.append(at))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert made.shape == still.shape
    assert made.dtype == np.uint8
    assert (made != still).any()
    np.testing.assert_array_equal(editor.edit(still, "a red hat", config=SHORT), made)
    other = editor.edit(still, "a red hat", config=PromptConfig(steps=3, seed=1))
    assert (other != made).any()


def test_beside_the_mask_pixels_stay_bit_equal(pix2pix: Path, still: Image) -> None:
    mask = np.zeros(still.shape[:2], np.float32)
    mask[60:120, 40:100] = 1
    made = PromptEditor.load(str(pix2pix)).edit(still, "older", mask=mask, config=SHORT)
    assert (made[mask == 1] != still[mask == 1]).any()
    np.testing.assert_array_equal(made[mask == 0], still[mask == 0])


def test_it_stops_between_two_steps(pix2pix: Path, still: Image) -> None:
    steps: list[int] = []
    with pytest.raises(PromptCancelled):
        PromptEditor.load(str(pix2pix)).edit(
            still, "a hat", config=SHORT, progress=lambda done, total: steps.append(done),
            stop=lambda: len(steps) >= 2,
        )  # fmt: skip
    assert steps == [0, 1]


def test_a_controlnet_inpainter_repaints_the_mask(tmp_path: Path, still: Image) -> None:
    whole, control = save_inpainter(tmp_path)
    mask = np.zeros(still.shape[:2], np.float32)
    mask[30:130, 30:130] = 1
    made = PromptEditor.load(str(whole)).edit(still, "a scarf", mask=mask, config=SHORT)
    assert (made[mask == 1] != still[mask == 1]).any()
    np.testing.assert_array_equal(made[mask == 0], still[mask == 0])
    apart = PromptEditor.load(str(whole), controlnet=str(control))
    np.testing.assert_array_equal(apart.edit(still, "a scarf", mask=mask, config=SHORT), made)


def test_what_is_wrong_is_said(pix2pix: Path, still: Image, tmp_path: Path) -> None:
    editor = PromptEditor.load(str(pix2pix))
    with pytest.raises(ValueError, match="prompt must say"):
        editor.edit(still, "  ")
    with pytest.raises(ValueError, match="mask must be"):
        editor.edit(still, "a hat", mask=np.zeros((3, 3), np.float32))
    for name, value in (
        ("steps", 0), ("steps", 1001), ("guidance", -1.0), ("guidance", float("nan")),
        ("image_guidance", 10.5), ("seed", -1), ("seed", 2**32),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"^{name} must be in \[.*got {value}$"):
            PromptConfig(**{name: value})  # type: ignore[arg-type]  # names and values by turns
    with pytest.raises(WeightsError, match=r"model_index\.json"):
        PromptEditor.load(str(tmp_path))


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(WeightsError, match=r"livery\[prompt\]"):
        PromptEditor.load("anything")


class News:
    """What a service tells of one edit."""

    def __init__(self) -> None:
        self.told: list[PromptStatus] = []

    def __call__(self, status: PromptStatus) -> None:
        self.told.append(status)

    def wait(self, *states: str) -> PromptStatus:
        deadline = time.monotonic() + LIMIT_S
        while not self.told or self.told[-1].state not in states:
            assert time.monotonic() < deadline, self.told
            time.sleep(0.02)
        return self.told[-1]


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def service(pix2pix: Path) -> Iterator[PromptService]:
    made = PromptService(PromptModel(model=str(pix2pix)))
    yield made
    made.close()


@pytest.fixture
def quick() -> Iterator[PromptService]:
    made = PromptService(QuickModel())
    yield made
    made.close()


def test_the_service_edits_in_its_own_process_and_can_be_stopped(
    service: PromptService, still: Image
) -> None:
    news = News()
    begun_s = time.perf_counter()
    first = service.start(still, "a red hat", config=SHORT, told=news)
    assert time.perf_counter() - begun_s < 0.1, "it returns at once"
    with pytest.raises(PromptBusyError, match="under way"):
        service.start(still, "another", config=SHORT)
    done = news.wait("done", "failed")
    assert done.error is None
    assert done.image is not None
    assert [(status.state, status.done) for status in news.told] == [
        ("loading", 0), ("editing", 0), ("editing", 1), ("editing", 2), ("editing", 3), ("done", 3),
    ]  # fmt: skip
    assert not service.cancel(first), "it is over"
    pid, again = service.pid, News()
    service.start(still, "a red hat", config=SHORT, told=again)
    same = again.wait("done", "failed").image
    assert same is not None
    np.testing.assert_array_equal(same, done.image)
    assert service.pid == pid, "the process keeps the model"


def test_an_edit_is_stopped_with_its_process(quick: PromptService, still: Image) -> None:
    news, long = News(), News()
    first = quick.start(still, "a red hat", config=SHORT, told=news)
    done = news.wait("done", "failed")
    pid = quick.pid
    second = quick.start(still, "a red hat", config=PromptConfig(steps=1000), told=long)
    long.wait("editing")
    assert not quick.cancel(first), "another one's number stops nothing"
    assert quick.cancel(second)
    told = len(long.told)
    again = News()
    quick.start(still, "a red hat", config=SHORT, told=again)
    same = again.wait("done", "failed").image
    assert same is not None
    assert done.image is not None
    np.testing.assert_array_equal(same, done.image)
    assert len(long.told) == told, "of a stopped edit nothing is heard"
    assert pid is not None
    assert gone(pid)


def test_a_process_that_dies_fails_its_edit_and_is_replaced(quick: PromptService, still: Image) -> None:
    service, news = quick, News()
    service.start(still, "a hat", config=PromptConfig(steps=1000), told=news)
    news.wait("editing")
    assert service.pid is not None
    os.kill(service.pid, signal.SIGKILL)
    failed = news.wait("failed")
    assert failed.error is not None
    assert "ended unexpectedly" in failed.error
    again = News()
    service.start(still, "a hat", config=SHORT, told=again)
    assert again.wait("done", "failed").state == "done"


def test_a_closed_service_leaves_no_process_and_begins_no_more(quick: PromptService, still: Image) -> None:
    service, news = quick, News()
    service.start(still, "a hat", config=PromptConfig(steps=1000), told=news)
    news.wait("editing")
    pid = service.pid
    assert pid is not None
    service.close()
    deadline = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with pytest.raises(PromptBusyError, match="closed"):
        service.start(still, "a hat")


def test_a_model_that_cannot_be_loaded_fails_the_edit_alone(tmp_path: Path, still: Image) -> None:
    service = PromptService(PromptModel(model=str(tmp_path / "none")))
    try:
        news = News()
        service.start(still, "a hat", told=news)
        failed = news.wait("failed")
        assert failed.error is not None
        assert "none" in failed.error
    finally:
        service.close()


def test_what_is_missing_is_refused_before_it_is_loaded(
    pix2pix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, control = save_inpainter(tmp_path)
    require(str(pix2pix))
    require(str(whole))
    require(str(whole), str(control))
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "model_index.json").write_text("{")
    refused = [
        (str(tmp_path / "none"), None, "no folder"),
        ("pix2pix", None, "no folder 'pix2pix'"),
        (str(control), None, "holds no model_index.json"),
        (str(plain), None, "is a StableDiffusionPipeline"),
        (str(damaged), None, "no model to edit by words"),
        (str(whole), str(tmp_path / "none"), "no folder"),
        (str(whole), str(whole / "unet"), "is a UNet2DConditionModel, not a ControlNetModel"),
    ]
    for model, beside, said in refused:
        with pytest.raises(WeightsError, match=said):
            require(model, beside)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(WeightsError, match=r"livery\[prompt\]"):
        require(str(pix2pix))


def test_a_model_of_the_hub_is_looked_for_in_its_cache_first(
    pix2pix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "models--someone--editor"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0" * 40)
    (cached / "snapshots").mkdir()
    shutil.copytree(pix2pix, cached / "snapshots" / ("0" * 40))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    require("someone/editor")
    with pytest.raises(WeightsError, match="no folder 'someone/other', and the hub gives no such model"):
        require("someone/other")


def test_the_area_of_a_face_holds_it_and_little_else(astronaut: Image) -> None:
    landmarks = detect_landmarks(astronaut)
    assert landmarks is not None
    area = face_area(landmarks, (512, 512))
    assert area.shape == (512, 512)
    assert area.dtype == np.float32
    x, y = np.rint(landmarks.points[:468, :2]).astype(int).T
    assert area[y, x].min() > 0.99
    left, top, right, bottom = landmarks.box
    rows, columns = np.nonzero(area)
    assert left - columns.min() < 0.2 * (right - left)
    assert bottom - 1 < rows.max() < bottom + 0.2 * (bottom - top)
    assert area[0].max() == area[:, -1].max() == 0


def test_a_clip_is_edited_by_words(pix2pix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=3))
    out = tmp_path / "out.mp4"
    told = ["edit", str(clip), "-o", str(out), "--matcher", "classical", "--reference", "1"]
    assert main([*told, "--prompt", "a hat"]) == 2
    assert "--prompt-model" in capsys.readouterr().err
    assert main(told) == 2
    assert "--prompt WORDS" in capsys.readouterr().err
    assert main([*told, "--edited", str(clip), "--prompt-controlnet", "c"]) == 2
    assert "--prompt-controlnet needs --prompt-model" in capsys.readouterr().err
    assert main([*told, "--prompt", "a hat", "--prompt-model", str(pix2pix)]) == 0
    assert "frame 1" in capsys.readouterr().out
    assert len(read_back(out).times) == 3
