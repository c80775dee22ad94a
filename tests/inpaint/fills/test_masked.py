"""Masked fills and gaps with small random weights: exactness, determinism, wiring."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import inpaint
from correspondence import Float, Image, Landmarks, WeightsError, detect_landmarks
from inpaint import FillContext
from inpaint.fills.gaps import GapConfig, fill_gap
from inpaint.fills.guess import ELSEWHERE, ON_FACE, guesses, reference_weight
from inpaint.fills.masked import DiffusionFill, FillConfig
from inpaint.model import checkpoints
from inpaint.model.autoencoder import Autoencoder
from inpaint.model.denoiser import DenoiserConfig
from inpaint.model.diffusion import Given, QuadBatch, QuadrantModel, Warp
from inpaint.model.propagation import plan_naive, plan_thirds
from tests.inpaint.tiny import SIDE, TINY_DENOISER, tiny_autoencoder, tiny_clips, tiny_denoiser, tiny_model

QUICK = FillConfig(steps=2, resample_at=None)


def picture(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8)


def hole(size: tuple[int, int], box: tuple[int, int, int, int]) -> Float:
    mask = np.zeros(size, np.float32)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    return mask


def landmarks_of(size: tuple[int, int], scale: float = 1.0) -> Landmarks:
    return Landmarks((tiny_clips()[0].points[0] * scale).astype(np.float32), size)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((90, 121), (40, 30, 70, 60)),
        ((64, 64), (0, 0, 20, 64)),
        ((70, 200), (0, 0, 200, 70)),
        ((33, 20), (5, 5, 6, 6)),
    ],
)
def test_pixels_outside_the_mask_are_bit_equal(
    rng: np.random.Generator, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    image, mask = picture(rng, size), hole(size, box)
    filled = DiffusionFill(tiny_model(), QUICK)(image, mask)
    np.testing.assert_array_equal(filled[mask == 0], image[mask == 0])
    assert np.any(filled[mask > 0] != image[mask > 0])


def test_an_empty_mask_gives_the_picture(rng: np.random.Generator) -> None:
    image = picture(rng, (40, 40))
    filled = DiffusionFill(tiny_model(), QUICK)(image, np.zeros((40, 40), np.float32))
    np.testing.assert_array_equal(filled, image)
    with pytest.raises(ValueError, match="mask"):
        DiffusionFill(tiny_model(), QUICK)(image, np.zeros((40, 41), np.float32))


def test_what_is_under_the_mask_does_not_matter_and_the_seed_does(rng: np.random.Generator) -> None:
    image, mask = picture(rng, (80, 80)), hole((80, 80), (30, 30, 50, 50))
    other = image.copy()
    other[mask > 0] = 0
    fill = DiffusionFill(tiny_model(), FillConfig(steps=2))
    context = FillContext(landmarks=landmarks_of((80, 80)), seed=4)
    first = fill(image, mask, context)
    np.testing.assert_array_equal(fill(other, mask, context), first)
    assert np.any(fill(image, mask, FillContext(landmarks=landmarks_of((80, 80)), seed=5)) != first)


def test_the_reference_and_the_landmarks_are_looked_at(rng: np.random.Generator) -> None:
    image, mask = picture(rng, (80, 80)), hole((80, 80), (30, 30, 50, 50))
    fill = DiffusionFill(tiny_model(), QUICK)
    reference, landmarks = picture(rng, (120, 100)), landmarks_of((80, 80))
    contexts = [
        FillContext(landmarks=landmarks),
        FillContext(landmarks=landmarks, reference=reference),
        FillContext(
            landmarks=landmarks, reference=reference, reference_landmarks=landmarks_of((120, 100), 1.5)
        ),
    ]
    fills = [fill(image, mask, context) for context in contexts]
    assert np.any(fills[0] != fills[1])
    assert np.any(fills[1] != fills[2])


def test_no_seam_where_the_generated_view_is_off_by_a_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step across the hole's border stays within the picture's own."""
    y, x = np.mgrid[0:96, 0:96]
    image = np.repeat((40 + x + y // 2)[..., None], 3, axis=2).astype(np.uint8)
    mask = hole((96, 96), (36, 36, 60, 60))
    fill = DiffusionFill(tiny_model(), QUICK)
    monkeypatch.setattr(
        fill, "_generate", lambda crop, *_: np.clip(_resized(crop) + 25.0, 0, 255).astype(np.uint8)
    )
    filled = fill(image, mask).astype(int)[..., 0]
    own = max(np.abs(np.diff(image[..., 0].astype(int), axis=a)).max() for a in (0, 1))
    steps = [filled[40:56, 36] - filled[40:56, 35], filled[36, 40:56] - filled[35, 40:56]]
    assert max(np.abs(s).max() for s in steps) <= own + 3


def _resized(crop: Image) -> Float:
    import cv2

    return np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)


def quads(count: int, warps: bool = False) -> QuadBatch:
    torch.manual_seed(0)
    latents = torch.randn(count, 8, 8, 8)
    warp = Warp(torch.randn(count, 8, 8, 8), torch.rand(count, 1, 8, 8))
    return QuadBatch(
        first=latents,
        last=latents + 1,
        drawings=torch.rand(count, 4, 3, SIDE, SIDE),
        person=torch.ones(count, 2, 1, 8, 8),
        gap=torch.full((count,), 9),
        warps=(warp, warp) if warps else None,
    )


@pytest.mark.parametrize("arrangement", ["two_references", "one_reference", "side_by_side"])
def test_generate_gives_two_views(arrangement: str) -> None:
    config = DenoiserConfig(
        **{**{f: getattr(TINY_DENOISER, f) for f in TINY_DENOISER.__slots__}, "arrangement": arrangement}
    )
    model = QuadrantModel(tiny_autoencoder(), tiny_denoiser(config))
    b, c = model.generate(quads(2), steps=1)
    assert b.shape == c.shape == (2, 8, 8, 8)
    assert not torch.equal(b, c)
    warped, _ = model.generate(quads(2, warps=True), steps=1)
    assert not torch.equal(warped, b)


def test_given_latents_are_kept() -> None:
    model, known = tiny_model(), torch.randn(2, 8, 8, 8)
    repaint = torch.zeros(2, 1, 8, 8)
    repaint[..., :3] = 1
    for view in model.generate(quads(2), steps=2, given=Given(known, repaint)):
        assert torch.equal(view[..., 3:], known[..., 3:])
        assert not torch.equal(view[..., :3], known[..., :3])


def test_a_batch_is_its_members() -> None:
    model, both = tiny_model(), quads(2)
    one = QuadBatch(both.first[1:], both.last[1:], both.drawings[1:], both.person[1:], both.gap[1:])
    torch.testing.assert_close(
        model.generate(both, steps=2)[0][1:], model.generate(one, steps=2)[0], atol=1e-4, rtol=1e-4
    )


def test_a_composite_that_needs_no_change_comes_out_as_it_went_in(rng: np.random.Generator) -> None:
    model, base = tiny_model(), picture(rng, (SIDE, SIDE))
    latents = model.encode([base])
    sure = torch.zeros(1, 1, 8, 8)
    np.testing.assert_array_equal(model.decode_onto(latents, Warp(latents, sure), [base])[0], base)
    unsure = model.decode_onto(latents, Warp(latents, sure + 1), [base])[0]
    np.testing.assert_array_equal(unsure, model.decode(latents)[0])


def test_guesses_do_not_look_into_the_hole(astronaut: Image) -> None:
    image = np.ascontiguousarray(astronaut[:256, 96:352])
    shifted = np.roll(image, 6, axis=1)
    mask = hole((256, 256), (110, 90, 160, 140))
    other = image.copy()
    other[mask > 0] = 200
    face, moved = detect_landmarks(image), detect_landmarks(shifted)
    continued, carried = guesses(image, mask, face, shifted, moved)
    for one, two in zip((continued, carried), guesses(other, mask, face, shifted, moved), strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one[mask == 0], image[mask == 0])
    errors = [np.abs(p.astype(float) - image)[mask > 0].mean() for p in (continued, carried)]
    assert errors[1] < 0.6 * errors[0], "the reference shows what the surroundings do not"
    assert face is not None
    weight = reference_weight(face, (256, 256))
    nose = face.points[1, :2].round().astype(int)
    assert weight[nose[1], nose[0]] == pytest.approx(ON_FACE, abs=0.02)
    assert weight[2, 2] == pytest.approx(ELSEWHERE, abs=0.02)
    assert (reference_weight(None, (8, 8)) == np.float32(ELSEWHERE)).all()
    alone = guesses(image, mask, face, None, None)
    np.testing.assert_array_equal(alone[0], alone[1])


@pytest.mark.parametrize("warp", [False, True])
def test_a_gap_is_filled_in_any_batch_size(warp: bool) -> None:
    clip, model = tiny_clips()[0], tiny_model()
    references = {0: clip.frames[0], 7: clip.frames[7]}

    def warped(number: int) -> tuple[Image, Float]:
        return clip.frames[number], np.full((SIDE, SIDE), 0.5, np.float32)

    runs = [
        fill_gap(
            model,
            references,
            clip.points,
            warped=warped if warp else None,
            config=GapConfig(steps=1, batch=batch),
        )
        for batch in (1, 9)
    ]
    assert list(runs[0]) == list(range(8))
    np.testing.assert_array_equal(runs[0][7], clip.frames[7])
    assert all(np.abs(runs[0][n].astype(int) - runs[1][n]).max() <= 1 for n in range(8))


def test_an_anchor_changes_later_levels_only() -> None:
    clip, model = tiny_clips()[0], tiny_model()
    references = {0: clip.frames[0], 9: clip.frames[9]}
    plain, anchored = (
        fill_gap(model, references, clip.points, config=GapConfig(steps=2, anchor=anchor))
        for anchor in (False, True)
    )
    np.testing.assert_array_equal(plain[3], anchored[3])
    assert any(np.any(plain[n] != anchored[n]) for n in (1, 2, 4, 5, 7, 8))


def test_half_precision_runs_every_path() -> None:
    """What CUDA uses, in bfloat16 on the CPU: fills, warped gaps and the anchor."""
    model, clip = QuadrantModel(tiny_autoencoder(), tiny_denoiser(), dtype=torch.bfloat16), tiny_clips()[0]
    mask = hole((SIDE, SIDE), (20, 20, 40, 40))
    filled = DiffusionFill(model, QUICK)(clip.frames[0], mask)
    np.testing.assert_array_equal(filled[mask == 0], clip.frames[0][mask == 0])

    def warped(number: int) -> tuple[Image, Float]:
        return clip.frames[number], np.zeros((SIDE, SIDE), np.float32)

    references = {0: clip.frames[0], 5: clip.frames[5]}
    config = GapConfig(steps=1, anchor=True)
    assert len(fill_gap(model, references, clip.points, warped=warped, config=config)) == 6


def test_gap_arguments_are_checked() -> None:
    clip, model = tiny_clips()[0], tiny_model()
    with pytest.raises(ValueError, match="two or more references"):
        fill_gap(model, {0: clip.frames[0]}, clip.points)
    with pytest.raises(ValueError, match="64 x 64"):
        fill_gap(model, {0: clip.frames[0], 3: clip.frames[3][:32]}, clip.points)
    naive = fill_gap(
        model,
        {0: clip.frames[0], 4: clip.frames[4]},
        clip.points,
        plan=plan_naive(0, 4),
        config=GapConfig(steps=1),
    )
    assert list(naive) == [0, 1, 2, 3, 4]
    assert plan_thirds(0, 4) != plan_naive(0, 4)


def test_networks_must_belong_together() -> None:
    with pytest.raises(ValueError, match="latent channels"):
        QuadrantModel(tiny_autoencoder(), tiny_denoiser(DenoiserConfig(latent_channels=4)))


def test_weights_go_to_disk_and_back(tmp_path: Path) -> None:
    autoencoder, denoiser = tiny_autoencoder(), tiny_denoiser()
    autoencoder.latent_mean += 0.1234567
    about = {"psnr": 31.5, "steps": 7}
    checkpoints.save(tmp_path / checkpoints.AUTOENCODER, autoencoder, about)
    checkpoints.save(tmp_path / checkpoints.DENOISER, denoiser, about, half=False)
    assert checkpoints.read_about(tmp_path / checkpoints.AUTOENCODER) == about
    fill = inpaint.load(tmp_path, config=QUICK)
    loaded = fill.model
    assert isinstance(loaded.autoencoder, Autoencoder)
    assert loaded.autoencoder.config == autoencoder.config
    assert torch.equal(loaded.autoencoder.latent_mean, autoencoder.latent_mean)
    for name, value in loaded.denoiser.state_dict().items():
        assert torch.equal(value, denoiser.state_dict()[name])
    for name, value in loaded.autoencoder.named_parameters():
        torch.testing.assert_close(value, autoencoder.state_dict()[name], atol=1e-3, rtol=1e-3)


def test_missing_weights_say_how_to_train(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        if folder is None and checkpoints.SHIPPED_SHA256:
            continue
        with pytest.raises(WeightsError, match="livery train autoencoder"):
            inpaint.load(folder)


def test_damaged_foreign_and_swapped_weights_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / checkpoints.AUTOENCODER
    checkpoints.save(path, tiny_autoencoder(), {})
    with pytest.raises(WeightsError, match="expected a denoiser"):
        checkpoints.load_denoiser(path)
    monkeypatch.setattr(checkpoints, "SHIPPED_DIR", tmp_path)
    with pytest.raises(WeightsError, match="sha256"):
        checkpoints.load_autoencoder(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match="damaged"):
        checkpoints.load_autoencoder(path)


def test_importing_the_package_needs_no_torch() -> None:
    code = "import sys, inpaint; assert 'torch' not in sys.modules and 'diffusers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).parents[3])
