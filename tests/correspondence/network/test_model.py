"""The network's numeric parts on paper-sized examples, and the whole of it untrained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from correspondence.network.model import BLENDED, SIZES, NetworkConfig, ReferenceFeatures, prior
from correspondence.network.sampling import blend, look_up, rows, sample_rows, score, unrows
from tests.correspondence.material import checker, moved, tiny_network


def grid(h: int, w: int) -> torch.Tensor:
    return torch.arange(h * w, dtype=torch.float32).reshape(1, 1, h, w)


def test_rows_and_back() -> None:
    x = torch.rand(2, 3, 4, 5)
    assert torch.equal(unrows(rows(x), (4, 5)), x)
    assert torch.equal(rows(x)[1, 7], x[1, :, 1, 2])


def test_sampling_rows_is_bilinear_and_repeats_the_border() -> None:
    points = torch.tensor([[[1.0, 1.0], [0.5, 0.0], [1.25, 0.5], [-3.0, 0.0], [9.0, 9.0]]])
    said = sample_rows(rows(grid(3, 4)), points, (3, 4))[0, :, 0]
    assert said.tolist() == pytest.approx([5.0, 0.5, 3.25, 0.0, 11.0])


def test_one_picture_and_a_batch_are_sampled_alike() -> None:
    torch.manual_seed(0)
    table, points = torch.rand(2, 6 * 7, 5), torch.rand(2, 30, 2) * 9 - 1
    both = sample_rows(table, points, (6, 7))
    for i in range(2):
        assert torch.allclose(both[i], sample_rows(table[i : i + 1], points[i : i + 1], (6, 7))[0], atol=1e-5)


def test_looking_up_sees_the_neighbours() -> None:
    correlation = grid(4, 5).reshape(1, 1, 20)
    said = look_up(correlation, torch.tensor([[[2.0, 1.0]]]), (4, 5), 1)[0, 0]
    assert said.tolist() == [1, 2, 3, 6, 7, 8, 11, 12, 13]
    half = look_up(correlation, torch.tensor([[[2.5, 1.0]]]), (4, 5), 1)[0, 0]
    assert half.tolist() == [1.5, 2.5, 3.5, 6.5, 7.5, 8.5, 11.5, 12.5, 13.5]
    corner = look_up(correlation, torch.tensor([[[0.0, 0.0]]]), (4, 5), 1)[0, 0]
    assert corner.tolist() == [0, 0, 1, 0, 0, 1, 5, 5, 6]


def test_scores_are_read_where_the_candidates_point() -> None:
    torch.manual_seed(0)
    correlation, points = torch.rand(2, 3, 20), torch.rand(2, 3, 4, 2) * 3
    said = score(correlation, points, (4, 5))
    for b in range(2):
        for n in range(3):
            wanted = sample_rows(correlation[b, n][None, :, None], points[b, n][None], (4, 5))[0, :, 0]
            assert torch.allclose(said[b, n], wanted, atol=1e-5)


def test_a_blend_lies_between_its_fields() -> None:
    fields = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1, 1).expand(1, 2, 2, 2, 2)
    mean, weights = blend(torch.zeros(1, 2, 2, 2), fields)
    assert torch.allclose(mean, torch.full_like(mean, 2))
    assert torch.allclose(weights.sum(dim=1), torch.ones(1, 2, 2))
    sure = torch.tensor([0.0, 50.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    assert torch.allclose(blend(sure, fields)[0], torch.full((1, 2, 2, 2), 3.0))


def test_the_rule_before_training() -> None:
    """Valid landmarks win; without them a closed cycle wins for guided flow, an open one for direct flow."""
    on_face, closed, open_ = (
        torch.tensor(v).view(1, 3, 1, 1) for v in ([1.0, 0.5, 0], [0.0, 1, 0], [0.0, 0, 0])
    )
    assert [int(prior(v).argmax(dim=1)) for v in (on_face, closed, open_)] == [0, 2, 1]


def inputs(shift: float = 6.0) -> tuple[torch.Tensor, ...]:
    """A pattern moved to the left by `shift`, and candidates of which the second tells so."""
    reference = checker()
    field = np.zeros((256, 256, 2), np.float32)
    field[..., 0] = shift
    frame = moved(reference, field)
    images = [torch.from_numpy(i).permute(2, 0, 1)[None].float() / 255 for i in (frame, reference)]
    candidates = torch.zeros(1, 5, 2, 64, 64)
    candidates[:, 1, 0] = shift
    return images[0], images[1], candidates, torch.zeros(1, 3, 64, 64)


def test_an_untrained_network_follows_the_candidate_that_explains_the_frame() -> None:
    network = tiny_network(wild=False)
    frame, reference, candidates, validity = inputs()
    with torch.no_grad():
        output = network(frame, network.prepare(reference), candidates, validity)
    middle = output.field[0, :, 16:48, 16:48]
    assert middle[0].mean() > 3.5  # of 6; four other candidates say 0
    assert middle[1].abs().mean() < 1.5  # the global match knows nothing yet
    assert output.weights.shape == (1, len(BLENDED), 64, 64)
    assert torch.allclose(output.weights.sum(dim=1), torch.ones(1, 64, 64), atol=1e-5)


def test_every_weight_learns() -> None:
    network = tiny_network()
    frame, reference, candidates, validity = inputs()
    output = network(frame, network.prepare(reference), candidates, validity)
    total = torch.stack([F.mse_loss(v, torch.ones_like(v)) for v in (*output[:6], *output.coarse)]).sum()
    torch.autograd.backward(total)
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    silent = [
        n for n in silent if ".key.bias" not in n and "match_query.bias" not in n
    ]  # softmax ignores them
    assert silent == []


def test_any_grid_of_sixteenths_is_matched() -> None:
    network = tiny_network()
    image, candidates = torch.rand(1, 3, 128, 192), torch.rand(1, 5, 2, 32, 48)
    with torch.no_grad():
        output = network(image, network.prepare(image), candidates, torch.rand(1, 3, 32, 48))
    assert output.field.shape == (1, 2, 32, 48)
    assert all(torch.isfinite(v).all() for v in output[:6])


def test_half_precision_keeps_places_exact() -> None:
    network = tiny_network()
    frame, reference, candidates, validity = inputs()
    with torch.no_grad():
        wanted = network(frame, network.prepare(reference), candidates, validity).field
        with torch.autocast("cpu", torch.bfloat16):
            said = network(frame, network.prepare(reference), candidates, validity).field
    assert (said - wanted).abs().max() < 0.5


def test_the_default_sizes_have_few_weights() -> None:
    from correspondence.network.encoder import build_encoder
    from correspondence.network.model import Network

    counts = {
        name: sum(
            p.numel()
            for p in Network(SIZES[name], build_encoder("compact", SIZES[name].encoder)).parameters()
        )
        for name in ("s2", "xs2")
    }
    assert counts["xs2"] < 0.9e6 < counts["s2"] < 1.5e6


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"iterations, radius, cross must be >= 1, got 0"):
        NetworkConfig(iterations=0)


def test_a_reference_is_kept_whole() -> None:
    network = tiny_network()
    kept = network.prepare(torch.rand(1, 3, 256, 256))
    assert isinstance(kept, ReferenceFeatures)
    assert kept.quarter.shape[1] == 64 * 64
    assert kept.eighth.shape[2] == 32 * 32
    assert kept.keys.shape == kept.values.shape
    assert kept.match.shape[1] == 256
