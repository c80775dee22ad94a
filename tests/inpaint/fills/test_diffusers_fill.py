"""Masked fills by a model of diffusers' layout, tiny and random here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from correspondence import WeightsError
from inpaint.fills.diffusers_fill import DiffusersFill
from inpaint.fills.jobs import Filler, MaskedJob


def save_model(folder: Path, channels: int = 9) -> Path:
    import diffusers

    library: Any = diffusers
    torch.manual_seed(0)
    unet = library.UNet2DConditionModel(
        sample_size=16,
        in_channels=channels,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=24,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    vae = library.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    )
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("sd"))


class Evil:
    """Runs when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.trace, "ran")


def test_weights_that_are_pickles_are_not_read(tmp_path: Path) -> None:
    import pickle

    folder, trace = save_model(tmp_path / "sd"), tmp_path / "trace"
    for part in ("unet", "vae"):
        (folder / part / "diffusion_pytorch_model.safetensors").unlink()
        torch.save(Evil(trace), folder / part / "diffusion_pytorch_model.bin", pickle_module=pickle)
    with pytest.raises(WeightsError, match=r"safetensors.*may run code"):
        DiffusersFill(folder)
    assert not trace.exists()


def test_plain_weights_in_a_pickle_are_not_read_either(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "sd")
    from safetensors.torch import load_file

    for part in ("unet", "vae"):
        file = folder / part / "diffusion_pytorch_model.safetensors"
        torch.save(load_file(file), file.with_suffix(".bin"))
        file.unlink()
    with pytest.raises(WeightsError, match="safetensors"):
        DiffusersFill(folder)


def a_job() -> MaskedJob:
    image = np.random.default_rng(2).integers(0, 255, (50, 70, 3), np.uint8)
    mask = np.zeros((50, 70), np.float32)
    mask[15:35, 20:44] = 1
    return MaskedJob(image=image, mask=mask)


def test_it_fills_the_hole_and_nothing_else(model: Path) -> None:
    job = a_job()
    fill = DiffusersFill(model, steps=3)
    made = fill(job.image, job.mask)
    np.testing.assert_array_equal(made[job.mask == 0], job.image[job.mask == 0])
    assert (made[job.mask > 0] != job.image[job.mask > 0]).mean() > 0.5
    np.testing.assert_array_equal(made, fill(job.image, job.mask))
    np.testing.assert_array_equal(fill(job.image, np.zeros_like(job.mask)), job.image)


def test_the_filler_takes_it_for_masks_and_can_be_stopped(model: Path) -> None:
    filler = Filler(model)
    assert "through diffusers" in filler.method
    job, calls = a_job(), 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        filler.masked(job, check)


def test_a_prompt_of_the_right_width_is_used(model: Path, tmp_path: Path) -> None:
    save_model(tmp_path)
    plain = DiffusersFill(tmp_path, steps=2)(a_job().image, a_job().mask)
    save_file({"prompt": torch.randn(5, 24)}, tmp_path / "empty_prompt.safetensors")
    told = DiffusersFill(tmp_path, steps=2)(a_job().image, a_job().mask)
    assert (told != plain).any()
    save_file({"prompt": torch.randn(5, 7)}, tmp_path / "empty_prompt.safetensors")
    with pytest.raises(WeightsError, match="must hold one tensor"):
        DiffusersFill(tmp_path)


def test_a_model_of_the_hub_is_fetched_by_its_name(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def snapshot(name: str, **given: object) -> str:
        asked.append(name)
        if name == "someone/gone":
            raise OSError("404")
        return str(model if name == "someone/inpainting" else model / "unet")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert "through diffusers" in Filler(Path("hub:someone/inpainting")).method
    for name, message in (
        ("someone/gone", "cannot be had from the hub .404.: check its name"),
        ("someone/other", "no `unet` and `vae`"),
        ("nonsense", "named hub:OWNER/NAME, got hub:nonsense"),
    ):
        with pytest.raises(WeightsError, match=message):
            Filler(Path(f"hub:{name}"))
    assert asked == ["someone/inpainting", "someone/gone", "someone/other"]


def test_a_model_that_is_none_for_inpainting(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="4 input channels, an inpainting model has 9"):
        DiffusersFill(save_model(tmp_path, channels=4))
    with pytest.raises(WeightsError, match="no model that diffusers can load"):
        DiffusersFill(tmp_path / "nothing")
