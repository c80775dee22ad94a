"""Edits the reference by words: StreamEdit's text-guided editor, run once on one still.

The user provides the weights: a folder as diffusers saves it, or a model's id on the hub. InstructPix2Pix
(Brooks et al., arXiv:2211.09800) changes the whole picture by an instruction. A ControlNet inpainter (Zhang
et al., arXiv:2302.05543) repaints a mask. diffusers and transformers are imported by `load`, not before.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from correspondence import Float, Image, Landmarks, WeightsError, check_image
from reference.edits.mask import smoothstep
from reference.face.parts import FACE_OVAL, face_size, take

MOST_SIDE = 768  # longer side to which the picture is shrunk for the model, pixels
MULTIPLE = 64  # the models need sides that are multiples of this, pixels
NOISE = (6.0, 16.0)  # change below which it is the autoencoder's noise, and above which it is meant, levels
FACE_ROOM = 1.12  # enlargement of the face's oval, so that it reaches the hairline
FACE_EDGE = 0.03  # width over which the face's area fades, face sizes
NEEDED = ("torch", "diffusers", "transformers")  # without the last, diffusers' text encoders fail late
MISSING = "editing by words needs diffusers and transformers: python -m pip install 'livery[prompt]'"
INDEX, CONTROL_INDEX = "model_index.json", "config.json"  # descriptions of a pipeline, and of a ControlNet
PIX2PIX, REPAINTER = "StableDiffusionInstructPix2PixPipeline", "StableDiffusionControlNetInpaintPipeline"
CONTROL = "ControlNetModel"

Progress = Callable[[int, int], None]  # steps done, steps in all


class PromptCancelled(Exception):  # noqa: N818 - not an error: the user asked
    """The edit was cancelled before its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptConfig:
    """Settings of an edit by words.

    Raises:
        ValueError: a value is out of its range.
    """

    steps: int = 20
    guidance: float = 7.5  # how strongly the words are followed
    image_guidance: float = 1.5  # how strongly the picture is kept, InstructPix2Pix only
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 1000:
            raise ValueError(f"steps must be in [1, 1000], got {self.steps}")
        for name, most in (("guidance", 30), ("image_guidance", 10)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be in [0, {most}], got {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be in [0, {2**32 - 1}], got {self.seed}")


class PromptEditor:
    """A loaded text-guided editor. `load` makes it. It is not thread-safe."""

    def __init__(self, pipeline: Any, device: str) -> None:
        self._pipeline = pipeline
        self._device = device
        self._repaints = "Inpaint" in type(pipeline).__name__

    @classmethod
    def load(cls, model: str, *, controlnet: str | None = None, device: str = "cpu") -> PromptEditor:
        """Loads weights. This is slow.

        Args:
            model: a folder that diffusers saved, or a model's id on the hub.
            controlnet: folder or id of a ControlNet, for an inpainting model that does not hold its own.
            device: "cpu" or "cuda".

        Raises:
            WeightsError: diffusers or transformers are missing, there is no such model, or it is of another
                kind. The message says what to do.
        """
        try:
            import diffusers
            import torch
            import transformers  # noqa: F401 - see NEEDED
        except ImportError as error:
            raise WeightsError(MISSING) from error
        library: Any = diffusers  # its stubs leave most untyped
        options: dict[str, Any] = {"use_safetensors": True}  # never a pickle
        try:
            if controlnet is not None:
                part = library.ControlNetModel.from_pretrained(controlnet, **options)
                kind = getattr(library, REPAINTER)
                pipeline = kind.from_pretrained(model, controlnet=part, **options)
            else:
                pipeline = getattr(library, _class_name(model)).from_pretrained(model, **options)
        except (OSError, ValueError, KeyError) as error:
            raise WeightsError(
                f"no InstructPix2Pix or ControlNet inpainting model could be loaded from {model!r}: give a "
                f"folder with model_index.json and safetensors, or a model id while online ({error})"
            ) from error
        pipeline.set_progress_bar_config(disable=True)
        return cls(pipeline.to(device, torch.float16 if device == "cuda" else torch.float32), device)

    def edit(
        self,
        image: Image,
        prompt: str,
        *,
        mask: Float | None = None,
        config: PromptConfig | None = None,
        progress: Progress = lambda done, total: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Image:
        """Edits a picture by words.

        The model edits a shrunk copy. Its change is enlarged and added to the picture, so that the picture
        stays as sharp as it was. Pixels that the model left alone stay as they were, bit for bit.

        Args:
            image: uint8 (H, W, 3).
            prompt: what to do, in words.
            mask: float32 (H, W) in [0, 1], 1: may change; None for the whole picture.
            config: settings; the defaults when None.
            progress: called with the steps done and all steps, before the first step and after each one.
            stop: called before the first step and after each one; True cancels the edit.

        Returns:
            uint8 (H, W, 3).

        Raises:
            ValueError: an empty prompt, or a mask of another size.
            PromptCancelled: `stop` returned True.
        """
        config = config or PromptConfig()
        height, width = check_image(image)
        if not prompt.strip():
            raise ValueError("prompt must say what to change, got nothing")
        if mask is not None and mask.shape != (height, width):
            raise ValueError(f"mask must be {(height, width)}, got {mask.shape}")
        seen = cv2.resize(image, _model_size(height, width), interpolation=cv2.INTER_AREA)
        share = np.ones(seen.shape[:2], np.float32)
        if mask is not None:
            share = np.asarray(cv2.resize(mask, seen.shape[1::-1], interpolation=cv2.INTER_AREA), np.float32)
        made = self._run(np.asarray(seen, np.uint8), prompt, share, config, progress, stop)
        return _added(image, np.asarray(seen, np.uint8), made, mask)

    def _run(
        self,
        seen: Image,
        prompt: str,
        share: Float,
        config: PromptConfig,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Image:
        import torch

        total = 0

        def after_step(pipeline: Any, step: int, timestep: Any, kept: dict[str, Any]) -> dict[str, Any]:
            if stop():
                raise PromptCancelled
            progress(step + 1, total)
            return kept

        arguments: dict[str, Any] = {
            "prompt": prompt,
            "num_inference_steps": config.steps,
            "guidance_scale": config.guidance,
            "generator": torch.Generator("cpu").manual_seed(config.seed),
            "callback_on_step_end": after_step,
            "output_type": "np",
        }
        picture = seen.astype(np.float32) / 255
        if self._repaints:
            control = np.where(share[..., None] > 0.5, np.float32(-1), picture)
            tensor = torch.from_numpy(np.ascontiguousarray(control.transpose(2, 0, 1)[None]))
            arguments |= {"image": picture[None], "mask_image": share[None], "control_image": tensor}
            arguments |= {"height": seen.shape[0], "width": seen.shape[1]}
        else:
            arguments |= {"image": picture[None], "image_guidance_scale": config.image_guidance}
        total = config.steps
        if stop():
            raise PromptCancelled
        progress(0, total)
        made = self._pipeline(**arguments).images[0]
        return np.clip(np.rint(made * 255), 0, 255).astype(np.uint8)


def require(model: str, controlnet: str | None = None) -> None:
    """Checks that an editor's weights and libraries exist, without loading them.

    Args:
        model, controlnet: see `PromptEditor.load`; only their descriptions are fetched from the hub.

    Raises:
        WeightsError: something is missing, or of another kind. The message says what to do.
    """
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise WeightsError(MISSING)
    try:
        if controlnet is None:
            _class_name(model)
        else:
            _description(model, INDEX)
            kind = _description(controlnet, CONTROL_INDEX).get("_class_name")
            if kind != CONTROL:
                raise ValueError(f"{controlnet!r} is a {kind}, not a {CONTROL}")
    except (OSError, ValueError) as error:
        raise WeightsError(f"no model to edit by words: {error}") from error


def face_area(landmarks: Landmarks, size: tuple[int, int]) -> Float:
    """Makes a mask of a face for `PromptEditor.edit`: 1 up to its outline, then fading.

    Args:
        landmarks: landmarks of the face.
        size: (H, W) of the picture.

    Returns:
        float32 (H, W) in [0, 1].
    """
    oval = take(landmarks, FACE_OVAL)
    centre = oval.mean(axis=0)
    outline = np.rint(centre + (oval - centre) * FACE_ROOM).astype(np.int32)
    area = cv2.fillPoly(np.zeros(size, np.float32), [outline], 1.0)
    edge = 2 * max(1, round(FACE_EDGE * face_size(landmarks))) + 1
    return np.asarray(cv2.blur(area, (edge, edge)), np.float32)


def _class_name(model: str) -> str:
    """Reads the class name of a pipeline that needs no further parts.

    Raises:
        ValueError: it is of another kind, or its description is damaged.
        OSError: there is no such model.
    """
    name = _description(model, INDEX).get("_class_name")
    if name not in (PIX2PIX, REPAINTER):
        raise ValueError(
            f"{model!r} is a {name}; without a ControlNet beside it, it must be a {PIX2PIX} or a {REPAINTER}"
        )
    return str(name)


def _description(model: str, name: str) -> dict[str, Any]:
    """Reads the description `name` of a model in a folder or on the hub.

    Raises:
        ValueError: the description is damaged.
        OSError: there is none, or the hub cannot be reached.
    """
    path = Path(model) / name
    if not path.parent.is_dir():
        if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", model):
            raise FileNotFoundError(f"there is no folder {model!r}, and no model of the hub is called so")
        path = Path(_of_hub(model, name))
    if not path.is_file():
        raise FileNotFoundError(f"{model!r} holds no {name}: give a folder as diffusers saves it")
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not what diffusers saves")
    return found


def _of_hub(model: str, name: str) -> str:
    """Path of a file of the hub, from the local cache or fetched."""
    import huggingface_hub

    cached = huggingface_hub.try_to_load_from_cache(model, name)
    if isinstance(cached, str):
        return cached
    try:
        return huggingface_hub.hf_hub_download(model, name)
    except OSError as error:
        raise FileNotFoundError(
            f"there is no folder {model!r}, and the hub gives no such model: {error}"
        ) from error


def _model_size(height: int, width: int) -> tuple[int, int]:
    """(width, height) at which the model works: multiples of `MULTIPLE`, near the picture's aspect ratio."""
    scale = min(1.0, MOST_SIDE / max(height, width))
    columns, rows = (max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in (width, height))
    return columns, rows


def _added(image: Image, seen: Image, made: Image, mask: Float | None) -> Image:
    """Adds the model's change on the shrunk copy to the picture, where it exceeds the model's noise."""
    change = made.astype(np.float32) - seen
    evidence = np.abs(cv2.blur(change, (5, 5))).max(axis=2)
    meant = cv2.blur(cv2.dilate(smoothstep(evidence, *NOISE), np.ones((5, 5), np.uint8)), (5, 5))
    size = (image.shape[1], image.shape[0])
    full = cv2.resize(change * meant[..., None], size, interpolation=cv2.INTER_CUBIC)
    shown = cv2.resize(meant, size, interpolation=cv2.INTER_LINEAR)
    if mask is not None:
        shown, full = shown * mask, full * mask[..., None]
    edited = np.clip(np.rint(image + full), 0, 255).astype(np.uint8)
    return np.where(shown[..., None] > 0, edited, image)
