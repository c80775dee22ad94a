"""Tiny random text-guided pipelines, saved to disk as diffusers saves real ones, and an editor without one.

The libraries of the real ones take seconds to load, in every process. What a test asks of the process, and
not of the pipeline, it asks with the editor without one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from correspondence import Float, Image
from reference.edits.prompt import PromptConfig, PromptEditor
from stream.prompting.service import PromptModel

STEP_S = 0.05


def save_pix2pix(folder: Path) -> Path:
    """An InstructPix2Pix of a few thousand parameters."""
    library = _diffusers()
    pipeline = library.StableDiffusionInstructPix2PixPipeline(**_parts(folder, channels=8))
    pipeline.save_pretrained(str(folder / "pix2pix"))
    return folder / "pix2pix"


def save_inpainter(folder: Path) -> tuple[Path, Path]:
    """A ControlNet inpainter of that size, and its ControlNet alone."""
    library = _diffusers()
    parts = _parts(folder, channels=4)
    control = library.ControlNetModel.from_unet(parts["unet"], conditioning_channels=3)
    pipeline = library.StableDiffusionControlNetInpaintPipeline(controlnet=control, **parts)
    pipeline.save_pretrained(str(folder / "inpaint"))
    control.save_pretrained(str(folder / "control"))
    return folder / "inpaint", folder / "control"


def _diffusers() -> Any:
    """The library, most of which is untyped."""
    import diffusers

    return diffusers


def _parts(folder: Path, channels: int) -> dict[str, Any]:
    import torch
    import transformers

    library, texts = _diffusers(), cast(Any, transformers)
    torch.manual_seed(0)
    signs = [chr(code) for code in range(33, 127)]
    words = [*signs, *(sign + "</w>" for sign in signs), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    text = texts.CLIPTextConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, bos_token_id=len(words) - 2, eos_token_id=len(words) - 1,
        max_position_embeddings=77,
    )  # fmt: skip
    unet = library.UNet2DConditionModel(
        sample_size=8, in_channels=channels, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=32, attention_head_dim=8,
    )  # fmt: skip
    vae = library.AutoencoderKL(
        block_out_channels=(16, 32, 32, 32), norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    tokenizer = texts.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77
    )
    return {
        "vae": vae, "text_encoder": texts.CLIPTextModel(text), "tokenizer": tokenizer, "unet": unet,
        "scheduler": library.DDIMScheduler(), "safety_checker": None, "feature_extractor": None,
        "requires_safety_checker": False,
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickModel(PromptModel):
    """A model that the service's process loads at once."""

    model: str = "quick"

    def require(self) -> None:
        """Nothing is missing."""

    def load_beside(self) -> PromptEditor:
        """See `PromptModel`."""
        return cast(PromptEditor, QuickEditor())


class QuickEditor:
    """Inverts the picture, in steps that take as long as small ones of a real editor."""

    def edit(
        self,
        image: Image,
        prompt: str,
        *,
        mask: Float | None,
        config: PromptConfig,
        progress: Callable[[int, int], None],
    ) -> Image:
        """See `PromptEditor`."""
        progress(0, config.steps)
        for step in range(1, config.steps + 1):
            time.sleep(STEP_S)
            progress(step, config.steps)
        area = np.ones(image.shape[:2], np.float32) if mask is None else mask
        return np.where(area[..., None] > 0.5, 255 - image, image)
