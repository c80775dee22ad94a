"""Editing by words, with tiny random models: what is asked for arrives, what was left alone stays."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from correspondence.errors import WeightsError
from correspondence.types import Image
from reference.prompt import PromptCancelled, PromptConfig, PromptEditor
from stream.cli import main
from stream.prompting import PromptBusyError, PromptModel, PromptService, PromptStatus
from tests.reference.tiny_prompt import save_inpainter, save_pix2pix
from tests.stream.clips import Clip, make_clip, read_back

SHORT = PromptConfig(steps=3)


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
    with pytest.raises(ValueError, match="steps"):
        PromptConfig(steps=0)
    with pytest.raises(WeightsError, match=r"model_index\.json"):
        PromptEditor.load(str(tmp_path))


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(WeightsError, match=r"livery\[prompt\]"):
        PromptEditor.load("anything")


def wait(service: PromptService, *states: str) -> PromptStatus:
    deadline = time.monotonic() + 120
    while True:
        status = service.status
        assert status is not None
        if status.state in states:
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.02)


def test_the_service_edits_in_its_own_process_and_can_be_stopped(pix2pix: Path, still: Image) -> None:
    service = PromptService(PromptModel(model=str(pix2pix)))
    assert service.status is None
    assert not service.cancel()
    try:
        service.start(still, "a red hat", config=SHORT)
        with pytest.raises(PromptBusyError):
            service.start(still, "another", config=SHORT)
        done = wait(service, "done", "failed")
        assert done.error is None
        assert done.image is not None
        assert (done.done, done.total) == (3, 3)
        service.start(still, "a red hat", config=PromptConfig(steps=1000))
        wait(service, "editing")
        assert service.cancel()
        stopped = service.status
        assert stopped is not None
        assert stopped.state == "cancelled"
        assert stopped.image is None
    finally:
        service.close()


def test_a_model_that_is_not_there_fails_the_edit_alone(tmp_path: Path, still: Image) -> None:
    service = PromptService(PromptModel(model=str(tmp_path / "none")))
    try:
        service.start(still, "a hat")
        failed = wait(service, "failed")
        assert failed.error is not None
        assert "none" in failed.error
    finally:
        service.close()


def test_a_clip_is_edited_by_words(pix2pix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=3))
    out = tmp_path / "out.mp4"
    told = ["edit", str(clip), "-o", str(out), "--matcher", "classical", "--reference", "1"]
    assert main([*told, "--prompt", "a hat"]) == 2
    assert "--prompt-model" in capsys.readouterr().err
    assert main(told) == 2
    assert "either --edited" in capsys.readouterr().err
    assert main([*told, "--prompt", "a hat", "--prompt-model", str(pix2pix)]) == 0
    assert "frame 1" in capsys.readouterr().out
    assert len(read_back(out).times) == 3
