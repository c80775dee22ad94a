"""Jobs of a fill process, done by the diffusion model if there are weights, or else by classical methods.

Importing this module needs numpy and OpenCV only. torch is imported only with weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from correspondence import Box, Float, Image, Landmarks
from inpaint.classical.between import Ends, interpolate
from inpaint.classical.opencv import fill_classical
from inpaint.fills.views import points_of, view, view_landmarks
from inpaint.looks.jobs import LookJob, learn
from inpaint.looks.learned import LearnedLook
from inpaint.mask import match_boundary, paste, square_box
from inpaint.types import Fill, FillContext
from inpaint.weights import STEPS, is_diffusers, require

if TYPE_CHECKING:
    from inpaint.fills.diffusers_fill import DiffusersFill
    from inpaint.fills.masked import DiffusionFill
    from inpaint.model.diffusion import QuadrantModel

Check = Callable[[], None]  # called between network calls; raises if the work is no longer wanted
Base = tuple[Image, Float]  # a picture (H, W, 3) and where it is unsure, float32 (H, W) in [0, 1]

FEATHER_PX = 6.0  # width of the ramp inside the border of generated parts, pixels
UNSURE = 0.5  # pixels of higher uncertainty are generated


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskedJob:
    """A job to fill one hole.

    Attributes:
        image, mask, context: the arguments of `types.Fill`.
        look: fills the hole; None for the filler's own method.
    """

    image: Image
    mask: Float
    context: FillContext = field(default_factory=FillContext)
    look: LearnedLook | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, bytes."""
        seen = (self.context.reference, self.context.live)
        return self.image.nbytes + self.mask.nbytes + sum(each.nbytes for each in seen if each is not None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GapJob:
    """A job to make the frames between two references.

    Attributes:
        references: the two pictures by frame number, uint8 (H, W, 3), of one size.
        landmarks: landmarks by number of each frame from the first reference to the last; None for no face.
        bases: known pictures of frames between, with their uncertainty. A missing one is interpolated from
            the references.
        seed: seed of the noise.
    """

    references: Mapping[int, Image]
    landmarks: Mapping[int, Landmarks | None]
    bases: Mapping[int, Base] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.references) != 2 or len({p.shape for p in self.references.values()}) != 1:
            shapes = {n: p.shape for n, p in self.references.items()}
            raise ValueError(f"a gap has two references of one size, got {shapes}")
        missing = [n for n in range(self.first, self.last + 1) if n not in self.landmarks]
        if missing:
            raise ValueError(f"landmarks (or None) are needed for every frame of a gap, missing {missing}")

    @property
    def first(self) -> int:
        """Number of the first reference."""
        return min(self.references)

    @property
    def last(self) -> int:
        """Number of the last reference."""
        return max(self.references)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, bytes."""
        bases = sum(image.nbytes + unsure.nbytes for image, unsure in self.bases.values())
        return bases + sum(p.nbytes for p in self.references.values())


class Filler:
    """Does fill jobs.

    Args:
        weights: folder of the diffusion model's weights, see `weights.require`; None for classical methods.
        device: "cpu" or a CUDA device.
        steps: number of sampler steps.

    Raises:
        WeightsError: the weights are missing, damaged or changed.
        ModuleNotFoundError: torch or diffusers is not installed.
    """

    def __init__(self, weights: Path | None, device: str = "cpu", steps: int = STEPS) -> None:
        self.diffusion: DiffusionFill | None = None
        self.masker: DiffusersFill | None = None  # fills masks alone
        self.steps = steps
        self.method = "classical (OpenCV)"
        if weights is not None:
            weights = require(weights)  # before torch is imported for nothing
            if is_diffusers(weights):
                from inpaint.fills.diffusers_fill import DiffusersFill

                self.masker = DiffusersFill(weights, device)
                self.method = f"{weights.name} through diffusers on {device}; gaps are warped and blended"
                return

            from inpaint.fills.loading import load
            from inpaint.fills.masked import FillConfig

            self.diffusion = load(weights, device=device, config=FillConfig(steps=steps))
            self.method = f"diffusion on {device}, {steps} step{'s' * (steps != 1)}"

    def masked(self, job: MaskedJob, check: Check = lambda: None) -> Image:
        """Do a masked job.

        Args:
            job: the job.
            check: called before each network call; raises to stop the work.

        Returns:
            The picture with its hole filled, uint8 (H, W, 3).
        """
        fill: Fill = job.look or self.diffusion or self.masker or fill_classical
        with self._checked(check):
            return fill(job.image, job.mask, job.context)

    def look(self, job: LookJob, check: Check = lambda: None) -> LearnedLook:
        """Learn a look, see `looks.jobs.learn`."""
        return learn(job, check)

    def gap(self, job: GapJob, check: Check = lambda: None) -> dict[int, Image]:
        """Do a gap job.

        Pixels of a base that are sure stay unchanged. The model generates the others, if there is a model.

        Args:
            job: the job.
            check: called between steps of the work; raises to stop it.

        Returns:
            The frames strictly between the references by number, uint8 (H, W, 3).
        """
        bases = dict(job.bases)
        numbers = range(job.first + 1, job.last)
        if any(n not in bases for n in numbers):
            ends = Ends.of(
                job.references[job.first],
                job.references[job.last],
                job.landmarks[job.first],
                job.landmarks[job.last],
            )
            for n in numbers:
                check()
                share = (n - job.first) / (job.last - job.first)
                if n not in bases:
                    bases[n] = interpolate(ends, share)
        if self.diffusion is None:
            return {n: bases[n][0] for n in numbers}
        with self._checked(check):
            return self._generated(job, bases)

    def _generated(self, job: GapJob, bases: Mapping[int, Base]) -> dict[int, Image]:
        from inpaint.fills.gaps import GapConfig, fill_gap

        assert self.diffusion is not None
        model, size = self.diffusion.model, job.references[job.first].shape[:2]
        box = _face_box(job, (size[0], size[1]))
        points = {
            n: points_of(view_landmarks(landmarks, box, model.side)) for n, landmarks in job.landmarks.items()
        }
        x0, y0, x1, y1 = box

        def warped(n: int) -> Base:
            image, unsure = bases[n]
            return view(image, box, model.side), _resized(unsure[y0:y1, x0:x1], (model.side, model.side))

        made = fill_gap(
            model,
            {n: view(p, box, model.side) for n, p in job.references.items()},
            points,
            warped=warped,
            config=GapConfig(steps=self.steps, seed=job.seed, batch=3),
        )
        return {n: _laid(bases[n], made[n], box) for n in bases if job.first < n < job.last}

    def _checked(self, check: Check) -> _Checked:
        return _Checked(self.masker if self.diffusion is None else self.diffusion.model, check)


class _Checked:
    """Makes the model call `check` before each of its steps, inside a `with` block."""

    def __init__(self, model: QuadrantModel | DiffusersFill | None, check: Check) -> None:
        self._model, self._check = model, check

    def __enter__(self) -> None:
        self._check()
        if self._model is not None:
            self._model.before_step = self._check

    def __exit__(self, *_: object) -> None:
        if self._model is not None:
            self._model.before_step = None


def _laid(base: Base, made: Image, box: Box) -> Image:
    """Lay the generated picture over the base where that is unsure, with colours matched at the border."""
    image, unsure = base
    x0, y0, x1, y1 = box
    hole = (unsure[y0:y1, x0:x1] > UNSURE).astype(np.float32)
    if not hole.any():
        return image
    crop = np.ascontiguousarray(image[y0:y1, x0:x1])
    full = np.asarray(_resized(made, (x1 - x0, y1 - y0)), np.uint8)
    full = match_boundary(crop, full, hole)
    result = image.copy()
    result[y0:y1, x0:x1] = paste(crop, full, hole, FEATHER_PX)
    return result


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    shrink = size[0] < values.shape[1]
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC))


def _face_box(job: GapJob, size: tuple[int, int]) -> Box:
    """Return one square box for the whole gap that contains the face with hair and shoulders."""
    boxes = np.array([m.box for m in job.landmarks.values() if m is not None], np.float32).reshape(-1, 4)
    h, w = size
    if len(boxes) == 0:
        return square_box((0, 0, w, h), size)
    x0, y0 = boxes[:, :2].min(axis=0)
    x1, y1 = boxes[:, 2:].max(axis=0)
    grow = 0.5 * max(x1 - x0, y1 - y0)
    low = (max(0, int(x0 - grow)), max(0, int(y0 - grow)))
    return square_box((*low, min(w, int(x1 + grow)), min(h, int(y1 + grow))), size)
